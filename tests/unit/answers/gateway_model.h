/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_GATEWAY_MODEL_H
#define SLUICE_TEST_GATEWAY_MODEL_H

/* A made-up gateway, reported as JSON, and the JSON shown as people read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "user/answers/map_text.h"
#include "user/answers/report.h"
#include "user/print/print.h"

#define SECOND 1000000000ull
#define NOW    (1000000 * SECOND)

static inline struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

/* ---- a gateway ---------------------------------------------------------------------------- */

static const char *const ci_tags[] = {"tag:ci", "tag:build"};

static inline bool who(void *ctx, uint32_t id, struct report_who *out)
{
	static const struct report_who known[] = {
		{0},
		{.name = "alice-laptop", .user = "alice@example.com"},
		{.name = "ci-runner", .tags = ci_tags, .n_tags = 2},
		{.name = "evil\033[2J", .user = "m\xff@x"},
	};

	if (!id || id > 3)
		return false;
	*out = known[id];
	return true;
}

static inline bool client(void *ctx, size_t i, struct report_client *out)
{
	static struct addr inner[3];

	if (i >= 3)
		return false;
	inner[i] = addr("100.64.0.5");
	inner[i].b[15] = (uint8_t)(5 + i);
	*out = (struct report_client){
		.id = (uint32_t)i + 1, .addresses = &inner[i], .n_addresses = 1, .handshake_age = -1};
	who(ctx, out->id, &out->who);
	if (i == 0) {
		out->endpoint = addr("192.0.2.44");
		out->endpoint_port = 41641;
		out->handshake_age = 41;
		out->received = 1288490188;
		out->sent = 19756849561;
		out->flows = 1234;
		out->held = 9;
	}
	if (i == 1) {
		out->relay = "lab";
		out->handshake_age = 200;
	}
	return true;
}

static inline bool route(void *ctx, size_t i, struct report_route *out)
{
	if (i >= 2)
		return false;
	*out = (struct report_route){.prefix = {addr("203.0.113.0"), 120},
				     .advertised = true,
				     .approved = !i,
				     .active = !i,
				     .by = i ? NULL : "configuration",
				     .interface = i ? NULL : "eth0",
				     .next_hop = addr("198.51.100.254"),
				     .has_next_hop = !i,
				     .reason = i ? "not approved" : NULL};
	return true;
}

static inline struct addr public(void *ctx, const struct addr *a)
{
	return addr_is_v4(a) ? addr("198.51.100.1") : *a;
}

static inline const char *pool(void *ctx, uint32_t id)
{
	return id ? NULL : "default";
}

static inline bool busiest(void *ctx, struct pair *pair, uint32_t *used, uint32_t *ports)
{
	*pair = (struct pair){.remote = addr("203.0.113.9"), .port = htobe16(443), .proto = 6};
	*used = 11000;
	*ports = 35000;
	return true;
}

static inline struct flow flow(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto,
			       uint32_t id)
{
	struct flow f = {.client = id,
			 .life = LIFE(0x65f3a, FLOW_ESTABLISHED),
			 .generation = 7,
			 .rule = 12,
			 .created = NOW - 241 * SECOND,
			 .seen = (uint32_t)((NOW - 3 * SECOND) >> SEEN_SHIFT),
			 .expires = NOW + 100 * SECOND,
			 .packets_out = 1000,
			 .bytes_out = 1153434,
			 .packets_in = 2000,
			 .bytes_in = 985661440};

	f.out = (struct tuple){.src = addr(src),
			       .dst = addr(dst),
			       .sport = htobe16(sport),
			       .dport = htobe16(dport),
			       .proto = proto,
			       .side = SIDE_CLIENT};
	f.back = (struct tuple){.src = addr(dst),
				.sport = htobe16(dport),
				.dst = addr("10.0.0.4"),
				.dport = htobe16(40211),
				.proto = proto,
				.side = SIDE_REMOTE};
	return f;
}

struct gateway_model {
	struct report_source s;
	struct flow flows[8];
	struct rates rates;
	uint64_t drops[DROP_MAX];
	struct traffic totals[TOTAL_MAX];
	struct report_policy policy;
	struct report_egress_address addresses[2];
	struct report_egress egress;
	struct addr tunnel;
	const char *notes[1];
};

static inline void fill_flows(struct gateway_model *g)
{
	g->flows[1] = flow("100.64.0.5", 51044, "203.0.113.9", 443, 6, 1);
	g->flows[2] = flow("100.64.0.6", 1234, "203.0.113.10", 0, 1, 2);
	g->flows[3] = flow("100.64.0.6", 5353, "203.0.113.53", 53, 17, 2);
	g->flows[4] = flow("100.64.0.9", 1, "203.0.113.9", 443, 6, 1);
	g->flows[4].life = LIFE(4, FLOW_DEAD);
	g->flows[5] = flow("100.64.0.9", 2, "203.0.113.9", 443, 6, 1);
	g->flows[5].expires = NOW - 1;
	g->flows[6] = flow("100.64.0.9", 3, "203.0.113.9", 0, 17, 1);
	g->flows[6].life = LIFE(6, FLOW_MAPPING);
	g->flows[7] = flow("100.64.0.9", 4, "203.0.113.9", 443, 6, 1);
	g->flows[7].life = LIFE(7, FLOW_KILLED); /* and not swept yet */
	g->s.flows = g->flows;
	g->s.n_flows = 8;
	g->s.used_flows = 41204;
	g->s.max_flows = 1048576;
}

static inline void fill_history(struct gateway_model *g)
{
	struct rates_sample s = {.ns = NOW - 5 * SECOND};

	s.drops[DROP_POLICY] = 88;
	s.drops[DROP_WG_INDEX] = 1000;
	rates_add(&g->rates, &s);
	s.ns = NOW;
	s.in.bytes = 5 * 2310000000ull / 8;
	s.out.bytes = 5 * 420000000ull / 8;
	s.in.packets = 5 * 212000;
	s.drops[DROP_POLICY] = 97; /* the others died since */
	s.drops[DROP_WG_INDEX] = 4000;
	rates_add(&g->rates, &s);
	g->drops[DROP_POLICY] = 100;
	g->drops[DROP_WG_INDEX] = 4000;
}

static inline struct report_source *model(struct gateway_model *g)
{
	memset(g, 0, sizeof(*g));
	g->policy = (struct report_policy){
		.generation = 7, .file = "/etc/sluice/policy/prod.yaml", .applied_ns = NOW - 7200 * SECOND};
	g->addresses[0] = (struct report_egress_address){addr("10.0.0.4"), addr("198.51.100.1"), true, false};
	g->addresses[1] = (struct report_egress_address){addr("2001:db8:1::1"), addr("2001:db8:1::1"), false, false};
	g->egress = (struct report_egress){"default", "eth0", "tcx", g->addresses, 2};
	g->tunnel = addr("100.64.0.1");
	g->notes[0] = "egress address 2001:db8:1::1 is not on eth0 yet: waiting for it";
	g->s = (struct report_source){
		.now_ns = NOW,
		.started_ns = NOW - 273600 * SECOND,
		.name = "gw-fra1",
		.version = "v1",
		.aead = "boringssl",
		.pid = 42,
		.tunnel = "sluice0",
		.gso_in = "on",
		.gso_out = "on",
		.listen = 51820,
		.mtu = 1420,
		.workers = 2,
		.tunnel_addresses = &g->tunnel,
		.n_tunnel_addresses = 1,
		.egress = &g->egress,
		.n_egress = 1,
		.front_mode = "off",
		.front_reason = "virtio would lose GRO_HW (xdp: native to force)",
		.policy = &g->policy,
		.notes = g->notes,
		.n_notes = 1,
		.rates = &g->rates,
		.totals = g->totals,
		.drops = g->drops,
		.client = client,
		.who = who,
		.route = route,
		.public = public,
		.pool = pool,
		.busiest = busiest,
	};
	fill_flows(g);
	fill_history(g);
	return &g->s;
}

/* ---- showing ----------------------------------------------------------------------------------- */

static inline char *shown(json_t *result, void (*show)(const json_t *, FILE *))
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	assert_non_null(result);
	assert_int_equal(json_integer_value(json_object_get(result, "schema")), REPORT_SCHEMA);
	show(result, f);
	json_decref(result);
	fclose(f);
	return out;
}

static inline void expect(json_t *result, void (*show)(const json_t *, FILE *), const char *expected)
{
	char *out = shown(result, show);

	assert_string_equal(out, expected);
	free(out);
}

#endif
