/* SPDX-License-Identifier: BSD-2-Clause */
/* W7: twenty a second, bursts of five, for each source by itself. */
#include <arpa/inet.h>

#include "wg_test.h"

#include "policy/addr.h"
#include "user/wireguard/messages.h"
#include "user/wireguard/ratelimit.h"
#include "user/base/clock.h"

#define T0 (5 * NS_PER_SEC)

static struct ratelimit *make(void)
{
	static const uint8_t key[16] = {1, 2, 3};
	struct ratelimit *r = ratelimit_new(key);

	assert_non_null(r);
	return r;
}

static struct addr v4(uint32_t a)
{
	return addr_from_v4(htonl(a));
}

static struct addr v6(uint64_t network, uint64_t host)
{
	struct addr a;

	network = htobe64(network);
	host = htobe64(host);
	memcpy(a.b, &network, 8);
	memcpy(a.b + 8, &host, 8);
	return a;
}

static void test_W7_burst_and_rate(void **state)
{
	struct addr a = v4(0x0a000001);
	struct ratelimit *r = make();
	unsigned allowed = 0;

	for (int i = 0; i < 5; i++)
		assert_true(ratelimit_allow(r, &a, T0));
	assert_false(ratelimit_allow(r, &a, T0));
	assert_false(ratelimit_allow(r, &a, T0 + 50 * NS_PER_MS - 1));
	assert_true(ratelimit_allow(r, &a, T0 + 50 * NS_PER_MS));
	assert_false(ratelimit_allow(r, &a, T0 + 50 * NS_PER_MS));
	for (uint64_t ms = 1000; ms < 11000; ms++) /* a flood for ten seconds */
		allowed += ratelimit_allow(r, &a, T0 + ms * NS_PER_MS);
	assert_in_range(allowed, 200, 205);
	ratelimit_free(r);
}

static void test_W7_sources_are_independent(void **state)
{
	struct addr a = v4(0x0a000001), b = v4(0x0a000002), c = v6(0x20010db800000001, 1);
	struct ratelimit *r = make();

	for (int i = 0; i < 100; i++)
		ratelimit_allow(r, &a, T0);
	assert_false(ratelimit_allow(r, &a, T0));
	assert_true(ratelimit_allow(r, &b, T0));
	assert_true(ratelimit_allow(r, &c, T0));
	ratelimit_free(r);
}

static void test_W7_ipv6_counts_by_64(void **state)
{
	struct ratelimit *r = make();
	struct addr other = v6(0x20010db800000002, 1);

	for (uint64_t host = 0; host < 5; host++) {
		struct addr a = v6(0x20010db800000001, host << 60 | host);

		assert_true(ratelimit_allow(r, &a, T0));
	}
	for (uint64_t host = 5; host < 50; host++) {
		struct addr a = v6(0x20010db800000001, host);

		assert_false(ratelimit_allow(r, &a, T0));
	}
	assert_true(ratelimit_allow(r, &other, T0));
	ratelimit_free(r);
}

/* A million sources at once: the table does not grow, nobody's old bucket is lost, and
 * a quarter of a second later there is room again. */
static void test_W7_table_is_bounded(void **state)
{
	struct addr old = v4(0x01020304), late = v4(0x01020305);
	struct ratelimit *r = make();
	unsigned allowed = 0;

	for (int i = 0; i < 5; i++)
		assert_true(ratelimit_allow(r, &old, T0));
	for (uint32_t i = 0; i < 1000000; i++) {
		struct addr a = v4(0x0a000000 + i);

		allowed += ratelimit_allow(r, &a, T0);
	}
	assert_in_range(allowed, 30000, 32768);
	assert_false(ratelimit_allow(r, &old, T0));
	assert_false(ratelimit_allow(r, &late, T0));
	assert_true(ratelimit_allow(r, &late, T0 + 50 * NS_PER_MS));
	ratelimit_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W7_burst_and_rate),
		cmocka_unit_test(test_W7_sources_are_independent),
		cmocka_unit_test(test_W7_ipv6_counts_by_64),
		cmocka_unit_test(test_W7_table_is_bounded),
	};

	return cmocka_run_group_tests_name("ratelimit", tests, test_init, NULL);
}
