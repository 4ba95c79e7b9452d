/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole nodes (wg_sim.h) under replay, flood, load and garbage. */
#include "wg_sim.h"

#include "user/wireguard/cookie.h"
#include "user/wireguard/noise.h"
#include "user/base/clock.h"

#define SEC NS_PER_SEC

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
	enum engine_result r = sim_input(&s->nodes[to], d->bytes, d->len, &d->from);

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
	sim_clear_counts(s);
	return s;
}

static void test_W8_replayed_initiation(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct sim_datagram d = caught;

	d.from.port = 9; /* from elsewhere */
	assert_int_equal(input(s, 1, &d), ENGINE_OLD_TIMESTAMP);
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
	assert_int_equal(s->nodes[1].installed, 0);
	assert_int_equal(sim_peer_state(s, 1).endpoint.port, s->nodes[0].self.port);
	sim_free(s);
}

static void test_W8_timestamp_survives_a_restart(void **state)
{
	struct sim *s = sim_with_caught_initiation();
	struct engine_peer_state kept = sim_peer_state(s, 1);
	uint8_t older[TIMESTAMP_LEN];
	struct garbage garbage;
	struct sim_node *n = &s->nodes[1];

	engine_peer_remove(n->engine, sim_peer(s, 1)); /* as good as a new process */
	sim_work(n);
	assert_false(transport_take_garbage(&n->set, &garbage));
	sim_introduce(s, 1, 0);
	assert_memory_not_equal(sim_peer_state(s, 1).timestamp, kept.timestamp, TIMESTAMP_LEN);
	engine_peer_restore_timestamp(sim_peer(s, 1), kept.timestamp);
	memcpy(older, kept.timestamp, TIMESTAMP_LEN);
	older[7]--;
	engine_peer_restore_timestamp(sim_peer(s, 1), older); /* does not go back */
	assert_memory_equal(sim_peer_state(s, 1).timestamp, kept.timestamp, TIMESTAMP_LEN);
	assert_int_equal(input(s, 1, &caught), ENGINE_OLD_TIMESTAMP);
	s->drop = NULL;
	sim_run(s, 10 * SEC);
	sim_say(s, 0);
	sim_run(s, 30 * SEC); /* a new one is fine */
	assert_true(s->nodes[1].installed > 0);
	sim_free(s);
}

/* A client's clock was ahead once: what is kept of it is no later than it was heard, what is accepted is not bound. */
static void test_fault_25_kept_timestamp_is_not_ahead(void **state)
{
	struct sim *s = sim_connected();
	struct engine_peer_state before;
	uint8_t kept[TIMESTAMP_LEN], same[TIMESTAMP_LEN];

	before = sim_peer_state(s, 1);
	memcpy(same, before.timestamp, TIMESTAMP_LEN);
	engine_timestamp_limit(same, sim_time(s).wall + SEC);
	assert_memory_equal(same, before.timestamp, TIMESTAMP_LEN); /* a right one stays */
	memcpy(kept, before.timestamp, TIMESTAMP_LEN);
	kept[4] += 10; /* five years */
	engine_timestamp_limit(kept, sim_time(s).wall + SEC);
	assert_true(memcmp(kept, before.timestamp, TIMESTAMP_LEN) > 0);
	engine_peer_restore_timestamp(sim_peer(s, 1), kept); /* as after a restart */
	sim_talk(s, 300, 1);
	assert_in_range(s->nodes[1].input[ENGINE_OLD_TIMESTAMP], 0, 1);
	assert_true(s->nodes[1].received > 290);
	sim_free(s);
}

static void test_W8_our_clock_goes_back(void **state)
{
	struct sim *s = sim_connected();

	s->wall_shift = -(int64_t)(1000 * SEC);
	sim_talk(s, 300, 1);
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
	struct sim_datagram d = {.to = 1, .from = s->nodes[0].self, .len = sizeof(struct message_initiation)};
	uint8_t ephemeral[KEY_LEN], stamp[TIMESTAMP_LEN] = {0x40, 0x01}; /* later than any real one */
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

	sim_set_load(s, 1, true);
	sim_say(s, 0);
	sim_run(s, SEC);
	assert_int_equal(s->nodes[1].input[ENGINE_COOKIE_SENT], 1);
	assert_int_equal(s->nodes[1].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(s->nodes[1].installed, 0);
	sim_run(s, 5 * SEC); /* the retry carries the cookie */
	assert_int_equal(s->nodes[1].input[ENGINE_OK], 1);
	assert_int_equal(s->nodes[1].received, 1);
	sim_talk(s, 300, 1); /* rekeys, too; an old cookie costs one round */
	assert_int_equal(s->nodes[1].received, 301);
	sim_free(s);
}

static void test_W9_both_under_load(void **state)
{
	struct sim *s = sim_new();

	sim_set_load(s, 0, true);
	sim_set_load(s, 1, true);
	sim_say(s, 0);
	sim_run(s, SEC); /* the cookie is asked for */
	assert_int_equal(s->nodes[1].sent[MESSAGE_COOKIE], 1);
	sim_run(s, 6 * SEC); /* a response needs none: it carries an index that only who receives our messages knows */
	assert_int_equal(s->nodes[1].received, 1);
	assert_int_equal(s->nodes[0].sent[MESSAGE_COOKIE], 0);
	sim_free(s);
}

/* An initiation under load, which is answered with a cookie. */
static struct message_cookie cookie_asked(struct forge *f, struct sim *s)
{
	struct sim_datagram d = forge_initiation(f, s), *reply;
	struct message_cookie cookie;

	assert_int_equal(input(s, 1, &d), ENGINE_COOKIE_SENT);
	reply = sim_next(s);
	memcpy(&cookie, reply->bytes, sizeof(cookie));
	reply->at = 0;
	return cookie;
}

/* An initiation that was answered with a cookie has used up nothing: the same peer's next
 * one, a millisecond later with the cookie, is neither a flood nor too many. */
static void test_W9_cookie_does_not_count(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d;
	struct message_cookie cookie;
	struct forge f;

	forge_init(&f, s);
	sim_set_load(s, 1, true);
	for (int i = 0; i < 100; i++) {
		cookie = cookie_asked(&f, s);
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

/* A cookie lives as long as the secret, which nobody can guess. */
static void test_W9_secret_is_random_and_rotates(void **state)
{
	struct cookie_checker guess;
	struct sim *s = sim_new();
	struct sim_datagram d;
	struct message_cookie cookie;
	uint8_t nonce[XNONCE_LEN] = {0};
	struct forge f;

	forge_init(&f, s);
	sim_set_load(s, 1, true);
	cookie_checker_init(&guess, s->nodes[1].public); /* its secret is zero */
	d = forge_initiation(&f, s);
	cookie_reply_write(&guess, &cookie, d.bytes, d.len, &d.from, nonce);
	assert_true(cookie_reply_read(&f.cookies, &cookie, s->now));
	cookie = cookie_asked(&f, s);
	assert_true(cookie_reply_read(&f.cookies, &cookie, s->now));
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_OK);
	s->now += 120 * SEC - 1;
	f.cookies.cookie_birth = s->now; /* it goes on using it */
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_OK);
	s->now += 1;
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_COOKIE_SENT);
	sim_free(s);
}

static bool drop_initiations_to_1(struct sim *s, const struct sim_datagram *d)
{
	return d->bytes[0] == MESSAGE_INITIATION && d->to == 1;
}

/*
 * In a flood not one initiation of a client arrives. Without load its packets wait when its keys are too old, until
 * the gateway has something to say. Under load the gateway (node 1) renews the session itself, each time, and no
 * packet waits.
 */
static void test_fault_22_under_load_the_gateway_rekeys(void **state)
{
	for (int load = 0; load < 2; load++) {
		struct sim *s = sim_connected();
		unsigned late = 0; /* seconds in which nothing arrives */

		sim_set_load(s, 1, load);
		s->drop = drop_initiations_to_1;
		for (int i = 0; i < 600; i++) {
			unsigned before = s->nodes[1].received;

			sim_say(s, 0); /* the gateway has nothing to send of itself */
			sim_run(s, SEC);
			late += s->nodes[1].received == before;
		}
		if (load) {
			assert_int_equal(late, 0);
			assert_int_equal(s->nodes[1].received, 601);
			assert_in_range(s->nodes[1].sent[MESSAGE_INITIATION], 6, 8); /* every 90 to 100 s */
			assert_int_equal(s->nodes[0].sent[MESSAGE_INITIATION], 1);
		} else {
			assert_true(late > 0);
		}
		sim_free(s);
	}
}

/* Nor does it for who has gone, or never came. */
static void test_fault_22_under_load_no_rekey_for_the_silent(void **state)
{
	struct sim *s = sim_connected();

	sim_set_load(s, 1, true);
	sim_run(s, 600 * SEC);
	assert_in_range(s->nodes[1].sent[MESSAGE_INITIATION], 0, 1);
	sim_free(s);
}

static void test_W7_rate_by_source_under_load(void **state)
{
	struct sim *s = sim_new();
	struct sim_datagram d;
	struct message_cookie cookie;
	struct forge f;

	forge_init(&f, s);
	sim_set_load(s, 1, true);
	cookie = cookie_asked(&f, s);
	assert_true(cookie_reply_read(&f.cookies, &cookie, s->now));
	d = forge_initiation(&f, s);
	assert_int_equal(input(s, 1, &d), ENGINE_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(input(s, 1, &d), ENGINE_OLD_TIMESTAMP);
	assert_int_equal(input(s, 1, &d), ENGINE_RATE_LIMITED);
	sim_set_load(s, 1, false);
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
		sim_set_load(s, 1, load);
		for (size_t len = 0; len < 300; len++) { /* every length of every type, zeros and garbage */
			for (unsigned type = 0; type < 8; type++) {
				memset(&d, 0, sizeof(d));
				d.from = s->nodes[0].self;
				d.len = len;
				if (len % 2)
					test_random_bytes(&seed, d.bytes, len);
				memcpy(d.bytes, (uint8_t[]){(uint8_t)type, 0, 0, 0}, 4);
				assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
			}
		}
		for (size_t at = 0; at < offsetof(struct message_initiation, macs.mac2); at++) { /* one bit off */
			d = caught;
			d.bytes[at] ^= 0x40;
			assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
		}
		d = caught;
		for (d.len = 0; d.len < caught.len; d.len++)
			assert_true(input(s, 1, &d) > ENGINE_COOKIE_SENT);
	}
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
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
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
	engine_set_identity(s->nodes[1].engine, (uint8_t[KEY_LEN]){0});
	assert_int_equal(input(s, 1, &d), ENGINE_NO_IDENTITY);
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
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
	assert_int_equal(sim_all_sent(&s->nodes[1]), 0);
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
	sim_clear_counts(s);
	assert_int_equal(input(s, 0, &caught), ENGINE_UNKNOWN_INDEX);
	sim_set_load(s, 0, true);
	assert_int_equal(input(s, 0, &caught), ENGINE_UNKNOWN_INDEX); /* not even a cookie */
	assert_int_equal(sim_all_sent(&s->nodes[0]), 0);
	assert_int_equal(s->nodes[0].installed, 0);
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

	sim_set_load(s, 1, true);
	s->drop = catch_cookie;
	sim_say(s, 0);
	sim_run(s, SEC);
	caught.from.port = 666;
	assert_int_equal(input(s, 0, &caught), ENGINE_OK);
	assert_int_equal(sim_peer_state(s, 0).endpoint.port, s->nodes[1].self.port);
	sim_free(s);
}

/* Forged cookies cost an opening each: of one message's answers a few are tried, and a true one among them counts. */
static void test_fault_22_forged_cookies_are_bounded(void **state)
{
	struct sim_datagram forged, real;
	struct sim *s = sim_new();

	sim_set_load(s, 1, true);
	s->drop = catch_cookie;
	sim_say(s, 0);
	sim_run(s, SEC);
	real = forged = caught;
	forged.bytes[sizeof(struct message_cookie) - 1] ^= 1;
	for (int i = 0; i < 7; i++)
		assert_int_equal(input(s, 0, &forged), ENGINE_FORGED);
	assert_int_equal(input(s, 0, &real), ENGINE_OK);
	sim_run(s, 5 * SEC); /* the next initiation has the cookie, and whether it is answered or not begins anew */
	assert_int_equal(s->nodes[1].input[ENGINE_OK], 1);
	sim_free(s);

	s = sim_new();
	sim_set_load(s, 1, true);
	s->drop = catch_cookie;
	sim_say(s, 0);
	sim_run(s, SEC);
	real = forged = caught;
	forged.bytes[sizeof(struct message_cookie) - 1] ^= 1;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(input(s, 0, &forged), i < 8 ? ENGINE_FORGED : ENGINE_RATE_LIMITED);
	assert_int_equal(input(s, 0, &real), ENGINE_RATE_LIMITED);
	sim_run(s, 5 * SEC); /* it asks again, and there is another cookie */
	real = caught;
	assert_int_equal(input(s, 0, &real), ENGINE_OK);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W8_replayed_initiation),
		cmocka_unit_test(test_W8_timestamp_survives_a_restart),
		cmocka_unit_test(test_fault_25_kept_timestamp_is_not_ahead),
		cmocka_unit_test(test_W8_our_clock_goes_back),
		cmocka_unit_test(test_W8_fifty_a_second),
		cmocka_unit_test(test_W9_cookie_then_handshake),
		cmocka_unit_test(test_W9_both_under_load),
		cmocka_unit_test(test_W9_cookie_does_not_count),
		cmocka_unit_test(test_W9_secret_is_random_and_rotates),
		cmocka_unit_test(test_fault_22_under_load_the_gateway_rekeys),
		cmocka_unit_test(test_fault_22_under_load_no_rekey_for_the_silent),
		cmocka_unit_test(test_W7_rate_by_source_under_load),
		cmocka_unit_test(test_W10_silence),
		cmocka_unit_test(test_W10_reserved_bytes),
		cmocka_unit_test(test_W10_unknown_peer),
		cmocka_unit_test(test_W11_low_order_ephemeral),
		cmocka_unit_test(test_W10_replayed_response),
		cmocka_unit_test(test_W12_cookie_reply_does_not_move_the_peer),
		cmocka_unit_test(test_fault_22_forged_cookies_are_bounded),
	};

	return cmocka_run_group_tests_name("engine_attack", tests, test_init, NULL);
}
