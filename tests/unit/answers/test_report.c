/* SPDX-License-Identifier: BSD-2-Clause */
/* What a gateway answers and how commands show it (gateway_model.h): status, clients, drops, routes. */
#include "gateway_model.h"

static void test_status(void **state)
{
	struct gateway_model g;
	char *out;

	expect(report_status(model(&g)), print_status,
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
	out = shown(report_status(&g.s), print_status);
	assert_non_null(strstr(out, "  policy  the configured file differs from what runs: sluice reload applies "
				    "the file\n"));
	free(out);
}

/* T12: the home relay, and what is the matter with it: first in the list, in words and for scripts. */
static void test_status_of_a_relay(void **state)
{
	static const struct {
		const char *state, *shown, *trouble, *reason;
		struct conn_error why;
	} cases[] = {
		{"connected", "home relay lab\n", NULL, NULL, {0}},
		{"connecting", "home relay lab\n", NULL, NULL, {0}},
		{"away",
		 "home relay lab (away)\n",
		 "http",
		 "it answers as an ordinary web server: HTTP status 404",
		 {CONN_ERROR_HTTP, 404}},
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
		assert_string_equal(field_text(relay, "state"), cases[i].state);
		assert_string_equal(field_text(relay, "trouble"), cases[i].trouble ? cases[i].trouble : "");
		assert_string_equal(field_text(relay, "reason"), cases[i].reason ? cases[i].reason : "");
		assert_int_equal(*field_text(relay, "advice") != 0, cases[i].trouble != NULL);
		out = shown(r, print_status);
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

	memset(&g.rates, 0, sizeof(g.rates));
	s->policy = NULL;
	s->busiest = NULL;
	s->n_notes = 0;
	g.egress.program = "missing";
	out = shown(report_status(s), print_status);
	assert_non_null(strstr(out, "no policy: everything is refused"));
	assert_non_null(strstr(out, "none in the last minute"));
	assert_non_null(strstr(out, "TC missing"));
	assert_null(strstr(out, "ports:"));
	assert_null(strstr(out, "degraded"));
	free(out);
}

static void show_by_bytes(const json_t *result, FILE *out)
{
	print_clients(result, "bytes", out);
}

static void show_by_name(const json_t *result, FILE *out)
{
	print_clients(result, NULL, out);
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

/* ---- the rest -------------------------------------------------------------------------------------- */

static void test_drops(void **state)
{
	struct gateway_model g;
	json_t *r = report_drops(model(&g));

	assert_int_equal(json_array_size(json_object_get(r, "drops")), DROP_MAX - 1);
	expect(r, print_drops,
	       "REASON    PACKETS  LAST MINUTE  MEANING\n"
	       "wg_index    4,000        3,000  no session has this receiver index\n"
	       "policy        100           12  no rule allows it, or a deny rule forbids it\n");
	memset(g.drops, 0, sizeof(g.drops));
	expect(report_drops(&g.s), print_drops, "nothing was dropped\n");
}

static void test_routes(void **state)
{
	struct gateway_model g;

	expect(report_routes(model(&g)), print_routes,
	       "PREFIX          APPROVED BY    ACTIVE            POOL  VIA\n"
	       "203.0.113.0/24  configuration  yes               -     eth0 198.51.100.254\n"
	       "203.0.113.0/24  nobody         no: not approved  -     -\n");
}

static void test_answers_of_other_versions(void **state)
{
	void (*const shows[])(const json_t *, FILE *) = {print_status,	 show_by_name, print_flows,
							 print_drops,	 print_routes, print_map_list,
							 print_map_dump, print_reload, print_down};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_of_a_relay),
		cmocka_unit_test(test_status_of_an_idle_gateway),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_answers_of_other_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
