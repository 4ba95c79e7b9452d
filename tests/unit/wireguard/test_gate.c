/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate in front of handshakes (fault 22): what strangers get, and that they take nothing from others. */
#include <arpa/inet.h>

#include "wg_test.h"

#include "user/wireguard/gate.h"
#include "user/base/clock.h"

#define T0 (1000 * NS_PER_SEC)

struct scene {
	struct gate_keys keys;
	struct gate_load load;
	struct ratelimit *sources;
	struct cookie_maker maker; /* of a client that means well */
	struct endpoint client;
	uint8_t public[KEY_LEN];
	uint64_t now, seed;
};

static void renew(struct scene *s)
{
	uint8_t secret[KEY_LEN];

	test_random_bytes(&s->seed, secret, sizeof(secret));
	if (gate_keys_stale(&s->keys, s->now))
		gate_keys_renew(&s->keys, secret, s->now);
}

static struct scene *set_scene(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->now = T0;
	s->seed = 7;
	memset(s->public, 0x42, KEY_LEN);
	gate_keys_init(&s->keys, s->public, true);
	cookie_maker_init(&s->maker, s->public);
	s->sources = ratelimit_new(s->public);
	s->client = (struct endpoint){.addr = addr_from_v4(htonl(0xc0000201)), .port = 5};
	renew(s);
	return s;
}

static void end_scene(struct scene *s)
{
	ratelimit_free(s->sources);
	free(s);
}

static enum engine_result judge(struct scene *s, const void *msg, size_t len, const struct endpoint *from, bool *proven)
{
	return gate_judge(&s->keys, s->sources, &s->load, msg, len, from, s->now, proven);
}

/* An initiation by whoever knows the public key, said to be from there. */
static struct message_initiation stranger(struct scene *s)
{
	struct message_initiation m;
	struct cookie_maker maker;

	cookie_maker_init(&maker, s->public);
	test_random_bytes(&s->seed, &m, sizeof(m));
	m.type = htole32(MESSAGE_INITIATION);
	cookie_macs_write(&maker, &m, sizeof(m), s->now);
	return m;
}

static struct endpoint anybody(struct scene *s)
{
	struct endpoint e = {.port = 9};

	e.addr = addr_from_v4((uint32_t)test_random(&s->seed));
	return e;
}

/* @n strangers' initiations in equal steps over @duration; how many passed. */
static unsigned flood(struct scene *s, unsigned n, uint64_t duration, const struct endpoint *from)
{
	struct message_initiation m = stranger(s);
	uint64_t start = s->now;
	unsigned passed = 0;
	bool proven;

	for (unsigned i = 0; i < n; i++) {
		struct endpoint source = from ? *from : anybody(s);

		s->now = start + duration / n * i;
		passed += judge(s, &m, sizeof(m), &source, &proven) == ENGINE_OK;
		assert_false(proven);
	}
	s->now = start + duration;
	return passed;
}

/* The client asks, hears a cookie and asks again. */
static enum engine_result client_asks(struct scene *s, bool *proven)
{
	uint8_t nonce[XNONCE_LEN] = {1};
	struct message_initiation m;
	struct message_cookie reply;
	enum engine_result r;

	s->now += 100000; /* a cookie flows in */
	test_random_bytes(&s->seed, &m, sizeof(m));
	m.type = htole32(MESSAGE_INITIATION);
	cookie_macs_write(&s->maker, &m, sizeof(m), s->now);
	r = judge(s, &m, sizeof(m), &s->client, proven);
	if (r == ENGINE_COOKIE_SENT) {
		gate_cookie(&s->keys, &reply, &m, sizeof(m), &s->client, nonce);
		assert_true(cookie_reply_read(&s->maker, &reply, s->now));
	}
	return r;
}

/* All at once after a restart, then no more than the rate; over it, nobody without a cookie. */
static void test_fault_22_strangers_share_a_budget(void **state)
{
	struct scene *s = set_scene();

	assert_int_equal(flood(s, GATE_STRANGERS_BURST, NS_PER_MS, NULL), GATE_STRANGERS_BURST);
	assert_int_equal(atomic_load(&s->load.seen), 0);
	s->now += 10 * NS_PER_SEC;
	assert_in_range(flood(s, 3 * GATE_STRANGERS_PER_SECOND, 3 * NS_PER_SEC, NULL),
			3 * GATE_STRANGERS_PER_SECOND - 1, 3 * GATE_STRANGERS_PER_SECOND);
	flood(s, 100000, 2 * NS_PER_SEC, NULL);
	assert_int_equal(flood(s, 100000, 2 * NS_PER_SEC, NULL), 0); /* not one, as long as it lasts */
	assert_true(s->now - atomic_load(&s->load.seen) < NS_PER_SEC);
	s->now += 2 * NS_PER_SEC;
	assert_int_equal(flood(s, 10, NS_PER_MS, NULL), 10);
	end_scene(s);
}

/* A source that receives what we send passes beside any flood, of its own name, too. */
static void test_fault_22_a_proven_source_is_judged_by_its_own(void **state)
{
	struct scene *s = set_scene();
	bool proven;

	flood(s, 100000, NS_PER_SEC, NULL);
	assert_int_equal(client_asks(s, &proven), ENGINE_COOKIE_SENT);
	flood(s, 100000, NS_PER_SEC, &s->client); /* in its name: without a cookie that empties nothing of it */
	for (int i = 0; i < RATELIMIT_BURST; i++) {
		assert_int_equal(client_asks(s, &proven), ENGINE_OK);
		assert_true(proven);
	}
	assert_int_equal(client_asks(s, &proven), ENGINE_RATE_LIMITED);
	s->now += NS_PER_SEC;
	assert_int_equal(client_asks(s, &proven), ENGINE_OK);
	end_scene(s);
}

static void test_fault_22_cookies_have_a_budget(void **state)
{
	struct scene *s = set_scene();
	struct message_initiation m = stranger(s);
	unsigned asked = 0;
	bool proven;

	flood(s, 100000, NS_PER_SEC, NULL);
	for (int i = 0; i < 200000; i++) { /* in two seconds */
		struct endpoint from = anybody(s);
		enum engine_result r = judge(s, &m, sizeof(m), &from, &proven);

		asked += r == ENGINE_COOKIE_SENT;
		assert_true(r == ENGINE_COOKIE_SENT || r == ENGINE_RATE_LIMITED);
		s->now += 10000;
	}
	assert_in_range(asked, 2 * GATE_COOKIES_PER_SECOND - 10, 2 * GATE_COOKIES_PER_SECOND + GATE_COOKIES_BURST);
	end_scene(s);
}

/* Who does not know our key takes nothing from those who do; that there are many is seen. */
static void test_fault_22_a_wrong_mac1_costs_nobody(void **state)
{
	struct scene *s = set_scene();
	struct message_initiation m = stranger(s);
	bool proven;

	m.macs.mac1[3] ^= 1;
	for (int i = 0; i < 100000; i++) {
		struct endpoint from = anybody(s);

		assert_int_equal(judge(s, &m, sizeof(m), &from, &proven), ENGINE_BAD_MAC1);
	}
	assert_int_equal(atomic_load(&s->load.seen), s->now);
	assert_int_equal(client_asks(s, &proven), ENGINE_OK);
	end_scene(s);
}

/* The index in a response is ours, and who knows it receives what we send. */
static void test_fault_22_a_response_needs_no_cookie(void **state)
{
	struct scene *s = set_scene();
	struct message_response m;
	struct cookie_maker maker;
	bool proven;

	flood(s, 100000, NS_PER_SEC, NULL);
	cookie_maker_init(&maker, s->public);
	test_random_bytes(&s->seed, &m, sizeof(m));
	m.type = htole32(MESSAGE_RESPONSE);
	cookie_macs_write(&maker, &m, sizeof(m), s->now);
	assert_int_equal(judge(s, &m, sizeof(m), &s->client, &proven), ENGINE_OK);
	m.macs.mac1[0] ^= 1;
	assert_int_equal(judge(s, &m, sizeof(m), &s->client, &proven), ENGINE_BAD_MAC1);
	end_scene(s);
}

/* A cookie is good until its secret is 120 s old, whichever of the two it is; a new one every 60 s. */
static void test_W9_two_secrets(void **state)
{
	struct scene *s = set_scene();
	bool proven;

	for (int turn = 0; turn < 4; turn++) {
		uint64_t from = s->now, end = from + COOKIE_SECRET_MAX_AGE;

		flood(s, 100000, NS_PER_MS, NULL);
		cookie_maker_init(&s->maker, s->public);
		assert_int_equal(client_asks(s, &proven), ENGINE_COOKIE_SENT);
		s->now = from + GATE_SECRET_TURN; /* a new secret: cookies are made with that */
		assert_int_equal(gate_keys_next(&s->keys), s->now);
		renew(s);
		s->now = end - 100001;
		s->maker.cookie_birth = s->now; /* it goes on using it */
		assert_int_equal(client_asks(s, &proven), ENGINE_OK);
		assert_true(proven);
		s->now = end - 100000;
		client_asks(s, &proven);
		assert_false(proven);
		renew(s);
	}
	end_scene(s);
}

static void test_no_identity(void **state)
{
	struct scene *s = set_scene();
	struct message_initiation m = stranger(s);
	bool proven;

	gate_keys_init(&s->keys, s->public, false);
	assert_int_equal(judge(s, &m, sizeof(m), &s->client, &proven), ENGINE_NO_IDENTITY);
	end_scene(s);
}

/* Peers by relays have one address, 127.3.3.40: it is not the source. */
static void test_fault_21_peers_of_a_relay_have_buckets_of_their_own(void **state)
{
	struct scene *s = set_scene();

	for (uint32_t peer = 0; peer < 1000; peer++) {
		struct endpoint from = endpoint_of_relay(900, peer);

		for (int i = 0; i < RATELIMIT_BURST; i++)
			assert_true(gate_source_allow(s->sources, &from, s->now));
		assert_false(gate_source_allow(s->sources, &from, s->now));
	}
	end_scene(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_22_strangers_share_a_budget),
		cmocka_unit_test(test_fault_22_a_proven_source_is_judged_by_its_own),
		cmocka_unit_test(test_fault_22_cookies_have_a_budget),
		cmocka_unit_test(test_fault_22_a_wrong_mac1_costs_nobody),
		cmocka_unit_test(test_fault_22_a_response_needs_no_cookie),
		cmocka_unit_test(test_W9_two_secrets),
		cmocka_unit_test(test_no_identity),
		cmocka_unit_test(test_fault_21_peers_of_a_relay_have_buckets_of_their_own),
	};

	return cmocka_run_group_tests_name("gate", tests, test_init, NULL);
}
