/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole nodes back to back in virtual time (wg_sim.h): handshakes, roaming, configuration while it runs. */
#include <errno.h>

#include "wg_sim.h"
#include "user/base/clock.h"

#define SEC NS_PER_SEC

/* ---- a handshake and its data ---- */

static void test_first_packet_arrives(void **state)
{
	struct sim *s = sim_connected();

	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 1);
	assert_int_equal(s->nodes[1].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(s->nodes[1].last_len, 100); /* without the padding */
	assert_int_equal(s->nodes[0].keepalives, 0); /* the staged packet itself confirms */
	sim_say(s, 1);				     /* and the responder knows where to, by now */
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	assert_int_equal(s->nodes[1].sent[MESSAGE_INITIATION], 0);
	assert_true(sim_peer_state(s, 0).last_handshake >= SIM_WALL);
	assert_true(sim_peer_state(s, 1).last_handshake >= SIM_WALL);
	sim_free(s);
}

static void test_W15_handshake_without_data_is_confirmed(void **state)
{
	struct sim *s = sim_new();
	struct engine_time now = sim_time(s);

	engine_initiate(s->nodes[0].engine, s->nodes[0].peer, &now);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].keepalives, 1);
	assert_int_equal(s->nodes[1].opened[OPEN_KEEPALIVE], 1);
	assert_true(sim_peer_state(s, 1).last_handshake != 0);
	sim_free(s);
}

static bool drop_data(struct sim *s, const struct sim_datagram *d)
{
	return d->bytes[0] == MESSAGE_DATA;
}

static void test_W15_responder_is_silent_until_data(void **state)
{
	struct sim *s = sim_new();

	s->drop = drop_data;
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].installed, 1);
	assert_int_equal(sim_peer_state(s, 1).endpoint.port, s->nodes[0].self.port); /* W12: by the initiation */
	assert_int_equal(sim_peer_state(s, 1).last_handshake, 0);		     /* nobody confirmed it */
	sim_say(s, 1);
	assert_int_equal(s->nodes[1].sent[MESSAGE_DATA], 0);
	s->drop = NULL;
	sim_say(s, 0);
	sim_run(s, SEC); /* now what 1 had waiting goes, too */
	assert_int_equal(s->nodes[1].received, 1);
	assert_int_equal(s->nodes[0].received, 1);
	sim_free(s);
}

/* Both begin at the same time: nobody waits for a retry. */
static void test_crossing_initiations(void **state)
{
	struct sim *s = sim_new();

	engine_peer_set_endpoint(s->nodes[1].engine, sim_peer(s, 1), &s->nodes[0].self);
	sim_settle(s);
	sim_say(s, 0);
	sim_say(s, 1);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	assert_int_equal(s->nodes[1].received, 1);
	for (int i = 0; i < 20; i++) {
		sim_say(s, i % 2);
		sim_run(s, SEC);
	}
	assert_int_equal(s->nodes[0].received, 11);
	assert_int_equal(s->nodes[1].received, 11);
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION] + s->nodes[1].sent[MESSAGE_INITIATION], 2);
	sim_free(s);
}

/* Packets that wait for an endpoint go when it is set. */
static void test_endpoint_set_late(void **state)
{
	struct sim *s = sim_new();

	sim_say(s, 1);
	sim_run(s, SEC);
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
	engine_peer_set_endpoint(s->nodes[1].engine, sim_peer(s, 1), &s->nodes[0].self);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	sim_free(s);
}

static void test_W17_all_families(void **state)
{
	static const char *const outside[][2] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};

	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		struct sim *s = sim_new();
		struct addr seen;
		uint8_t p[100];

		for (int n = 0; n < SIM_NODES; n++)
			s->nodes[n].self.addr = sim_prefix(outside[i][n]).addr;
		engine_peer_set_endpoint(s->nodes[0].engine, sim_peer(s, 0), &s->nodes[1].self);
		sim_settle(s);
		sim_say(s, 0);
		sim_packet6(p, 1, 2, 0, sizeof(p));
		sim_say_packet(s, 0, p, sizeof(p));
		sim_run(s, SEC);
		assert_int_equal(s->nodes[1].received, 2);
		assert_memory_equal(s->nodes[1].last, p, sizeof(p));
		/* answers leave from the address the question came to */
		seen = sim_peer_state(s, 1).endpoint.local;
		assert_memory_equal(&seen, &s->nodes[1].self.addr, sizeof(seen));
		sim_free(s);
	}
}

/* A response that comes within the first milliseconds is as good as any. */
static void test_quick_response(void **state)
{
	struct sim *s = sim_new();

	s->delay = 0;
	sim_say(s, 0);
	sim_run(s, NS_PER_MS);
	assert_int_equal(s->nodes[1].received, 1);
	sim_free(s);
}

static void test_W12_roaming_both_ways(void **state)
{
	struct sim *s = sim_connected();
	struct addr seen;

	s->nodes[0].self.port = 4000; /* its NAT gives it another one */
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(sim_peer_state(s, 1).endpoint.port, 4000);
	sim_say(s, 1);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	s->nodes[0].self.addr = sim_prefix("2001:db8::7").addr;
	sim_talk(s, 130, 1); /* across a rekey */
	seen = sim_peer_state(s, 1).endpoint.addr;
	assert_memory_equal(&seen, &s->nodes[0].self.addr, sizeof(seen));
	assert_int_equal(s->nodes[0].received, 130); /* the first went to the old address */
	sim_free(s);
}

/* ---- configuration while it runs ---- */

static void set_psk(struct sim *s, int at, uint8_t fill)
{
	struct engine_time now = sim_time(s);
	uint8_t psk[KEY_LEN];

	memset(psk, fill, KEY_LEN);
	engine_peer_set_psk(s->nodes[at].engine, sim_peer(s, at), psk, &now);
	sim_work(&s->nodes[at]);
}

static void test_W16_psk_changed_live(void **state)
{
	struct sim *s = sim_connected();

	sim_run(s, 6 * SEC);
	sim_clear_counts(s);
	set_psk(s, 1, 7);
	assert_int_equal(s->nodes[1].sent[MESSAGE_INITIATION], 1); /* at once */
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].installed, 0); /* the other side has the old one still */
	assert_int_equal(s->nodes[1].input[ENGINE_FORGED], 1);
	set_psk(s, 0, 7);
	sim_run(s, 10 * SEC);
	assert_true(s->nodes[0].installed + s->nodes[1].installed >= 2);
	assert_true(sim_peer_state(s, 0).has_psk);
	sim_clear_counts(s);
	sim_talk(s, 10, 1);
	assert_int_equal(s->nodes[0].received + s->nodes[1].received, 20);
	set_psk(s, 0, 7); /* the same: nothing happens */
	assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 0);
	sim_free(s);
}

static void test_W16_psk_mismatch_means_no_session(void **state)
{
	struct sim *s = sim_new();

	set_psk(s, 1, 7);
	sim_say(s, 0);
	sim_run(s, 100 * SEC);
	assert_int_equal(s->nodes[0].installed, 0);
	assert_int_equal(s->nodes[1].received, 0);
	sim_free(s);
}

/* Nothing of a removed peer is due. */
static void test_W16_removed_peers_have_no_timers(void **state)
{
	struct sim *s = sim_connected();
	struct engine_time now;

	sim_say(s, 0);
	engine_peer_remove(s->nodes[0].engine, sim_peer(s, 0));
	now = sim_time(s);
	assert_true(engine_tick(s->nodes[0].engine, &now) == UINT64_MAX);
	sim_run(s, 600 * SEC);
	sim_free(s);
}

static void test_W16_remove_and_add_again(void **state)
{
	struct sim *s = sim_connected();
	uint32_t id = s->nodes[1].peer;

	engine_peer_remove(s->nodes[1].engine, sim_peer(s, 1));
	assert_null(engine_peer(s->nodes[1].engine, s->nodes[0].public));
	assert_int_equal(engine_peer_count(s->nodes[1].engine), 0);
	/* the worker has not let go: the id stays taken */
	sim_introduce(s, 1, 0);
	assert_int_not_equal(s->nodes[1].peer, id);
	sim_settle(s);
	sim_say(s, 0); /* on a session that is gone */
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].received, 1);
	assert_int_equal(s->nodes[1].opened[OPEN_NO_SESSION], 1);
	sim_run(s, 20 * SEC);
	sim_say(s, 0);
	sim_run(s, 20 * SEC);
	assert_in_range(s->nodes[1].received, 2, 3);
	sim_free(s);
}

static void test_W16_allowed_ips_last_writer_wins(void **state)
{
	struct sim *s = sim_connected();
	struct sim_node *n = &s->nodes[1];
	uint8_t stranger[KEY_LEN] = {9, 9};
	struct peer *other = engine_peer_add(n->engine, stranger);
	struct prefix p = sim_prefix("10.0.0.1");
	const void *cursor = NULL;

	assert_non_null(other);
	assert_true(engine_peer_allow(n->engine, other, &p));
	assert_true(engine_publish_allowed(n->engine));
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(n->opened[OPEN_WRONG_SOURCE], 1);
	assert_non_null(engine_peer_each_allowed(n->engine, sim_peer(s, 1), &cursor)); /* fd00::1 stays */
	assert_null(engine_peer_each_allowed(n->engine, sim_peer(s, 1), &cursor));
	assert_true(engine_peer_allow(n->engine, sim_peer(s, 1), &p));
	assert_true(engine_publish_allowed(n->engine));
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(n->received, 2);
	sim_free(s);
}

static void test_peer_add_refusals(void **state)
{
	struct sim *s = sim_new();
	struct engine *e = s->nodes[0].engine;

	assert_null(engine_peer_add(e, s->nodes[1].public));
	assert_int_equal(errno, EEXIST);
	assert_null(engine_peer_add(e, s->nodes[0].public));
	assert_int_equal(errno, EINVAL);
	/* becoming one of one's own peers removes it */
	engine_set_identity(e, s->nodes[1].secret);
	assert_int_equal(engine_peer_count(e), 0);
	sim_free(s);
}

static void test_new_identity_ends_sessions(void **state)
{
	struct sim *s = sim_connected();
	uint8_t secret[KEY_LEN] = {5};

	engine_set_identity(s->nodes[0].engine, s->nodes[0].secret); /* the same one */
	sim_settle(s);
	assert_int_equal(s->nodes[0].cleared, 0);
	engine_set_identity(s->nodes[0].engine, secret);
	sim_settle(s);
	assert_int_equal(s->nodes[0].indices, 0);
	sim_say(s, 0);
	sim_run(s, 5 * SEC); /* the last initiation was a second ago */
	assert_int_equal(s->nodes[1].input[ENGINE_UNKNOWN_PEER], 1);
	sim_free(s);
}

/* ---- many ---- */

static void test_many_idle_peers(void **state)
{
	enum { PEERS = 2000 }; /* each costs one X25519; 10,000 behave the same */
	struct sim *s = sim_new();
	struct sim_node *n = &s->nodes[0];
	struct engine_time now = sim_time(s);
	uint8_t public[KEY_LEN] = {0};

	for (uint32_t i = 0; i < PEERS; i++) {
		struct peer *p;

		memcpy(public, &i, sizeof(i));
		public[8] = 1;
		p = engine_peer_add(n->engine, public);
		assert_non_null(p);
		assert_ptr_equal(engine_peer(n->engine, public), p);
		assert_ptr_equal(engine_peer_by_id(n->engine, engine_peer_id(p)), p);
		if (n->n_commands == ARRAY_LEN(n->commands))
			sim_work(n);
	}
	assert_int_equal(engine_peer_count(n->engine), PEERS + 1);
	assert_true(engine_tick(n->engine, &now) == UINT64_MAX);
	sim_work(n);
	for (struct peer *p = engine_peer_next(n->engine, NULL), *next; p; p = next) {
		next = engine_peer_next(n->engine, p);
		engine_peer_remove(n->engine, p);
		sim_work(n);
	}
	assert_int_equal(engine_peer_count(n->engine), 0);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_packet_arrives),
		cmocka_unit_test(test_W15_handshake_without_data_is_confirmed),
		cmocka_unit_test(test_W15_responder_is_silent_until_data),
		cmocka_unit_test(test_crossing_initiations),
		cmocka_unit_test(test_endpoint_set_late),
		cmocka_unit_test(test_W17_all_families),
		cmocka_unit_test(test_quick_response),
		cmocka_unit_test(test_W12_roaming_both_ways),
		cmocka_unit_test(test_W16_psk_changed_live),
		cmocka_unit_test(test_W16_psk_mismatch_means_no_session),
		cmocka_unit_test(test_W16_removed_peers_have_no_timers),
		cmocka_unit_test(test_W16_remove_and_add_again),
		cmocka_unit_test(test_W16_allowed_ips_last_writer_wins),
		cmocka_unit_test(test_peer_add_refusals),
		cmocka_unit_test(test_new_identity_ends_sessions),
		cmocka_unit_test(test_many_idle_peers),
	};

	return cmocka_run_group_tests_name("engine", tests, test_init, NULL);
}
