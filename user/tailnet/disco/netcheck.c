/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STUN to all relays (netcheck.h). A round asks each server up to three times and
 * ends when all have answered, or after ROUND_TIME. The home region is the
 * nearest, as the server's scores count; it changes only for one that is a good deal
 * nearer, or when it is silent: a new home has to be told to the server and found by
 * all peers. The rules are those of Tailscale's client (net/netcheck), but that a
 * region to be avoided is taken only where no other answers.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "netcheck.h"
#include "policy/alloc.h"
#include "stun.h"
#include "user/base/clock.h"

#define ROUND_TIME  (3 * NS_PER_SEC)
#define FIRST_TIME  (500 * NS_PER_MS) /* into the first round, a first result; names may still be looked up */
#define RETRY_TIME  (300 * NS_PER_MS)
#define TRIES	    3
#define NODES_ASKED 2		     /* of a region, first ones: as the DERP map's documentation wants it */
#define WORTH_IT    (10 * NS_PER_MS) /* nearer by less, and one that is home stays it */

#define ATTRIBUTE_SOFTWARE    0x8022
#define ATTRIBUTE_FINGERPRINT 0x8028
#define FINGERPRINT_XOR	      0x5354554e

static const char software[8] = {'t', 'a', 'i', 'l', 'n', 'o', 'd', 'e'};
#define ATTRIBUTES_LEN (4 + sizeof(software) + 4 + 4)
static_assert(STUN_REQUEST_LEN + ATTRIBUTES_LEN == NETCHECK_REQUEST_LEN, "RFC 8489, sections 5 and 14");

struct region {
	uint16_t id;
	enum derp_use use;
	uint32_t score;
	bool away;	  /* its relay cannot be reached */
	uint64_t latency; /* of this round, as scored; 0: no answer */
	uint64_t before;  /* of the full round before this one */
};

struct server {
	size_t region; /* index */
	struct addr_port at;
	uint8_t id[STUN_ID_LEN];
	unsigned tries;	      /* in this round */
	uint64_t first, sent; /* the first try, the last one */
	uint64_t latency;     /* of this round; 0: no answer yet */
};

struct netcheck {
	const struct netcheck_ops *ops;
	void *ctx;
	struct region *regions;
	size_t n_regions;
	struct server *servers;
	size_t n;
	unsigned rounds;
	bool full;	   /* this round asks all */
	uint64_t round_at; /* the next one, or when this one began */
	bool in_round;
	struct netcheck_result now, told;
	bool has_told;
};

void netcheck_request(const uint8_t id[STUN_ID_LEN], uint8_t out[NETCHECK_REQUEST_LEN])
{
	struct writer w = writer_to(out, NETCHECK_REQUEST_LEN), length;

	stun_request(id, write_room(&w, STUN_REQUEST_LEN));
	length = writer_to(out + 2, 2);
	write_be16(&length, ATTRIBUTES_LEN);
	write_be16(&w, ATTRIBUTE_SOFTWARE);
	write_be16(&w, sizeof(software));
	write_bytes(&w, software, sizeof(software));
	uint32_t crc = (uint32_t)crc32(0, out, (uInt)writer_len(&w)); /* over all before it */
	write_be16(&w, ATTRIBUTE_FINGERPRINT);
	write_be16(&w, sizeof(crc));
	write_be32(&w, crc ^ FINGERPRINT_XOR);
}

/* ---- the end of a round ---------------------------------------------------------- */

static void take_latencies(struct netcheck *n)
{
	for (size_t i = 0; i < n->n_regions; i++)
		n->regions[i].latency = 0;
	for (size_t i = 0; i < n->n; i++) {
		struct region *r = &n->regions[n->servers[i].region];
		uint64_t scored = n->servers[i].latency * r->score / DERP_SCORE;

		if (n->servers[i].latency && (!r->latency || scored < r->latency))
			r->latency = scored ? scored : 1;
	}
}

static struct region *netcheck_find(const struct netcheck *n, uint16_t id)
{
	for (size_t i = 0; i < n->n_regions; i++)
		if (n->regions[i].id == id)
			return &n->regions[i];
	return NULL;
}

static bool anybody_answered(const struct netcheck *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->servers[i].latency)
			return true;
	return false;
}

/* The better latency of this round and the one before: one slow answer does not change the home. */
static uint64_t best_of(const struct region *r)
{
	return r->before && r->before < r->latency ? r->before : r->latency;
}

/* Of those that answer; NULL: none does. */
static const struct region *netcheck_nearest(const struct netcheck *n)
{
	const struct region *best = NULL;

	for (size_t i = 0; i < n->n_regions; i++) {
		const struct region *r = &n->regions[i];

		if (r->latency && (!best || r->use < best->use || (r->use == best->use && best_of(r) < best_of(best))))
			best = r;
	}
	return best;
}

/* Nobody answers, so there is no nearest: the first that is not known to be away. NULL: there is no region. */
static const struct region *fallback(const struct netcheck *n)
{
	const struct region *best = NULL;

	for (size_t i = 0; i < n->n_regions; i++) {
		const struct region *r = &n->regions[i];

		if (!best || r->away < best->away || (r->away == best->away && r->use < best->use))
			best = r;
	}
	return best;
}

static bool is_worth_moving(const struct region *home, const struct region *to)
{
	if (!home || !home->latency || to->use < home->use)
		return true;
	return best_of(to) + WORTH_IT <= home->latency && best_of(to) <= home->latency / 3 * 2;
}

static void choose_home(struct netcheck *n)
{
	const struct region *home = netcheck_find(n, n->now.home), *best = netcheck_nearest(n), *any = fallback(n);

	if (best && is_worth_moving(home, best))
		n->now.home = best->id;
	else if (!home || (!best && any->away < home->away))
		n->now.home = any ? any->id : 0;
}

static void tell_result(struct netcheck *n)
{
	n->now.udp = anybody_answered(n);
	n->now.ipv6 = n->now.seen[1].port;
	take_latencies(n);
	if (n->full)
		choose_home(n);
	if (n->has_told && n->now.home == n->told.home && n->now.udp == n->told.udp &&
	    addr_port_equal(&n->now.seen[0], &n->told.seen[0]) && addr_port_equal(&n->now.seen[1], &n->told.seen[1]))
		return;
	n->told = n->now;
	n->has_told = true;
	n->ops->result(n->ctx, &n->told);
}

static void end_round(struct netcheck *n, uint64_t now)
{
	n->in_round = false;
	n->round_at = now + NETCHECK_INTERVAL;
	n->rounds++;
	/* A round that asked only home and heard nothing says something about home, not about us. */
	if (!anybody_answered(n) && !n->full) {
		n->rounds = 0; /* ask all, at once */
		n->round_at = now;
		return;
	}
	tell_result(n);
	for (size_t i = 0; n->full && i < n->n_regions; i++)
		n->regions[i].before = n->regions[i].latency;
}

/* ---- a round ----------------------------------------------------------------------- */

static bool is_asked(const struct netcheck *n, const struct server *s)
{
	return n->full || n->regions[s->region].id == n->now.home;
}

static void begin_round(struct netcheck *n, uint64_t now)
{
	n->full = n->rounds % NETCHECK_FULL_EVERY == 0 || !n->now.home;
	n->in_round = true;
	n->round_at = now;
	memset(n->now.seen, 0, sizeof(n->now.seen));
	for (size_t i = 0; i < n->n; i++) {
		n->servers[i].tries = 0;
		n->servers[i].latency = 0;
		n->ops->random(n->ctx, n->servers[i].id, STUN_ID_LEN);
	}
}

/* When it has to be asked again; UINT64_MAX: not any more. */
static uint64_t netcheck_ask(struct netcheck *n, struct server *s, uint64_t now)
{
	uint8_t request[NETCHECK_REQUEST_LEN];

	if (!is_asked(n, s) || s->latency)
		return UINT64_MAX;
	if (s->tries < TRIES && (!s->tries || now - s->sent >= RETRY_TIME)) {
		netcheck_request(s->id, request);
		s->first = s->tries++ ? s->first : now;
		s->sent = now;
		n->ops->send(n->ctx, request, sizeof(request), &s->at);
	}
	return s->tries < TRIES ? s->sent + RETRY_TIME : n->round_at + ROUND_TIME;
}

uint64_t netcheck_tick(struct netcheck *n, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (!n->regions)
		return UINT64_MAX;
	if (!n->in_round && now >= n->round_at)
		begin_round(n, now);
	if (!n->in_round)
		return n->round_at;
	for (size_t i = 0; i < n->n; i++) {
		uint64_t due = netcheck_ask(n, &n->servers[i], now);

		next = due < next ? due : next;
	}
	if (!n->has_told && (next != UINT64_MAX || !anybody_answered(n))) {
		if (now < n->round_at + FIRST_TIME)
			return next < n->round_at + FIRST_TIME ? next : n->round_at + FIRST_TIME;
		tell_result(n); /* what is known so far: without a home nobody finds us at all */
	}
	if (next != UINT64_MAX && now < n->round_at + ROUND_TIME)
		return next;
	end_round(n, now);
	return n->round_at;
}

bool netcheck_input(struct netcheck *n, const uint8_t *bytes, size_t len, const struct addr_port *from, uint64_t now)
{
	for (size_t i = 0; n->in_round && i < n->n; i++) {
		struct server *s = &n->servers[i];
		struct addr_port seen;

		if (!s->tries || s->latency || !addr_port_equal(&s->at, from) ||
		    !stun_answer(bytes, len, s->id, &seen.addr, &seen.port))
			continue;
		/* Of the first try, for nobody says which is answered: a loss makes it look farther, never nearer. */
		s->latency = now - s->first ? now - s->first : 1;
		n->now.seen[addr_is_v4(&seen.addr) ? 0 : 1] = seen;
		return true;
	}
	return false;
}

/* ---- life ----------------------------------------------------------------------------- */

struct netcheck *netcheck_new(const struct netcheck_ops *ops, void *ctx)
{
	struct netcheck *n = mem_alloc(1, sizeof(*n));

	n->ops = ops;
	n->ctx = ctx;
	return n;
}

void netcheck_free(struct netcheck *n)
{
	if (n) {
		free(n->regions);
		free(n->servers);
	}
	free(n);
}

static void add_server(struct netcheck *n, const struct derp_node *node, const struct addr *addr)
{
	n->servers[n->n++] = (struct server){.region = n->n_regions, .at = {.addr = *addr, .port = node->stun_port}};
}

/* @was: what is known of it from the map before; NULL: it is new. */
static void add_region(struct netcheck *n, const struct derp_region *r, const struct region *was)
{
	unsigned asked = 0;

	for (size_t i = 0; r->use != DERP_USE_NEVER && i < r->n_nodes && asked < NODES_ASKED; i++) {
		const struct derp_node *node = &r->nodes[i];

		if (!node->stun_port || (!node->has_v4 && !node->has_v6))
			continue;
		asked++;
		if (node->has_v4)
			add_server(n, node, &node->v4);
		if (node->has_v6)
			add_server(n, node, &node->v6);
	}
	n->regions[n->n_regions++] =
		(struct region){.id = r->id, .use = r->use, .score = r->score, .away = was && was->away};
}

void netcheck_set_relay(struct netcheck *n, uint16_t region, bool away)
{
	struct region *r = netcheck_find(n, region);

	if (r)
		r->away = away;
}

void netcheck_set_map(struct netcheck *n, const struct derpmap *map, uint64_t now)
{
	struct netcheck old = *n;

	n->regions = mem_alloc(map->n + 1, sizeof(*n->regions));
	n->servers = mem_alloc(map->n * NODES_ASKED * 2 + 1, sizeof(*n->servers));
	n->n = n->n_regions = 0;
	for (size_t i = 0; i < map->n; i++)
		add_region(n, &map->regions[i], netcheck_find(&old, map->regions[i].id));
	free(old.regions);
	free(old.servers);
	n->rounds = 0;
	n->in_round = false;
	n->round_at = now;
}
