/* SPDX-License-Identifier: BSD-2-Clause */
/* T12: the relays of a netmap: read, changed, left out, scored, proven by their certificates. */
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
		if (m.health.n != 1 || !strstr(m.health.v[0].text, cases[i].says))
			fail_msg("%s: %s", cases[i].json, m.health.n ? m.health.v[0].text : "");
		assert_int_equal(m.derpmap->n, 1);
		assert_int_equal(m.derpmap->regions[0].n_nodes, 1);
		assert_string_equal(m.derpmap->regions[0].nodes[0].host, "a.test");
		apply(&m, RELAYS(RELAY("null")));
		assert_int_equal(m.health.n, 0);
	}
	apply(&m, "{\"DERPMap\":7}");
	assert_int_equal(m.health.n, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relay_map),	     cmocka_unit_test(test_fault_44_relays_left_out),
		cmocka_unit_test(relay_map_changes), cmocka_unit_test(relay_certificates),
		cmocka_unit_test(relay_scores),	     cmocka_unit_test(relay_node_fields),
	};

	return cmocka_run_group_tests_name("tailnet_derpmap", tests, NULL, NULL);
}
