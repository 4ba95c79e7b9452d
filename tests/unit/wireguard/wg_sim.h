/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_WG_SIM_H
#define SLUICE_WG_SIM_H

/*
 * Two WireGuard nodes back to back in virtual time:
 *
 *	node 0 [engine | worker] ---- network: delay, loss, duplicates ---- [worker | engine] node 1
 *
 * Each node does what the daemon does with the engine, in one thread: commands go
 * through a queue, the worker's wishes and its garbage go back. A test moves time
 * with sim_run() and looks at what was sent, received and counted.
 */
#include <arpa/inet.h>

#include "wg_test.h"

#include "user/wireguard/engine.h"
#include "user/wireguard/gate.h"
#include "user/base/clock.h"

#define SIM_UNUSED  __attribute__((unused)) /* not every test uses everything here */
#define SIM_NODES   2
#define SIM_MTU	    1420
#define SIM_FLIGHT  256
#define SIM_START   (3600 * NS_PER_SEC)
#define SIM_WALL    (1700000000ull * NS_PER_SEC)
#define SIM_RESULTS 16 /* at least as many as engine_result and open_result have */

struct sim_datagram {
	uint64_t at; /* 0: free */
	int to;
	struct endpoint from;
	uint8_t tos;
	size_t len;
	uint8_t bytes[SIM_MTU + 128];
};

struct sim_node {
	struct sim *sim;
	struct engine *engine;
	struct transport_set set;
	struct allowedips *allowed;
	struct endpoint self; /* where others find it; addr, local and port */
	uint8_t secret[KEY_LEN], public[KEY_LEN];
	uint32_t peer; /* id of the other node here */
	struct gate_keys keys;
	struct gate_load load;
	struct ratelimit *sources;

	struct transport_command commands[64];
	size_t n_commands;

	/* what happened */
	unsigned sent[5];    /* datagrams by message type */
	unsigned keepalives; /* of those data messages */
	unsigned received;   /* packets */
	unsigned input[SIM_RESULTS], opened[SIM_RESULTS];
	long indices; /* in use, by engine_ops.index */
	unsigned installed, cleared, dropped_staged;
	uint8_t last[SIM_MTU]; /* packet received */
	size_t last_len;
};

struct sim {
	uint64_t now;
	uint64_t seed;
	int64_t wall_shift;					   /* what an operator does to the clock */
	uint64_t delay, jitter;					   /* of the network, ns */
	unsigned loss, dup;					   /* percent */
	bool (*drop)(struct sim *s, const struct sim_datagram *d); /* a test's own mischief */
	struct sim_node nodes[SIM_NODES];
	struct sim_datagram flight[SIM_FLIGHT];
};

static struct engine_time sim_time(const struct sim *s)
{
	return (struct engine_time){s->now, (uint64_t)((int64_t)(SIM_WALL + s->now) + s->wall_shift)};
}

/* ---- the network ---- */

static void sim_put(struct sim *s, const struct sim_datagram *d)
{
	for (size_t i = 0; i < SIM_FLIGHT; i++) {
		if (!s->flight[i].at) {
			s->flight[i] = *d;
			s->flight[i].at = s->now + 1 + s->delay + (s->jitter ? test_random(&s->seed) % s->jitter : 0);
			return;
		}
	}
	fail_msg("too many datagrams in flight");
}

static void sim_send(struct sim_node *n, const void *bytes, size_t len, const struct endpoint *to)
{
	struct sim *s = n->sim;
	struct sim_datagram d = {.len = len, .from = n->self, .to = -1};

	assert_true(len <= sizeof(d.bytes));
	memcpy(d.bytes, bytes, len);
	n->sent[d.bytes[0]]++;
	if (d.bytes[0] == MESSAGE_DATA && len == DATA_MIN_LEN)
		n->keepalives++;
	for (int i = 0; i < SIM_NODES; i++) {
		struct endpoint *self = &s->nodes[i].self;

		if (to->port == self->port && !memcmp(&to->addr, &self->addr, sizeof(to->addr)))
			d.to = i;
	}
	if (d.to < 0 || test_random(&s->seed) % 100 < s->loss || (s->drop && s->drop(s, &d)))
		return;
	memset(&d.from.local, 0, sizeof(d.from.local));
	d.from.local = s->nodes[d.to].self.addr;
	sim_put(s, &d);
	if (test_random(&s->seed) % 100 < s->dup)
		sim_put(s, &d);
}

/* ---- engine_ops ---- */

static void op_send(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
	sim_send(ctx, msg, len, to);
}

static void op_command(void *ctx, unsigned worker, const struct transport_command *c)
{
	struct sim_node *n = ctx;

	assert_true(n->n_commands < ARRAY_LEN(n->commands));
	n->commands[n->n_commands++] = *c;
	n->installed += c->op == TRANSPORT_INSTALL;
	n->cleared += c->op == TRANSPORT_CLEAR;
	n->dropped_staged += c->op == TRANSPORT_DROP_STAGED;
}

static void op_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
	struct sim_node *n = ctx;

	assert_true(index != 0);
	n->indices += used ? 1 : -1;
	assert_true(n->indices >= 0);
}

static void op_allowed(void *ctx, struct allowedips *snapshot)
{
	struct sim_node *n = ctx;

	allowedips_free(n->allowed);
	n->allowed = snapshot;
}

static unsigned op_worker(void *ctx, uint32_t peer)
{
	return 0;
}

static void op_random(void *ctx, void *buf, size_t len)
{
	test_random_bytes(&((struct sim_node *)ctx)->sim->seed, buf, len);
}

static void op_identity(void *ctx, const uint8_t public[KEY_LEN], bool valid)
{
	gate_keys_init(&((struct sim_node *)ctx)->keys, public, valid);
}

static const struct engine_ops sim_ops = {
	op_send, op_command, op_index, op_allowed, op_worker, op_random, .identity = op_identity};

/* ---- the gate and the engine behind it ---- */

static enum engine_result sim_input(struct sim_node *n, const void *bytes, size_t len, const struct endpoint *from)
{
	struct engine_time now = sim_time(n->sim);
	struct message_cookie reply;
	uint8_t random[KEY_LEN];
	enum engine_result r;
	bool proven;

	op_random(n, random, sizeof(random));
	if (gate_keys_stale(&n->keys, now.mono))
		gate_keys_renew(&n->keys, random, now.mono);
	r = gate_judge(&n->keys, n->sources, &n->load, bytes, len, from, now.mono, &proven);
	if (r == ENGINE_OK)
		return engine_input(n->engine, bytes, len, from, &now);
	op_random(n, random, XNONCE_LEN);
	if (r == ENGINE_COOKIE_SENT) {
		gate_cookie(&n->keys, &reply, bytes, len, from, random);
		sim_send(n, &reply, sizeof(reply), from);
	}
	return r;
}

/* So many strangers ask that none is let in, or none do. */
SIM_UNUSED static void sim_set_load(struct sim *s, int node, bool load)
{
	s->nodes[node].load.strangers = load ? UINT64_MAX / 2 : 0;
	engine_set_under_load(s->nodes[node].engine, load);
}

/* ---- the worker ---- */

static bool sim_seal(struct sim_node *n, struct transport *t, const uint8_t *packet, size_t len)
{
	uint8_t out[SIM_MTU + DATA_MIN_LEN + PADDING];

	if (transport_seal_begin(&n->set, t, len > 0, n->sim->now) != SEAL_OK)
		return false;
	sim_send(n, out, transport_seal(t, out, packet, len, SIM_MTU), &t->endpoint);
	return true;
}

static void sim_flush(struct sim_node *n, struct transport *t, bool keepalive)
{
	struct staged *s;

	if (!t->n_staged && keepalive)
		sim_seal(n, t, NULL, 0);
	while (t->n_staged) {
		s = t->staged_first;
		if (!sim_seal(n, t, s->packet, s->len))
			return;
		free(transport_unstage(t));
	}
}

static void sim_work(struct sim_node *n)
{
	struct engine_time now = sim_time(n->sim);
	struct garbage garbage;
	struct transport *t;
	unsigned todo;

	do {
		for (size_t i = 0; i < n->n_commands; i++)
			assert_true(transport_apply(&n->set, &n->commands[i], now.mono));
		n->n_commands = 0;
		while ((t = transport_take_todo(&n->set, &todo))) {
			if (todo & TRANSPORT_FLUSH)
				sim_flush(n, t, todo & TRANSPORT_KEEPALIVE);
			if (todo & TRANSPORT_HANDSHAKE)
				engine_initiate(n->engine, t->peer, &now);
		}
		if (transport_take_garbage(&n->set, &garbage))
			engine_release(n->engine, &garbage);
	} while (n->n_commands || n->set.todo);
}

static void sim_receive(struct sim_node *n, struct sim_datagram *d)
{
	struct engine_time now = sim_time(n->sim);
	struct opened opened;
	unsigned result;

	if (d->len && d->bytes[0] != MESSAGE_DATA) {
		n->input[sim_input(n, d->bytes, d->len, &d->from)]++;
		return;
	}
	result = transport_open(&n->set, n->allowed, d->bytes, d->len, &d->from, d->tos, now.mono, &opened);
	n->opened[result]++;
	if (result == OPEN_OK) {
		n->received++;
		n->last_len = opened.packet.len;
		memcpy(n->last, opened.packet.data, opened.packet.len);
	}
}

/* ---- time ---- */

static struct sim_datagram *sim_next(struct sim *s)
{
	struct sim_datagram *next = NULL;

	for (size_t i = 0; i < SIM_FLIGHT; i++) {
		if (s->flight[i].at && (!next || s->flight[i].at < next->at))
			next = &s->flight[i];
	}
	return next;
}

/* Both nodes do what is due; returns when the next thing is. */
static uint64_t sim_settle(struct sim *s)
{
	struct engine_time now = sim_time(s);
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];
		uint64_t due;

		sim_work(n);
		engine_tick(n->engine, &now);
		sim_work(n);
		due = engine_tick(n->engine, &now);
		assert_true(due > s->now);
		if (due < next)
			next = due;
	}
	return next;
}

SIM_UNUSED static void sim_run(struct sim *s, uint64_t duration)
{
	const uint64_t end = s->now + duration;

	for (;;) {
		uint64_t due = sim_settle(s);
		struct sim_datagram *d = sim_next(s), copy;

		if (d && d->at <= due && d->at <= end) {
			s->now = d->at;
			copy = *d;
			d->at = 0;
			sim_receive(&s->nodes[copy.to], &copy);
		} else if (due <= end) {
			s->now = due;
		} else {
			break;
		}
	}
	s->now = end;
	sim_settle(s);
}

/* ---- packets: node n is 10.0.0.(n+1) and fd00::(n+1) inside ---- */

SIM_UNUSED static size_t sim_packet4(uint8_t *p, uint32_t src, uint32_t dst, uint8_t tos, size_t len)
{
	uint32_t sum = 0;

	memset(p, 0x61, len);
	memcpy(p, (uint8_t[]){0x45, tos, (uint8_t)(len >> 8), (uint8_t)len, 0, 1, 0, 0, 64, 17, 0, 0}, 12);
	src = htonl(src);
	dst = htonl(dst);
	memcpy(p + 12, &src, 4);
	memcpy(p + 16, &dst, 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	p[10] = (uint8_t)(~sum >> 8);
	p[11] = (uint8_t)~sum;
	return len;
}

SIM_UNUSED static size_t sim_packet6(uint8_t *p, uint8_t src, uint8_t dst, uint8_t tos, size_t len)
{
	size_t payload = len - 40;

	memset(p, 0, 40);
	memset(p + 40, 0x62, payload);
	p[0] = (uint8_t)(0x60 | tos >> 4);
	p[1] = (uint8_t)(tos << 4);
	p[4] = (uint8_t)(payload >> 8);
	p[5] = (uint8_t)payload;
	p[6] = 17;
	p[8] = p[24] = 0xfd;
	p[23] = src;
	p[39] = dst;
	return len;
}

/* A packet of @len bytes from inside node @from to the other; staged when there is no session. */
SIM_UNUSED static void sim_say_packet(struct sim *s, int from, const uint8_t *packet, size_t len)
{
	struct sim_node *n = &s->nodes[from];
	struct transport *t = transport_find(&n->set, n->peer);

	sim_flush(n, t, false);
	if (!sim_seal(n, t, packet, len))
		transport_stage(t, packet, len);
	sim_work(n);
}

SIM_UNUSED static void sim_say(struct sim *s, int from)
{
	uint8_t p[100];

	sim_packet4(p, 0x0a000001 + (uint32_t)from, 0x0a000002 - (uint32_t)from, 0, sizeof(p));
	sim_say_packet(s, from, p, sizeof(p));
}

/* ---- setting up ---- */

static struct prefix sim_prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, strlen(text), &p, NULL));
	return p;
}

static void sim_introduce(struct sim *s, int at, int other)
{
	static const char *const inside[SIM_NODES][2] = {{"10.0.0.1", "fd00::1"}, {"10.0.0.2", "fd00::2"}};
	struct sim_node *n = &s->nodes[at];
	struct peer *p = engine_peer_add(n->engine, s->nodes[other].public);

	assert_non_null(p);
	n->peer = engine_peer_id(p);
	for (int i = 0; i < 2; i++) {
		struct prefix prefix = sim_prefix(inside[other][i]);

		assert_true(engine_peer_allow(n->engine, p, &prefix));
	}
	assert_true(engine_publish_allowed(n->engine));
	sim_work(n);
}

SIM_UNUSED static struct peer *sim_peer(struct sim *s, int at)
{
	return engine_peer_by_id(s->nodes[at].engine, s->nodes[at].peer);
}

/* Node 0 knows where node 1 is, not the other way round. */
SIM_UNUSED static struct sim *sim_new(void)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->now = SIM_START;
	s->seed = 42;
	s->delay = 20 * NS_PER_MS;
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];

		n->sim = s;
		n->self = (struct endpoint){.addr = addr_from_v4(htonl(0xc0000201 + (uint32_t)i)),
					    .port = (uint16_t)(51820 + i)};
		memset(n->secret, 0x10 + i, KEY_LEN);
		n->sources = ratelimit_new(n->secret);
		assert_non_null(n->sources);
		n->engine = engine_new(&sim_ops, n);
		assert_non_null(n->engine);
		engine_set_identity(n->engine, n->secret);
		assert_true(engine_public_key(n->engine, n->public));
	}
	sim_introduce(s, 0, 1);
	sim_introduce(s, 1, 0);
	engine_peer_set_endpoint(s->nodes[0].engine, sim_peer(s, 0), &s->nodes[1].self);
	sim_settle(s);
	return s;
}

/* The handshake is done, one packet went from 0 to 1. */
SIM_UNUSED static struct sim *sim_connected(void)
{
	struct sim *s = sim_new();

	sim_say(s, 0);
	sim_run(s, NS_PER_SEC);
	assert_int_equal(s->nodes[1].received, 1);
	return s;
}

SIM_UNUSED static struct engine_peer_state sim_peer_state(struct sim *s, int at)
{
	struct engine_peer_state state;

	engine_peer_state(s->nodes[at].engine, sim_peer(s, at), &state);
	return state;
}

SIM_UNUSED static void sim_clear_counts(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];

		memset(n->sent, 0, sizeof(n->sent));
		memset(n->input, 0, sizeof(n->input));
		memset(n->opened, 0, sizeof(n->opened));
		n->keepalives = n->received = n->installed = n->cleared = n->dropped_staged = 0;
	}
}

SIM_UNUSED static unsigned sim_all_sent(const struct sim_node *n)
{
	return n->sent[1] + n->sent[2] + n->sent[3] + n->sent[4];
}

/* A packet each way every @every seconds. */
SIM_UNUSED static void sim_talk(struct sim *s, unsigned seconds, unsigned every)
{
	for (unsigned i = 0; i < seconds; i += every) {
		sim_say(s, 0);
		sim_say(s, 1);
		sim_run(s, every * NS_PER_SEC);
	}
}

SIM_UNUSED static void sim_free(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];
		struct garbage garbage;

		engine_remove_all(n->engine); /* everything taken is given back */
		sim_work(n);
		assert_int_equal(n->indices, 0);
		assert_false(transport_take_garbage(&n->set, &garbage));
		engine_free(n->engine);
		transport_set_free(&n->set);
		allowedips_free(n->allowed);
		ratelimit_free(n->sources);
	}
	free(s);
}

#endif
