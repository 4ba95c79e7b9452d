/* SPDX-License-Identifier: BSD-2-Clause */
/* W6 and the counter's end of W3: tables of (counter, accepted) in order. */
#include "wg_test.h"

#include "user/wireguard/replay.h"

struct step {
	uint64_t counter;
	bool ok;
};

static void run(const struct step *steps, size_t n)
{
	struct replay r = {0};

	for (size_t i = 0; i < n; i++) {
		if (replay_accept(&r, steps[i].counter) != steps[i].ok)
			fail_msg("step %zu: counter %llu", i, (unsigned long long)steps[i].counter);
	}
}

#define RUN(...)                                                   \
	do {                                                       \
		static const struct step steps_[] = {__VA_ARGS__}; \
		run(steps_, ARRAY_LEN(steps_));                    \
	} while (0)

#define W     REPLAY_WINDOW
#define LIMIT REJECT_AFTER_MESSAGES

static void test_W6_duplicates(void **state)
{
	RUN({0, true}, {0, false}, {1, true}, {1, false}, {9, true}, {8, true}, {7, true}, {7, false}, {6, true},
	    {5, true}, {4, true}, {3, true}, {2, true}, {2, false}, {0, false}, {9, false});
	RUN({63, true}, {64, true}, {63, false}, {64, false}, {127, true}, {128, true}, {0, true});
}

static void test_W6_edge_of_the_window(void **state)
{
	RUN({W - 1, true}, {0, true}, {0, false});
	RUN({W, true}, {0, false}, {1, true}, {1, false});
	RUN({W + 1, true}, {1, false}, {2, true}, {0, false});
	RUN({3 * W, true}, {2 * W + 1, true}, {2 * W, false}, {3 * W - 1, true});
}

static void test_W6_jumps(void **state)
{
	RUN({0, true}, {REPLAY_BITS, true}, {0, false}, {REPLAY_BITS - 1, true}, {1, false});
	RUN({5, true}, {5 + 4 * REPLAY_BITS, true}, {4 * REPLAY_BITS, true}, {5, false});
	RUN({1ull << 60, true}, {(1ull << 60) - 1, true}, {1ull << 60, false}, {0, false});
	/* words that were full are empty after the jump */
	RUN({0, true}, {1, true}, {2, true}, {REPLAY_BITS + 2, true}, {REPLAY_BITS + 1, true}, {REPLAY_BITS, true});
}

static void test_W3_last_counters(void **state)
{
	RUN({LIMIT - 1, true}, {LIMIT - 1, false}, {LIMIT, false}, {UINT64_MAX, false}, {LIMIT - 2, true},
	    {LIMIT - W, true}, {LIMIT - W - 1, false});
	RUN({UINT64_MAX, false}, {LIMIT, false}, {0, true});
}

/* Against the obvious: a set of all counters seen. */
static void test_W6_window_accepts_out_of_order(void **state)
{
	enum { MAX = 60000 };
	static bool seen[MAX];
	struct replay r = {0};
	uint64_t top = 0, seed = 6;

	for (int i = 0; i < 400000; i++) {
		uint64_t spread = test_random(&seed) % 100 ? 300 : 10000;
		uint64_t base = (uint64_t)i / 8;
		uint64_t c = base + test_random(&seed) % spread;
		bool fits, want;

		c = c > spread / 2 ? c - spread / 2 : 0;
		fits = c >= top || top - c < W;
		want = fits && !seen[c];
		assert_int_equal(replay_accept(&r, c), want);
		if (want)
			seen[c] = true;
		if (want && c > top)
			top = c;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W6_duplicates),
		cmocka_unit_test(test_W6_edge_of_the_window),
		cmocka_unit_test(test_W6_jumps),
		cmocka_unit_test(test_W3_last_counters),
		cmocka_unit_test(test_W6_window_accepts_out_of_order),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
