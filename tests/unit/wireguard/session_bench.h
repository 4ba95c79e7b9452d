/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_SESSION_BENCH_H
#define SLUICE_TEST_SESSION_BENCH_H

/* Sessions made by hand between us and a remote, one message at a time. */
#include "wg_sim.h"

#include "user/wireguard/transport.h"
#include "user/base/clock.h"

#define T0  (1000 * NS_PER_SEC)
#define MTU 1420

/* One side; the other seals and opens with `remote`, a session with the keys the other way round. */
struct bench {
	struct transport_set set;
	struct transport *t;
	struct allowedips_set *allowed_set;
	struct allowedips *allowed;
	struct endpoint from;
	struct session *sessions[8];
	size_t n_sessions;
	uint8_t msg[2048];
	struct opened opened;
};

static inline void setup(struct bench *b)
{
	struct transport_command add = {.op = TRANSPORT_ADD};
	struct prefix p4 = sim_prefix("10.0.0.0/24"), p6 = sim_prefix("fd00::/64"), other = sim_prefix("10.0.0.99");

	memset(b, 0, sizeof(*b));
	b->t = aligned_alloc(_Alignof(struct transport), sizeof(*b->t));
	memset(b->t, 0, sizeof(*b->t));
	b->t->peer = 7;
	b->allowed_set = allowedips_set_new();
	assert_true(allowedips_give(b->allowed_set, &p4, 7));
	assert_true(allowedips_give(b->allowed_set, &p6, 7));
	assert_true(allowedips_give(b->allowed_set, &other, 8));
	b->allowed = allowedips_snapshot(b->allowed_set);
	b->from = (struct endpoint){.addr = addr_from_v4(htonl(0xc0000201)), .port = 1000};
	add.transport = b->t;
	assert_true(transport_apply(&b->set, &add, T0));
	assert_ptr_equal(transport_find(&b->set, 7), b->t);
}

static inline void teardown(struct bench *b)
{
	transport_drop_staged(b->t);
	for (size_t i = 0; i < b->n_sessions; i++)
		free(b->sessions[i]);
	transport_set_free(&b->set);
	allowedips_free(b->allowed);
	allowedips_set_free(b->allowed_set);
	free(b->t);
}

/* Keys are made of the index. */
static inline struct session *make_session(struct bench *b, uint32_t index, bool initiator)
{
	struct session *s = calloc(1, sizeof(*s));
	struct noise_keys keys = {.remote_index = index + 1000};

	memset(keys.send, (int)index, KEY_LEN);
	memset(keys.receive, (int)index + 1, KEY_LEN);
	session_init(s, &keys, index, initiator, b->t, T0);
	b->sessions[b->n_sessions++] = s;
	return s;
}

static inline struct session *install(struct bench *b, uint32_t index, bool initiator)
{
	struct session *s = make_session(b, index, initiator);
	struct transport_command c = {.op = TRANSPORT_INSTALL, .transport = b->t, .session = s};
	unsigned todo;

	assert_true(transport_apply(&b->set, &c, T0));
	if (initiator) {
		assert_ptr_equal(transport_take_todo(&b->set, &todo), b->t);
		assert_int_equal(todo, TRANSPORT_FLUSH | TRANSPORT_KEEPALIVE);
	}
	assert_null(transport_take_todo(&b->set, &todo));
	return s;
}

/* A message of the other side on session @index, into b->msg; its length. */
static inline size_t from_remote(struct bench *b, uint32_t index, uint64_t counter, const uint8_t *packet, size_t len)
{
	struct noise_keys keys = {.remote_index = index};
	struct session remote;

	memset(keys.send, (int)index + 1, KEY_LEN);
	memset(keys.receive, (int)index, KEY_LEN);
	session_init(&remote, &keys, 0, false, NULL, T0);
	return session_seal(&remote, counter, b->msg, packet, len, MTU);
}

static inline enum open_result open_msg(struct bench *b, size_t len, uint8_t tos, uint64_t now)
{
	return transport_open(&b->set, b->allowed, b->msg, len, &b->from, tos, now, &b->opened);
}

static inline enum open_result receive(struct bench *b, uint32_t index, uint64_t counter, uint64_t now)
{
	uint8_t p[60];

	sim_packet4(p, 0x0a000005, 0x0a000001, 0, sizeof(p));
	return open_msg(b, from_remote(b, index, counter, p, sizeof(p)), 0, now);
}

/* @n packets, one after the other. */
static inline enum seal_result seal(struct bench *b, unsigned n, uint64_t now)
{
	enum seal_result result = transport_seal_begin(&b->set, b->t, true, now);
	uint8_t packet[60], out[DATA_MIN_LEN + 64];

	sim_packet4(packet, 0x0a000001, 0x0a000005, 0, sizeof(packet));
	while (result == SEAL_OK && n--)
		assert_int_equal(transport_seal(b->t, out, packet, sizeof(packet), MTU), sizeof(out));
	return result;
}

#endif
