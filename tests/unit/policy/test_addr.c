/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and prefixes: text in and out, and the relations between them. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/addr.h"

static struct prefix pfx(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, strlen(text), &p, NULL))
		fail_msg("not a prefix: %s", text);
	return p;
}

static struct addr adr(const char *text)
{
	struct addr a;

	if (!addr_parse(text, strlen(text), &a))
		fail_msg("not an address: %s", text);
	return a;
}

static void test_parse_addr(void **state)
{
	static const struct {
		const char *text, *prints; /* NULL: refused */
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"2001:DB8::1", "2001:db8::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"::", "::"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:c000:201", "192.0.2.1"},
		{"::1.2.3.4", "::1.2.3.4"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"", NULL},
		{"192.0.2", NULL},
		{"192.0.2.256", NULL},
		{"192.0.2.01", NULL},
		{"192.0.2.1 ", NULL},
		{" 192.0.2.1", NULL},
		{"192.0.2.1.", NULL},
		{"0x7f.0.0.1", NULL},
		{"fe80::1%eth0", NULL},
		{"1::2::3", NULL},
		{"12345::", NULL},
		{"[::1]", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
	};
	char buf[ADDR_STRLEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr a;
		bool ok = addr_parse(cases[i].text, strlen(cases[i].text), &a);

		if (ok != !!cases[i].prints)
			fail_msg("%s: %s", cases[i].text, ok ? "accepted" : "refused");
		if (ok)
			assert_string_equal(addr_str(&a, buf), cases[i].prints);
	}
	assert_false(addr_parse("1.2.3.4\0", 8, &(struct addr){0}));
	assert_true(addr_parse("1.2.3.45", 7, &(struct addr){0}));
}

static void test_parse_prefix(void **state)
{
	static const struct {
		const char *text, *prints;
		unsigned len;
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", 104},
		{"10.1.2.3/8", "10.0.0.0/8", 104},
		{"10.1.2.3", "10.1.2.3", 128},
		{"10.1.2.3/32", "10.1.2.3", 128},
		{"0.0.0.0/0", "0.0.0.0/0", 96},
		{"::/0", "::/0", 0},
		{"2001:db8::1/64", "2001:db8::/64", 64},
		{"2001:db8::1/128", "2001:db8::1", 128},
		{"::ffff:10.9.9.9/104", "10.0.0.0/8", 104},
		{"::ffff:0:0/96", "0.0.0.0/0", 96},
		{"::ffff:0:0/95", "::fffe:0:0/95", 95},
		{"10.0.0.0/", NULL, 0},
		{"10.0.0.0/33", NULL, 0},
		{"10.0.0.0/08", NULL, 0},
		{"10.0.0.0/+8", NULL, 0},
		{"10.0.0.0/8/8", NULL, 0},
		{"::/129", NULL, 0},
		{"::/1280", NULL, 0},
		{"/8", NULL, 0},
		{"10.0.0.0 /8", NULL, 0},
	};
	char buf[ADDR_STRLEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix p;
		bool ok = prefix_parse(cases[i].text, strlen(cases[i].text), &p, NULL);

		if (ok != !!cases[i].prints)
			fail_msg("%s: %s", cases[i].text, ok ? "accepted" : "refused");
		if (!ok)
			continue;
		assert_string_equal(prefix_str(&p, buf), cases[i].prints);
		assert_int_equal(p.len, cases[i].len);
	}
}

static void test_host_bits(void **state)
{
	struct prefix p;
	struct addr host;
	char buf[ADDR_STRLEN];

	assert_true(prefix_parse("100.64.0.1/10", 13, &p, &host));
	assert_string_equal(addr_str(&host, buf), "100.64.0.1");
	assert_string_equal(prefix_str(&p, buf), "100.64.0.0/10");
}

/* How two prefixes stand to each other, both ways round. */
static void test_relations(void **state)
{
	static const struct {
		const char *a, *b;
		bool a_covers_b, b_covers_a;
	} cases[] = {
		{"10.0.0.0/8", "10.1.0.0/16", true, false},
		{"10.0.0.0/8", "10.0.0.0/8", true, true},
		{"10.0.0.0/8", "11.0.0.0/8", false, false},
		{"10.0.0.0/9", "10.128.0.0/9", false, false},
		{"0.0.0.0/0", "192.0.2.1", true, false},
		{"2001:db8::/32", "2001:db8:1::/48", true, false},
		{"2001:db8::/33", "2001:db8:8000::/33", false, false},
		{"::/0", "2001:db8::1", true, false},
		{"::/0", "::/0", true, true},
		{"::/0", "::1", true, false},
		/* the families are apart, whatever the numbers say */
		{"::/0", "0.0.0.0/0", false, false},
		{"::/0", "192.0.2.1", false, false},
		{"::/80", "10.0.0.0/8", false, false},
		{"::fffe:0:0/95", "10.0.0.0/8", false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix a = pfx(cases[i].a), b = pfx(cases[i].b);
		struct addr first = prefix_first(&b), last = prefix_last(&b);

		if (prefix_covers(&a, &b) != cases[i].a_covers_b || prefix_covers(&b, &a) != cases[i].b_covers_a)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
		assert_int_equal(prefix_overlaps(&a, &b), cases[i].a_covers_b || cases[i].b_covers_a);
		assert_int_equal(prefix_overlaps(&b, &a), cases[i].a_covers_b || cases[i].b_covers_a);
		assert_int_equal(prefix_contains(&a, &first) && prefix_contains(&a, &last), cases[i].a_covers_b);
	}
}

static void test_bounds_of_prefix(void **state)
{
	struct prefix p = pfx("10.32.0.0/14"), all = pfx("::/0"), odd = pfx("2001:db8::/33");
	struct addr a;
	char buf[ADDR_STRLEN];

	a = prefix_first(&p);
	assert_string_equal(addr_str(&a, buf), "10.32.0.0");
	a = prefix_last(&p);
	assert_string_equal(addr_str(&a, buf), "10.35.255.255");
	a = prefix_last(&all);
	assert_string_equal(addr_str(&a, buf), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	a = prefix_last(&odd);
	assert_string_equal(addr_str(&a, buf), "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff");
}

static void test_order(void **state)
{
	static const char *const sorted[] = {"::/0",	    "::1",	"0.0.0.0/0", "10.0.0.0/8",
					     "10.0.0.0/16", "10.0.0.0", "10.0.0.1",  "2001:db8::/32"};
	size_t n = sizeof(sorted) / sizeof(sorted[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			struct prefix a = pfx(sorted[i]), b = pfx(sorted[j]);
			int order = prefix_cmp(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void test_family(void **state)
{
	struct addr v4 = addr_from_v4(htonl(0xc0000201)), v6 = adr("2001:db8::1"), text = adr("192.0.2.1");
	struct prefix all4 = pfx("0.0.0.0/0"), all6 = pfx("::/0"), net6 = pfx("2001:db8::/32");

	assert_true(addr_is_v4(&v4));
	assert_false(addr_is_v4(&v6));
	assert_int_equal(addr_cmp(&v4, &text), 0);
	assert_true(prefix_is_v4(&all4));
	assert_false(prefix_is_v4(&all6));
	assert_false(prefix_is_v4(&net6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_addr),	 cmocka_unit_test(test_parse_prefix),
		cmocka_unit_test(test_host_bits),	 cmocka_unit_test(test_relations),
		cmocka_unit_test(test_bounds_of_prefix), cmocka_unit_test(test_order),
		cmocka_unit_test(test_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
