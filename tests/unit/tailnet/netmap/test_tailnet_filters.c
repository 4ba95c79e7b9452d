/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: the filter rules of a netmap: named, bounded, in each of the server's forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netmap_text.h"

static void named_filters(void **state)
{
	static const struct {
		const char *json;
		size_t rules;
		bool changed;
	} steps[] = {
		{"{\"PacketFilter\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}", 1, true},
		{"{}", 1, false},
		{"{\"PacketFilter\":null}", 1, false},
		{"{\"PacketFilters\":{\"base\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}}", 1, false}, /* the same */
		{"{\"PacketFilters\":{\"x\":[" RULE("\"*\"", "10.0.0.2", "1", "1") "]}}", 2, true},
		{"{\"PacketFilters\":{\"x\":null}}", 1, true},
		{"{\"PacketFilters\":{\"x\":null}}", 1, false},
		{"{\"PacketFilters\":{\"a\":[" RULE("\"*\"", "10.0.0.2", "1", "1") "]}}", 2, true},
		{"{\"PacketFilters\":{\"*\":null,\"b\":[" RULE("\"*\"", "10.0.0.3", "1", "1") "]}}", 1, true},
		{"{\"PacketFilter\":[]}", 1, false},
		{"{\"PacketFilters\":{\"*\":[" RULE("\"*\"", "10.0.0.9", "1", "1") "]}}", 1, false},
		{"{\"PacketFilters\":{\"*\":7}}", 1, false},
		{"{\"PacketFilters\":{\"*\":null}}", 0, true},
		{"{\"PacketFilters\":{\"d\":[" RULE("\"*\"", "10.0.0.2", "1", "1") "]}}", 1, true},
		{"{\"PacketFilters\":{\"d\":7}}", 0, true}, /* unlike the others it is read as letting nobody through */
		{"{\"PacketFilter\":7}", 0, true},
		/* the old field counts first, so what clears all clears it, wherever it stands */
		{"{\"PacketFilters\":{\"c\":[" RULE("\"*\"", "10.0.0.3", "1",
						    "1") "],\"*\":null},"
							 "\"PacketFilter\":[" RULE("\"*\"", "10.0.0.4", "1",
										   "1") "," RULE("\"*\"", "10.0.0.5",
												 "1", "1") "]}",
		 1, true},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		apply(&m, steps[i].json);
		if (rule_count(&m) != steps[i].rules || m.rules_changed != steps[i].changed)
			fail_msg("step %zu: %zu rules, changed %d", i, rule_count(&m), m.rules_changed);
		netmap_settle(&m);
	}
	netmap_free(&m);
}

/* A rule that cannot be understood is left out, for the others say what is revoked. */
static void rules_left_out(void **state)
{
	static const struct {
		const char *rule, *why;
	} cases[] = {
		{"1", "PacketFilters"},
		{"{\"SrcIPs\":[\"x\"]}", "SrcIPs"},
		{"{\"SrcIPs\":[\"100.64.0.9-100.64.0.1\"]}", "SrcIPs"},
		{"{\"SrcIPs\":[\"100.64.0.9-::1\"]}", "SrcIPs"},
		{"{\"DstPorts\":[{\"IP\":\"*\"}]}", "Ports"},
		{"{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":2,\"Last\":1}}]}", "Ports"},
		{"{\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65536}}]}", "Last"},
		{"{\"DstPorts\":[{\"Ports\":{\"First\":0,\"Last\":1}}]}", "DstPorts"},
		{"{\"IPProto\":[\"6\"]}", "IPProto"},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = mem_printf("{\"PacketFilter\":[" RULE("\"100.64.0.2\"", "10.0.0.1", "1", "1") ",%s," RULE(
						"\"100.64.0.3\"", "10.0.0.1", "1", "1") "]}",
					cases[i].rule);
		struct netmap_left_out left_out;

		apply(&m, json);
		left_out = netmap_left_out(&m);
		if (left_out.n != 1 || !strstr(left_out.why, cases[i].why) || strncmp(left_out.why, "rule 2: ", 8))
			fail_msg("%s: %zu left out, \"%s\"", cases[i].rule, left_out.n, left_out.why);
		assert_int_equal(rule_count(&m), 2);
		free(json);
	}
	apply(&m, "{\"PacketFilters\":{\"x\":[1,2]}}");
	assert_int_equal(netmap_left_out(&m).n, 3); /* of all filters */
	netmap_settle(&m);
	apply(&m, "{\"PacketFilters\":{\"x\":[]}}");
	assert_int_equal(netmap_left_out(&m).n, 1);
	assert_true(m.rules_changed);
	netmap_free(&m);
}

/* A server of any size: the first of them count. */
static void too_many_rules(void **state)
{
	static const char rule[] = RULE("\"*\"", "10.0.0.1", "1", "1") ",";
	size_t n = NETMAP_RULES_MAX + 3, len = strlen(rule);
	char *json = mem_alloc(n * len + 64, 1), *p = json + sprintf(json, "{\"PacketFilter\":[");
	struct netmap m = {0};

	for (size_t i = 0; i < n; i++, p += len)
		memcpy(p, rule, len);
	strcpy(p - 1, "]}");
	apply(&m, json);
	assert_int_equal(rule_count(&m), NETMAP_RULES_MAX);
	assert_int_equal(netmap_left_out(&m).n, 3);
	free(json);
	netmap_free(&m);
}

static void rule_forms(void **state)
{
	static const struct {
		const char *json, *text; /* NULL: left out */
		size_t n_src, n_dst;
	} cases[] = {
		{RULE("\"100.64.0.1\"", "203.0.113.9", "443", "443"), "100.64.0.1 -> 203.0.113.9:443", 1, 1},
		{RULE("\"100.64.0.1\",\"fd7a:115c:a1e0::1\"", "203.0.113.0/24", "0", "65535"),
		 "100.64.0.1 and 1 more -> 203.0.113.0/24:*", 2, 1},
		{RULE("\"*\"", "*", "80", "90"), "* -> *:80-90", 2, 2},
		{RULE("\"100.64.0.0-100.64.0.3\"", "::1", "1", "1"), "100.64.0.0/30 -> ::1:1", 1, 1},
		{RULE("\"100.64.0.1-100.64.0.6\"", "::1", "1", "1"), "100.64.0.1 and 3 more -> ::1:1", 4, 1},
		{RULE("\"0.0.0.0-255.255.255.255\"", "::1", "1", "1"), "0.0.0.0/0 -> ::1:1", 1, 1},
		{RULE("\"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"", "::1", "1", "1"), "::/0 -> ::1:1", 1, 1},
		{RULE("\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"", "::/0", "1", "1"),
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> ::/0:1", 1, 1},
		{RULE("\"cap:x\"", "::1", "1", "1"), NULL, 0, 0},
		{RULE("\"cap:x\",\"100.64.0.1\"", "::1", "1", "1"), "cap:x and 1 more -> ::1:1", 1, 1},
		{"{\"SrcIPs\":[\"100.64.0.0\"],\"SrcBits\":[10],\"DstPorts\":[{\"IP\":\"10.0.0.0\",\"Bits\":8,"
		 "\"Ports\":{\"First\":1,\"Last\":1}}]}",
		 NULL, 0, 0},
		/* what cannot be understood of a rule is left out, as Tailscale's client has it */
		{RULE("\"x\",\"100.64.0.1\",\"100.64.0.9-::1\",\"100.64.0.1/10\"", "::1", "1", "1"),
		 "100.64.0.1 -> ::1:1", 1, 1},
		{"{\"SrcIPs\":[\"*\\u0000\",\"100.64.0.1\"],\"DstPorts\":[{\"IP\":\"x\",\"Ports\":{\"First\":1,"
		 "\"Last\":1}},{\"IP\":\"10.0.0.1/8\",\"Ports\":{\"First\":1,\"Last\":1}},{\"IP\":\"10.0.0.9\","
		 "\"Bits\":null,\"Ports\":{\"First\":1,\"Last\":1}}]}",
		 "100.64.0.1 -> 10.0.0.9:1", 1, 1},
		{"{\"SrcIPs\":[\"100.64.0.1\"],\"DstPorts\":[{\"IP\":\"10.0.0.0\",\"Bits\":8,\"Ports\":{\"First\":1,"
		 "\"Last\":1}}]}",
		 NULL, 0, 0},
		{"{\"SrcIPs\":[\"*\"]}", NULL, 0, 0},
		{"{\"SrcIPs\":[],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":1,\"Last\":1}}]}", NULL, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = mem_printf("{\"PacketFilter\":[%s]}", cases[i].json);
		struct netmap m = {0};
		struct filter f;

		apply(&m, json);
		f = netmap_rules(&m);
		assert_int_equal(f.n, cases[i].text ? 1 : 0);
		if (f.n) {
			assert_string_equal(f.rules[0].text, cases[i].text);
			assert_int_equal(f.rules[0].n_src, cases[i].n_src);
			assert_int_equal(f.rules[0].n_dst, cases[i].n_dst);
			assert_int_equal(f.rules[0].id, 1);
			assert_int_equal(f.rules[0].verdict, FILTER_ACCEPT);
		}
		free(f.rules);
		netmap_free(&m);
		free(json);
	}
}

/* Numbers beyond those of protocols mean something to others; a rule of nothing else is for them alone. */
static void protocols(void **state)
{
	static const struct {
		const char *list;
		size_t rules, n;
		uint8_t last;
	} cases[] = {
		{"[6,17]", 1, 2, 17}, {"[]", 1, 0, 0}, {"null", 1, 0, 0}, {"[-1,6,256,99999999999]", 1, 1, 6},
		{"[300]", 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = mem_printf("{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"IPProto\":%s,\"DstPorts\":[{\"IP\":"
					"\"10.0.0.1\",\"Ports\":{\"First\":1,\"Last\":2}}]}]}",
					cases[i].list);
		struct netmap m = {0};
		struct filter f;

		apply(&m, json);
		f = netmap_rules(&m);
		assert_int_equal(f.n, cases[i].rules);
		assert_int_equal(f.n ? f.rules[0].n_proto : 0, cases[i].n);
		assert_true(!cases[i].n || f.rules[0].proto[cases[i].n - 1] == cases[i].last);
		assert_int_equal(netmap_left_out(&m).n, 0);
		free(f.rules);
		netmap_free(&m);
		free(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_filters), cmocka_unit_test(rules_left_out), cmocka_unit_test(too_many_rules),
		cmocka_unit_test(rule_forms),	 cmocka_unit_test(protocols),
	};

	return cmocka_run_group_tests_name("tailnet_filters", tests, NULL, NULL);
}
