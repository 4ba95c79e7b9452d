/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T8: disco, two nodes in virtual time on a small network of the test's own:
 *
 *   a 192.0.2.1:1 ---- open, closed, or one way after the other's packet ---- b 192.0.2.2:2
 *   both ---- relay of region 9
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/alloc.h"
#include "user/wireguard/crypto.h"
#include "user/tailnet/disco/candidates.h"
#include "user/tailnet/disco/disco.h"
#include "user/tailnet/disco/disco_limit.h"
#include "user/base/clock.h"

#define LATENCY (10 * NS_PER_MS)
#define QUEUE	256

struct datagram {
	uint64_t at;
	int to; /* node */
	struct endpoint from;
	bool relayed;
	uint8_t bytes[DISCO_MAX];
	size_t len;
};

struct world;

struct node {
	struct world *w;
	int i;
	struct disco *disco;
	uint8_t secret[32], public[32], node[32];
	struct addr_port at;
	bool direct; /* as ops->path said last */
	struct endpoint path;
	unsigned paths, pongs, sent, relayed;
	unsigned foreign; /* straight paths to, and pongs of, anybody else than the other */
	struct disco_result pong;
};

struct world {
	uint64_t now;
	struct node n[2];
	bool blocked;	 /* UDP between them */
	uint16_t region; /* by which relayed messages have to go */
	bool relay_gone;
	bool stateful; /* b lets in only what it has written to */
	bool b_has_written;
	struct datagram queue[QUEUE];
	size_t queued;
	uint64_t random;
};

static void put(struct world *w, int to, const struct endpoint *from, bool relayed, const void *bytes, size_t len)
{
	struct datagram *d = &w->queue[w->queued++];

	assert_true(w->queued < QUEUE);
	assert_true(len <= DISCO_MAX);
	*d = (struct datagram){.at = w->now + LATENCY, .to = to, .relayed = relayed, .len = len};
	if (from)
		d->from = *from;
	memcpy(d->bytes, bytes, len);
}

static void on_send(void *ctx, const void *bytes, size_t len, const struct endpoint *to)
{
	struct node *n = ctx, *other = &n->w->n[!n->i];
	struct endpoint from = {.addr = n->at.addr, .port = n->at.port};

	n->sent++;
	if (n->i == 1)
		n->w->b_has_written = true;
	if (n->w->blocked || to->port != other->at.port || addr_cmp(&to->addr, &other->at.addr) != 0)
		return;
	if (n->i == 0 && n->w->stateful && !n->w->b_has_written)
		return;
	put(n->w, other->i, &from, false, bytes, len);
}

static void on_relay(void *ctx, uint16_t region, const uint8_t node[32], const void *bytes, size_t len)
{
	struct node *n = ctx;

	n->relayed++;
	assert_int_equal(region, n->w->region);
	if (!n->w->relay_gone && memcmp(node, n->w->n[!n->i].node, 32) == 0)
		put(n->w, !n->i, NULL, true, bytes, len);
}

static void on_path(void *ctx, const uint8_t node[32], const struct endpoint *to, uint16_t region)
{
	struct node *n = ctx;

	if (memcmp(node, n->w->n[!n->i].node, 32) != 0) {
		n->foreign += to != NULL;
		return;
	}
	n->paths++;
	n->direct = to;
	if (to)
		n->path = *to;
}

static void on_pong(void *ctx, const uint8_t node[32], const struct disco_result *r)
{
	struct node *n = ctx;

	n->foreign += memcmp(node, n->w->n[!n->i].node, 32) != 0;
	n->pongs++;
	n->pong = *r;
}

static void on_random(void *ctx, void *buf, size_t len)
{
	struct node *n = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		n->w->random = n->w->random * 6364136223846793005u + 1442695040888963407u;
		p[i] = (uint8_t)(n->w->random >> 33);
	}
}

static struct tailnet_node *describe(const struct node *n, bool with_endpoint)
{
	struct tailnet_node *t = node_new();

	t->id = (uint64_t)n->i + 1;
	memcpy(t->node_key, n->node, 32);
	memcpy(t->disco_key, n->public, 32);
	t->region = 9;
	if (with_endpoint) {
		t->endpoints = mem_alloc(1, sizeof(*t->endpoints));
		t->endpoints[t->n_endpoints++] = n->at;
	}
	return t;
}

static void introduce(struct node *n, const struct node *other, bool with_endpoint)
{
	struct tailnet_node *t = describe(other, with_endpoint);

	disco_peer_set(n->disco, t, n->w->now);
	node_free(t);
}

static void start(struct world *w)
{
	static const struct disco_ops ops = {on_send, on_relay, on_path, on_pong, on_random};

	*w = (struct world){.now = 1000 * NS_PER_SEC, .region = 9};
	for (int i = 0; i < 2; i++) {
		struct node *n = &w->n[i];

		n->w = w;
		n->i = i;
		memset(n->secret, 0x40 + i, 32);
		memset(n->node, 0x80 + i, 32);
		crypto_public_key(n->secret, n->public);
		n->at = (struct addr_port){.addr = addr_from_v4(htobe32(0xc0000201u + (unsigned)i)),
					   .port = (uint16_t)(i + 1)};
		n->disco = disco_new(&ops, n);
		disco_set_identity(n->disco, n->secret, n->node);
		disco_set_endpoints(n->disco, &n->at, 1);
	}
}

static void meet(struct world *w)
{
	start(w);
	introduce(&w->n[0], &w->n[1], true);
	introduce(&w->n[1], &w->n[0], true);
}

static void stop(struct world *w)
{
	disco_free(w->n[0].disco);
	disco_free(w->n[1].disco);
}

static void deliver(struct world *w)
{
	for (size_t i = 0; i < w->queued; i++) {
		struct datagram d = w->queue[i];
		struct node *n = &w->n[d.to];

		if (d.at > w->now)
			continue;
		memmove(&w->queue[i], &w->queue[i + 1], (w->queued - i - 1) * sizeof(d));
		w->queued--;
		i--;
		if (d.relayed)
			disco_input_relayed(n->disco, d.bytes, d.len, 9, w->n[!d.to].node, w->now);
		else
			disco_input(n->disco, d.bytes, d.len, &d.from, w->now);
	}
}

/* @talking: bit i: node i sends something every 100 ms. */
static void run(struct world *w, uint64_t time, unsigned talking)
{
	uint64_t end = w->now + time, next_talk = w->now;

	for (; w->now < end; w->now += 5 * NS_PER_MS) {
		deliver(w);
		for (int i = 0; i < 2; i++) {
			if (talking & 1u << i && w->now >= next_talk)
				disco_traffic(w->n[i].disco, w->n[!i].node, w->now);
			disco_tick(w->n[i].disco, w->now);
		}
		if (w->now >= next_talk)
			next_talk += 100 * NS_PER_MS;
	}
}

static void message_forms(void **state)
{
	struct disco_message ping = {.type = DISCO_PING}, call = {.type = DISCO_CALL_ME_MAYBE, .n_endpoints = 2}, got;
	struct disco_message pong = {.type = DISCO_PONG, .seen = {addr_from_v4(htobe32(0xc0000209)), 41641}};
	struct disco_message *all[] = {&ping, &pong, &call};
	uint8_t a[32] = {7}, b[32] = {9}, pa[32], pb[32], sa[32], sb[32], nonce[DISCO_NONCE_LEN] = {1},
		bytes[DISCO_MAX];

	crypto_public_key(a, pa);
	crypto_public_key(b, pb);
	assert_true(disco_shared(a, pb, sa));
	assert_true(disco_shared(b, pa, sb));
	assert_memory_equal(sa, sb, 32);
	memset(ping.tx, 5, sizeof(ping.tx));
	memset(ping.node, 6, 32);
	call.endpoints[1] = pong.seen;
	for (size_t i = 0; i < 3; i++) {
		static const size_t lens[] = {78 + 2 + 12 + 32, 78 + 2 + 12 + 18, 78 + 2 + 36};
		size_t len = disco_seal(all[i], sa, pa, nonce, bytes);

		assert_int_equal(len, lens[i]);
		assert_memory_equal(bytes, "TS\xf0\x9f\x92\xac", 6);
		assert_memory_equal(disco_sender(bytes, len), pa, 32);
		assert_true(disco_open(bytes, len, sb, &got));
		assert_int_equal(got.type, all[i]->type);
		assert_memory_equal(got.tx, all[i]->tx, DISCO_TX_LEN);
		assert_memory_equal(got.node, all[i]->node, 32);
		assert_int_equal(got.seen.port, all[i]->seen.port);
		assert_int_equal(got.n_endpoints, all[i]->n_endpoints);
		for (size_t k = 0; k < len; k++) {
			bytes[k] ^= 1;
			if (k < 6 || k >= 38) /* the sender's key is not sealed, only looked up */
				assert_false(disco_open(bytes, len, sb, &got));
			bytes[k] ^= 1;
			assert_false(disco_open(bytes, k, sb, &got));
		}
	}
	assert_false(disco_shared(a, (uint8_t[32]){0}, sa));
}

/* Plaintext @len bytes at @plain, sealed by hand. */
static size_t seal_raw(const uint8_t *plain, size_t len, const uint8_t shared[32], const uint8_t public[32],
		       uint8_t *out)
{
	memcpy(out, "TS\xf0\x9f\x92\xac", 6);
	memcpy(out + 6, public, 32);
	memset(out + 38, 0, 24);
	crypto_box_easy_afternm(out + 62, plain, len, out + 38, shared);
	return 62 + len + 16;
}

static void odd_bodies(void **state)
{
	static const struct {
		uint8_t type;
		size_t len; /* of the body */
		bool ok;
	} cases[] = {
		{1, 11, false}, {1, 12, true},	{1, 43, true},	 {1, 44, true},	   {1, 1200, true}, {2, 29, false},
		{2, 30, true},	{2, 40, true},	{3, 0, true},	 {3, 17, true},	   {3, 1800, true}, {0, 50, false},
		{4, 50, false}, {9, 50, false}, {255, 0, false}, {1, 3000, false},
	};
	uint8_t plain[4096] = {0}, bytes[8192], shared[32] = {3}, public[32] = {4};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct disco_message got;
		size_t len;

		plain[0] = cases[i].type;
		len = seal_raw(plain, cases[i].len + 2, shared, public, bytes);
		assert_int_equal(disco_open(bytes, len, shared, &got), cases[i].ok);
		assert_true(!cases[i].ok || got.n_endpoints <= DISCO_ENDPOINTS_MAX);
	}
}

static void becomes_direct(void **state)
{
	struct disco_result r;
	struct world w;

	meet(&w);
	assert_false(w.n[0].direct);
	run(&w, NS_PER_SEC, 1);
	assert_true(w.n[0].direct);
	assert_int_equal(w.n[0].path.port, 2);
	assert_true(disco_path(w.n[0].disco, w.n[1].node, &r));
	assert_true(r.direct);
	assert_int_equal(r.latency, 2 * LATENCY);
	assert_true(w.n[1].direct); /* the other side has found out as well, though it is silent */
	stop(&w);
}

/* A silent pair sends nothing at all. */
static void idle_is_silent(void **state)
{
	unsigned sent;
	struct world w;

	meet(&w);
	run(&w, 60 * NS_PER_SEC, 0);
	assert_int_equal(w.n[0].sent + w.n[1].sent, 0);
	run(&w, NS_PER_SEC, 1);
	run(&w, DISCO_ACTIVE_TIME + NS_PER_SEC, 0);
	sent = w.n[0].sent;
	run(&w, 300 * NS_PER_SEC, 0);
	assert_int_equal(w.n[0].sent, sent);
	stop(&w);
}

static void heartbeats(void **state)
{
	unsigned sent;
	struct world w;

	meet(&w);
	run(&w, NS_PER_SEC, 1);
	sent = w.n[0].sent;
	run(&w, 30 * NS_PER_SEC, 1);
	assert_in_range(w.n[0].sent - sent, 9, 16); /* and a pong now and then, for b looks too */
	assert_int_equal(w.n[0].paths, 2);	    /* relay at first, then direct, and so it stays */
	stop(&w);
}

/* Requirement 4 of the tailnet: blocked, it goes by the relay; unblocked, direct within 30 s. */
static void blocked_and_unblocked(void **state)
{
	struct world w;

	meet(&w);
	run(&w, NS_PER_SEC, 3);
	w.blocked = true;
	run(&w, DISCO_TRUST + NS_PER_SEC, 3);
	assert_false(w.n[0].direct);
	assert_false(w.n[1].direct);
	run(&w, 120 * NS_PER_SEC, 3);
	assert_false(w.n[0].direct);
	w.blocked = false;
	run(&w, DISCO_SEARCH_INTERVAL + NS_PER_SEC, 3);
	assert_true(w.n[0].direct);
	assert_true(w.n[1].direct);
	stop(&w);
}

/* After a long silence the old path is used on, and given up soon when it is dead. */
static void after_a_long_silence(void **state)
{
	struct world w;

	meet(&w);
	run(&w, NS_PER_SEC, 1);
	run(&w, 100 * NS_PER_SEC, 0);
	assert_true(w.n[0].direct);
	w.blocked = true;
	run(&w, NS_PER_SEC, 1);
	assert_true(w.n[0].direct);
	run(&w, DISCO_PROBATION, 1);
	assert_false(w.n[0].direct);
	stop(&w);
}

/* b's firewall lets nothing in; "call me maybe" by the relay makes it write first. */
static void call_me_maybe(void **state)
{
	struct world w;

	start(&w);
	introduce(&w.n[0], &w.n[1], true);
	introduce(&w.n[1], &w.n[0], false);
	w.stateful = true;
	run(&w, 2 * NS_PER_SEC, 1);
	assert_true(w.n[0].direct);
	stop(&w);

	start(&w);
	introduce(&w.n[0], &w.n[1], true);
	introduce(&w.n[1], &w.n[0], false);
	w.stateful = w.relay_gone = true;
	run(&w, 20 * NS_PER_SEC, 1);
	assert_false(w.n[0].direct);
	stop(&w);
}

static void strangers_and_forgeries(void **state)
{
	uint8_t secret[32] = {1, 2, 3}, public[32], shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct disco_message m = {.type = DISCO_PING};
	struct endpoint from = {.addr = addr_from_v4(htobe32(0xc0000263)), .port = 9};
	struct world w;
	size_t len;

	meet(&w);
	crypto_public_key(secret, public);
	assert_true(disco_shared(secret, w.n[0].public, shared));
	len = disco_seal(&m, shared, public, nonce, bytes);
	disco_input(w.n[0].disco, bytes, len, &from, w.now); /* not in the netmap */
	len = disco_seal(&m, shared, w.n[1].public, nonce, bytes);
	disco_input(w.n[0].disco, bytes, len, &from, w.now); /* says it is b, and is not */
	memcpy(m.node, "some other node", 15);
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&m, shared, w.n[1].public, nonce, bytes);
	disco_input(w.n[0].disco, bytes, len, &from, w.now); /* b's disco key, another's node key */
	assert_int_equal(w.n[0].sent + w.n[0].relayed, 0);
	stop(&w);
}

/* A pong that was not asked for, an old one, and a copy from elsewhere move nothing. */
static void pongs_that_prove_nothing(void **state)
{
	struct endpoint elsewhere = {.addr = addr_from_v4(htobe32(0xc0000263)), .port = 9};
	struct disco_message m = {.type = DISCO_PONG};
	uint8_t shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct world w;
	size_t len;

	meet(&w);
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&m, shared, w.n[1].public, nonce, bytes);
	disco_input(w.n[0].disco, bytes, len, &elsewhere, w.now);
	assert_false(w.n[0].direct);

	disco_traffic(w.n[0].disco, w.n[1].node, w.now);
	assert_int_equal(w.queued, 2); /* a ping, and a call by the relay */
	disco_input(w.n[1].disco, w.queue[0].bytes, w.queue[0].len, &w.queue[0].from, w.now);
	w.queue[0] = w.queue[2]; /* b's pong */
	assert_false(w.queue[0].relayed);
	disco_input(w.n[0].disco, w.queue[0].bytes, w.queue[0].len, &elsewhere, w.now + NS_PER_MS);
	assert_true(w.n[0].direct);
	assert_int_equal(w.n[0].path.port, 2); /* where we had asked, not where the copy came from */
	stop(&w);

	meet(&w);
	disco_traffic(w.n[0].disco, w.n[1].node, w.now);
	disco_input(w.n[1].disco, w.queue[0].bytes, w.queue[0].len, &w.queue[0].from, w.now);
	disco_input(w.n[0].disco, w.queue[2].bytes, w.queue[2].len, &w.queue[2].from, w.now + 6 * NS_PER_SEC);
	assert_false(w.n[0].direct);
	stop(&w);
}

static void call_by_udp_is_ignored(void **state)
{
	struct disco_message m = {.type = DISCO_CALL_ME_MAYBE, .n_endpoints = 1};
	struct endpoint from = {.addr = addr_from_v4(htobe32(0xc0000202)), .port = 2};
	uint8_t shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct world w;
	size_t len;

	meet(&w);
	m.endpoints[0] = (struct addr_port){addr_from_v4(htobe32(0xc0000250)), 80};
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&m, shared, w.n[1].public, nonce, bytes);
	disco_input(w.n[0].disco, bytes, len, &from, w.now);
	assert_int_equal(w.n[0].sent, 0);
	disco_input_relayed(w.n[0].disco, bytes, len, 9, w.n[1].node, w.now);
	assert_int_equal(w.n[0].sent, 1);
	disco_input_relayed(w.n[0].disco, bytes, len, 9, w.n[1].node, w.now); /* no oftener than once a second */
	assert_int_equal(w.n[0].sent, 1);
	disco_input_relayed(w.n[0].disco, bytes, len, 9, w.n[0].node, w.now + 5 * NS_PER_SEC); /* not b's connection */
	assert_int_equal(w.n[0].sent, 1);
	stop(&w);
}

/* A ping by a relay is answered there, whatever the peer's home is: it may be away, or not be ours to reach. */
static void answered_where_it_came(void **state)
{
	struct disco_message ping = {.type = DISCO_PING, .tx = "tx"};
	uint8_t shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct world w;
	size_t len;

	meet(&w);
	memcpy(ping.node, w.n[1].node, KEY_LEN);
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&ping, shared, w.n[1].public, nonce, bytes);
	w.region = 5;
	disco_input_relayed(w.n[0].disco, bytes, len, 5, w.n[1].node, w.now);
	assert_int_equal(w.n[0].relayed, 1);
	stop(&w);
}

static void asked_ping(void **state)
{
	struct world w;

	meet(&w);
	assert_true(disco_ping(w.n[0].disco, w.n[1].node, w.now));
	run(&w, NS_PER_SEC, 0);
	assert_int_equal(w.n[0].pongs, 2);
	w.blocked = true;
	assert_true(disco_ping(w.n[0].disco, w.n[1].node, w.now));
	run(&w, NS_PER_SEC, 0);
	assert_int_equal(w.n[0].pongs, 3);
	assert_false(w.n[0].pong.direct);
	assert_int_equal(w.n[0].pong.region, 9);
	assert_false(disco_ping(w.n[0].disco, w.n[0].node, w.now));
	stop(&w);
}

static void peers_change(void **state)
{
	struct disco_result r;
	struct world w;

	meet(&w);
	run(&w, NS_PER_SEC, 3);
	memset(w.n[1].secret, 0x77, 32); /* b is started anew with another disco key */
	crypto_public_key(w.n[1].secret, w.n[1].public);
	disco_set_identity(w.n[1].disco, w.n[1].secret, w.n[1].node);
	introduce(&w.n[0], &w.n[1], true);
	run(&w, 8 * NS_PER_SEC, 3);
	assert_true(w.n[0].direct);
	assert_true(w.n[1].direct);
	disco_peer_remove(w.n[0].disco, w.n[1].node);
	assert_false(disco_path(w.n[0].disco, w.n[1].node, &r));
	run(&w, 10 * NS_PER_SEC, 3);
	introduce(&w.n[0], &w.n[1], true);
	run(&w, 10 * NS_PER_SEC, 3);
	assert_true(w.n[0].direct);
	stop(&w);
}

/*
 * Without a good disco key nothing proves where a peer is but WireGuard that has come from there: what the
 * netmap names could be anybody's address. When nothing comes from there any more, it is as before.
 */
static void test_fault_48_peer_without_a_disco_key(void **state)
{
	static const uint8_t keys[][32] = {{0}, {1}}; /* none, and a point of low order */

	for (size_t i = 0; i < 2; i++) {
		struct endpoint at = {.addr = addr_from_v4(htobe32(0xc0000207)), .port = 7};
		struct tailnet_node *t;
		struct world w;

		start(&w);
		t = describe(&w.n[1], true);
		memcpy(t->disco_key, keys[i], 32);
		disco_peer_set(w.n[0].disco, t, w.now);
		run(&w, 10 * NS_PER_SEC, 1);
		assert_false(w.n[0].direct);
		assert_int_equal(w.n[0].sent + w.n[0].relayed, 0);
		assert_false(disco_ping(w.n[0].disco, w.n[1].node, w.now));
		disco_came(w.n[0].disco, w.n[1].node, &at, w.now);
		assert_true(w.n[0].direct);
		assert_int_equal(w.n[0].path.port, 7);
		for (int s = 0; s < 20; s++) {
			disco_heard(w.n[0].disco, w.n[1].node, &at, w.now);
			run(&w, NS_PER_SEC, 1);
		}
		assert_true(w.n[0].direct);
		run(&w, DISCO_TRUST + NS_PER_SEC, 1);
		assert_false(w.n[0].direct);
		node_free(t);
		stop(&w);
	}
}

/* What the server, or the peer, does not name any more is not pinged any more; a path in use stays one. */
static void test_fault_48_withdrawn_endpoints(void **state)
{
	struct tailnet_node *t;
	struct world w;
	unsigned sent;

	start(&w);
	t = describe(&w.n[1], true);
	t->endpoints = realloc(t->endpoints, 31 * sizeof(*t->endpoints));
	for (t->n_endpoints = 1; t->n_endpoints < 31; t->n_endpoints++)
		t->endpoints[t->n_endpoints] =
			(struct addr_port){addr_from_v4(htobe32(0xc0000300 + (uint32_t)t->n_endpoints)), 7};
	disco_peer_set(w.n[0].disco, t, w.now);
	w.blocked = true;
	run(&w, NS_PER_SEC, 1);
	assert_int_equal(w.n[0].sent, 31);
	t->n_endpoints = 1;
	disco_peer_set(w.n[0].disco, t, w.now);
	sent = w.n[0].sent;
	run(&w, 60 * NS_PER_SEC, 1);
	assert_in_range(w.n[0].sent - sent, 1, 13); /* one, every 5 s */
	w.blocked = false;
	introduce(&w.n[1], &w.n[0], true);
	run(&w, DISCO_SEARCH_INTERVAL + NS_PER_SEC, 3);
	assert_true(w.n[0].direct);
	t->n_endpoints = 0;
	disco_peer_set(w.n[0].disco, t, w.now);
	run(&w, 200 * NS_PER_SEC, 3);
	assert_true(w.n[0].direct);
	node_free(t);
	stop(&w);
}

/* b's NAT gives it another port: nothing reaches it at the old one any more. */
static void rebind(struct world *w)
{
	w->n[1].at.port = 22;
}

/* Runs until a sends to b where it is; returns how long that took, at most 10 s. */
static uint64_t until_found(struct world *w)
{
	uint64_t since = w->now;

	while (w->n[0].path.port != w->n[1].at.port && w->now - since < 10 * NS_PER_SEC)
		run(w, 10 * NS_PER_MS, 3);
	assert_true(w->n[0].direct);
	return w->now - since;
}

/*
 * The path follows what is heard of the peer: a ping from elsewhere, or WireGuard. It took as long as the old
 * path was trusted, 6.5 s and more.
 */
static void test_fault_25_rebind_is_followed(void **state)
{
	struct endpoint at = {.port = 22}, was;
	struct world w;

	meet(&w);
	run(&w, 2 * NS_PER_SEC, 3);
	rebind(&w);
	assert_in_range(until_found(&w), 0, DISCO_HEARTBEAT + 600 * NS_PER_MS); /* b pings by itself */
	run(&w, 30 * NS_PER_SEC, 3);
	assert_int_equal(w.n[0].path.port, 22);
	assert_int_equal(w.n[0].paths, 3); /* never by the relay meanwhile */
	stop(&w);

	meet(&w);
	run(&w, 2 * NS_PER_SEC, 1);
	was = w.n[0].path;
	rebind(&w);
	at.addr = w.n[1].at.addr;
	disco_came(w.n[0].disco, w.n[1].node, &at, w.now);
	disco_heard(w.n[0].disco, w.n[1].node, &was, w.now - NS_PER_MS); /* what came before settles nothing */
	assert_in_range(until_found(&w), 0, 600 * NS_PER_MS);
	stop(&w);
}

/* A path that answers is not left: neither for a ping that somebody repeats from elsewhere, nor for an equal one. */
static void test_fault_25_a_live_path_stays(void **state)
{
	struct endpoint liar = {.addr = addr_from_v4(htobe32(0xc0000263)), .port = 9};
	struct disco_message m = {.type = DISCO_PING, .tx = "again"};
	uint8_t shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct world w;
	unsigned paths;
	size_t len;

	meet(&w);
	run(&w, 2 * NS_PER_SEC, 1);
	paths = w.n[0].paths;
	memcpy(m.node, w.n[1].node, KEY_LEN);
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&m, shared, w.n[1].public, nonce, bytes);
	for (int i = 0; i < 20; i++) {
		disco_input(w.n[0].disco, bytes, len, &liar, w.now);
		run(&w, NS_PER_SEC / 2, 1);
	}
	assert_int_equal(w.n[0].paths, paths);
	assert_true(w.n[0].direct);
	assert_int_equal(w.n[0].path.port, 2);
	w.blocked = true; /* and doubt does not lengthen the life of one that is dead */
	for (int i = 0; i < 15; i++) {
		disco_input(w.n[0].disco, bytes, len, &liar, w.now);
		run(&w, NS_PER_SEC / 2, 1);
	}
	assert_false(w.n[0].direct);
	stop(&w);
}

/* Another node tells the server that it has b's disco key, and that it is where b is. */
static void claim(struct world *w, uint8_t number)
{
	struct tailnet_node *t = describe(&w->n[1], true);

	t->id = number;
	memset(t->node_key, number, 32);
	disco_peer_set(w->n[0].disco, t, w->now);
	disco_traffic(w->n[0].disco, t->node_key, w->now);
	assert_true(disco_ping(w->n[0].disco, t->node_key, w->now));
	node_free(t);
}

/* It takes b neither its pongs nor its calls, and does not make us send to b what is for it. */
static void test_fault_46_another_claims_the_disco_key(void **state)
{
	struct endpoint b = {.addr = addr_from_v4(htobe32(0xc0000202)), .port = 2};
	struct disco_message call = {.type = DISCO_CALL_ME_MAYBE, .n_endpoints = 1};
	struct addr_port elsewhere = {addr_from_v4(htobe32(0xc0000250)), 80};
	uint8_t shared[32], bytes[DISCO_MAX], nonce[24] = {0};
	struct disco_result r;
	struct world w;
	unsigned sent;
	size_t len;

	meet(&w);
	claim(&w, 0xcc);
	claim(&w, 0xcd);
	run(&w, NS_PER_SEC, 0);
	assert_int_equal(w.n[0].foreign, 2); /* pongs of b's, who cannot know for whom we asked; but no path */
	assert_true(disco_ping(w.n[0].disco, w.n[1].node, w.now));
	run(&w, NS_PER_SEC, 3);
	assert_true(w.n[0].pongs > 2);
	disco_came(w.n[0].disco, w.n[1].node, &b, w.now); /* what b sends because of our pongs */
	assert_true(w.n[0].direct);
	assert_true(disco_path(w.n[0].disco, (uint8_t[32]){[0 ... 31] = 0xcc}, &r));
	assert_false(r.direct);
	run(&w, 3 * NS_PER_SEC, 3);
	assert_true(w.n[0].direct);

	call.endpoints[0] = elsewhere;
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&call, shared, w.n[1].public, nonce, bytes);
	sent = w.n[0].sent;
	assert_int_equal(disco_input_relayed(w.n[0].disco, bytes, len, 9, w.n[1].node, w.now + 9 * NS_PER_SEC),
			 DISCO_TAKEN);
	assert_int_equal(w.n[0].sent, sent + 1);
	stop(&w);
}

/* Datagrams in its name cost no more than those of strangers; there were 40 us for each. */
static void test_fault_47_a_disco_key_of_low_order(void **state)
{
	struct endpoint from = {.addr = addr_from_v4(htobe32(0xc0000207)), .port = 7};
	uint8_t bytes[DISCO_OVERHEAD + 46] = "TS\xf0\x9f\x92\xac\x01";
	struct tailnet_node *t;
	struct timespec a, b;
	struct world w;

	start(&w);
	t = describe(&w.n[1], true);
	memset(t->disco_key, 0, 32);
	t->disco_key[0] = 1;
	disco_peer_set(w.n[0].disco, t, w.now);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(disco_input(w.n[0].disco, bytes, sizeof(bytes), &from, w.now), DISCO_STRANGER);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 1000);
	node_free(t);
	stop(&w);
}

/* Forgeries in b's name from everywhere: so many are opened and no more, and who is known is answered all the same. */
static void test_fault_47_a_flood_of_forgeries(void **state)
{
	struct endpoint b = {.addr = addr_from_v4(htobe32(0xc0000202)), .port = 2};
	struct disco_message ping = {.type = DISCO_PING};
	uint8_t shared[32], good[DISCO_MAX], bad[DISCO_MAX], nonce[24] = {0};
	unsigned results[3] = {0};
	struct world w;
	size_t len;

	meet(&w);
	run(&w, 3 * NS_PER_SEC, 3);
	memcpy(ping.node, w.n[1].node, KEY_LEN);
	assert_true(disco_shared(w.n[1].secret, w.n[0].public, shared));
	len = disco_seal(&ping, shared, w.n[1].public, nonce, good);
	memcpy(bad, good, len);
	bad[len - 1] ^= 1;
	for (uint32_t i = 0; i < 100000; i++) {
		struct endpoint from = {.addr = addr_from_v4(htobe32(0xc6330000 + i)), .port = 9};

		results[disco_input(w.n[0].disco, bad, len, &from, w.now)]++;
	}
	assert_int_equal(results[DISCO_STRANGER], DISCO_LIMIT_UNKNOWN);
	assert_int_equal(results[DISCO_TAKEN], 0);
	assert_int_equal(disco_input(w.n[0].disco, good, len, &b, w.now), DISCO_TAKEN);
	for (int i = 0; i < 10000; i++) { /* of its own: what one peer may say, and no answer to more */
		unsigned sent = w.n[0].sent;
		enum disco_input result = disco_input(w.n[0].disco, good, len, &b, w.now);

		w.queued = 0;
		results[result]++;
		assert_int_equal(w.n[0].sent - sent, result == DISCO_TAKEN);
	}
	assert_in_range(results[DISCO_TAKEN], DISCO_LIMIT_PEER - 20, DISCO_LIMIT_PEER);
	assert_int_equal(disco_input(w.n[0].disco, good, len, &b, w.now + 2 * NS_PER_SEC), DISCO_TAKEN);
	stop(&w);
}

static void candidates_are_bounded(void **state)
{
	struct candidates c = {.best = 0};
	struct addr_port at = {addr_from_v4(htobe32(0xc0000201)), 1};

	assert_int_equal(candidates_add(&c, &at), 0);
	for (unsigned i = 2; i < 500; i++) {
		struct addr_port other = {addr_from_v4(htobe32(0xc0000201)), (uint16_t)i};
		int k = candidates_add(&c, &other);

		assert_int_not_equal(k, 0);
		c.v[k].named |= i == 5;
	}
	assert_int_equal(c.n, CANDIDATES_MAX);
	assert_int_equal(candidates_find(&c, &at), 0);
	at.port = 5; /* told: stays, though many untold came later */
	assert_true(candidates_find(&c, &at) > 0);
}

static void unreachable_candidates(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{"192.0.2.1:1", true},
		{"[2001:db8::1]:1", true},
		{"10.0.0.1:1", true},
		{"127.0.0.1:1", false},
		{"[::1]:1", false},
		{"[::]:1", false},
		{"0.0.0.0:1", false},
		{"224.0.0.1:1", false},
		{"255.255.255.255:1", false},
		{"[ff02::1]:1", false},
		{"[fe80::1]:1", false},
		{"169.254.1.1:1", false},
		/* inside the tailnet (faults 45) */
		{"100.64.0.5:1", false},
		{"100.127.255.255:1", false},
		{"[fd7a:115c:a1e0::5]:1", false},
		{"100.63.255.255:1", true},
		{"100.128.0.1:1", true},
		{"[fd7a:115c:a1e1::5]:1", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr_port at;

		assert_true(addr_port_parse(cases[i].text, &at));
		assert_int_equal(candidate_is_reachable(&at), cases[i].ok);
	}
}

static int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_forms),
		cmocka_unit_test(odd_bodies),
		cmocka_unit_test(becomes_direct),
		cmocka_unit_test(idle_is_silent),
		cmocka_unit_test(heartbeats),
		cmocka_unit_test(blocked_and_unblocked),
		cmocka_unit_test(after_a_long_silence),
		cmocka_unit_test(call_me_maybe),
		cmocka_unit_test(strangers_and_forgeries),
		cmocka_unit_test(pongs_that_prove_nothing),
		cmocka_unit_test(call_by_udp_is_ignored),
		cmocka_unit_test(answered_where_it_came),
		cmocka_unit_test(asked_ping),
		cmocka_unit_test(peers_change),
		cmocka_unit_test(test_fault_48_peer_without_a_disco_key),
		cmocka_unit_test(test_fault_48_withdrawn_endpoints),
		cmocka_unit_test(test_fault_25_rebind_is_followed),
		cmocka_unit_test(test_fault_25_a_live_path_stays),
		cmocka_unit_test(test_fault_46_another_claims_the_disco_key),
		cmocka_unit_test(test_fault_47_a_disco_key_of_low_order),
		cmocka_unit_test(test_fault_47_a_flood_of_forgeries),
		cmocka_unit_test(candidates_are_bounded),
		cmocka_unit_test(unreachable_candidates),
	};

	return cmocka_run_group_tests_name("tailnet_disco", tests, setup, NULL);
}
