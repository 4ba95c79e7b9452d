/* SPDX-License-Identifier: BSD-2-Clause */
/* T11: the server's pings: whom it may have us speak with, how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "user/tailnet/coord/pings.h"
#include "user/base/clock.h"
#include "user/base/url.h"

static struct url url(const char *text)
{
	struct url u;

	if (!url_parse(text, &u))
		fail_msg("%s", text);
	return u;
}

static void targets(void **state)
{
	static const struct {
		const char *server, *to;
		enum ping_target target;
	} cases[] = {
		{"https://hs.test", "https://hs.test/machine/ping-response?id=1", PING_OWN},
		{"https://hs.test", "https://HS.test:443/x", PING_OWN},
		{"https://hs.test", "http://hs.test/x", PING_OWN},
		{"https://hs.test:8443", "https://hs.test:8443/x", PING_OWN},
		{"https://hs.test:8443", "https://hs.test/x", PING_OWN},
		{"https://hs.test", "https://hs.test:22/x", PING_REFUSED},
		{"https://127.0.0.1:8080", "http://127.0.0.1:6379/x", PING_REFUSED},
		{"https://10.0.0.5", "https://10.0.0.5/x", PING_OWN},
		{"https://[2001:db8::5]", "https://[2001:db8::5]/x", PING_OWN},
		/* another name of the server's, as its certificate shows */
		{"https://hs.test", "https://vpn.example.com/x", PING_CERTIFIED},
		{"https://10.0.0.5", "https://vpn.example.com:8443/x", PING_CERTIFIED},
		{"https://hs.test", "http://vpn.example.com/x", PING_REFUSED},
		{"https://hs.test", "http://169.254.169.254/latest/meta-data", PING_REFUSED},
		{"https://hs.test", "https://169.254.169.254/x", PING_REFUSED},
		{"https://hs.test", "https://[fd00:ec2::254]/x", PING_REFUSED},
		{"https://hs.test", "http://localhost:8080/x", PING_REFUSED},
		{"https://hs.test", "https://hs.test.evil.example/x", PING_CERTIFIED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct url server = url(cases[i].server), to = url(cases[i].to);

		if (ping_target(&server, &to) != cases[i].target)
			fail_msg("%s by %s: %d", cases[i].to, cases[i].server, ping_target(&server, &to));
	}
}

static void rates(void **state)
{
	uint64_t now = 1000 * NS_PER_SEC;
	struct pings p = {0};
	size_t taken = 0;

	for (int i = 0; i < 1000; i++, now += NS_PER_SEC / 10) { /* ten a second, for 100 s */
		char text[100];
		struct url u;

		sprintf(text, "https://hs.test/%d", i);
		u = url(text);
		taken += pings_take(&p, &u, false, now);
		assert_false(pings_take(&p, &u, false, now)); /* it was answered, or it was too much */
	}
	assert_in_range(taken, 100, 100 + PINGS_BURST);
}

static void tried_again(void **state)
{
	struct url u = url("https://hs.test/1");
	struct pings p = {0};

	assert_true(pings_take(&p, &u, true, NS_PER_SEC));
	assert_false(pings_take(&p, &u, true, 2 * NS_PER_SEC)); /* it has been sent */
	pings_failed(&p);
	assert_true(pings_take(&p, &u, true, 3 * NS_PER_SEC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets),
		cmocka_unit_test(rates),
		cmocka_unit_test(tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
