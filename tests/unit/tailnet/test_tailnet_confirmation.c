/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault 44: a netmap that the server does not confirm is told after a minute and given up after an hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "user/tailnet/kept_confirmation.h"
#include "user/base/clock.h"

#define MINUTE		 (60 * NS_PER_SEC)
#define AWAY_AND_REFUSED ((enum wire_state)1000)

/* What the server's state was, a minute later each, and what is to be done then. */
static void test_fault_44_unconfirmed(void **state)
{
	static const struct {
		const char *name;
		enum wire_state first, then; /* @then from the second minute on */
		bool loud, lost;
	} cases[] = {
		{"cannot be read", WIRE_STATE_UNREADABLE, WIRE_STATE_UNREADABLE, true, true},
		{"cannot be read, and tried again", WIRE_STATE_UNREADABLE, WIRE_STATE_CONNECTING, true, true},
		{"refused to us", WIRE_STATE_REFUSED, WIRE_STATE_UNREADABLE, true, true},
		{"somebody has to log in", WIRE_STATE_LOGIN, WIRE_STATE_LOGIN, true, true},
		{"our key has expired", WIRE_STATE_EXPIRED, WIRE_STATE_EXPIRED, true, true},
		{"is there again", WIRE_STATE_UNREADABLE, WIRE_STATE_CONNECTED, true, false},
		{"waits for approval, and is told", WIRE_STATE_REFUSED, WIRE_STATE_APPROVAL, true, false},
		{"the server is away", WIRE_STATE_OFFLINE, WIRE_STATE_CONNECTING, false, false},
		{"it goes away", WIRE_STATE_REFUSED, WIRE_STATE_OFFLINE, true, false},
		{"it goes away, and is refused again", WIRE_STATE_REFUSED, AWAY_AND_REFUSED, true, true},
		{"connected", WIRE_STATE_CONNECTED, WIRE_STATE_CONNECTED, false, false},
		{"not yet", WIRE_STATE_CONNECTING, WIRE_STATE_CONNECTING, false, false},
		{"logged out", WIRE_STATE_LOGIN, WIRE_STATE_LOGGED_OUT, true, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct confirmation c = {0};
		unsigned said = 0, lost = 0;

		for (uint64_t minute = 1; minute <= 180; minute++) {
			enum confirmation_due due;

			enum wire_state then = cases[i].then;

			if (then == AWAY_AND_REFUSED) /* 20 s of each minute */
				confirmation_state(&c, WIRE_STATE_OFFLINE, minute * MINUTE - MINUTE / 3 * 2);
			if (then == AWAY_AND_REFUSED)
				then = WIRE_STATE_REFUSED;
			confirmation_state(&c, minute == 1 ? cases[i].first : then, minute * MINUTE);
			due = confirmation_due(&c, minute * MINUTE + MINUTE - 1);
			if (cases[i].then != AWAY_AND_REFUSED)
				assert_int_equal(due, CONFIRMATION_FINE);
			said += due == CONFIRMATION_SAY;
			lost += due == CONFIRMATION_GIVE_UP;
			due = confirmation_due(&c, (minute + 1) * MINUTE);
			said += due == CONFIRMATION_SAY;
			lost += due == CONFIRMATION_GIVE_UP;
			assert_true(due != CONFIRMATION_GIVE_UP || minute == 60 ||
				    (cases[i].then == AWAY_AND_REFUSED && minute > 170));
			assert_int_equal(confirmation_is_lost(&c), lost);
		}
		if (said != cases[i].loud || lost != cases[i].lost)
			fail_msg("%s: said %u, lost %u", cases[i].name, said, lost);
	}
}

/* What was given up comes back by a netmap, and by nothing else. */
static void test_fault_44_lost_and_found(void **state)
{
	struct confirmation c = {0};

	confirmation_state(&c, WIRE_STATE_UNREADABLE, 1);
	assert_int_equal(confirmation_next(&c), 1 + CONFIRMATION_LOUD);
	assert_int_equal(confirmation_due(&c, 1 + CONFIRMATION_LOUD), CONFIRMATION_SAY);
	assert_int_equal(confirmation_next(&c), 1 + CONFIRMATION_MAX);
	assert_int_equal(confirmation_due(&c, 1 + CONFIRMATION_MAX), CONFIRMATION_GIVE_UP);
	assert_true(confirmation_next(&c) == UINT64_MAX);
	confirmation_state(&c, WIRE_STATE_OFFLINE, 2 * CONFIRMATION_MAX);
	confirmation_state(&c, WIRE_STATE_CONNECTING, 2 * CONFIRMATION_MAX);
	assert_true(confirmation_is_lost(&c));
	assert_int_equal(confirmation_due(&c, 9 * CONFIRMATION_MAX), CONFIRMATION_FINE);
	confirmation_state(&c, WIRE_STATE_CONNECTED, 9 * CONFIRMATION_MAX);
	assert_false(confirmation_is_lost(&c));
	assert_true(confirmation_next(&c) == UINT64_MAX);
}

/* A run that ends costs what went by of the hour, and a minute; a file that says nothing costs all but five. */
static void test_fault_44_the_hour_goes_on_after_a_restart(void **state)
{
	char folder[] = "/tmp/sluice-confirmation-XXXXXX", path[64], command[80];
	struct kept_confirmation k;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/unconfirmed", folder);
	kept_confirmation_open(&k, folder, "https://server");
	confirmation_state(&k.now, WIRE_STATE_REFUSED, MINUTE);
	assert_false(kept_confirmation_tick(&k, 21 * MINUTE));
	kept_confirmation_open(&k, folder, "https://server"); /* it was killed */
	assert_int_equal(confirmation_spent(&k.now, 0), 21 * MINUTE);
	confirmation_state(&k.now, WIRE_STATE_OFFLINE, MINUTE);
	kept_confirmation_close(&k, 99 * MINUTE);
	kept_confirmation_open(&k, folder, "https://server");
	assert_int_equal(confirmation_spent(&k.now, 0), 22 * MINUTE);
	confirmation_state(&k.now, WIRE_STATE_REFUSED, MINUTE);
	assert_int_equal(kept_confirmation_next(&k), 0); /* a minute was over long ago: it is said, */
	assert_false(kept_confirmation_tick(&k, 2 * MINUTE));
	assert_false(kept_confirmation_tick(&k, 38 * MINUTE));
	assert_true(kept_confirmation_tick(&k, 39 * MINUTE)); /* and the hour ends when it ends */
	kept_confirmation_open(&k, folder, "https://another");
	assert_int_equal(confirmation_spent(&k.now, 0), 0);
	f = fopen(path, "w");
	fputs("https://server\n12", f);
	fclose(f);
	kept_confirmation_open(&k, folder, "https://server");
	assert_int_equal(confirmation_spent(&k.now, 0), 56 * MINUTE);
	confirmation_state(&k.now, WIRE_STATE_CONNECTED, 1);
	assert_false(kept_confirmation_tick(&k, 2));
	assert_int_equal(access(path, F_OK), -1);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_44_unconfirmed),
		cmocka_unit_test(test_fault_44_lost_and_found),
		cmocka_unit_test(test_fault_44_the_hour_goes_on_after_a_restart),
	};

	return cmocka_run_group_tests_name("tailnet_confirmation", tests, NULL, NULL);
}
