/* SPDX-License-Identifier: BSD-2-Clause */
/* T13: what time it is where keys expire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/wireguard/messages.h"
#include "user/tailnet/kept_clock.h"
#include "user/base/clock.h"

#define T    INT64_C(1800000000)
#define YEAR (365 * 86400)
#define BOOT 5000

static void judged_by_the_server(void **state)
{
	static const struct {
		const char *name;
		int64_t said, wall, later,
			now; /* heard BOOT after boot; @later it is @wall here, and judged to be @now */
	} cases[] = {
		{"nothing was said", 0, T, 0, T},
		{"they agree", T, T, 0, T},
		{"as good as", T, T + SERVER_CLOCK_TOLERANCE, 0, T + SERVER_CLOCK_TOLERANCE},
		{"ours is ahead", T, T + YEAR, 0, T},
		{"ours is behind", T, T - YEAR, 0, T},
		{"ours is behind, later", T, T - YEAR + 600, 600, T + 600},
		{"ours has none: 1970", T, 12, 0, T},
		{"ours was set right meanwhile", T, T + 601, 600, T + 601},
		{"ours was set wrong meanwhile", T, T + 2 * YEAR, 600, T + 600},
		{"the server has none", 86400, T, 0, T},
		{"the server is broken", -5, T, 0, T},
		{"so much that sums overflow", INT64_MAX, T, 600, T},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct server_clock c = {0};
		int64_t now;

		server_clock_heard(&c, cases[i].said, BOOT);
		now = server_clock_now(&c, cases[i].wall, BOOT + cases[i].later);
		if (now != cases[i].now)
			fail_msg("%s: %lld", cases[i].name, (long long)now);
	}
}

/* The last word counts, but no nonsense. */
static void said_again(void **state)
{
	struct server_clock c = {0};

	server_clock_heard(&c, T, BOOT);
	server_clock_heard(&c, T + 7200, BOOT + 10);
	assert_int_equal(server_clock_now(&c, T, BOOT + 20), T + 7210);
	server_clock_heard(&c, 0, BOOT + 20);
	assert_int_equal(server_clock_now(&c, T, BOOT + 30), T + 7220);
}

/* Of this server and this boot, or not at all. */
static void kept(void **state)
{
	static const struct {
		const char *text;
		int64_t ahead; /* 0: is not one */
	} cases[] = {
		{"https://hs.test\nboot-1\n1800000000\n", 1800000000},
		{"https://hs.test\nboot-2\n1800000000\n", 0},
		{"https://other.test\nboot-1\n1800000000\n", 0},
		{"https://hs.test\nboot-1\n1800000000", 0},
		{"https://hs.test\nboot-1\n1800000000\n\n", 0},
		{"https://hs.test\nboot-1\n 1800000000\n", 0},
		{"https://hs.test\nboot-1\n99999999999999999999\n", 0},
		{"https://hs.test\nboot-1\n-5\n", 0},
		{"https://hs.test\nboot-1\n9223372036854775807\n", 0},
		{"https://hs.test\nboot-1\nx\n", 0},
		{"https://hs.test\nboot-1\n", 0},
		{"https://hs.test", 0},
		{"", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct server_clock c = {0};
		bool is = kept_clock_parse(cases[i].text, "https://hs.test", "boot-1", &c);

		if (is != (cases[i].ahead != 0) || c.ahead != cases[i].ahead)
			fail_msg("case %zu: %d, %lld", i, is, (long long)c.ahead);
		if (is) {
			char *again = kept_clock_text("https://hs.test", "boot-1", &c);

			assert_string_equal(again, cases[i].text);
			free(again);
		}
	}
	assert_false(kept_clock_parse("https://hs.test\n\n5\n", "https://hs.test", "", &(struct server_clock){0}));
}

static int64_t on_disk(const char *folder)
{
	struct kept_clock k;

	kept_clock_open(&k, folder, "https://hs.test");
	return k.clock.ahead;
}

/* At once, for a restart may come at any time; but not with every message of a server that cannot make up its mind. */
static void written_seldom(void **state)
{
	char folder[] = "/tmp/sluice-clock-XXXXXX", path[64];
	struct kept_clock k;
	int64_t first;

	assert_non_null(mkdtemp(folder));
	kept_clock_open(&k, folder, "https://hs.test");
	assert_int_equal(on_disk(folder), 0);
	kept_clock_heard(&k, T, 1 * NS_PER_SEC);
	first = on_disk(folder);
	assert_int_equal(first, k.clock.ahead);
	kept_clock_heard(&k, T + 7200, 2 * NS_PER_SEC);
	assert_in_range(k.clock.ahead, first + 7190, first + 7210);
	assert_int_equal(on_disk(folder), first);
	kept_clock_heard(&k, T + 7200, 62 * NS_PER_SEC);
	assert_int_equal(on_disk(folder), k.clock.ahead);
	kept_clock_heard(&k, T, 63 * NS_PER_SEC);
	kept_clock_close(&k); /* nothing comes after it, so it need not wait */
	assert_int_equal(on_disk(folder), k.clock.ahead);
	snprintf(path, sizeof(path), "%s/clock", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judged_by_the_server),
		cmocka_unit_test(said_again),
		cmocka_unit_test(kept),
		cmocka_unit_test(written_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
