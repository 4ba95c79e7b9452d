/* SPDX-License-Identifier: BSD-2-Clause */
/* W13 and W16: whose is an inner address. */
#include "wg_test.h"

#include "user/wireguard/allowedips.h"

static struct prefix pfx(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, strlen(text), &p, NULL))
		fail_msg("not a prefix: %s", text);
	return p;
}

static uint32_t lookup(const struct allowedips_set *s, const char *text)
{
	struct allowedips *a = allowedips_snapshot(s);
	struct prefix p = pfx(text);
	uint32_t peer;

	assert_non_null(a);
	peer = allowedips_lookup(a, &p.addr);
	allowedips_free(a);
	return peer;
}

static void give(struct allowedips_set *s, const char *text, uint32_t peer)
{
	struct prefix p = pfx(text);

	assert_true(allowedips_give(s, &p, peer));
}

static void test_W13_longest_prefix(void **state)
{
	static const struct {
		const char *prefix;
		uint32_t peer;
	} entries[] = {
		{"192.168.4.0/24", 1}, {"192.168.4.4", 2},
		{"192.168.0.0/16", 3}, {"192.95.5.64/27", 4},
		{"10.0.0.0/7", 5},     {"0.0.0.0/0", 6},
		{"2607:5300::/32", 7}, {"2607:5300:6006:b00::/64", 8},
		{"::/0", 9},	       {"2607:5300:6006:b00:0:c05f::543", 10},
	};
	static const struct {
		const char *addr;
		uint32_t peer;
	} cases[] = {
		{"192.168.4.20", 1},
		{"192.168.4.4", 2},
		{"192.168.4.5", 1},
		{"192.168.5.4", 3},
		{"192.95.5.64", 4},
		{"192.95.5.95", 4},
		{"192.95.5.96", 6},
		{"192.95.5.63", 6},
		{"11.255.0.1", 5},
		{"12.0.0.0", 6},
		{"255.255.255.255", 6},
		{"0.0.0.0", 6},
		{"2607:5300::1", 7},
		{"2607:5301::1", 9},
		{"2607:5300:6006:b00::1", 8},
		{"2607:5300:6006:b00:0:c05f::543", 10},
		{"::1", 9},
	};
	struct allowedips_set *s = allowedips_set_new();

	assert_int_equal(lookup(s, "10.0.0.1"), ALLOWEDIPS_NONE);
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		give(s, entries[i].prefix, entries[i].peer);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (lookup(s, cases[i].addr) != cases[i].peer)
			fail_msg("%s", cases[i].addr);
	}
	allowedips_set_free(s);
}

/* ::/0 holds IPv6 only as far as WireGuard goes: `wg` gives both when both are meant. */
static void test_families_are_apart(void **state)
{
	struct allowedips_set *s = allowedips_set_new();

	give(s, "0.0.0.0/0", 1);
	assert_int_equal(lookup(s, "192.0.2.1"), 1);
	assert_int_equal(lookup(s, "2001:db8::1"), ALLOWEDIPS_NONE);
	allowedips_set_free(s);

	s = allowedips_set_new();
	give(s, "::/0", 1);
	assert_int_equal(lookup(s, "2001:db8::1"), 1);
	assert_int_equal(lookup(s, "192.0.2.1"), ALLOWEDIPS_NONE);
	allowedips_set_free(s);
}

static void test_W16_last_writer_wins(void **state)
{
	struct allowedips_set *s = allowedips_set_new();
	struct prefix p = pfx("10.1.0.0/16");
	const void *cursor = NULL;

	give(s, "10.1.0.0/16", 1);
	give(s, "10.1.0.0/16", 2);
	assert_int_equal(lookup(s, "10.1.2.3"), 2);
	assert_null(allowedips_each(s, 1, &cursor));
	allowedips_take(s, &p, 1); /* not its own any more */
	assert_int_equal(lookup(s, "10.1.2.3"), 2);
	allowedips_take(s, &p, 2);
	assert_int_equal(lookup(s, "10.1.2.3"), ALLOWEDIPS_NONE);
	allowedips_take(s, &p, 2);
	allowedips_take_all(s, 77);
	allowedips_set_free(s);
}

static void test_each_and_take_all(void **state)
{
	struct allowedips_set *s = allowedips_set_new();
	const struct prefix *p;
	const void *cursor = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct addr a = addr_from_v4(htobe32(0x0a000000 + i));

		assert_true(allowedips_give(s, &(struct prefix){a, 128}, i % 10));
	}
	while ((p = allowedips_each(s, 3, &cursor))) {
		assert_int_equal(be32toh(p->addr.w[3]) % 10, (0x0a000000 + 3) % 10);
		n++;
	}
	assert_int_equal(n, 100);
	allowedips_take_all(s, 3);
	cursor = NULL;
	assert_null(allowedips_each(s, 3, &cursor));
	assert_int_equal(lookup(s, "10.0.0.13"), ALLOWEDIPS_NONE);
	assert_int_equal(lookup(s, "10.0.0.14"), 4);
	allowedips_set_free(s);
}

/* Against a list that is searched from end to end. */
static void test_random_against_list(void **state)
{
	enum { N = 400 };
	static struct {
		struct prefix p;
		uint32_t peer;
	} list[N];
	struct allowedips_set *s = allowedips_set_new();
	struct allowedips *a;
	uint64_t seed = 11;

	for (size_t i = 0; i < N; i++) { /* few values, so that prefixes nest and repeat */
		uint32_t len = (uint32_t)(test_random(&seed) % 129);
		struct prefix p = {.len = len};

		for (size_t b = 0; b < len; b++) {
			if (test_random(&seed) % 8 == 0)
				p.addr.b[b / 8] |= (uint8_t)(0x80 >> b % 8);
		}
		list[i].p = p;
		list[i].peer = (uint32_t)i;
		assert_true(allowedips_give(s, &p, (uint32_t)i));
	}
	a = allowedips_snapshot(s);
	for (int i = 0; i < 20000; i++) {
		struct addr addr = list[test_random(&seed) % N].p.addr;
		uint32_t want = ALLOWEDIPS_NONE, best = 0;

		addr.b[test_random(&seed) % 16] ^= (uint8_t)(1 << test_random(&seed) % 8);
		for (size_t k = 0; k < N; k++) {
			/* a shorter prefix than the mapped one is IPv6's */
			if (addr_is_v4(&addr) && list[k].p.len < ADDR_V4_BITS)
				continue;
			if (prefix_contains(&list[k].p, &addr) && (want == ALLOWEDIPS_NONE || list[k].p.len >= best)) {
				want = list[k].peer;
				best = list[k].p.len;
			}
		}
		assert_int_equal(allowedips_lookup(a, &addr), want);
	}
	allowedips_free(a);
	allowedips_set_free(s);
}

static void test_many(void **state)
{
	enum { N = 10000 };
	struct allowedips_set *s = allowedips_set_new();
	struct allowedips *a;

	for (uint32_t i = 0; i < N; i++) {
		struct addr v4 = addr_from_v4(htobe32(0x64400000 + i)), v6 = pfx("fd7a:115c::").addr;

		v6.w[3] = htobe32(i);
		assert_true(allowedips_give(s, &(struct prefix){v4, 128}, i));
		assert_true(allowedips_give(s, &(struct prefix){v6, 128}, i));
	}
	a = allowedips_snapshot(s);
	for (uint32_t i = 0; i < N; i++) {
		struct addr v4 = addr_from_v4(htobe32(0x64400000 + i));

		assert_int_equal(allowedips_lookup(a, &v4), i);
	}
	allowedips_free(a);
	for (uint32_t i = 0; i < N; i++)
		allowedips_take_all(s, i);
	assert_int_equal(lookup(s, "100.64.0.1"), ALLOWEDIPS_NONE);
	allowedips_set_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W13_longest_prefix),   cmocka_unit_test(test_families_are_apart),
		cmocka_unit_test(test_W16_last_writer_wins), cmocka_unit_test(test_each_and_take_all),
		cmocka_unit_test(test_random_against_list),  cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("allowedips", tests, NULL, NULL);
}
