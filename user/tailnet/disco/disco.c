/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths to peers (disco.h). A peer is in one of three conditions:
 *
 *   no path        sent to by its relay; searched for while it is active
 *   path, trusted  a pong came within DISCO_TRUST; pinged every DISCO_HEARTBEAT
 *   path, stale    used on until trust ends, then as without a path
 *
 * A search pings every endpoint, and asks the peer by its relay to do the same
 * ("call me maybe"), so that both sides' firewalls have seen a packet go out.
 */
#include <stdlib.h>
#include <string.h>

#include "candidates.h"
#include "disco.h"
#include "policy/alloc.h"
#include "user/wireguard/crypto.h"

#define BUCKETS		4096
#define CALL_INTERVAL	(1 * NS_PER_SEC) /* between answers to "call me maybe" */
#define ANSWER_INTERVAL (1 * NS_PER_SEC) /* between pings because of a ping */
#define PING_TIMEOUT	(5 * NS_PER_SEC)

struct path_peer {
	struct path_peer *next_node, *next_disco; /* in their buckets */
	struct path_peer *next_active;
	bool active;
	uint8_t node[KEY_LEN], disco[KEY_LEN];
	uint8_t shared[KEY_LEN]; /* secret */
	bool has_shared;
	uint16_t region;
	struct candidates candidates; /* best: the path */
	struct endpoint path;	      /* of best, with our address as the peer last wrote to it */
	uint64_t trusted_until, sent, searched, called, answered;
	uint8_t relay_tx[DISCO_TX_LEN]; /* of a ping by the relay */
	uint64_t relay_pinged;
};

struct disco {
	const struct disco_ops *ops;
	void *ctx;
	uint8_t secret[KEY_LEN], public[KEY_LEN], node[KEY_LEN];
	struct addr_port endpoints[DISCO_ENDPOINTS_MAX];
	size_t n_endpoints;
	struct path_peer *by_node[BUCKETS], *by_disco[BUCKETS];
	struct path_peer *active; /* those we have sent to lately */
};

/* Keys are random, and who may choose one is in the netmap: no keyed hash is needed. */
static size_t bucket(const uint8_t key[KEY_LEN])
{
	return (key[0] | (size_t)key[1] << 8) % BUCKETS;
}

static struct path_peer *find_node(const struct disco *d, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = d->by_node[bucket(node)];

	while (p && memcmp(p->node, node, KEY_LEN) != 0)
		p = p->next_node;
	return p;
}

/* More than one peer may have the key; a ping then says whose it is. */
static struct path_peer *find_disco(const struct disco *d, const uint8_t disco[KEY_LEN])
{
	struct path_peer *p = d->by_disco[bucket(disco)];

	while (p && memcmp(p->disco, disco, KEY_LEN) != 0)
		p = p->next_disco;
	return p;
}

static bool has_disco(const struct path_peer *p)
{
	return !key_is_zero(p->disco);
}

/* Computed when it is needed: thousands of peers come at once, and most stay silent. */
static bool get_shared(struct disco *d, struct path_peer *p)
{
	if (!p->has_shared && has_disco(p))
		p->has_shared = disco_shared(d->secret, p->disco, p->shared);
	return p->has_shared;
}

/* ---- sending --------------------------------------------------------------------- */

static size_t seal(struct disco *d, struct path_peer *p, const struct disco_message *m, uint8_t out[DISCO_MAX])
{
	uint8_t nonce[DISCO_NONCE_LEN];

	if (!get_shared(d, p))
		return 0;
	d->ops->random(d->ctx, nonce, sizeof(nonce));
	return disco_seal(m, p->shared, d->public, nonce, out);
}

static void send_to(struct disco *d, struct path_peer *p, const struct disco_message *m, const struct endpoint *to)
{
	uint8_t bytes[DISCO_MAX];
	size_t len = seal(d, p, m, bytes);

	if (len)
		d->ops->send(d->ctx, bytes, len, to);
}

static void send_relayed(struct disco *d, struct path_peer *p, const struct disco_message *m, uint16_t region)
{
	uint8_t bytes[DISCO_MAX];
	size_t len = region ? seal(d, p, m, bytes) : 0;

	if (len)
		d->ops->relay(d->ctx, region, p->node, bytes, len);
}

static struct disco_message new_ping(struct disco *d)
{
	struct disco_message m = {.type = DISCO_PING};

	d->ops->random(d->ctx, m.tx, sizeof(m.tx));
	memcpy(m.node, d->node, KEY_LEN);
	return m;
}

static void ping_candidate(struct disco *d, struct path_peer *p, size_t i, uint64_t now)
{
	struct candidate *c = &p->candidates.v[i];
	struct endpoint to = {.addr = c->at.addr, .port = c->at.port};
	struct disco_message m = new_ping(d);

	memcpy(c->tx, m.tx, sizeof(m.tx));
	c->pinged = now;
	if (p->candidates.best == (int)i)
		to = p->path; /* from the address that is in use */
	send_to(d, p, &m, &to);
}

static void search(struct disco *d, struct path_peer *p, uint64_t now)
{
	struct disco_message call = {.type = DISCO_CALL_ME_MAYBE, .n_endpoints = d->n_endpoints};

	p->searched = now;
	for (size_t i = 0; i < p->candidates.n; i++)
		ping_candidate(d, p, i, now);
	memcpy(call.endpoints, d->endpoints, d->n_endpoints * sizeof(*d->endpoints));
	if (d->n_endpoints)
		send_relayed(d, p, &call, p->region);
}

/* ---- the path ------------------------------------------------------------------------ */

static void drop_path(struct disco *d, struct path_peer *p)
{
	p->candidates.best = -1;
	d->ops->path(d->ctx, p->node, NULL, p->region);
}

/* The path is the candidate: where its pong came from could be forged, so of @from only our side counts. */
static void take_path(struct disco *d, struct path_peer *p, int i, const struct endpoint *from)
{
	const struct addr_port *at = &p->candidates.v[i].at;
	struct endpoint path = *from;
	bool same;

	path.addr = at->addr;
	path.port = at->port;
	same = p->candidates.best == i && endpoint_equal(&p->path, &path);
	p->candidates.best = i;
	p->path = path;
	if (!same)
		d->ops->path(d->ctx, p->node, &path, p->region);
}

static bool is_better(const struct path_peer *p, size_t i, uint64_t now)
{
	if (p->candidates.best < 0 || now >= p->trusted_until || p->candidates.best == (int)i)
		return true;
	/* Some distance, or two equal ones would take turns. */
	return p->candidates.v[i].latency < p->candidates.v[p->candidates.best].latency / 8 * 7;
}

static void take_pong(struct disco *d, struct path_peer *p, const struct disco_message *m, const struct endpoint *from,
		      uint64_t now)
{
	struct disco_result result = {.direct = true, .endpoint = *from};

	for (size_t i = 0; i < p->candidates.n; i++) {
		struct candidate *c = &p->candidates.v[i];

		if (!c->pinged || memcmp(c->tx, m->tx, DISCO_TX_LEN) != 0)
			continue;
		if (now - c->pinged > PING_TIMEOUT)
			return;
		c->latency = result.latency = now - c->pinged;
		c->pinged = 0;
		c->heard = now;
		if (is_better(p, i, now)) {
			take_path(d, p, (int)i, from);
			p->trusted_until = now + DISCO_TRUST;
		}
		d->ops->pong(d->ctx, p->node, &result);
		return;
	}
}

static void take_relayed_pong(struct disco *d, struct path_peer *p, const struct disco_message *m, uint64_t now)
{
	struct disco_result result = {.region = p->region, .latency = now - p->relay_pinged};

	if (!p->relay_pinged || memcmp(p->relay_tx, m->tx, DISCO_TX_LEN) != 0)
		return;
	p->relay_pinged = 0;
	d->ops->pong(d->ctx, p->node, &result);
}

/* ---- input ----------------------------------------------------------------------------- */

static void take_ping(struct disco *d, struct path_peer *p, const struct disco_message *ping,
		      const struct endpoint *from, uint64_t now)
{
	struct disco_message pong = {.type = DISCO_PONG, .seen = {.addr = from->addr, .port = from->port}};
	int i;

	memcpy(pong.tx, ping->tx, DISCO_TX_LEN);
	send_to(d, p, &pong, from);
	/* The peer looks for a way to us: find out at once whether it is one for us too. A ping of ours
	 * that is under way may have died at a firewall that this one has just opened. */
	i = candidates_add(&p->candidates, &pong.seen, false);
	if (i < 0 || now < p->trusted_until || (p->answered && now - p->answered < ANSWER_INTERVAL))
		return;
	p->answered = now;
	ping_candidate(d, p, (size_t)i, now);
}

/* Pongs tell where a ping came from; of a relay, an address that only means that. */
static struct addr_port relay_address(uint16_t region)
{
	struct addr_port ap = {.port = region};
	static const uint8_t meaning[4] = {127, 3, 3, 40};

	ap.addr.b[10] = ap.addr.b[11] = 0xff;
	memcpy(ap.addr.b + 12, meaning, sizeof(meaning));
	return ap;
}

static void take_call(struct disco *d, struct path_peer *p, const struct disco_message *call, uint64_t now)
{
	if (p->called && now - p->called < CALL_INTERVAL)
		return;
	p->called = now;
	for (size_t i = 0; i < call->n_endpoints; i++) {
		int c = candidates_add(&p->candidates, &call->endpoints[i], true);

		if (c >= 0)
			ping_candidate(d, p, (size_t)c, now);
	}
}

/* The sender, and the message opened; NULL: a stranger or a forgery. */
static struct path_peer *open_message(struct disco *d, const uint8_t *bytes, size_t len, struct disco_message *m)
{
	const uint8_t *sender = disco_sender(bytes, len);
	struct path_peer *p = sender ? find_disco(d, sender) : NULL, *named;

	if (!p || !get_shared(d, p) || !disco_open(bytes, len, p->shared, m))
		return NULL;
	if (m->type != DISCO_PING || key_is_zero(m->node))
		return p;
	/* Two nodes may have the same disco key, for one machine can be two nodes. */
	named = find_node(d, m->node);
	return named && memcmp(named->disco, sender, KEY_LEN) == 0 ? named : NULL;
}

void disco_input(struct disco *d, const uint8_t *bytes, size_t len, const struct endpoint *from, uint64_t now)
{
	struct disco_message m;
	struct path_peer *p = open_message(d, bytes, len, &m);

	if (p && m.type == DISCO_PING)
		take_ping(d, p, &m, from, now);
	else if (p && m.type == DISCO_PONG)
		take_pong(d, p, &m, from, now);
	/* "Call me maybe" counts by a relay only: others could make us send somewhere with a copy of it. */
}

void disco_input_relayed(struct disco *d, const uint8_t *bytes, size_t len, uint16_t region,
			 const uint8_t node[KEY_LEN], uint64_t now)
{
	struct disco_message m, pong = {.type = DISCO_PONG, .seen = relay_address(region)};
	struct path_peer *p = open_message(d, bytes, len, &m);

	if (!p || memcmp(p->node, node, KEY_LEN) != 0)
		return;
	if (m.type == DISCO_PING) {
		memcpy(pong.tx, m.tx, DISCO_TX_LEN);
		send_relayed(d, p, &pong, region); /* where it came from: there both of us are */
	} else if (m.type == DISCO_PONG) {
		take_relayed_pong(d, p, &m, now);
	} else {
		take_call(d, p, &m, now);
	}
}

/* ---- peers -------------------------------------------------------------------------------- */

static void unlink_disco(struct disco *d, struct path_peer *p)
{
	struct path_peer **at = &d->by_disco[bucket(p->disco)];

	while (*at && *at != p)
		at = &(*at)->next_disco;
	if (*at)
		*at = p->next_disco;
}

static void deactivate(struct disco *d, struct path_peer *p)
{
	struct path_peer **at = &d->active;

	while (p->active && *at != p)
		at = &(*at)->next_active;
	if (p->active)
		*at = p->next_active;
	p->active = false;
}

static void set_disco_key(struct disco *d, struct path_peer *p, const uint8_t disco[KEY_LEN])
{
	size_t b = bucket(disco);

	if (memcmp(p->disco, disco, KEY_LEN) == 0)
		return;
	unlink_disco(d, p);
	memcpy(p->disco, disco, KEY_LEN);
	p->has_shared = false;
	p->trusted_until = 0; /* the peer was started anew, perhaps elsewhere */
	if (!has_disco(p))
		return;
	p->next_disco = d->by_disco[b];
	d->by_disco[b] = p;
}

static struct path_peer *new_peer(struct disco *d, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = mem_alloc(1, sizeof(*p));
	size_t b = bucket(node);

	memcpy(p->node, node, KEY_LEN);
	p->candidates.best = -1;
	p->next_node = d->by_node[b];
	d->by_node[b] = p;
	return p;
}

void disco_peer_set(struct disco *d, const struct tailnet_node *n, uint64_t now)
{
	struct path_peer *p = find_node(d, n->node_key);
	bool new = !p, moved;

	if (new)
		p = new_peer(d, n->node_key);
	moved = p->region != n->region;
	p->region = n->region;
	set_disco_key(d, p, n->disco_key);
	for (size_t i = 0; i < p->candidates.n; i++)
		p->candidates.v[i].told = false;
	for (size_t i = 0; i < n->n_endpoints; i++)
		candidates_add(&p->candidates, &n->endpoints[i], true);
	if (!has_disco(p) && p->candidates.n) {
		take_path(d, p, 0, &(struct endpoint){0});
	} else if (p->candidates.best < 0 && (new || moved)) {
		d->ops->path(d->ctx, p->node, NULL, p->region);
	}
	if (p->active && now >= p->trusted_until)
		search(d, p, now);
}

static void free_peer(struct path_peer *p)
{
	crypto_wipe(p, sizeof(*p));
	free(p);
}

void disco_peer_remove(struct disco *d, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = find_node(d, node), **at = &d->by_node[bucket(node)];

	if (!p)
		return;
	while (*at != p)
		at = &(*at)->next_node;
	*at = p->next_node;
	unlink_disco(d, p);
	deactivate(d, p);
	free_peer(p);
}

/* ---- what the gateway sees -------------------------------------------------------------------- */

void disco_traffic(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now)
{
	struct path_peer *p = find_node(d, node);

	if (!p || !has_disco(p))
		return;
	p->sent = now;
	if (p->active)
		return;
	p->active = true;
	p->next_active = d->active;
	d->active = p;
	if (now < p->trusted_until)
		return;
	if (p->candidates.best >= 0)
		p->trusted_until = now + DISCO_PROBATION;
	if (!p->searched || now - p->searched >= DISCO_SEARCH_INTERVAL)
		search(d, p, now);
}

void disco_heard(struct disco *d, const uint8_t node[KEY_LEN], const struct endpoint *from, uint64_t now)
{
	struct path_peer *p = find_node(d, node);

	if (p && p->candidates.best >= 0 && p->path.port == from->port && !addr_cmp(&p->path.addr, &from->addr))
		p->trusted_until = now + DISCO_TRUST;
}

bool disco_ping(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now)
{
	struct path_peer *p = find_node(d, node);
	struct disco_message m = new_ping(d);

	if (!p || !has_disco(p))
		return false;
	memcpy(p->relay_tx, m.tx, DISCO_TX_LEN);
	p->relay_pinged = now;
	send_relayed(d, p, &m, p->region);
	search(d, p, now);
	return true;
}

bool disco_path(const struct disco *d, const uint8_t node[KEY_LEN], struct disco_result *out)
{
	const struct path_peer *p = find_node(d, node);

	if (!p || (p->candidates.best < 0 && !p->region))
		return false;
	*out = (struct disco_result){.direct = p->candidates.best >= 0, .region = p->region};
	if (out->direct) {
		out->endpoint = p->path;
		out->latency = p->candidates.v[p->candidates.best].latency;
	}
	return true;
}

/* ---- time -------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t tick_peer(struct disco *d, struct path_peer *p, uint64_t now)
{
	bool trusted = now < p->trusted_until;
	uint64_t interval = trusted ? DISCO_UPGRADE_INTERVAL : DISCO_SEARCH_INTERVAL, beat;
	struct candidate *c;

	if (!trusted && p->candidates.best >= 0)
		drop_path(d, p);
	if (now - p->searched >= interval)
		search(d, p, now);
	if (p->candidates.best < 0)
		return p->searched + interval;
	c = &p->candidates.v[p->candidates.best];
	beat = (c->pinged > c->heard ? c->pinged : c->heard) + DISCO_HEARTBEAT;
	if (now >= beat) {
		ping_candidate(d, p, (size_t)p->candidates.best, now);
		beat = now + DISCO_HEARTBEAT;
	}
	return earlier(earlier(beat, p->trusted_until), p->searched + interval);
}

uint64_t disco_tick(struct disco *d, uint64_t now)
{
	struct path_peer **at = &d->active;
	uint64_t next = UINT64_MAX;

	while (*at) {
		struct path_peer *p = *at;

		if (now - p->sent >= DISCO_ACTIVE_TIME) {
			*at = p->next_active;
			p->active = false;
			continue;
		}
		next = earlier(next, earlier(tick_peer(d, p, now), p->sent + DISCO_ACTIVE_TIME));
		at = &p->next_active;
	}
	return next;
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct disco *disco_new(const struct disco_ops *ops, void *ctx)
{
	struct disco *d = mem_alloc(1, sizeof(*d));

	d->ops = ops;
	d->ctx = ctx;
	return d;
}

void disco_free(struct disco *d)
{
	if (!d)
		return;
	for (size_t b = 0; b < BUCKETS; b++) {
		while (d->by_node[b]) {
			struct path_peer *p = d->by_node[b];

			d->by_node[b] = p->next_node;
			free_peer(p);
		}
	}
	crypto_wipe(d, sizeof(*d));
	free(d);
}

void disco_set_identity(struct disco *d, const uint8_t secret[KEY_LEN], const uint8_t node[KEY_LEN])
{
	bool same = memcmp(d->secret, secret, KEY_LEN) == 0;

	memcpy(d->node, node, KEY_LEN);
	if (same)
		return;
	memcpy(d->secret, secret, KEY_LEN);
	crypto_public_key(secret, d->public);
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct path_peer *p = d->by_node[b]; p; p = p->next_node) {
			p->has_shared = false;
			p->trusted_until = 0;
		}
	}
}

void disco_set_endpoints(struct disco *d, const struct addr_port *endpoints, size_t n)
{
	d->n_endpoints = n < DISCO_ENDPOINTS_MAX ? n : DISCO_ENDPOINTS_MAX;
	memcpy(d->endpoints, endpoints, d->n_endpoints * sizeof(*endpoints));
}
