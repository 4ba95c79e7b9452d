/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: other ways to the server: in order, bounded, and what cannot be used is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netmap_text.h"

#define PLAN(list)	"{\"ControlDialPlan\":{\"Candidates\":[" list "]}}"
#define AT(n, priority) "{\"IP\":\"192.0.2." n "\",\"Priority\":" priority "}"

static void plans(void **state)
{
	static const struct {
		const char *json, *last_bytes;
	} steps[] = {
		{"{}", ""},
		{PLAN(AT("1", "1") "," AT("2", "3") "," AT("3", "2")), "2 3 1"},
		{"{\"PeersRemoved\":[7]}", "2 3 1"},
		{"{\"ControlDialPlan\":null}", "2 3 1"},
		{PLAN(AT("1", "0") "," AT("2", "0") "," AT("3", "0") "," AT("4", "0") "," AT("5", "0") "," AT(
			 "6", "0") "," AT("7", "0") "," AT("8", "0") "," AT("9", "-1") "," AT("10", "5")),
		 "10 1 2 3 4 5 6 7"},
		{PLAN("{},{\"IP\":\"\"},{\"IP\":\"host.test\"},{\"IP\":\"192.0.2.4\",\"ACEHost\":\"p.test\"}," AT("5",
														  "1")),
		 "5"},
		{"{\"ControlDialPlan\":{}}", ""},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		char buf[100] = "", *p = buf;

		apply(&m, steps[i].json);
		for (size_t k = 0; k < m.dial_plan.n; k++)
			p += sprintf(p, "%s%u", k ? " " : "", m.dial_plan.v[k].b[15]);
		if (strcmp(buf, steps[i].last_bytes))
			fail_msg("step %zu: %s", i, buf);
	}
	netmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
