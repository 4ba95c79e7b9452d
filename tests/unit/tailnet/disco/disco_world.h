/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_DISCO_WORLD_H
#define SLUICE_TEST_DISCO_WORLD_H

/*
 * Two nodes with disco in virtual time on a small network of the test's own:
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

static inline void put(struct world *w, int to, const struct endpoint *from, bool relayed, const void *bytes,
		       size_t len)
{
	struct datagram *d = &w->queue[w->queued++];

	assert_true(w->queued < QUEUE);
	assert_true(len <= DISCO_MAX);
	*d = (struct datagram){.at = w->now + LATENCY, .to = to, .relayed = relayed, .len = len};
	if (from)
		d->from = *from;
	memcpy(d->bytes, bytes, len);
}

static inline void on_send(void *ctx, const void *bytes, size_t len, const struct endpoint *to)
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

static inline void on_relay(void *ctx, uint16_t region, const uint8_t node[32], const void *bytes, size_t len)
{
	struct node *n = ctx;

	n->relayed++;
	assert_int_equal(region, n->w->region);
	if (!n->w->relay_gone && memcmp(node, n->w->n[!n->i].node, 32) == 0)
		put(n->w, !n->i, NULL, true, bytes, len);
}

static inline void on_path(void *ctx, const uint8_t node[32], const struct endpoint *to, uint16_t region)
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

static inline void on_pong(void *ctx, const uint8_t node[32], const struct disco_result *r)
{
	struct node *n = ctx;

	n->foreign += memcmp(node, n->w->n[!n->i].node, 32) != 0;
	n->pongs++;
	n->pong = *r;
}

static inline void on_random(void *ctx, void *buf, size_t len)
{
	struct node *n = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		n->w->random = n->w->random * 6364136223846793005u + 1442695040888963407u;
		p[i] = (uint8_t)(n->w->random >> 33);
	}
}

static inline struct tailnet_node *describe(const struct node *n, bool with_endpoint)
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

static inline void introduce(struct node *n, const struct node *other, bool with_endpoint)
{
	struct tailnet_node *t = describe(other, with_endpoint);

	disco_peer_set(n->disco, t, n->w->now);
	node_free(t);
}

static inline void start(struct world *w)
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

static inline void meet(struct world *w)
{
	start(w);
	introduce(&w->n[0], &w->n[1], true);
	introduce(&w->n[1], &w->n[0], true);
}

static inline void stop(struct world *w)
{
	disco_free(w->n[0].disco);
	disco_free(w->n[1].disco);
}

static inline void deliver(struct world *w)
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
static inline void run(struct world *w, uint64_t time, unsigned talking)
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

static inline int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

#endif
