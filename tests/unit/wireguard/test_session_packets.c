/* SPDX-License-Identifier: BSD-2-Clause */
/* The data path without handshakes (session_bench.h): W6, W10, W12 to W14, RFC 6040: what is in a message. */
#include "session_bench.h"

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

/* An obfuscator beside the gateway (udp2raw) speaks from loopback to loopback; by a NIC nobody does. */
static void test_fault_45_a_proxy_on_this_host(void **state)
{
	static const struct {
		const char *from, *local;
		uint16_t port;
		bool may;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1", 7, true},  {"::1", "::1", 7, true},
		{"127.0.0.9", "127.0.0.1", 7, true},  {"127.0.0.1", "192.0.2.1", 7, false},
		{"::1", "2001:db8::1", 7, false},     {"127.0.0.1", "::", 7, false},
		{"127.0.0.9", "127.0.0.1", 9, false}, {"::1", "::1", 9, false},
		{"127.0.0.1", "127.0.0.1", 0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct endpoint from = {.addr = sim_prefix(cases[i].from).addr,
					.local = sim_prefix(cases[i].local).addr,
					.port = cases[i].port};
		struct bench b;

		setup(&b);
		b.set.outside = true;
		b.set.port = 9;
		assert_int_equal(transport_may_be_at(&b.set, b.allowed, &from), cases[i].may);
		teardown(&b);
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
		cmocka_unit_test(test_W6_replay_after_authentication),
		cmocka_unit_test(test_W10_hostile_lengths_and_indices),
		cmocka_unit_test(test_W12_roaming),
		cmocka_unit_test(test_fault_45_no_peer_is_inside_the_tunnel),
		cmocka_unit_test(test_fault_45_own_address_and_relay),
		cmocka_unit_test(test_fault_45_a_proxy_on_this_host),
		cmocka_unit_test(test_W13_inner_source),
		cmocka_unit_test(test_broken_inner_packets),
		cmocka_unit_test(test_W14_padding),
		cmocka_unit_test(test_W14_batch_is_contiguous),
		cmocka_unit_test(test_W14_ecn_on_open),
	};

	return cmocka_run_group_tests_name("session_packets", tests, test_init, NULL);
}
