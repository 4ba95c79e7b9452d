/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole nodes back to back in virtual time (wg_sim.h): handshakes, timers, loss,
 * attacks, and a day of rekeys.
 */
#include "wg_sim.h"

#include <errno.h>

#include "user/cookie.h"
#include "user/noise.h"

#define SEC NS_PER_SEC

static struct engine_peer_state peer_state(struct sim *s, int at)
{
	struct engine_peer_state state;

	engine_peer_state(s->nodes[at].engine, sim_peer(s, at), &state);
	return state;
}

static void clear_counts(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_node *n = &s->nodes[i];

		memset(n->sent, 0, sizeof(n->sent));
		memset(n->input, 0, sizeof(n->input));
		memset(n->opened, 0, sizeof(n->opened));
		n->keepalives = n->received = n->installed = n->cleared = n->dropped_staged = 0;
	}
}

static unsigned all_sent(const struct sim_node *n)
{
	return n->sent[1] + n->sent[2] + n->sent[3] + n->sent[4];
}

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
	assert_true(peer_state(s, 0).last_handshake >= SIM_WALL);
	assert_true(peer_state(s, 1).last_handshake >= SIM_WALL);
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
	assert_true(peer_state(s, 1).last_handshake != 0);
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
	assert_int_equal(peer_state(s, 1).last_handshake, 0); /* nobody confirmed it */
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
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	engine_peer_set_endpoint(s->nodes[1].engine, sim_peer(s, 1), &s->nodes[0].self);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	sim_free(s);
}

static void test_W17_all_families(void **state)
{
	static const char *const outside[][2] = { { "192.0.2.1", "192.0.2.2" },
						  { "2001:db8::1", "2001:db8::2" } };

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
		seen = peer_state(s, 1).endpoint.local;
		assert_memory_equal(&seen, &s->nodes[1].self.addr, sizeof(seen));
		sim_free(s);
	}
}

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

/* The initiator only receives: it renews at 165 s. */
static void test_W1_rekey_on_receive(void **state)
{
	struct sim *s = sim_connected();

	for (int i = 1; i < 163; i++) {
		sim_say(s, 1);
		sim_run(s, SEC);
	}
	/* passive keepalives count as sending, but not as data: they did renew at 120 s */
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

	clear_counts(s);
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
	clear_counts(s);
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
	uint8_t key[KEY_LEN] = { 0 };

	engine_set_identity(s->nodes[1].engine, key);
	engine_set_identity(s->nodes[1].engine, s->nodes[1].secret);
	sim_run(s, SEC);
	clear_counts(s);
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
	assert_int_equal(peer_state(s, 0).keepalive, 25);
	sim_run(s, SEC); /* it opens the session by itself */
	assert_int_equal(s->nodes[1].opened[OPEN_KEEPALIVE], 1);
	clear_counts(s);
	sim_run(s, 1000 * SEC);
	assert_in_range(s->nodes[1].opened[OPEN_KEEPALIVE], 39, 50); /* and one with each rekey */
	assert_in_range(s->nodes[0].sent[MESSAGE_INITIATION], 6, 9);
	assert_int_equal(s->nodes[1].keepalives, 0);
	now = sim_time(s);
	engine_peer_set_keepalive(s->nodes[0].engine, sim_peer(s, 0), 0, &now);
	clear_counts(s);
	sim_run(s, 1000 * SEC);
	assert_int_equal(all_sent(&s->nodes[0]), 0);
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
	clear_counts(s);
	sim_run(s, 86400 * SEC);
	assert_int_equal(all_sent(&s->nodes[0]) + all_sent(&s->nodes[1]), 0);
	sim_free(s);
}

/* ---- endurance ---- */

static void talk(struct sim *s, unsigned seconds, unsigned every)
{
	for (unsigned i = 0; i < seconds; i += every) {
		sim_say(s, 0);
		sim_say(s, 1);
		sim_run(s, every * SEC);
	}
}

static void test_a_day_of_rekeys(void **state)
{
	struct sim *s = sim_connected();
	const unsigned packets = 86400 / 5;

	clear_counts(s);
	talk(s, 86400, 5);
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
	talk(s, 7200, 2);
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

/* ---- timestamps and rates ---- */

static struct sim_datagram caught; /* by a test's drop function */

static bool catch_initiation(struct sim *s, const struct sim_datagram *d)
{
	if (d->bytes[0] == MESSAGE_INITIATION && d->to == 1) {
		caught = *d;
		caught.from.local = s->nodes[1].self.addr;
	}
	return false;
}

static enum engine_result input(struct sim *s, int to, const struct sim_datagram *d)
{
	struct engine_time now = sim_time(s);
	enum engine_result r = engine_input(s->nodes[to].engine, d->bytes, d->len, &d->from, &now);

	sim_work(&s->nodes[to]);
	return r;
}

static struct sim *sim_with_caught_initiation(void)
{
	struct sim *s = sim_new();

	s->drop = catch_initiation;
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].received, 1);
	clear_counts(s);
	return s;
}

static void test_W8_replayed_initiation(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct sim_datagram d = caught;

	d.from.port = 9; /* from elsewhere */
	assert_int_equal(input(s, 1, &d), ENGINE_OLD_TIMESTAMP);
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	assert_int_equal(s->nodes[1].installed, 0);
	assert_int_equal(peer_state(s, 1).endpoint.port, s->nodes[0].self.port);
	sim_free(s);
}

static void test_W8_timestamp_survives_a_restart(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct engine_peer_state kept = peer_state(s, 1);
	uint8_t older[TIMESTAMP_LEN];
	struct garbage garbage;
	struct sim_node *n = &s->nodes[1];

	engine_peer_remove(n->engine, sim_peer(s, 1)); /* as good as a new process */
	sim_work(n);
	assert_false(transport_take_garbage(&n->set, &garbage));
	sim_introduce(s, 1, 0);
	assert_memory_not_equal(peer_state(s, 1).timestamp, kept.timestamp, TIMESTAMP_LEN);
	engine_peer_restore_timestamp(sim_peer(s, 1), kept.timestamp);
	memcpy(older, kept.timestamp, TIMESTAMP_LEN);
	older[7]--;
	engine_peer_restore_timestamp(sim_peer(s, 1), older); /* does not go back */
	assert_memory_equal(peer_state(s, 1).timestamp, kept.timestamp, TIMESTAMP_LEN);
	assert_int_equal(input(s, 1, &caught), ENGINE_OLD_TIMESTAMP);
	s->drop = NULL;
	sim_run(s, 10 * SEC);
	sim_say(s, 0);
	sim_run(s, 30 * SEC); /* a new one is fine */
	assert_true(s->nodes[1].installed > 0);
	sim_free(s);
}

static void test_W8_our_clock_goes_back(void **state)
{
	struct sim *s = sim_connected();

	s->wall_shift = -(int64_t)(1000 * SEC);
	talk(s, 300, 1);
	assert_int_equal(s->nodes[1].input[ENGINE_OLD_TIMESTAMP], 0);
	assert_in_range(s->nodes[0].sent[MESSAGE_INITIATION], 3, 4);
	assert_int_equal(s->nodes[1].received, 301);
	sim_free(s);
}

/* Initiations of node 0's key, made by hand with any timestamp. */
struct forge {
	struct noise_identity id;
	struct noise_peer peer;
	struct cookie_maker cookies;
	uint64_t seed;
	uint64_t stamp;
};

static void forge_init(struct forge *f, struct sim *s)
{
	memset(f, 0, sizeof(*f));
	f->seed = 99;
	noise_identity_init(&f->id, s->nodes[0].secret);
	assert_true(noise_peer_init(&f->peer, s->nodes[1].public, &f->id));
	cookie_maker_init(&f->cookies, s->nodes[1].public);
}

static struct sim_datagram forge_initiation(struct forge *f, struct sim *s)
{
	struct sim_datagram d = { .to = 1,
				  .from = s->nodes[0].self,
				  .len = sizeof(struct message_initiation) };
	uint8_t ephemeral[KEY_LEN], stamp[TIMESTAMP_LEN] = { 0x40, 0x01 }; /* later than any real one */
	struct message_initiation m;
	struct noise_state state;
	uint64_t n = htobe64(++f->stamp);

	memcpy(stamp + 4, &n, sizeof(n));
	test_random_bytes(&f->seed, ephemeral, KEY_LEN);
	assert_true(noise_initiation_write(&state, &m, &f->id, &f->peer, 77, ephemeral, stamp));
	cookie_macs_write(&f->cookies, &m, sizeof(m), s->now);
	memcpy(d.bytes, &m, sizeof(m));
	return d;
}

static void test_W8_fifty_a_second(void **state)
{
	struct sim *s = sim_new();
	struct forge f;
	unsigned ok = 0, flood = 0;

	forge_init(&f, s);
	for (int i = 0; i < 500; i++) { /* one every 4 ms for 2 s */
		struct sim_datagram d = forge_initiation(&f, s);
		enum engine_result r = input(s, 1, &d);

		ok += r == ENGINE_OK;
		flood += r == ENGINE_FLOOD;
		s->now += 4 * NS_PER_MS;
	}
	assert_in_range(ok, 99, 101);
	assert_int_equal(ok + flood, 500);
	assert_int_equal(s->nodes[1].sent[MESSAGE_RESPONSE], ok);
	assert_true(s->nodes[1].indices <= 3); /* sessions that are replaced are given back */
	sim_free(s);
}

/* ---- under load ---- */

static void test_W9_cookie_then_handshake(void **state)
{
	struct sim *s = sim_new();

	engine_set_under_load(s->nodes[1].engine, true);
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].input[ENGINE_COOKIE_SENT], 1);
	assert_int_equal(s->nodes[1].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(s->nodes[1].installed, 0);
	sim_run(s, 5 * SEC); /* the retry carries the cookie */
	assert_int_equal(s->nodes[1].input[ENGINE_OK], 1);
	assert_int_equal(s->nodes[1].received, 1);
	talk(s, 300, 1); /* rekeys, too; an old cookie costs one round */
	assert_int_equal(s->nodes[1].received, 301);
	sim_free(s);
}

static void test_W9_both_under_load(void **state)
{
	struct sim *s = sim_new();

	engine_set_under_load(s->nodes[0].engine, true);
	engine_set_under_load(s->nodes[1].engine, true);
	sim_say(s, 0);
	sim_run(s, 60 * SEC); /* the response has to carry a cookie as well */
	assert_int_equal(s->nodes[1].received, 1);
	assert_true(s->nodes[0].sent[MESSAGE_COOKIE] > 0);
	sim_free(s);
}

/* An initiation that was answered with a cookie has used up nothing: the same peer's next
 * one, a millisecond later with the cookie, is neither a flood nor too many. */
static void test_W9_cookie_does_not_count(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d, *reply;
	struct message_cookie cookie;
	struct forge f;

	forge_init(&f, s);
	engine_set_under_load(s->nodes[1].engine, true);
	for (int i = 0; i < 100; i++) {
		d = forge_initiation(&f, s);
		assert_int_equal(input(s, 1, &d), ENGINE_COOKIE_SENT);
		reply = sim_next(s);
		memcpy(&cookie, reply->bytes, sizeof(cookie));
		reply->at = 0;
	}
	assert_true(cookie_reply_read(&f.cookies, &cookie, s->now));
	s->now += NS_PER_MS;
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_OK);
	d = forge_initiation(&f, s); /* W8 holds with a cookie, too */
	assert_int_equal(input(s, 1, &d), ENGINE_FLOOD);
	d.from.port++; /* and the cookie for this port only */
	assert_int_equal(input(s, 1, &d), ENGINE_COOKIE_SENT);
	sim_free(s);
}

static void test_W7_rate_by_source_under_load(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d, *reply;
	struct message_cookie cookie;
	struct forge f;

	forge_init(&f, s);
	engine_set_under_load(s->nodes[1].engine, true);
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_COOKIE_SENT);
	reply = sim_next(s);
	memcpy(&cookie, reply->bytes, sizeof(cookie));
	reply->at = 0;
	assert_true(cookie_reply_read(&f.cookies, &cookie, s->now));
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(input(s, 1, &d), ENGINE_OLD_TIMESTAMP);
	assert_int_equal(input(s, 1, &d), ENGINE_RATE_LIMITED);
	engine_set_under_load(s->nodes[1].engine, false);
	assert_int_equal(input(s, 1, &d), ENGINE_OLD_TIMESTAMP);
	sim_free(s);
}

/* ---- hostile input ---- */

static void test_W10_silence(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct sim_datagram d;
	uint64_t seed = 4;

	for (int load = 0; load < 2; load++) {
		engine_set_under_load(s->nodes[1].engine, load);
		for (size_t len = 0; len < 300; len++) { /* every length of every type, zeros and garbage */
			for (unsigned type = 0; type < 8; type++) {
				memset(&d, 0, sizeof(d));
				d.from = s->nodes[0].self;
				d.len = len;
				if (len % 2)
					test_random_bytes(&seed, d.bytes, len);
				memcpy(d.bytes, (uint8_t[]){ (uint8_t)type, 0, 0, 0 }, 4);
				assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
			}
		}
		for (size_t at = 0; at < offsetof(struct message_initiation, macs.mac2);
		     at++) { /* one bit off */
			d = caught;
			d.bytes[at] ^= 0x40;
			assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
		}
		d = caught;
		for (d.len = 0; d.len < caught.len; d.len++)
			assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
	}
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	assert_int_equal(s->nodes[1].installed, 0);
	assert_int_equal(s->nodes[1].indices, 1);
	sim_free(s);
}

static void test_W10_reserved_bytes(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct sim_datagram d;

	for (int i = 1; i < 4; i++) {
		d = caught;
		d.bytes[i] = 1;
		assert_int_equal(input(s, 1, &d), ENGINE_BAD_TYPE);
	}
	sim_free(s);
}

static void test_W10_unknown_peer(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d;
	struct forge f;

	forge_init(&f, s);
	f.id.secret[5] ^= 1;
	noise_identity_init(&f.id, f.id.secret);
	assert_true(noise_peer_init(&f.peer, s->nodes[1].public, &f.id));
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_UNKNOWN_PEER);
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	engine_set_identity(s->nodes[1].engine, (uint8_t[KEY_LEN]){ 0 });
	assert_int_equal(input(s, 1, &d), ENGINE_NO_IDENTITY);
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	sim_free(s);
}

static void test_W11_low_order_ephemeral(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d;
	struct forge f;

	forge_init(&f, s);
	d = forge_initiation(&f, s);
	memset(d.bytes + offsetof(struct message_initiation, ephemeral), 0, KEY_LEN);
	cookie_macs_write(&f.cookies, d.bytes, d.len, s->now);
	assert_int_equal(input(s, 1, &d), ENGINE_FORGED);
	assert_int_equal(all_sent(&s->nodes[1]), 0);
	sim_free(s);
}

static bool catch_response(struct sim *s, const struct sim_datagram *d)
{
	if (d->bytes[0] == MESSAGE_RESPONSE)
		caught = *d;
	return false;
}

static void test_W10_replayed_response(void **state)
{
	struct sim *s = sim_new();

	s->drop = catch_response;
	sim_say(s, 0);
	sim_run(s, SEC);
	clear_counts(s);
	assert_int_equal(input(s, 0, &caught), ENGINE_UNKNOWN_INDEX);
	engine_set_under_load(s->nodes[0].engine, true);
	assert_int_equal(input(s, 0, &caught), ENGINE_UNKNOWN_INDEX); /* not even a cookie */
	assert_int_equal(all_sent(&s->nodes[0]), 0);
	assert_int_equal(s->nodes[0].installed, 0);
	sim_free(s);
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

static bool catch_cookie(struct sim *s, const struct sim_datagram *d)
{
	if (d->bytes[0] == MESSAGE_COOKIE)
		caught = *d;
	return d->bytes[0] == MESSAGE_COOKIE;
}

static void test_W12_cookie_reply_does_not_move_the_peer(void **state)
{
	struct sim *s = sim_new();

	engine_set_under_load(s->nodes[1].engine, true);
	s->drop = catch_cookie;
	sim_say(s, 0);
	sim_run(s, SEC);
	caught.from.port = 666;
	assert_int_equal(input(s, 0, &caught), ENGINE_OK);
	assert_int_equal(peer_state(s, 0).endpoint.port, s->nodes[1].self.port);
	sim_free(s);
}

static void test_W12_roaming_both_ways(void **state)
{
	struct sim *s = sim_connected();
	struct addr seen;

	s->nodes[0].self.port = 4000; /* its NAT gives it another one */
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(peer_state(s, 1).endpoint.port, 4000);
	sim_say(s, 1);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[0].received, 1);
	s->nodes[0].self.addr = sim_prefix("2001:db8::7").addr;
	talk(s, 130, 1); /* across a rekey */
	seen = peer_state(s, 1).endpoint.addr;
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
	clear_counts(s);
	set_psk(s, 1, 7);
	assert_int_equal(s->nodes[1].sent[MESSAGE_INITIATION], 1); /* at once */
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].installed, 0); /* the other side has the old one still */
	assert_int_equal(s->nodes[1].input[ENGINE_FORGED], 1);
	set_psk(s, 0, 7);
	sim_run(s, 10 * SEC);
	assert_true(s->nodes[0].installed + s->nodes[1].installed >= 2);
	assert_true(peer_state(s, 0).has_psk);
	clear_counts(s);
	talk(s, 10, 1);
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
	uint8_t stranger[KEY_LEN] = { 9, 9 };
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
	uint8_t secret[KEY_LEN] = { 5 };

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

static void test_ten_thousand_idle_peers(void **state)
{
	enum { PEERS = 2000 }; /* each costs one X25519; 10,000 behave the same */
	struct sim *s = sim_new();
	struct sim_node *n = &s->nodes[0];
	struct engine_time now = sim_time(s);
	uint8_t public[KEY_LEN] = { 0 };

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
		cmocka_unit_test(test_quick_response),
		cmocka_unit_test(test_crossing_initiations),
		cmocka_unit_test(test_endpoint_set_late),
		cmocka_unit_test(test_W1_initiator_rekeys_after_120_s),
		cmocka_unit_test(test_W1_rekey_on_receive),
		cmocka_unit_test(test_W2_keys_go_after_540_s),
		cmocka_unit_test(test_W4_retries_and_gives_up),
		cmocka_unit_test(test_W4_retry_interval),
		cmocka_unit_test(test_W5_passive_keepalive),
		cmocka_unit_test(test_W5_no_keepalive_when_answered),
		cmocka_unit_test(test_W5_keepalive_under_constant_data),
		cmocka_unit_test(test_W5_new_handshake_when_unanswered),
		cmocka_unit_test(test_W5_peer_that_lost_its_keys),
		cmocka_unit_test(test_W5_persistent_keepalive),
		cmocka_unit_test(test_W7_rate_by_source_under_load),
		cmocka_unit_test(test_W8_replayed_initiation),
		cmocka_unit_test(test_W8_timestamp_survives_a_restart),
		cmocka_unit_test(test_W8_our_clock_goes_back),
		cmocka_unit_test(test_W8_fifty_a_second),
		cmocka_unit_test(test_W9_cookie_then_handshake),
		cmocka_unit_test(test_W9_both_under_load),
		cmocka_unit_test(test_W9_cookie_does_not_count),
		cmocka_unit_test(test_W10_silence),
		cmocka_unit_test(test_W10_reserved_bytes),
		cmocka_unit_test(test_W10_unknown_peer),
		cmocka_unit_test(test_W10_replayed_response),
		cmocka_unit_test(test_W11_low_order_ephemeral),
		cmocka_unit_test(test_W12_cookie_reply_does_not_move_the_peer),
		cmocka_unit_test(test_W12_roaming_both_ways),
		cmocka_unit_test(test_W15_handshake_without_data_is_confirmed),
		cmocka_unit_test(test_W15_responder_is_silent_until_data),
		cmocka_unit_test(test_W16_psk_changed_live),
		cmocka_unit_test(test_W16_psk_mismatch_means_no_session),
		cmocka_unit_test(test_W16_remove_and_add_again),
		cmocka_unit_test(test_W16_allowed_ips_last_writer_wins),
		cmocka_unit_test(test_W17_all_families),
		cmocka_unit_test(test_peer_add_refusals),
		cmocka_unit_test(test_new_identity_ends_sessions),
		cmocka_unit_test(test_idle_costs_nothing),
		cmocka_unit_test(test_a_day_of_rekeys),
		cmocka_unit_test(test_a_bad_network),
		cmocka_unit_test(test_ten_thousand_idle_peers),
	};

	return cmocka_run_group_tests_name("engine", tests, test_init, NULL);
}
