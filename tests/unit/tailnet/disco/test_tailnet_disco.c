/* SPDX-License-Identifier: BSD-2-Clause */
/* T8: disco between two nodes (disco_world.h): its messages, and how a straight path is found, kept and lost. */
#include "disco_world.h"

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
		cmocka_unit_test(answered_where_it_came),
		cmocka_unit_test(asked_ping),
		cmocka_unit_test(peers_change),
		cmocka_unit_test(candidates_are_bounded),
		cmocka_unit_test(unreachable_candidates),
	};

	return cmocka_run_group_tests_name("tailnet_disco", tests, setup, NULL);
}
