/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: the netmap: its stream, one message, what messages make of it, and its way to the gateway. */
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

/* ---- stream ------------------------------------------------------------------- */

struct messages {
	char text[8][16];
	size_t n;
};

static bool take(void *ctx, const uint8_t *bytes, size_t len)
{
	struct messages *m = ctx;

	if (m->n == 8 || len > 15)
		return false;
	memcpy(m->text[m->n], bytes, len);
	m->text[m->n++][len] = 0;
	return true;
}

static void stream_cut_anywhere(void **state)
{
	static const uint8_t in[] = "\x02\0\0\0{}\x05\0\0\0{\"a\"}\0\0\0\0\x01\0\0\0x";
	size_t len = sizeof(in) - 1;

	for (size_t cut = 0; cut <= len; cut++) {
		struct netmap_stream s = {0};
		struct messages m = {0};
		const struct sink sink = {take, &m};

		assert_true(netmap_stream_receive(&s, in, cut, &sink));
		assert_true(netmap_stream_receive(&s, in + cut, len - cut, &sink));
		assert_int_equal(m.n, 3);
		assert_string_equal(m.text[0], "{}");
		assert_string_equal(m.text[1], "{\"a\"}");
		assert_string_equal(m.text[2], "x");
		netmap_stream_free(&s);
	}
}

/* A length alone costs no memory, and an impossible one ends the stream. */
static void stream_lengths(void **state)
{
	struct netmap_stream s = {0};
	struct messages m = {0};
	const struct sink sink = {take, &m};

	assert_true(netmap_stream_receive(&s,
					  (const uint8_t *)"\0\0\0\x04"
							   "abc",
					  7, &sink));
	assert_true(s.cap <= 8192);
	netmap_stream_free(&s);
	assert_false(netmap_stream_receive(&s, (const uint8_t *)"\x01\0\0\x04", 4, &sink));
	netmap_stream_free(&s);
	assert_false(netmap_stream_receive(&s, (const uint8_t *)"\x00\0\0\xff", 4, &sink));
	netmap_stream_free(&s);
}

/* ---- one message ------------------------------------------------------------------ */

static void refused_messages(void **state)
{
	static const char *const cases[] = {"", "[]", "7", "{", "{\"a\":99999999999999999999x}", "{\"a\":\"\\u00\"}"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[NETMAP_ERROR] = "";
		struct netmap_update *u = read_text(cases[i], error);

		if (u || !strstr(error, "JSON"))
			fail_msg("%s: said \"%s\"", cases[i], error);
	}
}

#define WHO "\"Peers\":[" NODE("2", "02", "") "," NODE("3", "03", "") "]"

/* Of a damaged message counts what can be read, and it is said what cannot. */
static void test_fault_44_damaged_messages(void **state)
{
	static const struct {
		const char *json, *says; /* NULL: no damage */
	} cases[] = {
		{"\"PeersChanged\":{}", "PeersChanged: found an object"},
		{"\"PeersChanged\":[1]", "Node: found a number"},
		{"\"PeersChanged\":[{}]", "Node.ID"},
		{"\"PeersChanged\":[{\"ID\":\"1\"}]", "ID"},
		{"\"PeersChangedPatch\":[1]", "PeersChangedPatch"},
		{"\"PeersChangedPatch\":[{\"Key\":\"" KEY("09") "\"}]", "NodeID"},
		{"\"Peers\":{}", "Peers"},
		{"\"UserProfiles\":[[]]", "UserProfiles"},
		{"\"UserProfiles\":[{\"ID\":1,\"LoginName\":2}]", "LoginName"},
		{"\"Node\":{\"ID\":1}", "Node"},
		{"\"Node\":{\"ID\":1,\"PrimaryRoutes\":{}}", "PrimaryRoutes"},
		{"\"TKAInfo\":7", "TKAInfo"},
		{"\"DERPMap\":[]", NULL},
		{"\"PingRequest\":7", NULL},
		{"\"ControlTime\":\"10000-01-01T00:00:00Z\"", NULL},
		{"\"ControlDialPlan\":[]", NULL},
		{"\"OnlineChange\":[],\"KeepAlive\":7", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = mem_printf("{%s,\"PeersRemoved\":[2],\"PacketFilters\":{\"*\":null}}", cases[i].json);
		char error[NETMAP_ERROR] = "";
		struct netmap_update *u = read_text(json, error);
		struct netmap m = {0};

		apply(&m, "{" SELF "," WHO ",\"PacketFilter\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}");
		if (!u || !u->damage != !cases[i].says || (u->damage && !strstr(u->damage, cases[i].says)))
			fail_msg("%s: damage \"%s\"", json, u && u->damage ? u->damage : error);
		netmap_apply(&m, u);
		netmap_update_free(u);
		assert_int_equal(m.n_filters, 0);
		assert_null(netmap_peer(&m, 2));
		assert_non_null(netmap_peer(&m, 3));
		assert_int_equal(m.self.node->id, 1);
		netmap_free(&m);
		free(json);
	}
}

/* Whose removal it was cannot be known; those that can be are removed. A list of rules that is none leaves the
 * others as they were. */
static void test_fault_44_damaged_lists(void **state)
{
	static const struct {
		const char *json, *says;
		size_t filters;
	} cases[] = {
		{"{\"PeersRemoved\":[\"1\",2,null,1e300]}", "PeersRemoved", 1},
		{"{\"PeersRemoved\":[2],\"PacketFilters\":[]}", "PacketFilters", 1},
		{"{\"PeersRemoved\":[2],\"PeersChanged\":7,\"PacketFilter\":[]}", "PeersChanged", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[NETMAP_ERROR] = "";
		struct netmap_update *u = read_text(cases[i].json, error);
		struct netmap m = {0};

		apply(&m, "{" SELF "," WHO ",\"PacketFilter\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}");
		assert_non_null(u);
		assert_true(u->damage && strstr(u->damage, cases[i].says));
		netmap_apply(&m, u);
		netmap_update_free(u);
		assert_int_equal(m.n_peers, 1);
		assert_int_equal(m.n_filters, cases[i].filters);
		netmap_free(&m);
	}
}

/* What is wrong with one peer costs this one its place, or less; the one beside it and what else is said stay. */
static void test_fault_44_one_peer_cannot_be_read(void **state)
{
	static const struct {
		const char *more; /* of the peer */
		bool stays;
	} cases[] = {
		/* what it says of itself */
		{",\"HomeDERP\":-1", true},
		{",\"HomeDERP\":99999999999999999999", true},
		{",\"HomeDERP\":\"x\",\"DERP\":7", true},
		{",\"DiscoKey\":\"discokey:12\"", true},
		{",\"Endpoints\":[null,7,\"\",\"192.0.2.1:7\"]", true},
		{",\"Endpoints\":null", true},
		{",\"Endpoints\":{}", true},
		{",\"Hostinfo\":7", true},
		{",\"Hostinfo\":{\"NetInfo\":{\"PreferredDERP\":-1,\"DERPLatency\":{\"1\\u0000-v4\":0.1}}}", true},
		{",\"Hostinfo\":{\"TPM\":{\"FirmwareVersion\":9223372036854775808}}", true},
		{",\"Hostinfo\":{\"TPM\":{\"FirmwareVersion\":18446744073709551615}}", true},
		{",\"Hostinfo\":{\"x\":1e400,\"y\":-1e999,\"z\":-99999999999999999999}", true},
		{",\"Hostinfo\":{\"Hostname\":\"a\\ud800b\\udc00\",\"\\u0000\":1}", true},
		{",\"CapMap\":[]", true},
		/* what the server shows of it only */
		{",\"AllowedIPs\":[7]", true},
		{",\"PrimaryRoutes\":[\"10.0.0.0/33\"]", true},
		/* what it is judged by */
		{",\"Key\":\"mkey:00\"", false},
		{",\"Addresses\":\"100.64.0.1\"", false},
		{",\"Addresses\":[\"100.64.0.1/33\"]", false},
		{",\"Addresses\":[\"100.64.0.0/24\"]", false},
		{",\"Online\":\"yes\"", false},
		{",\"Expired\":\"yes\"", false},
		{",\"IsJailed\":\"yes\"", false},
		{",\"KeyExpiry\":5", false},
		{",\"KeyExpiry\":\"10000-01-01T00:00:00Z\"", false},
		{",\"Tags\":[1]", false},
		{",\"User\":99999999999999999999", false},
		{",\"Name\":7", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (unsigned whole = 0; whole <= 1; whole++) {
			char *json = mem_printf(
				"{\"%s\":[{\"ID\":2,\"Key\":\"" KEY("02") "\",\"Addresses\":"
									  "[\"100.64.0.2/32\"]%s}," NODE(
										  "3", "03", "") "],\"PacketFilters\":"
												 "{\"*\":null}}",
				whole ? "Peers" : "PeersChanged", cases[i].more);
			struct netmap m = {0};

			apply(&m, "{" SELF "," WHO ",\"PacketFilter\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}");
			apply(&m, json);
			if (!netmap_peer(&m, 2) == cases[i].stays || m.n_unfit == cases[i].stays)
				fail_msg("%s: %s", cases[i].more, m.n_unfit ? m.unfit->why : "stays");
			assert_non_null(netmap_peer(&m, 3));
			assert_int_equal(m.n_filters, 0);
			apply(&m, "{\"PeersChanged\":[" NODE("2", "02", "") "]}");
			assert_int_equal(m.n_peers, 2);
			assert_int_equal(m.n_unfit, 0);
			netmap_free(&m);
			free(json);
		}
	}
}

/* The same of a change of one: what it says of itself is left away; a key or an expiry that cannot be read ends it. */
static void test_fault_44_one_change_cannot_be_read(void **state)
{
	static const struct {
		const char *more;
		bool stays;
	} cases[] = {
		{"\"DERPRegion\":-1,\"Endpoints\":[null],\"DiscoKey\":7,\"CapMap\":7,\"Online\":7", true},
		{"\"Endpoints\":{}", true},
		{"\"Key\":1", false},
		{"\"Key\":\"nodekey:1\"", false},
		{"\"KeyExpiry\":\"never\"", false},
		{"\"KeyExpiry\":7", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *json = mem_printf("{\"PeersChangedPatch\":[{\"NodeID\":2,%s},{\"NodeID\":3,\"KeyExpiry\":"
					"\"2001-01-01T00:00:00Z\"}]}",
					cases[i].more);
		struct netmap m = {0};

		apply(&m, "{" SELF "," WHO "}");
		apply(&m, json);
		assert_int_equal(!netmap_peer(&m, 2), !cases[i].stays);
		assert_int_equal(m.n_unfit, !cases[i].stays);
		assert_true(node_is_expired(netmap_peer(&m, 3)->node, 1000000000));
		netmap_free(&m);
		free(json);
	}
}

/* What we do not know, or what a peer says of itself, takes nobody else down. */
static void tolerated_messages(void **state)
{
	static const char *const cases[] = {
		"{}",
		"{\"KeepAlive\":true}",
		"{\"Unknown\":[{\"a\":1}],\"DNSConfig\":7}",
		"{\"Peers\":null,\"PeersChanged\":null,\"PacketFilters\":null}",
		"{\"Peers\":[" NODE("2", "02",
				    ",\"Endpoints\":[\"nonsense\",\"[fe80::1%eth0]:7\",\"192.0.2.1:7\"]") "]}",
		"{\"Peers\":[" NODE("2", "02", ",\"Hostinfo\":{\"OS\":\"a\\u0000b\",\"x\":1e300}") "]}",
		"{\"PeersRemoved\":[99]}",
		"{\"PeersChangedPatch\":[{\"NodeID\":99,\"DERPRegion\":3}]}",
		"{\"PacketFilters\":{\"*\":null,\"a\":null}}",
		"{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"CapGrant\":[{}]}]}",
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[NETMAP_ERROR] = "";
		struct netmap_update *u = read_text(cases[i], error);

		if (!u || u->damage)
			fail_msg("%s: %s", cases[i], u ? u->damage : error);
		netmap_apply(&m, u);
		netmap_update_free(u);
	}
	netmap_free(&m);
}

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

/* ---- filters -------------------------------------------------------------------------- */

static size_t rule_count(const struct netmap *m)
{
	struct filter f = netmap_rules(m);

	free(f.rules);
	return f.n;
}

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

/* ---- relays, lock, ping ---------------------------------------------------------------- */

static void relay_map(void **state)
{
	const struct derp_region *r;
	struct netmap m = {0};

	apply(&m, "{\"DERPMap\":{\"Regions\":{\"9\":{\"RegionID\":9,\"RegionCode\":\"b\",\"NoMeasureNoHome\":true,"
		  "\"Nodes\":[{\"HostName\":\"b.test\",\"IPv4\":\"none\",\"IPv6\":\"2001:db8::9\",\"STUNPort\":-1,"
		  "\"DERPPort\":8443}]},\"2\":{\"RegionID\":2,\"RegionCode\":\"a\",\"Nodes\":[{\"HostName\":\"a.test\","
		  "\"IPv4\":\"192.0.2.2\",\"STUNOnly\":true}]}}}}");
	assert_true(m.derpmap_changed);
	r = derpmap_region(m.derpmap, 9);
	assert_int_equal(r->use, DERP_USE_NEVER);
	assert_true(r->nodes[0].no_v4);
	assert_false(r->nodes[0].has_v4);
	assert_true(r->nodes[0].has_v6);
	assert_int_equal(r->nodes[0].stun_port, 0);
	assert_int_equal(r->nodes[0].derp_port, 8443);
	r = derpmap_region(m.derpmap, 2);
	assert_int_equal(r->nodes[0].stun_port, 3478);
	assert_int_equal(r->nodes[0].derp_port, 0);
	assert_null(derpmap_region(m.derpmap, 3));
	netmap_free(&m);
}

#define RELAYS(region) "{\"DERPMap\":{\"Regions\":{" region "}}}"
#define RELAY(cert) \
	"\"2\":{\"RegionID\":2,\"RegionCode\":\"a\",\"Nodes\":[{\"HostName\":\"a.test\",\"CertName\":" cert "}]}"

/* What a DERP map does not say stays as it was. */
static void relay_map_changes(void **state)
{
	struct netmap m = {0};

	apply(&m, RELAYS(RELAY("\"sha256-raw:00ff\"") ",\"3\":null"));
	assert_int_equal(m.derpmap->n, 1);
	assert_string_equal(derpmap_region(m.derpmap, 2)->nodes[0].cert, "sha256-raw:00ff");
	netmap_settle(&m);
	apply(&m, "{\"DERPMap\":{}}");
	apply(&m, "{\"DERPMap\":{\"Regions\":null,\"HomeParams\":null}}");
	apply(&m, "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":null},\"OmitDefaultRegions\":true}}");
	assert_false(m.derpmap_changed);
	assert_non_null(derpmap_region(m.derpmap, 2));
	apply(&m, RELAYS(""));
	assert_true(m.derpmap_changed);
	assert_int_equal(m.derpmap->n, 0);
	netmap_free(&m);
}

/* A region, or a relay, that cannot be understood is left out, and said until it is mended. */
static void test_fault_44_relays_left_out(void **state)
{
	static const struct {
		const char *json, *says;
	} cases[] = {
		{RELAYS(RELAY("null") ",\"1\":{}"), "RegionID: absent"},
		{RELAYS(RELAY("null") ",\"1\":7"), "Regions: found a number"},
		{RELAYS(RELAY("null") ",\"70000\":{\"RegionID\":70000}"), "out of range"},
		{RELAYS(RELAY("null") ",\"3\":{\"RegionID\":2}"), "2 is there twice"},
		{RELAYS("\"2\":{\"RegionID\":2,\"Nodes\":[{},{\"HostName\":\"a b\"},{\"HostName\":\"a.test\"}]}"),
		 "HostName: not a host name"},
		{"{\"DERPMap\":{\"Regions\":{" RELAY("null") "},\"HomeParams\":{\"RegionScore\":{\"1\":\"far\"}}}}",
		 "RegionScore"},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		apply(&m, cases[i].json);
		if (m.remarks.n != 1 || !strstr(m.remarks.v[0].text, cases[i].says))
			fail_msg("%s: %s", cases[i].json, m.remarks.n ? m.remarks.v[0].text : "");
		assert_int_equal(m.derpmap->n, 1);
		assert_int_equal(m.derpmap->regions[0].n_nodes, 1);
		assert_string_equal(m.derpmap->regions[0].nodes[0].host, "a.test");
		apply(&m, RELAYS(RELAY("null")));
		assert_int_equal(m.remarks.n, 0);
	}
	apply(&m, "{\"DERPMap\":7}");
	assert_int_equal(m.remarks.n, 1);
	assert_int_equal(m.derpmap->n, 1);
	netmap_free(&m);
}

/* HomeParams.RegionScore: by themselves, and for regions that come later; none: as they were, {}: as measured. */
static void relay_scores(void **state)
{
#define SCORES(scores) "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":{" scores "}}}}"
	static const struct {
		const char *json;
		uint32_t score; /* of region 2 */
	} steps[] = {
		{RELAYS(RELAY("null")), 1000},
		{SCORES("\"2\":0.5,\"7\":3"), 500},
		{RELAYS(RELAY("\"b.test\"")), 500},
		{"{\"DERPMap\":{\"HomeParams\":{}}}", 500},
		{SCORES("\"2\":7,\"x\":8,\"70000\":9"), 7000},
		{SCORES("\"2\":1e300"), DERP_SCORE_MAX},
		{SCORES("\"2\":1e-300"), 1},
		{SCORES("\"2\":0"), 1000},
		{SCORES("\"2\":-1"), 1000},
		{SCORES("\"2\":2"), 2000},
		{SCORES(""), 1000},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		apply(&m, steps[i].json);
		assert_int_equal(derpmap_region(m.derpmap, 2)->score, steps[i].score);
	}
	netmap_free(&m);
}

static void relay_node_fields(void **state)
{
	static const struct {
		const char *node; /* fields of it */
		enum derp_use use;
		struct derp_node is;
	} cases[] = {
		{"", DERP_USE_FREELY, {.derp_port = 443, .stun_port = 3478}},
		{"\"STUNPort\":-1", DERP_USE_FREELY, {.derp_port = 443}},
		{"\"STUNPort\":5000,\"DERPPort\":8443,\"CanPort80\":true",
		 DERP_USE_FREELY,
		 {.derp_port = 8443, .stun_port = 5000}},
		{"\"STUNOnly\":true,\"DERPPort\":8443", DERP_USE_FREELY, {.stun_port = 3478}},
		{"\"InsecureForTests\":true",
		 DERP_USE_FREELY,
		 {.derp_port = 443, .stun_port = 3478, .unverified = true}},
		{"\"InsecureForTests\":true,\"CertName\":\"b.test\"",
		 DERP_USE_FREELY,
		 {.derp_port = 443, .stun_port = 3478, .cert = "b.test"}},
		{"\"IPv4\":\"2001:db8::1\",\"IPv6\":\"192.0.2.1\"",
		 DERP_USE_FREELY,
		 {.derp_port = 443, .stun_port = 3478, .no_v4 = true, .no_v6 = true}},
		{"}],\"Avoid\":true,\"X\":[{", DERP_USE_AVOID, {.derp_port = 443, .stun_port = 3478}},
		{"}],\"Avoid\":true,\"NoMeasureNoHome\":true,\"X\":[{",
		 DERP_USE_NEVER,
		 {.derp_port = 443, .stun_port = 3478}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct derp_node *n, *is = &cases[i].is;
		struct netmap m = {0};
		char json[512];

		snprintf(json, sizeof(json), RELAYS("\"2\":{\"RegionID\":2,\"Nodes\":[{\"HostName\":\"a.test\"%s%s}]}"),
			 *cases[i].node && *cases[i].node != '}' ? "," : "", cases[i].node);
		apply(&m, json);
		n = m.derpmap->regions[0].nodes;
		assert_int_equal(m.derpmap->regions[0].use, cases[i].use);
		assert_int_equal(n->derp_port, is->derp_port);
		assert_int_equal(n->stun_port, is->stun_port);
		assert_int_equal(n->unverified, is->unverified);
		assert_int_equal(n->no_v4, is->no_v4);
		assert_int_equal(n->no_v6, is->no_v6);
		assert_false(n->has_v4 || n->has_v6);
		assert_string_equal(n->cert, is->cert);
		netmap_free(&m);
	}
}

static void relay_certificates(void **state)
{
	static const struct {
		const char *json, *cert;
	} cases[] = {
		{RELAYS(RELAY("\"\"")), ""},
		{RELAYS(RELAY("null")), ""},
		{RELAYS(RELAY("\"b.test\"")), "b.test"},
		{RELAYS(RELAY("\"b test\"")), NULL},
		{RELAYS(RELAY("\"a/b\"")), NULL},
		{RELAYS(RELAY("7")), NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[NETMAP_ERROR];
		struct netmap_update *u = read_text(cases[i].json, error);

		assert_non_null(u);
		assert_int_equal(u->derpmap->regions[0].n_nodes, cases[i].cert ? 1 : 0);
		if (cases[i].cert)
			assert_string_equal(u->derpmap->regions[0].nodes[0].cert, cases[i].cert);
		netmap_update_free(u);
	}
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

/* ---- to the gateway ----------------------------------------------------------------------- */

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
	struct roster r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	for (size_t i = 0; i < sizeof(story) / sizeof(*story); i++) {
		apply(&m, story[i]);
		c.n = 0;
		roster_tell(&m, i == 0, &t);
		netmap_settle(&m);
		assert_int_equal(c.n != 0, strcmp(story[i], "{\"KeepAlive\":true}") != 0);
		assert_int_equal(c.n ? (int)c.last : ROSTER_CHANGED, ROSTER_CHANGED);
		assert_same(&m, &r.map);
		assert_int_equal(r.map.derpmap_changed, i == 0);
		netmap_settle(&r.map);
	}
	assert_true(derpmap_equal(m.derpmap, r.map.derpmap));
	netmap_free(&m);
	roster_free(&r);
}

/* The network process was started anew and does not know what it has told before. */
static void told_whole_again(void **state)
{
	struct netmap m = {0};
	struct roster r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	apply(&m, story[0]);
	roster_tell(&m, true, &t);
	netmap_settle(&r.map);
	apply(&m, "{\"PeersRemoved\":[3]}");
	roster_tell(&m, true, &t);
	assert_same(&m, &r.map);
	assert_int_equal(r.map.n_removed, 1);
	assert_false(netmap_peer(&r.map, 2)->changed);
	assert_false(r.map.rules_changed);
	assert_false(r.map.self.changed);
	netmap_free(&m);
	roster_free(&r);
}

static void large_rules_go_in_pieces(void **state)
{
	struct netmap m = {0};
	struct roster r = {0};
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
	roster_tell(&m, true, &t);
	f = netmap_rules(&r.map);
	assert_int_equal(f.n, 5);
	for (size_t i = 0; i < f.n; i++)
		n_src += f.rules[i].n_src;
	assert_int_equal(n_src, 5000);
	free(f.rules);
	free(json);
	netmap_free(&m);
	roster_free(&r);
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
		struct roster r = {0};
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
		roster_tell(&m, true, &t);
		assert_int_equal(c.last, ROSTER_CHANGED);
		assert_int_equal(rule_count(&r.map), cases[i].told);
		assert_int_equal(netmap_left_out(&r.map).n, cases[i].left_out);
		for (size_t k = 0; k < 3; k++)
			free(filters[k].rules.rules);
		roster_free(&r);
	}
}

static void kept_on_disk(void **state)
{
	struct netmap m = {0};
	struct roster r = {0}, again = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};
	uint8_t *bytes;
	size_t len;

	apply(&m, story[0]);
	roster_tell(&m, true, &t);
	bytes = roster_save(&r, &len);
	assert_true(roster_load(&again, bytes, len));
	assert_same(&m, &again.map);
	assert_string_equal(netmap_peer(&again.map, 2)->node->user, "alice@example.com");
	assert_true(derpmap_equal(m.derpmap, again.map.derpmap));
	roster_free(&again);
	for (size_t cut = 0; cut < len; cut++) { /* half a file is no file */
		assert_false(roster_load(&again, bytes, cut));
		assert_int_equal(again.map.n_peers, 0);
	}
	for (size_t i = 0; i < len; i += 3) { /* damaged: refused, or read as something well-formed */
		bytes[i] ^= 0x5a;
		roster_load(&again, bytes, len);
		roster_free(&again);
		bytes[i] ^= 0x5a;
	}
	free(bytes);
	netmap_free(&m);
	roster_free(&r);
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
	struct roster r = {0};

	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		enum roster_result result = ROSTER_MORE;

		for (size_t k = 0; k < 3 && orders[i][k]; k++) {
			struct wire_message m = {.type = orders[i][k]};

			result = roster_take(&r, &m);
		}
		assert_int_equal(result, ROSTER_REFUSED);
		assert_null(r.update);
	}
	roster_free(&r);
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
		cmocka_unit_test(stream_cut_anywhere),
		cmocka_unit_test(stream_lengths),
		cmocka_unit_test(refused_messages),
		cmocka_unit_test(test_fault_44_damaged_messages),
		cmocka_unit_test(test_fault_44_damaged_lists),
		cmocka_unit_test(test_fault_44_one_peer_cannot_be_read),
		cmocka_unit_test(test_fault_44_one_change_cannot_be_read),
		cmocka_unit_test(tolerated_messages),
		cmocka_unit_test(node_fields),
		cmocka_unit_test(left_out),
		cmocka_unit_test(oversized_nodes),
		cmocka_unit_test(deltas),
		cmocka_unit_test(users_may_come_later),
		cmocka_unit_test(primary_routes),
		cmocka_unit_test(named_filters),
		cmocka_unit_test(rules_left_out),
		cmocka_unit_test(too_many_rules),
		cmocka_unit_test(rule_forms),
		cmocka_unit_test(protocols),
		cmocka_unit_test(relay_map),
		cmocka_unit_test(test_fault_44_relays_left_out),
		cmocka_unit_test(relay_map_changes),
		cmocka_unit_test(relay_certificates),
		cmocka_unit_test(relay_scores),
		cmocka_unit_test(relay_node_fields),
		cmocka_unit_test(lock_and_ping),
		cmocka_unit_test(gateway_follows),
		cmocka_unit_test(told_whole_again),
		cmocka_unit_test(large_rules_go_in_pieces),
		cmocka_unit_test(more_pieces_than_the_gateway_takes),
		cmocka_unit_test(kept_on_disk),
		cmocka_unit_test(impossible_orders),
		cmocka_unit_test(no_more_peers_than_are_kept),
	};

	return cmocka_run_group_tests_name("tailnet_netmap", tests, NULL, NULL);
}
