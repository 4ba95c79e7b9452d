/* SPDX-License-Identifier: BSD-2-Clause */
/* T8: disco among strangers, forgers, and nodes whose claims are not theirs (disco_world.h). */
#include "disco_world.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_and_forgeries),
		cmocka_unit_test(pongs_that_prove_nothing),
		cmocka_unit_test(call_by_udp_is_ignored),
		cmocka_unit_test(test_fault_48_peer_without_a_disco_key),
		cmocka_unit_test(test_fault_48_withdrawn_endpoints),
		cmocka_unit_test(test_fault_25_rebind_is_followed),
		cmocka_unit_test(test_fault_25_a_live_path_stays),
		cmocka_unit_test(test_fault_46_another_claims_the_disco_key),
		cmocka_unit_test(test_fault_47_a_disco_key_of_low_order),
		cmocka_unit_test(test_fault_47_a_flood_of_forgeries),
	};

	return cmocka_run_group_tests_name("tailnet_disco_attack", tests, setup, NULL);
}
