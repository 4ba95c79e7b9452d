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

#include "disco.h"
#include "disco_limit.h"
#include "disco_peers.h"
#include "policy/alloc.h"
#include "user/base/secret.h"
#include "user/wireguard/crypto.h"

#define CALL_INTERVAL	(1 * NS_PER_SEC) /* between answers to "call me maybe" */
#define ANSWER_INTERVAL (1 * NS_PER_SEC) /* between pings because of a ping */
#define PING_TIMEOUT	(5 * NS_PER_SEC)
#define DOUBT		(400 * NS_PER_MS) /* a doubted path has so long to answer, and twice its latency */

struct disco {
	const struct disco_ops *ops;
	void *ctx;
	uint8_t secret[KEY_LEN], public[KEY_LEN], node[KEY_LEN];
	struct addr_port endpoints[DISCO_ENDPOINTS_MAX];
	size_t n_endpoints;
	struct disco_peers peers;
	struct path_peer *active; /* those we have sent to lately */
	struct disco_limit *limit;
};

static struct path_peer *disco_find_node(const struct disco *d, const uint8_t node[KEY_LEN])
{
	return disco_peers_find(&d->peers, node);
}

/* ---- sending --------------------------------------------------------------------- */

static size_t disco_seal_for(struct disco *d, struct path_peer *p, const struct disco_message *m,
			     uint8_t out[DISCO_MAX])
{
	const uint8_t *secret = disco_peer_secret(&d->peers, p, d->secret);
	uint8_t nonce[DISCO_NONCE_LEN];

	if (!secret)
		return 0;
	d->ops->random(d->ctx, nonce, sizeof(nonce));
	return disco_seal(m, secret, d->public, nonce, out);
}

static void send_to(struct disco *d, struct path_peer *p, const struct disco_message *m, const struct endpoint *to)
{
	uint8_t bytes[DISCO_MAX];
	size_t len = disco_seal_for(d, p, m, bytes);

	if (len)
		d->ops->send(d->ctx, bytes, len, to);
}

static void send_relayed(struct disco *d, struct path_peer *p, const struct disco_message *m, uint16_t region)
{
	uint8_t bytes[DISCO_MAX];
	size_t len = region ? disco_seal_for(d, p, m, bytes) : 0;

	if (len)
		d->ops->relay(d->ctx, region, p->node, bytes, len);
}

/* A transaction begins with the number of whom it is with; the rest nobody can guess. */
static struct disco_message new_ping(struct disco *d, const struct path_peer *p)
{
	struct disco_message m = {.type = DISCO_PING};
	struct writer w = writer_to(m.tx, sizeof(m.tx));

	write_be32(&w, p->number);
	d->ops->random(d->ctx, m.tx + sizeof(p->number), sizeof(m.tx) - sizeof(p->number));
	memcpy(m.node, d->node, KEY_LEN);
	return m;
}

static uint32_t number_of(const uint8_t tx[DISCO_TX_LEN])
{
	struct reader r = reader_of(tx, DISCO_TX_LEN);

	return read_be32(&r);
}

static void ping_candidate(struct disco *d, struct path_peer *p, size_t i, uint64_t now)
{
	struct candidate *c = &p->candidates.v[i];
	struct endpoint to = {.addr = c->at.addr, .port = c->at.port};
	struct disco_message m = new_ping(d, p);

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
	candidates_forget(&p->candidates, now);
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
	p->doubted = 0;
	d->ops->path(d->ctx, p->node, NULL, p->region);
}

/* The path is the candidate: where its pong came from could be forged, so of @from only our side counts. */
static void disco_take_path(struct disco *d, struct path_peer *p, int i, const struct endpoint *from)
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

/* Is a pong a proof of where it is? Not where several claim one disco key: then it came from any of them. */
static bool is_proof(struct disco *d, struct path_peer *p)
{
	return disco_peers_is_sole(&d->peers, p) && disco_peer_secret(&d->peers, p, d->secret);
}

/* Heard by the path then: whatever doubt is older is settled. */
static void trust(struct path_peer *p, uint64_t then)
{
	if (then <= p->doubted)
		return;
	p->doubted = 0;
	p->trusted_until = then + DISCO_TRUST;
}

static uint64_t doubt_ends(const struct path_peer *p)
{
	return p->doubted + DOUBT + 2 * p->candidates.v[p->candidates.best].latency;
}

/* The path was asked and did not answer: if the peer did so from elsewhere, it is there now. */
static void settle_doubt(struct disco *d, struct path_peer *p)
{
	const struct addr_port at = {.addr = p->rival.addr, .port = p->rival.port};
	int i = at.port ? candidates_find(&p->candidates, &at) : -1;

	p->doubted = 0;
	if (i >= 0) {
		disco_take_path(d, p, i, &p->rival);
		trust(p, p->candidates.v[i].heard);
	}
}

/* The peer was heard from there: find out at once whether it is a way for us too. A ping of ours that is under way
 * may have died at a firewall that this one has just opened. A path elsewhere is doubted: the peer may have moved. */
static void look_there(struct disco *d, struct path_peer *p, int i, uint64_t now)
{
	bool trusted = p->candidates.best >= 0 && now < p->trusted_until;

	if ((trusted && p->candidates.best == i) || (p->answered && now - p->answered < ANSWER_INTERVAL))
		return;
	p->answered = now;
	if (trusted && !p->doubted) {
		p->doubted = now;
		p->rival = (struct endpoint){0};
		ping_candidate(d, p, (size_t)p->candidates.best, now);
	}
	ping_candidate(d, p, (size_t)i, now);
}

/* Candidate @i has answered. */
static void weigh(struct disco *d, struct path_peer *p, int i, const struct endpoint *from, uint64_t now)
{
	const struct addr_port *at = &p->candidates.v[i].at;

	if (!is_proof(d, p) && !addr_port_equal(at, &p->came))
		return;
	if (is_better(p, (size_t)i, now)) {
		disco_take_path(d, p, i, from);
		trust(p, now);
	} else if (p->doubted && !p->rival.port) {
		p->rival = (struct endpoint){at->addr, from->local, at->port, 0, from->ifindex};
	}
}

static void disco_take_pong(struct disco *d, struct path_peer *p, int i, const struct endpoint *from, uint64_t now)
{
	struct disco_result result = {.direct = true, .endpoint = *from};
	struct candidate *c = &p->candidates.v[i];

	if (now - c->pinged > PING_TIMEOUT)
		return;
	c->latency = result.latency = now - c->pinged;
	c->pinged = 0;
	c->heard = now;
	weigh(d, p, i, from, now);
	d->ops->pong(d->ctx, p->node, &result);
}

/* Several may hold the key: the transaction says who of them was pinged. */
static void find_pong(struct disco *d, const struct path_peer *holder, const struct disco_message *m,
		      const struct endpoint *from, uint64_t now)
{
	struct path_peer *p = disco_peers_numbered(&d->peers, number_of(m->tx));
	int i = p ? candidates_pinged(&p->candidates, m->tx) : -1;

	if (i >= 0 && memcmp(p->disco, holder->disco, KEY_LEN) == 0)
		disco_take_pong(d, p, i, from, now);
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
	i = candidates_add(&p->candidates, &pong.seen);
	if (i < 0)
		return;
	p->candidates.v[i].came = now;
	look_there(d, p, i, now);
}

static void take_call(struct disco *d, struct path_peer *p, const struct disco_message *call, uint64_t now)
{
	if (p->called && now - p->called < CALL_INTERVAL)
		return;
	p->called = now;
	for (size_t i = 0; i < p->candidates.n; i++)
		p->candidates.v[i].called = 0;
	for (size_t i = 0; i < call->n_endpoints; i++) {
		int c = candidates_add(&p->candidates, &call->endpoints[i]);

		if (c < 0)
			continue;
		p->candidates.v[c].called = now;
		ping_candidate(d, p, (size_t)c, now);
	}
}

/* @p: one of those who hold the sender's disco key: all of them have the same secret with us. */
static bool open_message(struct disco *d, struct path_peer *p, const uint8_t *bytes, size_t len,
			 struct disco_message *m)
{
	const uint8_t *secret = disco_peer_secret(&d->peers, p, d->secret);

	return secret && disco_open(bytes, len, secret, m);
}

/* Two nodes may have the same disco key, for one machine can be two nodes: a ping says whose it is. */
static struct path_peer *find_pinger(struct disco *d, struct path_peer *holder, const struct disco_message *ping)
{
	struct path_peer *named;

	if (key_is_zero(ping->node))
		return disco_peers_is_sole(&d->peers, holder) ? holder : NULL;
	named = disco_find_node(d, ping->node);
	return named && memcmp(named->disco, holder->disco, KEY_LEN) == 0 ? named : NULL;
}

static void disco_take_message(struct disco *d, struct path_peer *holder, const struct disco_message *m,
			       const struct endpoint *from, uint64_t now)
{
	struct path_peer *pinger = m->type == DISCO_PING ? find_pinger(d, holder, m) : NULL;

	if (pinger)
		take_ping(d, pinger, m, from, now);
	else if (m->type == DISCO_PONG)
		find_pong(d, holder, m, from, now);
	/* "Call me maybe" counts by a relay only: others could make us send somewhere with a copy of it. */
}

enum disco_input disco_input(struct disco *d, const uint8_t *bytes, size_t len, const struct endpoint *from,
			     uint64_t now)
{
	const uint8_t *sender = disco_sender(bytes, len);
	struct path_peer *holder = sender ? disco_peers_holder(&d->peers, sender) : NULL;
	struct disco_message m;

	if (!holder || !disco_peer_secret(&d->peers, holder, d->secret))
		return DISCO_STRANGER;
	if (!disco_limit_take(d->limit, &from->addr, now))
		return DISCO_TOO_MANY;
	if (!open_message(d, holder, bytes, len, &m))
		return DISCO_STRANGER;
	if (!disco_limit_spend(&holder->quiet_at, DISCO_LIMIT_PEER, now))
		return DISCO_TOO_MANY;
	disco_limit_opened(d->limit, &from->addr, now); /* not sooner: one peer's boxes would take all places */
	disco_take_message(d, holder, &m, from, now);
	return DISCO_TAKEN;
}

static void take_relayed(struct disco *d, struct path_peer *p, const struct disco_message *m, uint16_t region,
			 uint64_t now)
{
	/* Pongs tell where a ping came from; of a relay, an address that only means that. */
	struct disco_message pong = {.type = DISCO_PONG, .seen = {endpoint_of_relay(region, 0).addr, region}};

	if (m->type == DISCO_PING && (key_is_zero(m->node) || !memcmp(m->node, p->node, KEY_LEN))) {
		memcpy(pong.tx, m->tx, DISCO_TX_LEN);
		send_relayed(d, p, &pong, region); /* where it came from: there both of us are */
	} else if (m->type == DISCO_PONG) {
		take_relayed_pong(d, p, m, now);
	} else if (m->type == DISCO_CALL_ME_MAYBE) {
		take_call(d, p, m, now);
	}
}

/* The relay has asked the sender to prove its node key: so that is who it is, whoever else claims its disco key. */
enum disco_input disco_input_relayed(struct disco *d, const uint8_t *bytes, size_t len, uint16_t region,
				     const uint8_t node[KEY_LEN], uint64_t now)
{
	const uint8_t *sender = disco_sender(bytes, len);
	struct path_peer *p = disco_find_node(d, node);
	struct disco_message m;

	if (!p || !sender || memcmp(p->disco, sender, KEY_LEN) != 0)
		return DISCO_STRANGER;
	if (!disco_limit_spend(&p->quiet_at, DISCO_LIMIT_PEER, now))
		return DISCO_TOO_MANY;
	if (!open_message(d, p, bytes, len, &m))
		return DISCO_STRANGER;
	take_relayed(d, p, &m, region, now);
	return DISCO_TAKEN;
}

/* ---- peers -------------------------------------------------------------------------------- */

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
	if (memcmp(p->disco, disco, KEY_LEN) == 0)
		return;
	disco_peers_set_key(&d->peers, p, disco);
	p->trusted_until = 0; /* the peer was started anew, perhaps elsewhere */
}

static void name_candidates(struct candidates *c, const struct tailnet_node *n, uint64_t now)
{
	for (size_t i = 0; i < c->n; i++)
		c->v[i].named = false;
	for (size_t i = 0; i < n->n_endpoints; i++) {
		int k = candidates_add(c, &n->endpoints[i]);

		if (k >= 0)
			c->v[k].named = true;
	}
	candidates_forget(c, now);
}

void disco_peer_set(struct disco *d, const struct tailnet_node *n, uint64_t now)
{
	struct path_peer *p = disco_find_node(d, n->node_key);
	bool new = !p, moved;

	if (new)
		p = disco_peers_add(&d->peers, n->node_key);
	moved = p->region != n->region;
	p->region = n->region;
	set_disco_key(d, p, n->disco_key);
	name_candidates(&p->candidates, n, now);
	if (p->candidates.best < 0 && (new || moved))
		d->ops->path(d->ctx, p->node, NULL, p->region);
	if (p->active && now >= p->trusted_until)
		search(d, p, now);
}

void disco_peer_remove(struct disco *d, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = disco_find_node(d, node);

	if (!p)
		return;
	deactivate(d, p);
	disco_peers_remove(&d->peers, p);
}

/* ---- what the gateway sees -------------------------------------------------------------------- */

void disco_traffic(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now)
{
	struct path_peer *p = disco_find_node(d, node);

	if (!p)
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

void disco_heard(struct disco *d, const uint8_t node[KEY_LEN], const struct endpoint *from, uint64_t then)
{
	struct path_peer *p = disco_find_node(d, node);

	if (p && p->candidates.best >= 0 && p->path.port == from->port && !addr_cmp(&p->path.addr, &from->addr))
		trust(p, then);
}

void disco_came(struct disco *d, const uint8_t node[KEY_LEN], const struct endpoint *from, uint64_t now)
{
	const struct addr_port at = {.addr = from->addr, .port = from->port};
	struct path_peer *p = disco_find_node(d, node);
	int i = p ? candidates_add(&p->candidates, &at) : -1;

	if (i < 0)
		return;
	p->came = at;
	p->candidates.v[i].came = now;
	if (is_proof(d, p)) { /* pongs say more */
		look_there(d, p, i, now);
		return;
	}
	disco_take_path(d, p, i, from);
	trust(p, now);
}

bool disco_ping(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now)
{
	struct path_peer *p = disco_find_node(d, node);
	struct disco_message m;

	if (!p || !disco_peer_secret(&d->peers, p, d->secret))
		return false;
	m = new_ping(d, p);
	memcpy(p->relay_tx, m.tx, DISCO_TX_LEN);
	p->relay_pinged = now;
	send_relayed(d, p, &m, p->region);
	search(d, p, now);
	return true;
}

bool disco_path(const struct disco *d, const uint8_t node[KEY_LEN], struct disco_result *out)
{
	const struct path_peer *p = disco_find_node(d, node);

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

static uint64_t disco_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t tick_peer(struct disco *d, struct path_peer *p, uint64_t now)
{
	uint64_t interval, beat;
	struct candidate *c;
	bool trusted;

	if (p->doubted && now >= doubt_ends(p))
		settle_doubt(d, p);
	trusted = now < p->trusted_until;
	interval = trusted ? DISCO_UPGRADE_INTERVAL : DISCO_SEARCH_INTERVAL;
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
	beat = disco_earlier(disco_earlier(beat, p->trusted_until), p->searched + interval);
	return p->doubted ? disco_earlier(beat, doubt_ends(p)) : beat;
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
		next = disco_earlier(next, disco_earlier(tick_peer(d, p, now), p->sent + DISCO_ACTIVE_TIME));
		at = &p->next_active;
	}
	return next;
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct disco *disco_new(const struct disco_ops *ops, void *ctx)
{
	struct disco *d = secret_memory(sizeof(*d)); /* our key is in it */

	d->ops = ops;
	d->ctx = ctx;
	disco_peers_init(&d->peers);
	ops->random(ctx, d->peers.hash_key, sizeof(d->peers.hash_key));
	d->limit = disco_limit_new(d->peers.hash_key);
	return d;
}

void disco_free(struct disco *d)
{
	if (!d)
		return;
	disco_peers_free(&d->peers);
	disco_limit_free(d->limit);
	secret_memory_free(d);
}

void disco_set_identity(struct disco *d, const uint8_t secret[KEY_LEN], const uint8_t node[KEY_LEN])
{
	bool same = memcmp(d->secret, secret, KEY_LEN) == 0;

	memcpy(d->node, node, KEY_LEN);
	if (same)
		return;
	memcpy(d->secret, secret, KEY_LEN);
	crypto_public_key(secret, d->public);
	disco_peers_start_anew(&d->peers);
}

void disco_set_endpoints(struct disco *d, const struct addr_port *endpoints, size_t n)
{
	d->n_endpoints = n < DISCO_ENDPOINTS_MAX ? n : DISCO_ENDPOINTS_MAX;
	memcpy(d->endpoints, endpoints, d->n_endpoints * sizeof(*endpoints));
}
