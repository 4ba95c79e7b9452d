/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: what messages make of the nodes of a netmap: their fields, changes, bounds, who is left out. */
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

static void node_fields(void **state)
{
	const struct tailnet_node *n;
	struct netmap m = {0};

	apply(&m, "{" SELF ",\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"alice@example.com\"}],\"Peers\":[" NODE(
			  "2", "02",
			  ",\"Name\":\"laptop.lab.test.\",\"User\":7,\"DiscoKey\":\"" DISCO(
				  "ab") "\",\"Endpoints\":[\"192.0.2.1:7\",\"[2001:db8::1]:8\"],\"HomeDERP\":3,"
					"\"AllowedIPs\":[\"100.64.0.2/32\",\"10.0.0.0/"
					"8\"],\"KeyExpiry\":\"2030-01-01T00:00:00Z\","
					"\"Online\":true,\"StableID\":\"n2\"") "," NODE("3", "03",
											",\"DERP\":\"127.3.3.40:5\","
											"\"Hostinfo\":{\"Hostname\":"
											"\"host-3\"}") "]}");
	assert_string_equal(m.self.node->name, "gw-1");
	assert_string_equal(m.self.node->user, ""); /* tagged */
	assert_string_equal(m.self.node->tags[0], "tag:gw");
	n = netmap_peer(&m, 2)->node;
	assert_string_equal(n->name, "laptop");
	assert_string_equal(n->user, "alice@example.com");
	assert_string_equal(n->stable_id, "n2");
	assert_int_equal(n->node_key[31], 2);
	assert_int_equal(n->disco_key[31], 0xab);
	assert_int_equal(n->n_endpoints, 2);
	assert_int_equal(n->endpoints[1].port, 8);
	assert_int_equal(n->n_allowed, 2);
	assert_int_equal(n->allowed[1].len, 96 + 8);
	assert_int_equal(n->region, 3);
	assert_int_equal(n->key_expiry, 1893456000);
	assert_true(n->online);
	assert_false(node_is_expired(n, 1893455999));
	assert_true(node_is_expired(n, 1893456000));
	n = netmap_peer(&m, 3)->node;
	assert_string_equal(n->name, "host-3");
	assert_int_equal(n->region, 5);
	assert_int_equal(n->n_allowed, 1); /* absent: the addresses */
	assert_int_equal(n->key_expiry, 0);
	netmap_free(&m);
}

/* Peers that may not reach us, or are of another kind, are as if they were not there. */
static void left_out(void **state)
{
	struct netmap m = {0};

	apply(&m, "{\"Peers\":[" NODE("2", "02", "") "," NODE("3", "03", ",\"IsJailed\":true") "," NODE(
			  "4", "04", ",\"IsWireGuardOnly\":true") ",{\"ID\":5}]}");
	assert_int_equal(m.n_peers, 1);
	netmap_settle(&m);
	apply(&m, "{\"PeersChanged\":[" NODE("6", "06", ",\"UnsignedPeerAPIOnly\":true") "]}");
	assert_int_equal(m.n_peers, 1);
	netmap_settle(&m);
	apply(&m, "{\"PeersChanged\":[" NODE("2", "02", ",\"IsJailed\":true") "]}");
	assert_int_equal(m.n_peers, 0);
	assert_int_equal(m.n_removed, 1);
	netmap_free(&m);
}

/* One peer that is too much for us takes nobody else down; we ourselves must be whole. */
static void oversized_nodes(void **state)
{
	static const struct {
		const char *key, *element;
		size_t max;
		bool left_out; /* else the first count */
	} cases[] = {
		{"AllowedIPs", "\"10.%zu.%zu.0/24\"", NODE_ALLOWED_MAX, false},
		{"PrimaryRoutes", "\"10.%zu.%zu.0/24\"", NODE_ALLOWED_MAX, false},
		{"Addresses", "\"100.64.%zu.%zu/32\"", NODE_ADDRESSES_MAX, true},
		{"Tags", "\"tag:t%zu-%zu\"", NODE_TAGS_MAX, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t over = 0; over <= 1; over++) {
			char *list = many(cases[i].max + over, cases[i].element), error[NETMAP_ERROR] = "";
			char *peer = mem_printf("{\"ID\":2,\"Key\":\"" KEY("02") "\",\"Name\":\"big\",\"%s\":[%s]}",
						cases[i].key, list);
			char *peers = mem_printf("{" SELF ",\"Peers\":[%s," NODE("3", "03", "") "]}", peer);
			char *self = mem_printf("{\"Node\":%s}", peer);
			struct netmap_update *u = read_text(peers, error);
			struct netmap m = {0};

			if (!u)
				fail_msg("%s: %s", cases[i].key, error);
			assert_int_equal(u->n_unfit, over && cases[i].left_out);
			assert_true(!u->n_unfit ||
				    (!strncmp(u->unfit->why, "big: ", 5) && strstr(u->unfit->why, cases[i].key)));
			netmap_apply(&m, u);
			netmap_update_free(u);
			assert_int_equal(m.n_peers, over && cases[i].left_out ? 1 : 2);
			assert_non_null(netmap_peer(&m, 3));
			apply(&m, "{\"PeersChanged\":[" NODE("2", "02", "") "]}");
			assert_int_equal(m.n_peers, 2);
			netmap_free(&m);
			u = read_text(self, error);
			assert_true(u && (over ? !u->self.node && strstr(u->damage, cases[i].key) : !u->damage));
			netmap_update_free(u);
			free(list);
			free(peer);
			free(peers);
			free(self);
		}
	}
}

static void deltas(void **state)
{
	struct netmap m = {0};

	apply(&m, "{" SELF ",\"Peers\":[" NODE("5", "05", "") "," NODE("2", "02", "") "," NODE("9", "09", "") "]}");
	assert_int_equal(m.n_peers, 3);
	assert_int_equal(m.peers[0].node->id, 2);
	assert_int_equal(m.peers[2].node->id, 9);
	assert_true(m.full);
	netmap_settle(&m);

	apply(&m, "{\"PeersChanged\":[" NODE("7", "07", "") "," NODE("2", "02", "") "],\"PeersRemoved\":[9,77]}");
	assert_int_equal(m.n_peers, 3);
	assert_true(netmap_peer(&m, 7)->changed);
	assert_false(netmap_peer(&m, 2)->changed); /* sent again, and the same */
	assert_false(netmap_peer(&m, 5)->changed);
	assert_null(netmap_peer(&m, 9));
	assert_int_equal(m.n_removed, 1);
	netmap_settle(&m);

	apply(&m, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":4,\"Key\":\"" KEY(
			  "aa") "\",\"Endpoints\":[\"192.0."
				"2.9:9\"],\"Online\":true,"
				"\"DiscoKey\":\"" DISCO("bb") "\","
							      "\"KeyExpiry"
							      "\":\"2030-"
							      "01-01T00:00:"
							      "00Z\"}],"
							      "\"OnlineChan"
							      "ge\":{\"5\":"
							      "true}}");
	assert_int_equal(netmap_peer(&m, 2)->node->region, 4);
	assert_int_equal(netmap_peer(&m, 2)->node->node_key[31], 0xaa);
	assert_int_equal(netmap_peer(&m, 2)->node->disco_key[31], 0xbb);
	assert_int_equal(netmap_peer(&m, 2)->node->endpoints[0].port, 9);
	assert_int_equal(netmap_peer(&m, 2)->node->key_expiry, 1893456000);
	assert_int_equal(netmap_peer(&m, 2)->node->n_addresses, 1); /* as it was */
	assert_true(netmap_peer(&m, 5)->node->online);
	netmap_settle(&m);

	apply(&m, "{\"PeersRemoved\":[2],\"PeersChanged\":[" NODE("2", "22", "") "]}"); /* gone, and back */
	assert_int_equal(netmap_peer(&m, 2)->node->node_key[31], 0x22);
	apply(&m, "{\"OnlineChange\":{\"2\":true},\"PeersChangedPatch\":[{\"NodeID\":2,\"Online\":false}]}");
	assert_false(netmap_peer(&m, 2)->node->online); /* the patch is newer */
	netmap_settle(&m);
	apply(&m, "{\"Peers\":[]}"); /* says nothing, as null does */
	assert_int_equal(m.n_peers, 3);
	assert_false(m.full);

	/* whole again: what else is said of peers does not count */
	apply(&m, "{\"Peers\":[" NODE("7", "07", "") "],\"PeersRemoved\":[7],\"OnlineChange\":{\"7\":true}}");
	assert_int_equal(m.n_peers, 1);
	assert_int_equal(m.n_removed, 2);
	assert_false(netmap_peer(&m, 7)->node->online);
	netmap_settle(&m);
	apply(&m, "{\"KeepAlive\":true,\"PeersRemoved\":[7],\"PacketFilters\":{\"*\":null}}"); /* that is all it says */
	assert_int_equal(m.n_peers, 1);
	netmap_free(&m);
}

static void users_may_come_later(void **state)
{
	struct netmap m = {0};

	apply(&m, "{\"Peers\":[" NODE("2", "02", ",\"User\":7") "]}");
	assert_string_equal(m.peers[0].node->user, "");
	netmap_settle(&m);
	apply(&m, "{\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"bob@example.com\"}]}");
	assert_string_equal(m.peers[0].node->user, "bob@example.com");
	assert_true(m.peers[0].changed);
	netmap_settle(&m);
	apply(&m, "{\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"bob@example.com\"}]}");
	assert_false(m.peers[0].changed);
	/* in whichever order: one is new, one changes, one is said twice */
	apply(&m, "{\"UserProfiles\":[{\"ID\":9,\"LoginName\":\"dora@example.com\"},"
		  "{\"ID\":-3,\"LoginName\":\"carl@example.com\"},{\"ID\":7,\"LoginName\":\"rob@example.com\"},"
		  "{\"ID\":8,\"LoginName\":\"eve@example.com\"},{\"ID\":9,\"LoginName\":\"dave@example.com\"}],"
		  "\"PeersChanged\":[" NODE("3", "03", ",\"User\":9") "," NODE("4", "04", ",\"User\":-3") "," NODE(
			  "5", "05", ",\"User\":8") "]}");
	assert_int_equal(m.n_users, 4);
	assert_string_equal(m.peers[0].node->user, "rob@example.com");
	assert_string_equal(m.peers[1].node->user, "dave@example.com");
	assert_string_equal(m.peers[2].node->user, "carl@example.com");
	assert_string_equal(m.peers[3].node->user, "eve@example.com");
	netmap_free(&m);
}

/* T11: whose a route is, whole and changed later; null and absent are none. */
static void primary_routes(void **state)
{
	static const struct {
		const char *json;
		size_t own, peers;
	} steps[] = {
		{"{" SELF ",\"Peers\":[" NODE("2", "02", ",\"PrimaryRoutes\":[\"10.0.0.0/8\",\"2001:db8::/32\"]") "]}",
		 0, 2},
		{"{\"Node\":" NODE("1", "01", ",\"PrimaryRoutes\":[\"10.0.0.0/8\"]") "}", 1, 2},
		{"{\"PeersChanged\":[" NODE("2", "02", ",\"PrimaryRoutes\":[\"2001:db8::/32\"]") "]}", 1, 1},
		{"{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":4}]}", 1, 1},
		{"{\"Node\":" NODE("1", "01", ",\"PrimaryRoutes\":null") "}", 0, 1},
		{"{\"PeersChanged\":[" NODE("2", "02", "") "]}", 0, 0},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		apply(&m, steps[i].json);
		assert_int_equal(m.self.node->n_primary, steps[i].own);
		assert_int_equal(m.peers[0].node->n_primary, steps[i].peers);
		assert_int_equal(m.self.changed, i == 0 || steps[i].own != steps[i - 1].own);
		assert_int_equal(m.peers[0].changed, i == 0 || i == 2 || i == 3 || i == 5);
		netmap_settle(&m);
	}
	netmap_free(&m);
}

static void lock_and_ping(void **state)
{
	static const struct {
		const char *json;
		bool locked, ping, noise;
	} cases[] = {
		{"{\"TKAInfo\":{\"Head\":\"abc\"}}", true, false, false},
		{"{\"TKAInfo\":{\"Head\":\"abc\",\"Disabled\":true}}", false, false, false},
		{"{\"TKAInfo\":{}}", false, false, false},
		{"{\"PingRequest\":{\"URL\":\"https://h/ping/1\"}}", false, true, false},
		{"{\"PingRequest\":{\"URL\":\"https://h/ping/1\",\"URLIsNoise\":true}}", false, true, true},
		{"{\"PingRequest\":{\"URL\":\"https://h/c2n\",\"Types\":\"c2n\"}}", false, false, false},
		{"{\"PingRequest\":{\"URL\":\"file:///etc/passwd\"}}", false, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[NETMAP_ERROR];
		struct netmap_update *u = read_text(cases[i].json, error);

		assert_non_null(u);
		assert_int_equal(u->locked, cases[i].locked);
		assert_int_equal(u->ping, cases[i].ping);
		assert_int_equal(u->ping_noise, cases[i].noise);
		netmap_update_free(u);
	}
}

/* @n nodes of this number and those behind it, in front of @tail. */
static char *nodes_from(size_t first, size_t n, const char *key, const char *tail)
{
	char *json = mem_alloc(n + 2, 128), *p = json + sprintf(json, "{" SELF ",\"%s\":[", key);

	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s{\"ID\":%zu,\"Key\":\"" KEY("02") "\"}", i ? "," : "", first + i);
	strcpy(p, tail);
	return json;
}

/* However many messages bring them: those that are there stay, and go, and make room. */
static void no_more_peers_than_are_kept(void **state)
{
	char *first = nodes_from(1000, NETMAP_PEERS_MAX, "Peers", "]}"), *more = nodes_from(1, 3, "PeersChanged", "]}");
	char error[NETMAP_ERROR];
	struct netmap_update *u;
	struct netmap m = {0};

	apply(&m, first);
	assert_int_equal(m.n_peers, NETMAP_PEERS_MAX);
	u = read_text(more, error);
	assert_non_null(u);
	netmap_apply(&m, u);
	assert_int_equal(m.n_peers, NETMAP_PEERS_MAX);
	assert_int_equal(m.n_unfit, 3);
	assert_string_equal(m.unfit->why, "more than 65536");
	assert_null(netmap_peer(&m, 1));
	assert_non_null(netmap_peer(&m, 1000));
	netmap_update_free(u);
	apply(&m, "{\"PeersRemoved\":[1000],\"PeersChanged\":[" NODE("2", "02", "") "]}");
	assert_non_null(netmap_peer(&m, 2));
	assert_int_equal(m.n_unfit, 2);
	netmap_free(&m);
	free(first);
	free(more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_fields),		cmocka_unit_test(left_out),
		cmocka_unit_test(oversized_nodes),	cmocka_unit_test(deltas),
		cmocka_unit_test(users_may_come_later), cmocka_unit_test(primary_routes),
		cmocka_unit_test(lock_and_ping),	cmocka_unit_test(no_more_peers_than_are_kept),
	};

	return cmocka_run_group_tests_name("tailnet_nodes", tests, NULL, NULL);
}
