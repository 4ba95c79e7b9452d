/* SPDX-License-Identifier: BSD-2-Clause */
/* A netmap in the words of the configuration: what of it counts, whatever a server says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "policy/tailnet_ranges.h"
#include "user/tailnet_gateway/netmap_config.h"
#include "user/ruleset/ruleset.h"

#define KEY(n)	       "nodekey:00000000000000000000000000000000000000000000000000000000000000" n
#define NODE(id, more) "{\"ID\":" id ",\"Key\":\"" KEY("0" id) "\"" more "}"
#define AT(addrs)      ",\"Addresses\":[" addrs "]"
#define SELF                                                                                                          \
	"\"Node\":" NODE("1", ",\"Name\":\"gw.lab.\",\"Tags\":[\"tag:gw\"]" AT(                                       \
				      "\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"") ",\"AllowedIPs\":[\"100.64.0.1/" \
										     "32\",\"203.0.113.0/24\"]")
#define RULE(src, dst) \
	"{\"SrcIPs\":[\"" src "\"],\"DstPorts\":[{\"IP\":\"" dst "\",\"Ports\":{\"First\":0,\"Last\":65535}}]}"

/* What a configuration becomes by one message of a server. */
static struct config *configured(const char *json)
{
	static const char text[] = "version: 1\ntailnet: {login_server: \"https://hs.test\"}\n"
				   "routes: [203.0.113.0/24, 198.18.0.0/15, \"0.0.0.0/0\"]\n";
	struct diags d = {0};
	struct config *cfg = config_parse(doc_parse("g.yaml", text, strlen(text), DOC_YAML, &d), "gw", &d);
	char error[NETMAP_ERROR];
	struct netmap_update *u = netmap_update_read(json, strlen(json), error);
	struct netmap m = {0};

	assert_int_equal(d.errors, 0);
	assert_non_null(u);
	netmap_apply(&m, u);
	netmap_update_free(u);
	netmap_config(cfg, &m);
	netmap_free(&m); /* nothing points into it */
	return cfg;
}

/* "name user address address" of all clients, a line each. */
static char *clients(const char *json)
{
	struct config *cfg = configured(json);
	char *out, text[ADDR_STRLEN];
	size_t size;
	FILE *f = open_memstream(&out, &size);

	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		fprintf(f, "%s %s", c->name, c->user ? c->user : c->tags.n ? c->tags.v[0] : "-");
		for (size_t k = 0; k < c->addresses.n; k++)
			fprintf(f, " %s", addr_str(&c->addresses.v[k], text));
		fputc('\n', f);
	}
	fclose(f);
	config_free(cfg);
	return out;
}

static const struct {
	const char *what, *peers, *clients;
} cases[] = {
	{"T6 a user without a domain is written as headscale's policies do",
	 NODE("2", ",\"Name\":\"laptop.lab.\",\"User\":7" AT("\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"")),
	 "laptop alice@ 100.64.0.2 fd7a:115c:a1e0::2\n"},
	{"T6 a tagged node has no user",
	 NODE("2", ",\"Name\":\"ci\",\"User\":7,\"Tags\":[\"tag:ci\"]" AT("\"100.64.0.2/32\"")),
	 "ci tag:ci 100.64.0.2\n"},
	{"addresses outside the tailnet's ranges would take routes from the host",
	 NODE("2", ",\"Name\":\"a\"" AT("\"192.168.0.1/32\",\"100.64.0.2/32\",\"2001:db8::1/128\",\"100.115.92.1/"
					"32\",\"100.100.100.100/32\"")),
	 "a - 100.64.0.2\n"},
	{"without an address that counts it is no client", NODE("2", ",\"Name\":\"a\"" AT("\"10.0.0.1/32\"")), ""},
	{"ours stay ours", NODE("2", ",\"Name\":\"a\"" AT("\"100.64.0.1/32\",\"100.64.0.2/32\"")), "a - 100.64.0.2\n"},
	{"an address is the first node's",
	 NODE("3", ",\"Name\":\"b\"" AT("\"100.64.0.2/32\"")) "," NODE("2", ",\"Name\":\"a\"" AT("\"100.64.0.2/32\"")),
	 "a - 100.64.0.2\n"},
	{"names are told apart",
	 NODE("2", ",\"Name\":\"a\"" AT("\"100.64.0.2/32\"")) "," NODE("3", ",\"Name\":\"a\"" AT("\"100.64.0.3/32\"")),
	 "a - 100.64.0.2\na#3 - 100.64.0.3\n"},
	{"also from one that has such a name",
	 NODE("2", ",\"Name\":\"a\"" AT("\"100.64.0.2/32\"")) "," NODE(
		 "3", ",\"Name\":\"a\"" AT("\"100.64.0.3/32\"")) "," NODE("4",
									  ",\"Name\":\"a#3\"" AT("\"100.64.0.4/32\"")),
	 "a - 100.64.0.2\na#3 - 100.64.0.3\na3 - 100.64.0.4\n"},
	{"names have only what names have", NODE("2", ",\"Name\":\"\\u001b[31m-x y\"" AT("\"100.64.0.2/32\"")),
	 "31m-xy - 100.64.0.2\n"},
	{"a node without a name", NODE("2", ",\"Name\":\"\\u00e9\"" AT("\"100.64.0.2/32\"")), "node - 100.64.0.2\n"},
};

static void test_clients(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json =
			mem_printf("{" SELF ",\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"alice\"}],\"Peers\":[%s]}",
				   cases[i].peers);
		char *got = clients(json);

		if (strcmp(got, cases[i].clients)) {
			print_message("%s\n--- expected\n%s--- found\n%s===\n", cases[i].what, cases[i].clients, got);
			wrong++;
		}
		free(got);
		free(json);
	}
	assert_int_equal(wrong, 0);
}

static void test_expiry(void **state)
{
	struct config *cfg =
		configured("{" SELF ",\"Peers\":[" NODE("2", ",\"Expired\":true" AT("\"100.64.0.2/32\"")) "," NODE(
			"3", ",\"KeyExpiry\":\"2027-01-01T00:00:00Z\"" AT(
				     "\"100.64.0.3/32\"")) "," NODE("4", AT("\"100.64.0.4/32\"")) "]}");

	assert_int_equal(cfg->clients[0].expires, 1);
	assert_int_equal(cfg->clients[1].expires, 1798761600);
	assert_int_equal(cfg->clients[2].expires, 0);
	config_free(cfg);
}

static void test_self(void **state)
{
	struct config *cfg = configured("{" SELF "}");
	char text[ADDR_STRLEN];

	assert_int_equal(cfg->tunnel.n_addresses, 2);
	assert_string_equal(addr_str(&cfg->tunnel.addresses[0].host, text), "100.64.0.1");
	assert_string_equal(prefix_str(&cfg->tunnel.addresses[0].prefix, text), "100.64.0.0/10");
	assert_string_equal(prefix_str(&cfg->tunnel.addresses[1].prefix, text), "fd7a:115c:a1e0::/48");
	assert_string_equal(cfg->tags.v[0], "tag:gw");
	config_free(cfg);
}

/* T11: what is served is what the server says, where it says it. */
static void test_T11_served_routes(void **state)
{
	static const struct {
		const char *rules, *by[3]; /* of 203.0.113.0/24, 198.18.0.0/15, 0.0.0.0/0 */
	} served[] = {
		{"", {"coordination server", NULL, NULL}},
		{RULE("100.64.0.9", "198.18.0.7"), {"coordination server", "coordination server, by its rules", NULL}},
		{RULE("100.64.0.1", "198.18.0.7"), {"coordination server", "coordination server, by its rules", NULL}},
		{RULE("100.64.0.9", "192.0.2.0/24"), {"coordination server", NULL, NULL}},
		{RULE("100.64.0.9", "*"), {"coordination server", "coordination server, by its rules", NULL}},
	};

	for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++) {
		char *json = mem_printf("{" SELF ",\"PacketFilters\":{\"base\":[%s]}}", served[i].rules);
		struct config *cfg = configured(json);

		for (size_t k = 0; k < 3; k++) {
			const char *by = config_netmap_serves(cfg, &cfg->routes[k].prefix);

			assert_string_equal(by ? by : "-", served[i].by[k] ? served[i].by[k] : "-");
		}
		config_free(cfg);
		free(json);
	}
}

/* T11: of those who serve a route, the one to whom clients send. */
static void test_T11_primary(void **state)
{
	static const struct {
		const char *own, *other, *node;
	} nodes[] = {
		{"[\"203.0.113.0/24\"]", "[]", "gw"},
		{"[]", "[\"10.0.0.0/8\",\"203.0.113.0/24\"]", "b"},
		{"[\"10.0.0.0/8\"]", "[\"203.0.113.0/25\"]", NULL},
		{"[\"203.0.113.0/24\"]", "[\"203.0.113.0/24\"]", "b"}, /* ours is of before */
		{"null", "null", NULL},
	};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		char *json = mem_printf(
			"{\"Node\":" NODE("1", ",\"Name\":\"gw\",\"PrimaryRoutes\":%s") ",\"Peers\":[" NODE(
				"2", ",\"Name\":\"a\"") "," NODE("3", ",\"Name\":\"b\",\"PrimaryRoutes\":%s") "]}",
			nodes[i].own, nodes[i].other);
		char error[NETMAP_ERROR];
		struct netmap_update *u = netmap_update_read(json, strlen(json), error);
		const struct tailnet_node *n;
		struct netmap m = {0};
		struct prefix route;

		assert_non_null(u);
		netmap_apply(&m, u);
		assert_true(prefix_parse("203.0.113.0/24", 14, &route, NULL));
		n = netmap_config_primary(&m, &route);
		assert_string_equal(n ? n->name : "-", nodes[i].node ? nodes[i].node : "-");
		netmap_update_free(u);
		netmap_free(&m);
		free(json);
	}
}

/* What a server's rules become in force; @extra after the two. */
static struct ruleset *ruled(const char *first, const char *extra, bool shut)
{
	char *json = mem_printf("{" SELF ",\"Peers\":[" NODE("2", AT("\"100.64.0.2/32\"")) "],\"PacketFilter\":[%s%s]}",
				first, extra);
	struct config *cfg = configured(json);
	const struct ruleset_place place = {.config = cfg, .shut = shut};
	struct diags d = {0};
	struct ruleset *r = ruleset_build(&place, NULL, &d);

	assert_non_null(r);
	assert_int_equal(d.errors, 0);
	config_free(cfg);
	free(json);
	return r;
}

static bool passes(const struct ruleset *r, uint16_t port)
{
	struct addr dst;
	const struct acl_rule *rule;

	assert_true(addr_parse("203.0.113.9", 11, &dst));
	rule = tables_find(r->reach.t, r->reach.t->class_of[0], &dst, 6, port);
	return rule && rule->verdict == VERDICT_ACCEPT;
}

#define PORT(port)                      \
	"{\"SrcIPs\":[\"100.64.0.2\"]," \
	"\"DstPorts\":[{\"IP\":\"203.0.113.9\",\"Ports\":{\"First\":" port ",\"Last\":" port "}}]}"

/* One that cannot be understood takes nothing else with it. */
static void test_left_out_rules(void **state)
{
	struct ruleset *r = ruled(PORT("1"), ",{\"SrcIPs\":[\"nobody\"]}," PORT("2"), false);

	assert_int_equal(r->n_left_out, 1);
	assert_non_null(strstr(r->left_out, "SrcIPs"));
	assert_true(passes(r, 1));
	assert_true(passes(r, 2));
	assert_false(passes(r, 3));
	ruleset_free(r);
	r = ruled(PORT("1"), "", true);
	assert_false(passes(r, 1));
	ruleset_free(r);
}

/* More than there is room for: the first of them, which is less than the server means. */
static void test_rules_that_do_not_fit(void **state)
{
	size_t n = NETMAP_RULES_MAX - 1, fit;
	char *rules = mem_alloc(n * (sizeof(PORT("60000")) + 1) + 1, 1), *p = rules;
	struct ruleset *r;

	for (size_t i = 1; i <= n; i++)
		p += sprintf(p, "," PORT("%zu"), i, i);
	r = ruled(PORT("1"), rules, false);
	fit = n - r->n_left_out; /* the first port twice */
	assert_in_range(fit, 10000, n - 1);
	assert_non_null(strstr(r->left_out, "does not fit"));
	assert_true(passes(r, 1));
	assert_true(passes(r, (uint16_t)fit));
	assert_false(passes(r, (uint16_t)(fit + 1)));
	ruleset_free(r);
	free(rules);
}

static void test_same(void **state)
{
	static const char one[] = "{" SELF ",\"Peers\":[" NODE("2", AT("\"100.64.0.2/32\"")) "]}";
	struct config *a = configured(one), *b = configured(one);
	struct config *c = configured("{" SELF ",\"Peers\":[" NODE("2", AT("\"100.64.0.3/32\"")) "]}");

	assert_true(netmap_config_same(a, b));
	assert_false(netmap_config_same(a, c));
	config_free(a);
	config_free(b);
	config_free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_T11_served_routes),
		cmocka_unit_test(test_T11_primary),
		cmocka_unit_test(test_left_out_rules),
		cmocka_unit_test(test_rules_that_do_not_fit),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
