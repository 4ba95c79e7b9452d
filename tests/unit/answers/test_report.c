/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a gateway answers and how commands show it: a made-up gateway is reported
 * as JSON, and the JSON shown as people read it.
 */
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
#include "user/print/show.h"

#define SECOND 1000000000ull
#define NOW    (1000000 * SECOND)

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

/* ---- a gateway ---------------------------------------------------------------------------- */

static const char *const ci_tags[] = {"tag:ci", "tag:build"};

static bool who(void *ctx, uint32_t id, struct report_who *out)
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

static bool client(void *ctx, size_t i, struct report_client *out)
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

static bool route(void *ctx, size_t i, struct report_route *out)
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

static struct addr public(void *ctx, const struct addr *a)
{
	return addr_is_v4(a) ? addr("198.51.100.1") : *a;
}

static const char *pool(void *ctx, uint32_t id)
{
	return id ? NULL : "default";
}

static bool busiest(void *ctx, struct pair *pair, uint32_t *used, uint32_t *ports)
{
	*pair = (struct pair){.remote = addr("203.0.113.9"), .port = htobe16(443), .proto = 6};
	*used = 11000;
	*ports = 35000;
	return true;
}

static struct flow flow(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto, uint32_t id)
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
	struct history history;
	uint64_t drops[DROP_MAX];
	struct traffic totals[TOTAL_MAX];
	struct report_policy policy;
	struct report_egress_address addresses[2];
	struct report_egress egress;
	struct addr tunnel;
	const char *notes[1];
};

static void fill_flows(struct gateway_model *g)
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

static void fill_history(struct gateway_model *g)
{
	struct history_sample s = {.ns = NOW - 5 * SECOND};

	s.drops[DROP_POLICY] = 88;
	s.drops[DROP_WG_INDEX] = 1000;
	history_add(&g->history, &s);
	s.ns = NOW;
	s.in.bytes = 5 * 2310000000ull / 8;
	s.out.bytes = 5 * 420000000ull / 8;
	s.in.packets = 5 * 212000;
	s.drops[DROP_POLICY] = 97; /* the others died since */
	s.drops[DROP_WG_INDEX] = 4000;
	history_add(&g->history, &s);
	g->drops[DROP_POLICY] = 100;
	g->drops[DROP_WG_INDEX] = 4000;
}

static struct report_source *model(struct gateway_model *g)
{
	memset(g, 0, sizeof(*g));
	g->policy = (struct report_policy){
		.generation = 7, .file = "/etc/sluice/policy/prod.yaml", .applied_ns = NOW - 7200 * SECOND};
	g->addresses[0] = (struct report_egress_address){addr("10.0.0.4"), addr("198.51.100.1"), true};
	g->addresses[1] = (struct report_egress_address){addr("2001:db8:1::1"), addr("2001:db8:1::1"), false};
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
		.history = &g->history,
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

static char *shown(json_t *result, void (*show)(const json_t *, FILE *))
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

static void expect(json_t *result, void (*show)(const json_t *, FILE *), const char *expected)
{
	char *out = shown(result, show);

	assert_string_equal(out, expected);
	free(out);
}

static void test_status(void **state)
{
	struct gateway_model g;
	char *out;

	expect(report_status(model(&g)), show_status,
	       "gw-fra1   degraded   up 3d 4h   policy 7 (prod.yaml, 2h 0m ago)\n"
	       "  tunnel  sluice0 :51820   mtu 1420   GSO in/out on   AEAD boringssl   2 workers\n"
	       "  egress  eth0 10.0.0.4 (public 198.51.100.1), 2001:db8:1::1 (not there)   TC attached (tcx)   XDP "
	       "off: "
	       "virtio would lose GRO_HW (xdp: native to force)\n"
	       "  now     2.31 Gbit/s in, 420 Mbit/s out, 212 kpps   flows 41,204 of 1,048,576   ports: "
	       "203.0.113.9:443 at "
	       "31%   clients 1 of 3\n"
	       "  drops   3,000 wg_index, 12 policy in the last minute\n"
	       "  note    egress address 2001:db8:1::1 is not on eth0 yet: waiting for it\n");
	g.policy.differs = true; /* edited since, or another was applied by hand */
	out = shown(report_status(&g.s), show_status);
	assert_non_null(strstr(out, "  policy  the configured file differs from what runs: sluice reload applies "
				    "the file\n"));
	free(out);
}

/* T12: the home relay, and what is the matter with it: first in the list, in words and for scripts. */
static void test_status_of_a_relay(void **state)
{
	static const struct {
		const char *state, *shown, *trouble, *reason;
		struct trouble why;
	} cases[] = {
		{"connected", "home relay lab\n", NULL, NULL, {0}},
		{"connecting", "home relay lab\n", NULL, NULL, {0}},
		{"away",
		 "home relay lab (away)\n",
		 "http",
		 "it answers as an ordinary web server: HTTP status 404",
		 {TROUBLE_HTTP, 404}},
	};
	struct report_tailnet t = {.state = "connected", .home = "lab", .peers = 3, .n_relays = 1};
	struct gateway_model g;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct report_source *s = model(&g);
		const json_t *relay;
		json_t *r;
		char *out;

		t.relays[0] = (struct report_relay){
			.region = 9, .name = "lab", .home = true, .state = cases[i].state, .why = cases[i].why};
		s->tailnet = &t;
		r = report_status(s);
		relay = json_array_get(json_object_get(json_object_get(r, "tailnet"), "relays"), 0);
		assert_true(json_is_true(json_object_get(relay, "home")));
		assert_string_equal(show_text(relay, "state"), cases[i].state);
		assert_string_equal(show_text(relay, "trouble"), cases[i].trouble ? cases[i].trouble : "");
		assert_string_equal(show_text(relay, "reason"), cases[i].reason ? cases[i].reason : "");
		assert_int_equal(*show_text(relay, "advice") != 0, cases[i].trouble != NULL);
		out = shown(r, show_status);
		assert_non_null(strstr(out, "tailnet: connected, 3 peers, home relay lab"));
		assert_non_null(strstr(out, cases[i].shown));
		free(out);
	}
}

static void test_status_of_an_idle_gateway(void **state)
{
	struct gateway_model g;
	struct report_source *s = model(&g);
	char *out;

	memset(&g.history, 0, sizeof(g.history));
	s->policy = NULL;
	s->busiest = NULL;
	s->n_notes = 0;
	g.egress.program = "missing";
	out = shown(report_status(s), show_status);
	assert_non_null(strstr(out, "no policy: everything is refused"));
	assert_non_null(strstr(out, "none in the last minute"));
	assert_non_null(strstr(out, "TC missing"));
	assert_null(strstr(out, "ports:"));
	assert_null(strstr(out, "degraded"));
	free(out);
}

static void show_by_bytes(const json_t *result, FILE *out)
{
	show_clients(result, "bytes", out);
}

static void show_by_name(const json_t *result, FILE *out)
{
	show_clients(result, NULL, out);
}

static const char client_table[] = "NAME          USER               ADDRESS     ENDPOINT       "
				   "   PATH    HANDSHAKE  RECEIVED    SENT  FLOWS  HELD\n"
				   "alice-laptop  alice@example.com  100.64.0.5  192.0.2.44:4164"
				   "1  direct  41s         1.2 GiB  18 GiB  1,234     9\n"
				   "ci-runner     tag:ci,tag:build   100.64.0.6  relay lab      "
				   "   relay   3m 20s          0 B     0 B      0     0\n"
				   "evil\\x1b[2J   m\\xff@x            100.64.0.7  -            "
				   "     -       -               0 B     0 B      0     0\n";

/* Also: a name that would clear the screen does not. */
static void test_ages(void **state)
{
	const uint64_t ns = 1000000000;

	assert_int_equal(report_age(7 * ns, 2 * ns), 5);
	assert_int_equal(report_age(7 * ns, 7 * ns), 0);
	assert_int_equal(report_age(7 * ns, 3600 * ns), 0); /* the clock was set back: not 584 years */
}

static void test_clients(void **state)
{
	struct gateway_model g;

	expect(report_clients(model(&g), 0), show_by_bytes, client_table);
	expect(report_clients(model(&g), 0), show_by_name, client_table);
}

/* Dead, expired and mapping slots are none; ICMP has an identifier on one side only. */
static void test_flows(void **state)
{
	struct report_filter all = {.limit = 10};
	struct gateway_model g;

	expect(report_flows(model(&g), &all), show_flows,
	       "USER               FROM              SERVICE          AS      PROTO  STATE        AGE    IDLE  BYTES "
	       "OUT  "
	       "BYTES IN\n"
	       "alice@example.com  100.64.0.5:51044  203.0.113.9:443  :40211  tcp    established  4m 1s  3s      1.1 "
	       "MiB   "
	       "940 MiB\n"
	       "tag:ci,tag:build   100.64.0.6:1234   203.0.113.10     :40211  icmp   established  4m 1s  3s      1.1 "
	       "MiB   "
	       "940 MiB\n"
	       "tag:ci,tag:build   100.64.0.6:5353   203.0.113.53:53  :40211  udp    established  4m 1s  3s      1.1 "
	       "MiB   "
	       "940 MiB\n");
}

static void test_flows_json(void **state)
{
	struct report_filter all = {.limit = 1};
	struct gateway_model g;
	json_t *r = report_flows(model(&g), &all), *f = json_array_get(json_object_get(r, "flows"), 0);

	assert_int_equal(json_array_size(json_object_get(r, "flows")), 1);
	assert_int_equal(json_integer_value(json_object_get(r, "matched")), 3);
	assert_int_equal(json_integer_value(json_object_get(r, "used")), 41204);
	assert_string_equal(show_text(f, "client"), "alice-laptop");
	assert_string_equal(show_text(f, "as"), "198.51.100.1:40211");
	assert_string_equal(show_text(f, "pool"), "default");
	assert_int_equal(show_number(f, "age"), 241);
	assert_int_equal(show_number(f, "idle"), 3);
	assert_int_equal(show_number(f, "expires"), 100);
	assert_int_equal(show_number(f, "bytes_in"), 985661440);
	assert_int_equal(show_number(f, "rule"), 12);
	json_decref(r);
}

/* ---- filters -------------------------------------------------------------------------------------- */

static const struct {
	const char *args;
	int matched; /* -1: refused */
} filters[] = {
	{"{}", 3},
	{"{\"user\": \"alice@example.com\"}", 1},
	{"{\"user\": \"tag:ci\"}", 2},
	{"{\"user\": \"tag:build\", \"proto\": \"UDP\"}", 1},
	{"{\"user\": \"bob@example.com\"}", 0},
	{"{\"user\": \"alice\"}", 0},
	{"{\"client\": \"ci-runner\"}", 2},
	{"{\"client\": \"100.64.0.5\"}", 1},
	{"{\"client\": \"100.64.0.99\"}", 0},
	{"{\"service\": \"203.0.113.9\"}", 1},
	{"{\"service\": \"203.0.113.0/24\"}", 3},
	{"{\"service\": \"203.0.113.9:443\"}", 1},
	{"{\"service\": \"203.0.113.9:80\"}", 0},
	{"{\"service\": \":53\"}", 1},
	{"{\"service\": \"2001:db8::/32\"}", 0},
	{"{\"service\": \"[2001:db8::9]:443\"}", 0},
	{"{\"proto\": \"1\"}", 1},
	{"{\"service\": \"203.0.113.9:x\"}", -1},
	{"{\"service\": \"203.0.113.9:65536\"}", -1},
	{"{\"service\": \"\"}", -1},
	{"{\"service\": 7}", -1},
	{"{\"user\": null}", -1},
	{"{\"proto\": \"tpc\"}", -1},
	{"{\"limit\": 0}", -1},
	{"{\"limit\": 100001}", -1},
	{"{\"limit\": \"5\"}", -1},
};

static void test_filters(void **state)
{
	struct gateway_model g;

	model(&g);
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		json_t *args = json_loads(filters[i].args, 0, NULL), *r;
		struct report_filter f;
		char *error = NULL;

		if (report_filter_parse(args, &f, &error)) {
			r = report_flows(&g.s, &f);
			assert_int_equal(json_integer_value(json_object_get(r, "matched")), filters[i].matched);
			json_decref(r);
		} else {
			assert_int_equal(filters[i].matched, -1);
			assert_non_null(strstr(error, "expected"));
		}
		free(error);
		json_decref(args);
	}
}

/* ---- the rest -------------------------------------------------------------------------------------- */

static void test_drops(void **state)
{
	struct gateway_model g;
	json_t *r = report_drops(model(&g));

	assert_int_equal(json_array_size(json_object_get(r, "drops")), DROP_MAX - 1);
	expect(r, show_drops,
	       "REASON    PACKETS  LAST MINUTE  MEANING\n"
	       "wg_index    4,000        3,000  no session has this receiver index\n"
	       "policy        100           12  no rule allows it, or a deny rule forbids it\n");
	memset(g.drops, 0, sizeof(g.drops));
	expect(report_drops(&g.s), show_drops, "nothing was dropped\n");
}

static void test_routes(void **state)
{
	struct gateway_model g;

	expect(report_routes(model(&g)), show_routes,
	       "PREFIX          APPROVED BY    ACTIVE            POOL  VIA\n"
	       "203.0.113.0/24  configuration  yes               -     eth0 198.51.100.254\n"
	       "203.0.113.0/24  nobody         no: not approved  -     -\n");
}

static void test_answers_of_other_versions(void **state)
{
	void (*const shows[])(const json_t *, FILE *) = {show_status,	show_by_name, show_flows,
							 show_drops,	show_routes,  show_map_list,
							 show_map_dump, show_reload,  show_down};
	static const char *const answers[] = {
		"{}",
		"[]",
		"null",
		"{\"flows\": 1, \"clients\": 2, \"drops\": 3, \"routes\": 4, \"maps\": 5}",
		"{\"flows\": [1], \"clients\": [null], \"drops\": [[]], \"routes\": [\"x\"], \"maps\": [{}], "
		"\"notes\": [1],"
		" \"entries\": [1], \"egress\": [1], \"removed\": [2]}",
	};
	FILE *null = fopen("/dev/null", "w");

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		json_t *r = json_loads(answers[i], JSON_DECODE_ANY, NULL);

		for (size_t j = 0; j < sizeof(shows) / sizeof(*shows); j++)
			shows[j](r, null);
		json_decref(r);
	}
	fclose(null);
}

/* ---- maps as text --------------------------------------------------------------------------------------- */

static void expect_entry(const char *map, const void *key, size_t key_size, const void *value, size_t value_size,
			 const char *key_text, const char *value_text)
{
	const struct map_layout *layout = map_layout(map, key_size, value_size);
	char buf[MAP_TEXT_SIZE] = "";
	struct gateway_model g;
	struct map_printer p = {.s = model(&g), .buf = buf};

	assert_non_null(layout);
	layout->key(&p, key);
	assert_string_equal(buf, key_text);
	p.len = 0;
	layout->value(&p, value);
	assert_string_equal(buf, value_text);
}

static void test_map_texts(void **state)
{
	struct flow f = flow("100.64.0.5", 51044, "203.0.113.9", 443, 6, 1);
	struct route_key key = {32 + 128, 0, addr("100.64.0.5")};
	struct client_ref ref = {1};
	uint32_t slot = 9, reason = DROP_POLICY, index = htole32(0xdeadbeef);
	struct session_ref session = {1, 2};
	uint64_t count = 12;
	struct pool pool = {2, 1, {1, 3}, {2}};
	uint32_t probe = CLIENT_GATEWAY;
	struct client_state state_of = {.flows = 2, .slots = 3};
	struct egress egress = {
		.addr = addr("10.0.0.4"), .state = EGRESS_HELD, .ifindex = 2, .ports = 100, .answers = {2, 5}};

	expect_entry(
		"flows", &slot, sizeof(slot), &f, sizeof(f), "9",
		"id 65f3a  100.64.0.5:51044 -> 203.0.113.9:443 tcp  as 10.0.0.4:40211  client alice-laptop  policy 7  "
		"rule 12  state ESTABLISHED  expires 1m 40s");
	expect_entry("clients", &key, sizeof(key), &ref, sizeof(ref), "100.64.0.5", "client alice-laptop");
	expect_entry("drops", &reason, sizeof(reason), &count, sizeof(count), "policy", "12");
	expect_entry("sessions", &index, sizeof(index), &session, sizeof(session), "index deadbeef",
		     "worker 1  client ci-runner");
	expect_entry("pools", &slot, sizeof(slot), &pool, sizeof(pool), "9", "IPv4 by egress 1, 3  IPv6 by egress 2");
	pool.n4 = 0;
	expect_entry("pools", &slot, sizeof(slot), &pool, sizeof(pool), "9", "IPv6 by egress 2");
	expect_entry("client_state", &probe, sizeof(probe), &state_of, sizeof(state_of), "the gateway itself",
		     "flows 2  slots 3");
	expect_entry("egresses", &slot, sizeof(slot), &egress, sizeof(egress), "9",
		     "10.0.0.4  held  interface 2  answers by 2, 5  ports 100");
	assert_null(map_layout("flows", 4, sizeof(struct flow) + 8));
	assert_null(map_layout("nonsense", 4, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_of_a_relay),
		cmocka_unit_test(test_status_of_an_idle_gateway),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_flows_json),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_answers_of_other_versions),
		cmocka_unit_test(test_map_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
