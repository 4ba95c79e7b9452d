/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data path without handshakes: sessions made by hand, one message at a time.
 * W2, W3, W6, W12 to W15, RFC 6040.
 */
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

static void setup(struct bench *b)
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

static void teardown(struct bench *b)
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
static struct session *make_session(struct bench *b, uint32_t index, bool initiator)
{
	struct session *s = calloc(1, sizeof(*s));
	struct noise_keys keys = {.remote_index = index + 1000};

	memset(keys.send, (int)index, KEY_LEN);
	memset(keys.receive, (int)index + 1, KEY_LEN);
	session_init(s, &keys, index, initiator, b->t, T0);
	b->sessions[b->n_sessions++] = s;
	return s;
}

static struct session *install(struct bench *b, uint32_t index, bool initiator)
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
static size_t from_remote(struct bench *b, uint32_t index, uint64_t counter, const uint8_t *packet, size_t len)
{
	struct noise_keys keys = {.remote_index = index};
	struct session remote;

	memset(keys.send, (int)index + 1, KEY_LEN);
	memset(keys.receive, (int)index, KEY_LEN);
	session_init(&remote, &keys, 0, false, NULL, T0);
	return session_seal(&remote, counter, b->msg, packet, len, MTU);
}

static enum open_result open_msg(struct bench *b, size_t len, uint8_t tos, uint64_t now)
{
	return transport_open(&b->set, b->allowed, b->msg, len, &b->from, tos, now, &b->opened);
}

static enum open_result receive(struct bench *b, uint32_t index, uint64_t counter, uint64_t now)
{
	uint8_t p[60];

	sim_packet4(p, 0x0a000005, 0x0a000001, 0, sizeof(p));
	return open_msg(b, from_remote(b, index, counter, p, sizeof(p)), 0, now);
}

/* @n packets, one after the other. */
static enum seal_result seal(struct bench *b, unsigned n, uint64_t now)
{
	enum seal_result result = transport_seal_begin(&b->set, b->t, true, now);
	uint8_t packet[60], out[DATA_MIN_LEN + 64];

	sim_packet4(packet, 0x0a000001, 0x0a000005, 0, sizeof(packet));
	while (result == SEAL_OK && n--)
		assert_int_equal(transport_seal(b->t, out, packet, sizeof(packet), MTU), sizeof(out));
	return result;
}

static unsigned todo_of(struct bench *b)
{
	unsigned todo = 0;

	transport_take_todo(&b->set, &todo);
	return todo;
}

static void test_W2_time_limits(void **state)
{
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	assert_int_equal(receive(&b, 1, 1, T0 + 180 * NS_PER_SEC - 1), OPEN_OK);
	assert_int_equal(seal(&b, 1, T0 + 180 * NS_PER_SEC - 1), SEAL_OK);
	todo_of(&b);
	assert_int_equal(receive(&b, 1, 2, T0 + 180 * NS_PER_SEC), OPEN_EXPIRED);
	assert_int_equal(seal(&b, 1, T0 + 190 * NS_PER_SEC), SEAL_NO_SESSION);
	assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);
	teardown(&b);
}

/* The control thread makes sessions while a worker is at a batch, whose time is that of its beginning. */
static void test_W2_younger_than_the_batch(void **state)
{
	for (int initiator = 0; initiator < 2; initiator++) {
		struct bench b;

		setup(&b);
		install(&b, 1, initiator);
		assert_int_equal(receive(&b, 1, 0, T0 - 1), OPEN_OK);
		assert_int_equal(seal(&b, 1, T0 - 1), SEAL_OK);
		assert_int_equal(todo_of(&b) & TRANSPORT_HANDSHAKE, 0);
		teardown(&b);
	}
}

static void test_W1_when_to_ask_for_a_handshake(void **state)
{
	static const struct {
		bool initiator, sending;
		uint64_t age;
		unsigned todo;
	} cases[] = {
		{true, true, 120 * NS_PER_SEC - 1, 0},
		{true, true, 120 * NS_PER_SEC, TRANSPORT_HANDSHAKE},
		{false, true, 179 * NS_PER_SEC, 0},
		{true, false, 165 * NS_PER_SEC - 1, 0},
		{true, false, 165 * NS_PER_SEC, TRANSPORT_HANDSHAKE},
		{false, false, 179 * NS_PER_SEC, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bench b;

		setup(&b);
		install(&b, 1, cases[i].initiator);
		assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK); /* confirms a responder's */
		todo_of(&b);
		if (cases[i].sending)
			assert_int_equal(seal(&b, 1, T0 + cases[i].age), SEAL_OK);
		else
			assert_int_equal(receive(&b, 1, 1, T0 + cases[i].age), OPEN_OK);
		assert_int_equal(todo_of(&b), cases[i].todo);
		/* asked once, then not for five seconds */
		if (cases[i].sending && cases[i].todo) {
			assert_int_equal(seal(&b, 1, T0 + cases[i].age + 4 * NS_PER_SEC), SEAL_OK);
			assert_int_equal(todo_of(&b), 0);
			assert_int_equal(seal(&b, 1, T0 + cases[i].age + 5 * NS_PER_SEC), SEAL_OK);
			assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);
		}
		teardown(&b);
	}
}

static void test_W3_message_limits(void **state)
{
	struct session *session;
	struct bench b;

	setup(&b);
	session = install(&b, 1, false);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	todo_of(&b);
	session->send_counter = REKEY_AFTER_MESSAGES - 2;
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_int_equal(todo_of(&b), 0);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_int_equal(todo_of(&b), 0);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK); /* by count the responder rekeys, too */
	assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);

	session->send_counter = REJECT_AFTER_MESSAGES - 3;
	assert_int_equal(seal(&b, 3, T0), SEAL_OK);
	assert_int_equal(seal(&b, 1, T0), SEAL_NO_SESSION);
	assert_int_equal(receive(&b, 1, REJECT_AFTER_MESSAGES, T0), OPEN_EXPIRED);
	assert_int_equal(receive(&b, 1, UINT64_MAX, T0), OPEN_EXPIRED);
	assert_int_equal(receive(&b, 1, REJECT_AFTER_MESSAGES - 1, T0), OPEN_OK);
	teardown(&b);
}

/* A counter is given once. Who asks for more, or has no session, gets nothing, and nothing is written. */
static void test_fault_14_refusal_to_seal(void **state)
{
	uint8_t packet[60], out[DATA_MIN_LEN + 64], before[sizeof(out)];
	struct session *session;
	struct bench b;

	setup(&b);
	memset(before, 0xa5, sizeof(before));
	memcpy(out, before, sizeof(out));
	sim_packet4(packet, 0x0a000001, 0x0a000005, 0, sizeof(packet));
	assert_int_equal(transport_seal(b.t, out, packet, sizeof(packet), MTU), 0);
	assert_memory_equal(out, before, sizeof(out));
	session = install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	session->send_counter = REJECT_AFTER_MESSAGES - 1;
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(transport_seal(b.t, out, packet, sizeof(packet), MTU), 0);
		assert_memory_equal(out, before, sizeof(out));
		assert_int_equal(session->send_counter, REJECT_AFTER_MESSAGES);
	}
	assert_int_equal(atomic_load(&b.t->stamps.tx_packets), 1);
	assert_int_equal(atomic_load(&b.t->stamps.tx_bytes), sizeof(out));
	teardown(&b);
}

static void test_W6_replay_after_authentication(void **state)
{
	struct bench b;
	size_t len;

	setup(&b);
	install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 5, T0), OPEN_OK);
	assert_int_equal(receive(&b, 1, 5, T0), OPEN_REPLAY);
	assert_int_equal(receive(&b, 1, 3, T0), OPEN_OK);
	/* a forged counter far ahead does not move the window */
	len = from_remote(&b, 1, 6, (const uint8_t *)"", 0);
	((struct message_data *)b.msg)->counter = htole64(1ull << 40);
	assert_int_equal(open_msg(&b, len, 0, T0), OPEN_FORGED);
	assert_int_equal(receive(&b, 1, 4, T0), OPEN_OK);
	teardown(&b);
}

static void test_W10_hostile_lengths_and_indices(void **state)
{
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	for (size_t len = 0; len < DATA_MIN_LEN; len++) {
		memset(b.msg, 0, sizeof(b.msg));
		b.msg[0] = MESSAGE_DATA;
		b.msg[4] = 1;
		assert_int_equal(open_msg(&b, len, 0, T0), OPEN_BAD_LENGTH);
	}
	for (size_t len = DATA_MIN_LEN; len < sizeof(b.msg); len++) {
		memset(b.msg, 0, sizeof(b.msg));
		b.msg[4] = 1;
		assert_int_equal(open_msg(&b, len, 0, T0), OPEN_FORGED);
		b.msg[4] = 2;
		assert_int_equal(open_msg(&b, len, 0, T0), OPEN_NO_SESSION);
		b.msg[4] = 0; /* index 0 is nobody's */
		assert_int_equal(open_msg(&b, len, 0, T0), OPEN_NO_SESSION);
	}
	teardown(&b);
}

static void test_W12_roaming(void **state)
{
	struct endpoint seen;
	uint32_t version;
	struct bench b;
	size_t len;

	setup(&b);
	install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	version = endpoint_read(&b.t->published, &seen);
	assert_true(endpoint_equal(&seen, &b.from));
	assert_int_equal(receive(&b, 1, 1, T0), OPEN_OK);
	assert_int_equal(endpoint_read(&b.t->published, &seen), version); /* only when changed */

	b.from.port++; /* forged: does not move */
	len = from_remote(&b, 1, 2, (const uint8_t *)"", 0);
	b.msg[len - 1] ^= 1;
	assert_int_equal(open_msg(&b, len, 0, T0), OPEN_FORGED);
	assert_int_equal(b.t->endpoint.port, b.from.port - 1);
	assert_int_equal(receive(&b, 1, 1, T0), OPEN_REPLAY); /* nor does a replay */
	assert_int_equal(b.t->endpoint.port, b.from.port - 1);

	assert_int_equal(open_msg(&b, from_remote(&b, 1, 2, NULL, 0), 0, T0), OPEN_KEEPALIVE);
	assert_int_equal(b.t->endpoint.port, b.from.port);
	b.from.addr = sim_prefix("2001:db8::9").addr; /* to the other family (W17) */
	b.from.local = sim_prefix("2001:db8::1").addr;
	assert_int_equal(receive(&b, 1, 3, T0), OPEN_OK);
	endpoint_read(&b.t->published, &seen);
	assert_true(endpoint_equal(&seen, &b.from));
	teardown(&b);
}

/*
 * An authenticated message from an address inside the tunnel, or from where nobody is, moves nobody: what we send there
 * would come back to us. What is inside it counts; and where addresses inside may be outer ones, it does move.
 */
static void test_fault_45_no_peer_is_inside_the_tunnel(void **state)
{
	static const struct {
		const char *from;
		bool inside;
	} cases[] = {
		{"10.0.0.5", true},	   {"fd00::5", true},	{"127.0.0.1", true},   {"::1", true},
		{"224.0.0.1", true},	   {"ff02::1", true},	{"0.0.0.0", true},     {"::", true},
		{"255.255.255.255", true}, {"10.0.0.99", true}, /* another's */
		{"10.0.1.99", false},	   {"fd01::99", false}, {"100.64.0.9", false}, {"fe80::9", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int outside = 0; outside < 2; outside++) {
			struct endpoint before, from;
			struct bench b;

			setup(&b);
			b.set.outside = outside;
			install(&b, 1, true);
			assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
			before = b.from;
			b.from = from = (struct endpoint){.addr = sim_prefix(cases[i].from).addr, .port = 7};
			assert_int_equal(receive(&b, 1, 1, T0), OPEN_OK);
			assert_true(endpoint_equal(&b.t->endpoint, outside && cases[i].inside ? &before : &from));
			assert_int_equal(transport_may_be_at(&b.set, b.allowed, &from), !(outside && cases[i].inside));
			teardown(&b);
		}
	}
}

/* Our own socket is nobody's, another of our host may be; a relay's endpoint, which looks like loopback, is one. */
static void test_fault_45_own_address_and_relay(void **state)
{
	struct addr here = sim_prefix("192.0.2.1").addr;
	struct endpoint own = {.addr = here, .local = here, .port = 7};
	struct endpoint relay = endpoint_of_relay(9, 3);
	struct bench b;

	setup(&b);
	b.set.outside = true;
	assert_true(transport_may_be_at(&b.set, b.allowed, &own));
	b.set.port = 7;
	assert_false(transport_may_be_at(&b.set, b.allowed, &own));
	own.local = sim_prefix("192.0.2.2").addr;
	assert_true(transport_may_be_at(&b.set, b.allowed, &own));
	assert_true(transport_may_be_at(&b.set, b.allowed, &relay));
	teardown(&b);
}

static void test_W13_inner_source(void **state)
{
	static const struct {
		uint32_t src4; /* 0: IPv6 */
		uint8_t src6;
		enum open_result want;
	} cases[] = {
		{0x0a000001, 0, OPEN_OK},
		{0x0a0000ff, 0, OPEN_OK},
		{0x0a000063, 0, OPEN_WRONG_SOURCE}, /* inside the /24, but another peer's /32 */
		{0x0a000100, 0, OPEN_WRONG_SOURCE},
		{0x7f000001, 0, OPEN_WRONG_SOURCE},
		{0, 5, OPEN_OK},
	};
	uint8_t p[100];
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (cases[i].src4)
			sim_packet4(p, cases[i].src4, 0x0a000001, 0, sizeof(p));
		else
			sim_packet6(p, cases[i].src6, 1, 0, sizeof(p));
		assert_int_equal(open_msg(&b, from_remote(&b, 1, i, p, sizeof(p)), 0, T0), cases[i].want);
	}
	for (int at = 8; at <= 24; at += 16) { /* an IPv4 address in an IPv6 header, as source, as destination */
		sim_packet6(p, 5, 1, 0, sizeof(p));
		memcpy(p + at, (uint8_t[16]){[10] = 0xff, 0xff, 10, 0, 0, 5}, 16);
		assert_int_equal(open_msg(&b, from_remote(&b, 1, 50 + (uint64_t)at, p, sizeof(p)), 0, T0),
				 OPEN_BAD_PACKET);
	}
	sim_packet6(p, 1, 1, 0, sizeof(p));
	p[8] = 0xfe; /* fe00:: */
	assert_int_equal(open_msg(&b, from_remote(&b, 1, 100, p, sizeof(p)), 0, T0), OPEN_WRONG_SOURCE);
	teardown(&b);
}

static void test_broken_inner_packets(void **state)
{
	uint8_t p[100], bad[100];
	struct bench b;
	uint64_t n = 0;

	setup(&b);
	install(&b, 1, true);
	sim_packet4(p, 0x0a000005, 0x0a000001, 0, sizeof(p));
	for (size_t len = 1; len < 84; len++) /* cut; up to 15 bytes of padding make it whole again */
		assert_int_equal(open_msg(&b, from_remote(&b, 1, n++, p, len), 0, T0), OPEN_BAD_PACKET);
	for (unsigned version = 0; version < 16; version++) {
		if (version == 4 || version == 6)
			continue;
		memcpy(bad, p, sizeof(p));
		bad[0] = (uint8_t)(version << 4 | 5);
		assert_int_equal(open_msg(&b, from_remote(&b, 1, n++, bad, sizeof(bad)), 0, T0), OPEN_BAD_PACKET);
	}
	memcpy(bad, p, sizeof(p));
	bad[0] = 0x44; /* header of 16 bytes */
	assert_int_equal(open_msg(&b, from_remote(&b, 1, n++, bad, sizeof(bad)), 0, T0), OPEN_BAD_PACKET);
	assert_int_equal(open_msg(&b, from_remote(&b, 1, n++, p, sizeof(p)), 0, T0), OPEN_OK);
	assert_int_equal(b.opened.packet.len, sizeof(p)); /* without the padding */
	teardown(&b);
}

static void test_W14_padding(void **state)
{
	static const struct {
		size_t len, mtu, sealed;
	} cases[] = {
		{0, 1420, 32},	    {1, 1420, 48},	{16, 1420, 48},	    {17, 1420, 64},
		{1408, 1420, 1440}, {1409, 1420, 1452}, {1419, 1420, 1452}, {1420, 1420, 1452},
		{1421, 1420, 1453}, {1280, 1280, 1312}, {1279, 1280, 1312}, {9000, 1420, 9032},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(session_sealed_len(cases[i].len, cases[i].mtu), cases[i].sealed);
}

static void test_W14_batch_is_contiguous(void **state)
{
	uint8_t packet[60], out[128];
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	assert_int_equal(seal(&b, 1, T0), SEAL_NO_ENDPOINT);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	sim_packet4(packet, 0x0a000001, 0x0a000005, 0, sizeof(packet));
	assert_int_equal(seal(&b, 0, T0), SEAL_OK);
	for (uint64_t i = 0; i < 44; i++) {
		struct message_data *m = (void *)out;

		assert_int_equal(transport_seal(b.t, out, packet, sizeof(packet), MTU), DATA_MIN_LEN + 64);
		assert_int_equal(le32toh(m->type), MESSAGE_DATA);
		assert_int_equal(le32toh(m->receiver_index), 1001);
		assert_int_equal(le64toh(m->counter), i);
	}
	assert_int_equal(atomic_load(&b.t->stamps.tx_packets), 44);
	assert_int_equal(atomic_load(&b.t->stamps.tx_bytes), 44 * (DATA_MIN_LEN + 64));
	assert_int_equal(atomic_load(&b.t->stamps.rx_packets), 1);
	assert_int_equal(atomic_load(&b.t->stamps.rx_bytes), DATA_MIN_LEN + 64);
	teardown(&b);
}

static void test_W15_responder_waits_for_data(void **state)
{
	struct session *first, *second, *third;
	struct garbage garbage;
	struct bench b;

	setup(&b);
	first = install(&b, 1, false);
	assert_null(b.t->current);
	assert_ptr_equal(b.t->next, first);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	assert_int_equal(todo_of(&b), TRANSPORT_FLUSH);
	assert_ptr_equal(b.t->current, first);
	second = install(&b, 3, false);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_ptr_equal(b.t->current, first);
	assert_int_equal(receive(&b, 1, 1, T0), OPEN_OK); /* on the old one: no change */
	assert_ptr_equal(b.t->current, first);
	assert_int_equal(open_msg(&b, from_remote(&b, 3, 0, NULL, 0), 0, T0), OPEN_KEEPALIVE); /* that is data, too */
	assert_int_equal(todo_of(&b), TRANSPORT_FLUSH);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_ptr_equal(b.t->current, second);
	assert_ptr_equal(b.t->previous, first);
	assert_int_equal(receive(&b, 1, 2, T0), OPEN_OK); /* in flight */
	assert_false(transport_take_garbage(&b.set, &garbage));

	third = install(&b, 5, false);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, first);
	assert_int_equal(receive(&b, 1, 3, T0), OPEN_NO_SESSION);
	install(&b, 7, false); /* a newer answer replaces one that was never used */
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, third);
	assert_null(garbage.sessions->next);
	teardown(&b);
}

static void test_W15_initiator_sends_at_once(void **state)
{
	struct session *first, *second, *answered;
	struct garbage garbage;
	struct bench b;

	setup(&b);
	first = install(&b, 1, true);
	assert_ptr_equal(b.t->current, first);
	second = install(&b, 3, true);
	assert_ptr_equal(b.t->current, second);
	assert_ptr_equal(b.t->previous, first);
	answered = install(&b, 5, false); /* both began: answered first, then our own is answered */
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, first);
	install(&b, 7, true);
	assert_ptr_equal(b.t->previous, answered);
	assert_null(b.t->next);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, second);
	assert_int_equal(receive(&b, 5, 0, T0), OPEN_OK); /* the peer sends on the one it began */
	assert_int_equal(receive(&b, 7, 0, T0), OPEN_OK);
	teardown(&b);
}

static void test_W4_staged_packets(void **state)
{
	uint8_t byte;
	struct bench b;

	setup(&b);
	for (unsigned i = 0; i < MAX_STAGED; i++) {
		byte = (uint8_t)i;
		assert_true(transport_stage(b.t, &byte, 1));
	}
	byte = 200;
	assert_false(transport_stage(b.t, &byte, 1)); /* the oldest goes */
	assert_int_equal(b.t->n_staged, MAX_STAGED);
	for (unsigned i = 1; i <= MAX_STAGED; i++) {
		struct staged *s = transport_unstage(b.t);

		assert_int_equal(s->packet[0], i < MAX_STAGED ? i : 200);
		free(s);
	}
	assert_null(transport_unstage(b.t));
	assert_true(transport_stage(b.t, &byte, 1));
	teardown(&b);
}

static void test_W16_remove_gives_everything_back(void **state)
{
	struct transport_command c = {.op = TRANSPORT_REMOVE};
	struct garbage garbage;
	unsigned todo, n = 0;
	struct bench b;
	uint8_t byte = 0;

	setup(&b);
	c.transport = b.t;
	install(&b, 1, true);
	install(&b, 3, true);
	install(&b, 5, false);
	assert_true(transport_take_garbage(&b.set, &garbage));
	transport_stage(b.t, &byte, 1);
	assert_true(transport_apply(&b.set,
				    &(struct transport_command){.op = TRANSPORT_SEND_KEEPALIVE, .transport = b.t}, T0));
	assert_true(transport_apply(&b.set, &c, T0));
	assert_null(transport_take_todo(&b.set, &todo));
	assert_null(transport_find(&b.set, 7));
	assert_int_equal(b.t->n_staged, 0);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.transports, b.t);
	for (struct session *s = garbage.sessions; s; s = s->next)
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(receive(&b, 3, 0, T0), OPEN_NO_SESSION);
	teardown(&b);
}

/* ---- RFC 6040; all of its figure 4 is in test_ecn.c ---- */

enum { NOT_ECT, ECT_1, ECT_0, CE };

static void test_W14_ecn_on_open(void **state)
{
	uint8_t p[60];
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	sim_packet4(p, 0x0a000005, 0x0a000001, ECT_0, sizeof(p));
	assert_int_equal(open_msg(&b, from_remote(&b, 1, 0, p, sizeof(p)), CE, T0), OPEN_OK);
	assert_int_equal(b.opened.packet.data[1], CE);
	sim_packet4(p, 0x0a000005, 0x0a000001, NOT_ECT, sizeof(p));
	assert_int_equal(open_msg(&b, from_remote(&b, 1, 1, p, sizeof(p)), CE, T0), OPEN_CONGESTED);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W1_when_to_ask_for_a_handshake),
		cmocka_unit_test(test_W2_time_limits),
		cmocka_unit_test(test_W2_younger_than_the_batch),
		cmocka_unit_test(test_W3_message_limits),
		cmocka_unit_test(test_fault_14_refusal_to_seal),
		cmocka_unit_test(test_W4_staged_packets),
		cmocka_unit_test(test_W6_replay_after_authentication),
		cmocka_unit_test(test_W10_hostile_lengths_and_indices),
		cmocka_unit_test(test_W12_roaming),
		cmocka_unit_test(test_fault_45_no_peer_is_inside_the_tunnel),
		cmocka_unit_test(test_fault_45_own_address_and_relay),
		cmocka_unit_test(test_W13_inner_source),
		cmocka_unit_test(test_broken_inner_packets),
		cmocka_unit_test(test_W14_padding),
		cmocka_unit_test(test_W14_batch_is_contiguous),
		cmocka_unit_test(test_W14_ecn_on_open),
		cmocka_unit_test(test_W15_responder_waits_for_data),
		cmocka_unit_test(test_W15_initiator_sends_at_once),
		cmocka_unit_test(test_W16_remove_gives_everything_back),
	};

	return cmocka_run_group_tests_name("session", tests, test_init, NULL);
}
