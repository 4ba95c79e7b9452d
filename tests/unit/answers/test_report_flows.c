/* SPDX-License-Identifier: BSD-2-Clause */
/* What a gateway answers and how commands show it (gateway_model.h): flows, their filters, maps as text. */
#include "gateway_model.h"
#include "policy/policy.h"

/* Dead, expired and mapping slots are none; ICMP has an identifier on one side only. */
static void test_flows(void **state)
{
	struct report_filter all = {.limit = 10};
	struct gateway_model g;

	expect(report_flows(model(&g), &all), print_flows,
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
	assert_string_equal(field_text(f, "client"), "alice-laptop");
	assert_string_equal(field_text(f, "as"), "198.51.100.1:40211");
	assert_string_equal(field_text(f, "pool"), "default");
	assert_int_equal(field_number(f, "age"), 241);
	assert_int_equal(field_number(f, "idle"), 3);
	assert_int_equal(field_number(f, "expires"), 100);
	assert_int_equal(field_number(f, "bytes_in"), 985661440);
	assert_int_equal(field_number(f, "rule"), 12);
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
	/* fault 11: hosts of the policy, as explain knows them */
	{"{\"service\": \"billing\"}", 1},
	{"{\"service\": \"billing:443\"}", 1},
	{"{\"service\": \"host:billing:443\"}", 1},
	{"{\"service\": \"billing:80\"}", 0},
	{"{\"service\": \"partner\"}", 3},
	{"{\"service\": \"six:443\"}", 0},
	{"{\"service\": \"biling\"}", -1},
	{"{\"service\": \"billing:x\"}", -1},
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
	static const char hosts[] = "hosts: {billing: 203.0.113.9, partner: 203.0.113.0/24, six: '2001:db8::9'}";
	struct diags d = {0};
	struct policy *p = policy_parse(doc_parse("p", hosts, strlen(hosts), DOC_YAML, &d), &d);
	struct gateway_model g;

	assert_non_null(p);
	model(&g);
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		json_t *args = json_loads(filters[i].args, 0, NULL), *r;
		struct report_filter f;
		char *error = NULL;

		if (report_filter_parse(args, p, &f, &error)) {
			r = report_flows(&g.s, &f);
			assert_int_equal(json_integer_value(json_object_get(r, "matched")), filters[i].matched);
			json_decref(r);
		} else {
			assert_int_equal(filters[i].matched, -1);
			assert_non_null(strstr(error, "expected"));
			if (strstr(filters[i].args, "biling"))
				assert_non_null(strstr(error, "did you mean \"billing\"?"));
		}
		free(error);
		json_decref(args);
	}
	policy_free(p);
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
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_flows_json),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_map_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
