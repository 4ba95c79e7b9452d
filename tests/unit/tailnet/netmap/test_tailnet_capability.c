/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: rules whose sources are peers that hold a capability, and who that is at any time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "netmap_text.h"

/* The last byte of the IPv4 addresses among the sources of the only rule, in order; "": there is no rule. */
static const char *sources_of(const struct netmap *m, char *buf)
{
	struct filter f = netmap_rules(m);
	char *p = buf;

	*p = 0;
	assert_true(f.n <= 1);
	for (size_t i = 0; f.n && i < f.rules[0].n_src; i++)
		p += sprintf(p, "%s%u", i ? " " : "", f.rules[0].src[i].addr.b[15]);
	free(f.rules);
	return buf;
}

#define HOLDS(names) ",\"CapMap\":{" names "}"

/* Capability version 109: peers that hold a capability, whatever becomes of them. */
static void sources_by_capability(void **state)
{
	static const struct {
		const char *json, *sources;
		bool changed;
	} steps[] = {
		{"{" SELF HOLDS("\"x\":[]") "}", "", false},
		{"{\"PacketFilter\":[" RULE("\"cap:x\"", "10.0.0.1", "1", "1") "]}", "", true},
		{"{\"PeersChanged\":[" NODE("2", "02", HOLDS("\"x\":null,\"y\":[1]")) "," NODE("3", "03", "") "," NODE(
			 "4", "04", HOLDS("\"y\":[]")) "]}",
		 "2", true},
		{"{\"PeersChangedPatch\":[{\"NodeID\":3,\"CapMap\":{\"x\":[]}}]}", "2 3", true},
		{"{\"PeersChangedPatch\":[{\"NodeID\":3,\"DERPRegion\":4}]}", "2 3", false},
		{"{\"PeersChangedPatch\":[{\"NodeID\":3,\"CapMap\":null}]}", "2 3", false},
		{"{\"PeersChanged\":[" NODE("2", "22", HOLDS("\"x\":[]")) "]}", "2 3", false},
		{"{\"PeersChanged\":[" NODE("2", "22", HOLDS("\"X\":[],\"xx\":[],\"\":[]")) "]}", "3", true},
		{"{\"PeersChangedPatch\":[{\"NodeID\":3,\"CapMap\":{}}]}", "", true},
		{"{\"PacketFilter\":[" RULE("\"cap:y\",\"100.64.0.9\",\"cap:x\"", "10.0.0.1", "1", "1") "]}", "9 4",
		 true},
		{"{\"PeersChanged\":[" NODE("2", "22", HOLDS("\"x\":[],\"y\":[]")) "]}", "9 2 4", true}, /* once */
		{"{\"PeersRemoved\":[4]}", "9 2", true},
		{"{\"PeersChanged\":[{\"ID\":2,\"Key\":\"" KEY("22") "\",\"Addresses\":[\"100.64.0.7/32\"]" HOLDS(
			 "\"x\":[]") "}]}",
		 "9 7", true},
		{"{\"PeersChanged\":[" NODE("2", "22", HOLDS("\"x\":[]") ",\"IsJailed\":true") "]}", "9", true},
		{"{\"Peers\":[" NODE("5", "05", HOLDS("\"x\":[]")) "]}", "9 5", true},
		{"{\"PacketFilter\":[" RULE("\"cap:\"", "10.0.0.1", "1", "1") "]}", "", true}, /* nobody's */
		{"{\"PacketFilters\":{\"*\":null,\"a\":[" RULE("\"cap:x\"", "10.0.0.1", "1", "1") "]}}", "5", true},
		{"{\"PacketFilters\":{\"a\":null}}", "", true},
		{"{\"PacketFilter\":[{\"SrcIPs\":[\"cap:x\"],\"CapGrant\":[{}]}]}", "", false}, /* not about packets */
	};
	struct netmap m = {0};
	struct netmap_copy r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		char ours[100], theirs[100];

		apply(&m, steps[i].json);
		if (strcmp(sources_of(&m, ours), steps[i].sources) || m.rules_changed != steps[i].changed)
			fail_msg("step %zu: \"%s\", changed %d", i, ours, m.rules_changed);
		assert_int_equal(netmap_left_out(&m).n, 0);
		netmap_copy_tell(&m, i == 0, &t);
		netmap_settle(&m);
		assert_string_equal(sources_of(&r.map, theirs), ours); /* the gateway needs to know nothing of them */
		netmap_settle(&r.map);
	}
	netmap_free(&m);
	netmap_copy_free(&r);
}

/* Some thousand of a peer's take nobody down, and rules of too many peers end somewhere. */
static void many_capabilities(void **state)
{
	char *list = many(4 * CAPABILITIES_MAX, "\"cap-%zu-%zu\":[]"), buf[100];
	char *json =
		mem_printf("{\"Peers\":[" NODE("2", "02", HOLDS("%s")) "," NODE(
				   "3", "03", HOLDS("\"x\":[]")) "],"
								 "\"PacketFilter\":[" RULE(
									 "\"cap:cap-0-7\",\"cap:cap-9-9\",\"cap:x\"",
									 "::1", "1", "1") "]}",
			   list);
	struct netmap m = {0};

	apply(&m, json);
	assert_int_equal(netmap_peer(&m, 2)->caps.n, CAPABILITIES_MAX);
	assert_string_equal(sources_of(&m, buf), "2 3");
	free(list);
	free(json);
	list = many(CAPABILITIES_MAX + 1, "\"cap:c-%zu-%zu\"");
	json = mem_printf("{\"PacketFilter\":[{\"SrcIPs\":[%s],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,"
			  "\"Last\":1}}]}]}",
			  list);
	apply(&m, json);
	assert_int_equal(netmap_left_out(&m).n, 1);
	assert_string_equal(netmap_left_out(&m).why, "rule 1: SrcIPs: more than 1024 capabilities");
	free(list);
	free(json);
	netmap_free(&m);
}

static void too_many_sources_by_capability(void **state)
{
	static const char rule[] = RULE("\"cap:x\"", "10.0.0.1", "1", "1") ",";
	size_t n_rules = 8192, n_peers = NETMAP_BY_CAP_MAX / n_rules + 3, len = strlen(rule), told = 0;
	char *json = mem_alloc(n_rules * len + n_peers * 200 + 100, 1), *p = json;
	struct netmap m = {0};
	struct filter f;

	p += sprintf(p, "{\"Peers\":[");
	for (size_t i = 0; i < n_peers; i++)
		p += sprintf(p,
			     "%s{\"ID\":%zu,\"Key\":\"" KEY("02") "\",\"Addresses\":[\"100.64.%zu.%zu/32\"]" HOLDS(
				     "\"x\":0") "}",
			     i ? "," : "", i + 1, i / 256, i % 256);
	p += sprintf(p, "],\"PacketFilter\":[");
	for (size_t i = 0; i < n_rules; i++, p += len)
		memcpy(p, rule, len);
	strcpy(p - 1, "]}");
	apply(&m, json);
	f = netmap_rules(&m);
	for (size_t i = 0; i < f.n; i++)
		told += f.rules[i].n_src;
	assert_int_equal(told, NETMAP_BY_CAP_MAX);
	assert_int_equal(netmap_left_out(&m).n, 1);
	assert_string_equal(netmap_left_out(&m).why, "more sources by capability than are kept");
	free(f.rules);
	free(json);
	apply(&m, "{\"PeersRemoved\":[1,2,3]}");
	assert_int_equal(netmap_left_out(&m).n, 0);
	assert_true(m.rules_changed);
	netmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_by_capability),
		cmocka_unit_test(many_capabilities),
		cmocka_unit_test(too_many_sources_by_capability),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
