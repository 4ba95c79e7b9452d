/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault 44: a netmap that the server does not confirm is told after a minute and given up after an hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "user/tailnet/confirmation.h"
#include "user/base/clock.h"

#define MINUTE (60 * NS_PER_SEC)

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
		{"connected", WIRE_STATE_CONNECTED, WIRE_STATE_CONNECTED, false, false},
		{"not yet", WIRE_STATE_CONNECTING, WIRE_STATE_CONNECTING, false, false},
		{"logged out", WIRE_STATE_LOGIN, WIRE_STATE_LOGGED_OUT, true, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct confirmation c = {0};
		unsigned said = 0, lost = 0;

		for (uint64_t minute = 1; minute <= 180; minute++) {
			enum confirmation_due due;

			confirmation_state(&c, minute == 1 ? cases[i].first : cases[i].then, minute * MINUTE);
			due = confirmation_due(&c, minute * MINUTE + MINUTE - 1);
			assert_int_equal(due, CONFIRMATION_FINE);
			due = confirmation_due(&c, (minute + 1) * MINUTE);
			said += due == CONFIRMATION_SAY;
			lost += due == CONFIRMATION_GIVE_UP;
			assert_true(due != CONFIRMATION_GIVE_UP || minute == 60);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_44_unconfirmed),
		cmocka_unit_test(test_fault_44_lost_and_found),
	};

	return cmocka_run_group_tests_name("tailnet_confirmation", tests, NULL, NULL);
}
