/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client may reach, as the AllowedIPs of its file say it; and STUN, by which
 * `doctor` asks how others see us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/client_routes.h"
#include "user/tailnet/disco/stun.h"

#define LIST_MAX 8

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, strlen(text), &p, NULL));
	return p;
}

/* ---- routes -------------------------------------------------------------------------------  */

struct rule_text {
	enum filter_verdict verdict;
	const char *src, *dst;
};

static const struct {
	const char *name, *routes[LIST_MAX];
	struct rule_text rules[LIST_MAX]; /* src NULL ends */
	const char *routes_left;
} cases[] = {
	{"no rule", {"203.0.113.0/24"}, {{0}}, ""},
	{"rule inside the route", {"203.0.113.0/24"}, {{FILTER_ACCEPT, "100.64.0.5", "203.0.113.9"}}, "203.0.113.9 "},
	{"rule around the route",
	 {"203.0.113.0/24"},
	 {{FILTER_ACCEPT, "100.64.0.0/10", "0.0.0.0/0"}},
	 "203.0.113.0/24 "},
	{"rule elsewhere", {"203.0.113.0/24"}, {{FILTER_ACCEPT, "100.64.0.5", "198.51.100.0/24"}}, ""},
	{"another client's rule", {"203.0.113.0/24"}, {{FILTER_ACCEPT, "100.64.0.6", "203.0.113.9"}}, ""},
	{"deny gives nothing", {"203.0.113.0/24"}, {{FILTER_DENY, "100.64.0.5", "203.0.113.9"}}, ""},
	{"by the second address",
	 {"2001:db8::/32"},
	 {{FILTER_ACCEPT, "fd7a:115c:a1e0::5", "2001:db8::/48"}},
	 "2001:db8::/48 "},
	{"covered entries go",
	 {"203.0.113.0/24", "203.0.113.128/25"},
	 {{FILTER_ACCEPT, "100.64.0.5", "203.0.113.9"},
	  {FILTER_ACCEPT, "100.64.0.5", "203.0.113.0/24"},
	  {FILTER_ACCEPT, "100.64.0.5", "203.0.113.200"}},
	 "203.0.113.0/24 "},
	{"in order",
	 {"203.0.113.0/24", "192.0.2.0/24"},
	 {{FILTER_ACCEPT, "100.64.0.5", "203.0.113.9"}, {FILTER_ACCEPT, "100.64.0.5", "192.0.2.7"}},
	 "192.0.2.7 203.0.113.9 "},
	{"families do not mix", {"0.0.0.0/0"}, {{FILTER_ACCEPT, "100.64.0.5", "2001:db8::/32"}}, ""},
};

static void fill_rule(struct filter_rule *rule, const struct rule_text *text, struct prefix *src,
		      struct filter_dst *dst)
{
	*src = prefix(text->src);
	*dst = (struct filter_dst){prefix(text->dst), 0, 65535};
	*rule = (struct filter_rule){.verdict = text->verdict, .src = src, .n_src = 1, .dst = dst, .n_dst = 1};
}

static void print(const struct client_routes *r, char *out)
{
	char text[ADDR_STRLEN];

	*out = 0;
	for (size_t i = 0; i < r->n; i++)
		sprintf(out + strlen(out), "%s ", prefix_str(&r->v[i], text));
}

static void test_routes(void **state)
{
	struct addr inner[2] = {prefix("100.64.0.5").addr, prefix("fd7a:115c:a1e0::5").addr};
	struct config_client client = {.addresses = {inner, 2}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config_route routes[LIST_MAX];
		struct filter_rule rules[LIST_MAX];
		struct filter_dst dst[LIST_MAX];
		struct prefix src[LIST_MAX];
		struct config cfg = {.routes = routes};
		struct filter filter = {.rules = rules};
		struct client_routes left;
		char out[512];

		for (; cases[i].routes[cfg.n_routes]; cfg.n_routes++)
			routes[cfg.n_routes].prefix = prefix(cases[i].routes[cfg.n_routes]);
		for (; cases[i].rules[filter.n].src; filter.n++)
			fill_rule(&rules[filter.n], &cases[i].rules[filter.n], &src[filter.n], &dst[filter.n]);
		client_routes_of(&cfg, &client, &filter, &left);
		print(&left, out);
		if (strcmp(out, cases[i].routes_left))
			fail_msg("%s: found %s", cases[i].name, out);
		client_routes_free(&left);
	}
}

static void test_routes_without_policy(void **state)
{
	struct config_route routes[] = {{.prefix = prefix("203.0.113.0/24")}, {.prefix = prefix("192.0.2.7")}};
	struct config cfg = {.routes = routes, .n_routes = 2};
	struct config_client client = {0};
	struct client_routes left;
	char out[128];

	client_routes_of(&cfg, &client, NULL, &left);
	print(&left, out);
	assert_string_equal(out, "");
	client_routes_free(&left);
}

/* ---- STUN ------------------------------------------------------------------------------------ */

#define COOKIE	 0x21, 0x12, 0xa4, 0x42
#define ID	 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae
#define SOFTWARE 0x80, 0x22, 0x00, 0x0b, 't', 'e', 's', 't', ' ', 'v', 'e', 'c', 't', 'o', 'r', ' '
#define MAPPED4	 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43
#define MAPPED6                                                                                                     \
	0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, \
		0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9

static const uint8_t id[STUN_ID_LEN] = {ID};

/* RFC 5769, 2.2 and 2.3, less what is behind the address. */
static void test_stun_answers(void **state)
{
	static const uint8_t four[] = {0x01, 0x01, 0x00, 28, COOKIE, ID, SOFTWARE, MAPPED4};
	static const uint8_t six[] = {0x01, 0x01, 0x00, 40, COOKIE, ID, SOFTWARE, MAPPED6};
	char text[ADDR_STRLEN];
	struct addr a;
	uint16_t port;

	assert_true(stun_answer(four, sizeof(four), id, &a, &port));
	assert_string_equal(addr_str(&a, text), "192.0.2.1");
	assert_int_equal(port, 32853);
	assert_true(stun_answer(six, sizeof(six), id, &a, &port));
	assert_string_equal(addr_str(&a, text), "2001:db8:1234:5678:11:2233:4455:6677");
	assert_int_equal(port, 32853);
}

static void test_stun_request(void **state)
{
	static const uint8_t expected[] = {0x00, 0x01, 0x00, 0x00, COOKIE, ID};
	uint8_t out[STUN_REQUEST_LEN];

	stun_request(id, out);
	assert_memory_equal(out, expected, sizeof(expected));
}

/* Every truncation, and every byte of header and address lengths changed, is refused or harmless. */
static void test_stun_refuses(void **state)
{
	static const uint8_t good[] = {0x01, 0x01, 0x00, 28, COOKIE, ID, SOFTWARE, MAPPED4};
	uint8_t *bytes = malloc(sizeof(good));
	struct addr a;
	uint16_t port;

	for (size_t n = 0; n < sizeof(good); n++) {
		uint8_t *cut = malloc(n + 1); /* exact, for the sanitizer */

		memcpy(cut, good, n);
		assert_false(stun_answer(cut, n, id, &a, &port));
		free(cut);
	}
	for (size_t i = 0; i < 20; i++) { /* type, length, cookie, id */
		memcpy(bytes, good, sizeof(good));
		bytes[i] ^= 0x40;
		assert_false(stun_answer(bytes, sizeof(good), id, &a, &port));
	}
	for (size_t i = 20; i < sizeof(good); i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bytes, good, sizeof(good));
			bytes[i] ^= (uint8_t)(1 << bit);
			stun_answer(bytes, sizeof(good), id, &a, &port);
		}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),	     cmocka_unit_test(test_routes_without_policy),
		cmocka_unit_test(test_stun_answers), cmocka_unit_test(test_stun_request),
		cmocka_unit_test(test_stun_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
