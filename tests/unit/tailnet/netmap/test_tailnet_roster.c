/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: the netmap on its way to the gateway, and to disk: the same on both sides, whatever the order and the size. */
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

static void assert_same(const struct netmap *a, const struct netmap *b)
{
	struct filter fa = netmap_rules(a), fb = netmap_rules(b);

	assert_int_equal(a->n_peers, b->n_peers);
	for (size_t i = 0; i < a->n_peers; i++)
		assert_true(node_equal(a->peers[i].node, b->peers[i].node));
	assert_true(!a->self.node || node_equal(a->self.node, b->self.node));
	assert_int_equal(fa.n, fb.n);
	assert_int_equal(netmap_left_out(a).n, netmap_left_out(b).n);
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	free(fa.rules);
	free(fb.rules);
}

static const char *const story[] = {
	"{" SELF ",\"Peers\":[" NODE("2", "02", ",\"User\":7") "," NODE(
		"3", "03", "") "],\"UserProfiles\":[{\"ID\":7,"
			       "\"LoginName\":\"alice@example.com\"}],\"PacketFilter\":[" RULE(
				       "\"100.64.0.2\"", "203.0.113.9", "443",
				       "443") "],"
					      "\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":[{"
					      "\"HostName\":\"a\",\"IPv4\":\"192.0.2.1\"}]}}}}",
	"{\"PeersChangedPatch\":[{\"NodeID\":2,\"Endpoints\":[\"192.0.2.9:9\"]}]}",
	"{\"PeersRemoved\":[3],\"PeersChanged\":[" NODE("4", "04", "") "]}",
	"{\"PacketFilters\":{\"x\":[" RULE("\"*\"", "10.0.0.2", "1", "1") "]}}",
	"{\"PacketFilters\":{\"x\":[7," RULE("\"*\"", "10.0.0.2", "1", "1") "]}}",
	"{\"KeepAlive\":true}",
	"{\"PeersRemoved\":[4]}",
	"{\"PeersChanged\":[" NODE("4", "44", "") "]}",
	"{\"PeersRemoved\":[4],\"PeersChanged\":[" NODE("4", "45", "") "]}",
	"{\"Peers\":[" NODE("5", "05", "") "]}",
};

static void gateway_follows(void **state)
{
	struct netmap m = {0};
	struct netmap_copy r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	for (size_t i = 0; i < sizeof(story) / sizeof(*story); i++) {
		apply(&m, story[i]);
		c.n = 0;
		netmap_copy_tell(&m, i == 0, &t);
		netmap_settle(&m);
		assert_int_equal(c.n != 0, strcmp(story[i], "{\"KeepAlive\":true}") != 0);
		assert_int_equal(c.n ? (int)c.last : NETMAP_COPY_CHANGED, NETMAP_COPY_CHANGED);
		assert_same(&m, &r.map);
		assert_int_equal(r.map.derpmap_changed, i == 0);
		netmap_settle(&r.map);
	}
	assert_true(derpmap_equal(m.derpmap, r.map.derpmap));
	netmap_free(&m);
	netmap_copy_free(&r);
}

/* The network process was started anew and does not know what it has told before. */
static void told_whole_again(void **state)
{
	struct netmap m = {0};
	struct netmap_copy r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	apply(&m, story[0]);
	netmap_copy_tell(&m, true, &t);
	netmap_settle(&r.map);
	apply(&m, "{\"PeersRemoved\":[3]}");
	netmap_copy_tell(&m, true, &t);
	assert_same(&m, &r.map);
	assert_int_equal(r.map.n_removed, 1);
	assert_false(netmap_peer(&r.map, 2)->changed);
	assert_false(r.map.rules_changed);
	assert_false(r.map.self.changed);
	netmap_free(&m);
	netmap_copy_free(&r);
}

static void large_rules_go_in_pieces(void **state)
{
	struct netmap m = {0};
	struct netmap_copy r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};
	struct filter f;
	size_t n_src = 0;
	char *json = mem_alloc(200000, 1), *p = json;

	p += sprintf(p, "{\"PacketFilter\":[{\"SrcIPs\":[");
	for (int i = 0; i < 5000; i++)
		p += sprintf(p, "%s\"100.64.%d.%d\"", i ? "," : "", i / 256, i % 256);
	sprintf(p, "],\"DstPorts\":[{\"IP\":\"10.0.0.1\",\"Ports\":{\"First\":1,\"Last\":1}}]}]}");
	apply(&m, json);
	netmap_copy_tell(&m, true, &t);
	f = netmap_rules(&r.map);
	assert_int_equal(f.n, 5);
	for (size_t i = 0; i < f.n; i++)
		n_src += f.rules[i].n_src;
	assert_int_equal(n_src, 5000);
	free(f.rules);
	free(json);
	netmap_free(&m);
	netmap_copy_free(&r);
}

static struct filter same_rules(size_t n, struct filter_rule rule)
{
	struct filter f = {.rules = mem_alloc(n, sizeof(*f.rules)), .n = n};

	for (size_t i = 0; i < n; i++)
		f.rules[i] = rule;
	return f;
}

/* More pieces than the gateway takes, in one filter or in all: what fits is in force, and the rest is said. */
static void more_pieces_than_the_gateway_takes(void **state)
{
	static const struct {
		struct {
			size_t rules, src;
		} filters[3];
		size_t told, left_out; /* pieces; rules */
	} cases[] = {
		{{{NETMAP_RULES_MAX / 2, 1}, {NETMAP_RULES_MAX / 2, 2}}, NETMAP_RULES_MAX, 0},
		{{{NETMAP_RULES_MAX / 2, 1}, {NETMAP_RULES_MAX / 2, 1}, {3, 1}}, NETMAP_RULES_MAX, 3},
		{{{NETMAP_RULES_MAX - 1, 1}, {1, 2 * WIRE_RULE_ENTRIES_MAX}, {1, 1}}, NETMAP_RULES_MAX, 1},
		{{{NETMAP_RULES_MAX - 4, 1}, {2, 2 * WIRE_RULE_ENTRIES_MAX + 1}}, NETMAP_RULES_MAX - 1, 1},
	};
	static struct prefix sources[2 * WIRE_RULE_ENTRIES_MAX + 1];
	struct filter_dst any = {.last = UINT16_MAX};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netmap_filter filters[3] = {0};
		struct netmap m = {.filters = filters, .n_filters = 3, .rules_changed = true};
		struct netmap_copy r = {0};
		struct carrier c = {.roster = &r};
		const struct teller t = {carry, &c};

		for (size_t k = 0; k < 3; k++)
			filters[k].rules = same_rules(cases[i].filters[k].rules,
						      (struct filter_rule){.text = "",
									   .verdict = FILTER_ACCEPT,
									   .src = sources,
									   .n_src = cases[i].filters[k].src,
									   .dst = &any,
									   .n_dst = 1});
		netmap_copy_tell(&m, true, &t);
		assert_int_equal(c.last, NETMAP_COPY_CHANGED);
		assert_int_equal(rule_count(&r.map), cases[i].told);
		assert_int_equal(netmap_left_out(&r.map).n, cases[i].left_out);
		for (size_t k = 0; k < 3; k++)
			free(filters[k].rules.rules);
		netmap_copy_free(&r);
	}
}

static void kept_on_disk(void **state)
{
	struct netmap m = {0};
	struct netmap_copy r = {0}, again = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};
	uint8_t *bytes;
	size_t len;

	apply(&m, story[0]);
	netmap_copy_tell(&m, true, &t);
	bytes = netmap_copy_save(&r, &len);
	assert_true(netmap_copy_load(&again, bytes, len));
	assert_same(&m, &again.map);
	assert_string_equal(netmap_peer(&again.map, 2)->node->user, "alice@example.com");
	assert_true(derpmap_equal(m.derpmap, again.map.derpmap));
	netmap_copy_free(&again);
	for (size_t cut = 0; cut < len; cut++) { /* half a file is no file */
		assert_false(netmap_copy_load(&again, bytes, cut));
		assert_int_equal(again.map.n_peers, 0);
	}
	for (size_t i = 0; i < len; i += 3) { /* damaged: refused, or read as something well-formed */
		bytes[i] ^= 0x5a;
		netmap_copy_load(&again, bytes, len);
		netmap_copy_free(&again);
		bytes[i] ^= 0x5a;
	}
	free(bytes);
	netmap_free(&m);
	netmap_copy_free(&r);
}

/* Messages in an order that nobody sends end the transaction, and what was before stays. */
static void impossible_orders(void **state)
{
	static const enum wire_type orders[][3] = {
		{WIRE_MAP_END},
		{WIRE_PEER_GONE},
		{WIRE_MAP_BEGIN, WIRE_MAP_BEGIN},
		{WIRE_MAP_BEGIN, WIRE_RULE},
		{WIRE_MAP_BEGIN, WIRE_LEFT_OUT},
		{WIRE_MAP_BEGIN, WIRE_REGION},
		{WIRE_MAP_BEGIN, WIRE_LOGOUT},
	};
	struct netmap_copy r = {0};

	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		enum netmap_copy_result result = NETMAP_COPY_MORE;

		for (size_t k = 0; k < 3 && orders[i][k]; k++) {
			struct wire_message m = {.type = orders[i][k]};

			result = netmap_copy_take(&r, &m);
		}
		assert_int_equal(result, NETMAP_COPY_REFUSED);
		assert_null(r.update);
	}
	netmap_copy_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gateway_follows),
		cmocka_unit_test(told_whole_again),
		cmocka_unit_test(large_rules_go_in_pieces),
		cmocka_unit_test(more_pieces_than_the_gateway_takes),
		cmocka_unit_test(kept_on_disk),
		cmocka_unit_test(impossible_orders),
	};

	return cmocka_run_group_tests_name("tailnet_netmap", tests, NULL, NULL);
}
