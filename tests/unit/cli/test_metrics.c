/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of a gateway become Prometheus' text: pieces of JSON, and the whole text each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/metrics.h"

#define UP "# HELP sluice_up A gateway answers.\n# TYPE sluice_up gauge\nsluice_up 1\n"
#define INFO                                                                    \
	"# HELP sluice_info Which gateway this is.\n# TYPE sluice_info gauge\n" \
	"sluice_info{name=\"%s\",version=\"1\"} 1\n"
#define STATUS(fields)	       "{\"status\": {\"name\": \"gw-1\", \"version\": \"1\"" fields "}}"
#define HEAD(name, help, type) "# HELP sluice_" name " " help "\n# TYPE sluice_" name " " type "\n"

static const struct {
	const char *what, *answers, *name, *text; /* @text stands behind what every gateway has */
} cases[] = {
	{"no number is there", STATUS(), "gw-1", ""},
	{"a truth is 0 or 1", STATUS(", \"degraded\": false"), "gw-1",
	 HEAD("degraded", "Something is not as it should be: sluice status has a note.",
	      "gauge") "sluice_degraded 0\n"},
	{"a counter", STATUS(", \"totals\": {\"packets_out\": 18446744073709551}"), "gw-1",
	 HEAD("packets_out_total", "From clients to services.",
	      "counter") "sluice_packets_out_total 18446744073709551\n"},
	{"a word is 1 where it is the one", STATUS(", \"tailnet\": {\"state\": \"connected\", \"expires\": null}"),
	 "gw-1",
	 HEAD("tailnet_connected", "The coordination server is connected.", "gauge") "sluice_tailnet_connected 1\n"},
	{"a word is 0 where it is another", STATUS(", \"tailnet\": {\"state\": \"offline\", \"left_out\": null}"),
	 "gw-1",
	 HEAD("tailnet_connected", "The coordination server is connected.", "gauge") "sluice_tailnet_connected 0\n"},
	{"a list in a list: one family",
	 STATUS(", \"egress\": [{\"addresses\": [{\"address\": \"198.51.100.1\", \"present\": true}, {\"address\": "
		"\"2001:db8::1\", \"present\": false}]}, {\"addresses\": []}]"),
	 "gw-1",
	 HEAD("egress_address_present", "The address is on its interface.",
	      "gauge") "sluice_egress_address_present{address=\"198.51.100.1\"} 1\n"
		       "sluice_egress_address_present{address=\"2001:db8::1\"} 0\n"},
	{"labels that are no text",
	 STATUS(", \"egress\": [{\"program\": \"missing\", \"interface\": true}, "
		"{\"program\": \"ok\", \"pool\": 7}]"),
	 "gw-1",
	 HEAD("program_missing", "The BPF program of the interface is gone.",
	      "gauge") "sluice_program_missing{interface=\"true\",pool=\"\"} 1\n"
		       "sluice_program_missing{interface=\"\",pool=\"7\"} 0\n"},
	{"relays of one name are told apart",
	 STATUS(", \"tailnet\": {\"relays\": [{\"region\": 1, \"name\": \"fra\", \"home\": true, \"state\": \"away\"}, "
		"{\"region\": 2, \"name\": \"fra\", \"home\": false, \"state\": \"connected\"}]}"),
	 "gw-1",
	 HEAD("relay_connected", "The relay is connected.",
	      "gauge") "sluice_relay_connected{region=\"1\",relay=\"fra\"} 0\n"
		       "sluice_relay_connected{region=\"2\",relay=\"fra\"} 1\n" HEAD(
			       "relay_home", "The relay is the gateway's home.",
			       "gauge") "sluice_relay_home{region=\"1\",relay=\"fra\"} 1\n"
					"sluice_relay_home{region=\"2\",relay=\"fra\"} 0\n"},
	{"a name that would end the label, and the line",
	 "{\"status\": {\"name\": \"a\\\\\\\"} 1\\nsluice_up 0\", \"version\": \"1\"}}", "a\\\\\\\"} 1\\nsluice_up 0",
	 ""},
	{"other types than ours",
	 STATUS(", \"uptime\": \"7\", \"flows\": 3, \"totals\": [], \"clients\": {\"active\": {}}"), "gw-1", ""},
};

static char *printed(const json_t *answers)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	metrics_print(answers, out);
	fclose(out);
	return text;
}

static void test_text(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *answers = json_loads(cases[i].answers, 0, NULL);
		char expected[2048], *text;
		int n;

		assert_non_null(answers);
		n = snprintf(expected, sizeof(expected), UP INFO, cases[i].name);
		snprintf(expected + n, sizeof(expected) - (size_t)n, "%s", cases[i].text);
		text = printed(answers);
		if (strcmp(text, expected))
			fail_msg("%s: found\n%s\nexpected\n%s", cases[i].what, text, expected);
		free(text);
		json_decref(answers);
	}
}

static void test_no_gateway(void **state)
{
	char *text = printed(NULL);

	assert_string_equal(text, "# HELP sluice_up A gateway answers.\n# TYPE sluice_up gauge\nsluice_up 0\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
