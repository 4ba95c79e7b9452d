/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole nodes in virtual time (wg_sim.h): what happens when nothing arrives, and a day of rekeys. */
#include "wg_sim.h"
#include "user/base/clock.h"

#define SEC NS_PER_SEC

/* ---- timers ---- */

static void test_W1_initiator_rekeys_after_120_s(void **state)
{
	struct sim *s = sim_connected();

	for (int i = 0; i < 118; i++) {
		sim_say(s, 0);
		sim_say(s, 1);
		sim_run(s, SEC);
	}
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 1);
	for (int i = 0; i < 4; i++) {
		sim_say(s, 0);
		sim_say(s, 1);
		sim_run(s, SEC);
	}
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 2);
	assert_int_equal(s->nodes[1].sent[MESSAGE_INITIATION], 0);
	assert_int_equal(s->nodes[0].received + s->nodes[1].received, 2 * 122 + 1);
	sim_free(s);
}

/* It sends nothing but passive keepalives, and they renew. */
static void test_W1_initiator_that_only_receives(void **state)
{
	struct sim *s = sim_connected();

	for (int i = 1; i < 163; i++) {
		sim_say(s, 1);
		sim_run(s, SEC);
	}
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 2);
	assert_int_equal(s->nodes[0].received, 162);
	sim_free(s);
}

static void test_W4_retries_and_gives_up(void **state)
{
	struct sim *s = sim_new();
	struct sim_node *n = &s->nodes[0];

	s->loss = 100;
	sim_say(s, 0);
	sim_run(s, 90 * SEC - 1);
	assert_int_equal(n->dropped_staged, 0);
	assert_in_range(n->sent[MESSAGE_INITIATION], 17, 18); /* jitter may add up to one */
	sim_run(s, 18 * REKEY_JITTER_MAX);
	assert_int_equal(n->sent[MESSAGE_INITIATION], 18);
	assert_int_equal(n->dropped_staged, 1);
	assert_int_equal(transport_find(&n->set, n->peer)->n_staged, 0);
	assert_int_equal(n->indices, 0);
	sim_run(s, 600 * SEC);
	assert_int_equal(n->sent[MESSAGE_INITIATION], 18); /* and is quiet */
	s->loss = 0;
	sim_say(s, 0); /* until there is something to say again */
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].received, 1);
	sim_free(s);
}

static void test_W4_retry_interval(void **state)
{
	struct sim *s = sim_new();
	uint64_t last = s->now;
	bool differ = false;
	uint64_t first = 0;

	s->loss = 100;
	sim_say(s, 0);
	for (unsigned n = 1; n < 18; n++) {
		uint64_t gap;

		while (s->nodes[0].sent[MESSAGE_INITIATION] == n)
			sim_run(s, NS_PER_MS);
		gap = s->now - last;
		assert_in_range(gap, 5 * SEC, 5 * SEC + REKEY_JITTER_MAX + NS_PER_MS);
		first = first ? first : gap;
		differ = differ || gap > first + 10 * NS_PER_MS || gap + 10 * NS_PER_MS < first;
		last = s->now;
	}
	assert_true(differ);
	sim_free(s);
}

static void test_W5_passive_keepalive(void **state)
{
	struct sim *s = sim_connected();

	sim_run(s, 8 * SEC); /* 9 s since the data */
	assert_int_equal(s->nodes[1].keepalives, 0);
	sim_run(s, 2 * SEC);
	assert_int_equal(s->nodes[1].keepalives, 1);
	sim_run(s, 100 * SEC); /* no answer to an answer */
	assert_int_equal(s->nodes[1].keepalives, 1);
	assert_int_equal(s->nodes[0].keepalives, 0);
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 1);
	sim_free(s);
}

static void test_W5_no_keepalive_when_answered(void **state)
{
	struct sim *s = sim_connected();

	for (int i = 0; i < 10; i++) {
		sim_say(s, 0);
		sim_run(s, 4 * SEC);
		sim_say(s, 1);
		sim_run(s, 4 * SEC);
	}
	assert_int_equal(s->nodes[0].keepalives + s->nodes[1].keepalives, 0);
	sim_free(s);
}

/* Data keeps coming and nothing goes back: one keepalive every ten seconds, not none. */
static void test_W5_keepalive_under_constant_data(void **state)
{
	struct sim *s = sim_connected();

	sim_clear_counts(s);
	for (int i = 0; i < 100; i++) {
		sim_say(s, 0);
		sim_run(s, SEC);
	}
	assert_in_range(s->nodes[1].keepalives, 9, 11);
	sim_free(s);
}

static void test_W5_new_handshake_when_unanswered(void **state)
{
	struct sim *s = sim_connected();

	s->loss = 100;
	sim_run(s, 11 * SEC); /* the passive keepalive is lost as well */
	sim_clear_counts(s);
	sim_say(s, 0);
	sim_run(s, 3 * SEC); /* 15 s after the first data that nobody answered */
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 0);
	sim_run(s, 2 * SEC);
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 1);
	s->loss = 0;
	sim_run(s, 6 * SEC);
	assert_int_equal(s->nodes[0].installed, 1);
	sim_free(s);
}

/* The peer restarted and knows no session: what it cannot open is answered by a new handshake. */
static void test_W5_peer_that_lost_its_keys(void **state)
{
	struct sim *s = sim_connected();
	uint8_t key[KEY_LEN] = {0};

	engine_set_identity(s->nodes[1].engine, key);
	engine_set_identity(s->nodes[1].engine, s->nodes[1].secret);
	sim_run(s, SEC);
	sim_clear_counts(s);
	for (int i = 0; i < 17; i++) {
		sim_say(s, 0);
		sim_run(s, SEC);
	}
	/* 1 owes an answer to the first packet, finds that it has no keys after ten seconds, and begins */
	assert_in_range(s->nodes[1].opened[OPEN_NO_SESSION], 7, 11);
	assert_true(s->nodes[1].received > 0);
	sim_free(s);
}

static void test_W5_persistent_keepalive(void **state)
{
	struct sim *s = sim_new();
	struct engine_time now = sim_time(s);

	engine_peer_set_keepalive(s->nodes[0].engine, sim_peer(s, 0), 25, &now);
	assert_int_equal(sim_peer_state(s, 0).keepalive, 25);
	sim_run(s, SEC); /* it opens the session by itself */
	assert_int_equal(s->nodes[1].opened[OPEN_KEEPALIVE], 1);
	sim_clear_counts(s);
	sim_run(s, 1000 * SEC);
	assert_in_range(s->nodes[1].opened[OPEN_KEEPALIVE], 39, 50); /* and one with each rekey */
	assert_in_range(s->nodes[0].sent[MESSAGE_INITIATION], 6, 9);
	assert_int_equal(s->nodes[1].keepalives, 0);
	now = sim_time(s);
	engine_peer_set_keepalive(s->nodes[0].engine, sim_peer(s, 0), 0, &now);
	sim_clear_counts(s);
	sim_run(s, 1000 * SEC);
	assert_int_equal(sim_all_sent(&s->nodes[0]), 0);
	sim_free(s);
}

static void test_W2_keys_go_after_540_s(void **state)
{
	struct sim *s = sim_connected();

	sim_run(s, 530 * SEC);
	assert_int_equal(s->nodes[0].indices, 1);
	assert_int_equal(s->nodes[0].cleared, 0);
	sim_run(s, 10 * SEC);
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];
		struct transport *t = transport_find(&n->set, n->peer);

		assert_int_equal(n->cleared, 1);
		assert_null(t->current);
		assert_null(t->previous);
		assert_null(t->next);
		assert_int_equal(n->indices, 0);
	}
	sim_free(s);
}

/* With nothing to do, the engine asks not to be called. */
static void test_idle_costs_nothing(void **state)
{
	struct sim *s = sim_connected();
	struct engine_time now;

	sim_run(s, 600 * SEC);
	now = sim_time(s);
	assert_true(engine_tick(s->nodes[0].engine, &now) == UINT64_MAX);
	sim_clear_counts(s);
	sim_run(s, 86400 * SEC);
	assert_int_equal(sim_all_sent(&s->nodes[0]) + sim_all_sent(&s->nodes[1]), 0);
	sim_free(s);
}

/* ---- endurance ---- */

static void test_a_day_of_rekeys(void **state)
{
	struct sim *s = sim_connected();
	const unsigned packets = 86400 / 5;

	sim_clear_counts(s);
	sim_talk(s, 86400, 5);
	assert_int_equal(s->nodes[0].received, packets);
	assert_int_equal(s->nodes[1].received, packets);
	assert_in_range(s->nodes[0].sent[MESSAGE_INITIATION], 680, 720);
	assert_int_equal(s->nodes[1].sent[MESSAGE_INITIATION], 0);
	assert_true(s->nodes[0].indices <= 3);
	sim_free(s);
}

static void test_a_bad_network(void **state)
{
	struct sim *s = sim_new();
	const unsigned packets = 7200 / 2;

	s->loss = 20;
	s->dup = 30;
	s->jitter = 300 * NS_PER_MS;
	sim_talk(s, 7200, 2);
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];

		/* 20% are lost by the network, few more by us; none arrives twice */
		assert_in_range(n->received, packets * 75 / 100, packets);
		assert_in_range(n->opened[OPEN_REPLAY], packets / 6, packets);
		assert_int_equal(n->opened[OPEN_FORGED], 0);
		assert_true(n->indices <= 4);
	}
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W1_initiator_rekeys_after_120_s),
		cmocka_unit_test(test_W1_initiator_that_only_receives),
		cmocka_unit_test(test_W4_retries_and_gives_up),
		cmocka_unit_test(test_W4_retry_interval),
		cmocka_unit_test(test_W5_passive_keepalive),
		cmocka_unit_test(test_W5_no_keepalive_when_answered),
		cmocka_unit_test(test_W5_keepalive_under_constant_data),
		cmocka_unit_test(test_W5_new_handshake_when_unanswered),
		cmocka_unit_test(test_W5_peer_that_lost_its_keys),
		cmocka_unit_test(test_W5_persistent_keepalive),
		cmocka_unit_test(test_W2_keys_go_after_540_s),
		cmocka_unit_test(test_idle_costs_nothing),
		cmocka_unit_test(test_a_day_of_rekeys),
		cmocka_unit_test(test_a_bad_network),
	};

	return cmocka_run_group_tests_name("engine_time", tests, test_init, NULL);
}
