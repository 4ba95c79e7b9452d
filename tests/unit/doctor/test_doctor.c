/* SPDX-License-Identifier: BSD-2-Clause */
/* What doctor makes of a running gateway's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "user/doctor/doctor.h"
#include "user/print/print.h"

#define CLIENTS(all, active) "{\"clients\": {\"configured\": " #all ", \"active\": " #active "}"

static const struct {
	const char *status, *result, *text, *advice;
} cases[] = {
	{CLIENTS(0, 0) "}", "warn", "none", "add clients to the configuration"},
	{CLIENTS(2, 1) ", \"drops\": {\"wg_mac1\": 5}}", "ok", "1 of 2 have shaken hands", ""},
	{CLIENTS(2, 0) "}", "warn", "no handshake on UDP port 51820", "open the UDP port"},
	{CLIENTS(2, 0) ", \"drops\": {\"policy\": 5}}", "warn", "no handshake on UDP port 51820", "open the UDP port"},
	{CLIENTS(2, 0) ", \"drops\": {\"wg_mac1\": 5}}", "warn",
	 "handshakes arrive, but for another gateway's key: 5 in the last minute", "sluice client-config NAME"},
	{CLIENTS(2, 0) ", \"drops\": {\"wg_handshake\": 7}}", "warn",
	 "handshakes arrive, but from keys that no client has: 7 in the last minute", "sluice pubkey"},
};

static const json_t *said(const struct doctor *d, const char *check)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (d->checks, i, entry)
		if (!strcmp(field_text(entry, "check"), check))
			return entry;
	return NULL;
}

static void test_clients(void **state)
{
	const struct config cfg = {.tunnel.listen = 51820};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor d = {.checks = json_array()};
		json_t *status = json_loads(cases[i].status, 0, NULL);
		const json_t *entry;

		assert_non_null(status);
		doctor_gateway(&d, &cfg, status);
		entry = said(&d, "clients");
		assert_string_equal(field_text(entry, "result"), cases[i].result);
		if (!strstr(field_text(entry, "text"), cases[i].text) ||
		    !strstr(field_text(entry, "advice"), cases[i].advice))
			fail_msg("%s: %s -> %s", cases[i].status, field_text(entry, "text"),
				 field_text(entry, "advice"));
		json_decref(status);
		json_decref(d.checks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
