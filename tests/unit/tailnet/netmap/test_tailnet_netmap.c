/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: the stream of the netmap, and one message of it: cut anywhere, of any length, refused, damaged, tolerated. */
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

static const struct {
	const char *more; /* of the peer */
	bool stays;
} peers[] = {
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

/* What is wrong with one peer costs this one its place, or less; the one beside it and what else is said stay. */
static void test_fault_44_one_peer_cannot_be_read(void **state)
{
	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
		for (unsigned whole = 0; whole <= 1; whole++) {
			char *json = mem_printf(
				"{\"%s\":[{\"ID\":2,\"Key\":\"" KEY("02") "\",\"Addresses\":"
									  "[\"100.64.0.2/32\"]%s}," NODE(
										  "3", "03", "") "],\"PacketFilters\":"
												 "{\"*\":null}}",
				whole ? "Peers" : "PeersChanged", peers[i].more);
			struct netmap m = {0};

			apply(&m, "{" SELF "," WHO ",\"PacketFilter\":[" RULE("\"*\"", "10.0.0.1", "1", "1") "]}");
			apply(&m, json);
			if (!netmap_peer(&m, 2) == peers[i].stays || m.n_unfit == peers[i].stays)
				fail_msg("%s: %s", peers[i].more, m.n_unfit ? m.unfit->why : "stays");
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
	};

	return cmocka_run_group_tests_name("tailnet_netmap", tests, NULL, NULL);
}
