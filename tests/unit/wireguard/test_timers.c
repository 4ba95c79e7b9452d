/* SPDX-License-Identifier: BSD-2-Clause */
/* The timers by themselves: stamps in, events out; and the queue of due times. */
#include "wg_test.h"

#include "user/wireguard/timers.h"
#include "user/base/clock.h"

#define SEC NS_PER_SEC
#define T0  (1000 * SEC)

struct scene {
	struct peer_timers t;
	struct timer_stamps s;
	uint64_t now;
	unsigned due; /* what is expected */
};

static void test_when_what_is_due(void **state)
{
	static const struct scene cases[] = {
		{.now = T0},
		/* W5: passive keepalive */
		{.s.unanswered_received = T0, .now = T0 + 10 * SEC - 1},
		{.s.unanswered_received = T0, .now = T0 + 10 * SEC, .due = TIMER_KEEPALIVE},
		{.s.unanswered_received = T0, .t.keepalive_for = T0, .now = T0 + 100 * SEC},
		/* W5: nothing comes back */
		{.s.unanswered_sent = T0, .now = T0 + 15 * SEC - 1},
		{.s.unanswered_sent = T0, .now = T0 + 15 * SEC, .due = TIMER_NEW_HANDSHAKE},
		{.s.unanswered_sent = T0, .t.jitter = 300 * NS_PER_MS, .now = T0 + 15 * SEC + 299 * NS_PER_MS},
		{.s.unanswered_sent = T0,
		 .t.jitter = 300 * NS_PER_MS,
		 .now = T0 + 15 * SEC + 300 * NS_PER_MS,
		 .due = TIMER_NEW_HANDSHAKE},
		{.s.unanswered_sent = T0, .t.gave_up_waiting = T0 + 15 * SEC, .now = T0 + 300 * SEC},
		{.s.unanswered_sent = T0,
		 .s.last_data_sent = T0 + 20 * SEC,
		 .t.gave_up_waiting = T0 + 15 * SEC,
		 .now = T0 + 30 * SEC,
		 .due = TIMER_NEW_HANDSHAKE},
		/* W5: persistent */
		{.t.persistent = 25 * SEC, .s.last_sent = T0, .now = T0 + 25 * SEC - 1},
		{.t.persistent = 25 * SEC, .s.last_sent = T0, .now = T0 + 25 * SEC, .due = TIMER_KEEPALIVE},
		{.t.persistent = 25 * SEC, .s.last_sent = T0, .s.last_received = T0 + 1, .now = T0 + 25 * SEC},
		{.t.persistent = 25 * SEC, .t.persistent_sent = T0 + 1, .now = T0 + 25 * SEC},
		/* W4 */
		{.t.retry_at = T0, .t.tries = 17, .now = T0 - 1},
		{.t.retry_at = T0, .t.tries = 17, .now = T0, .due = TIMER_RETRY},
		{.t.retry_at = T0, .t.tries = 18, .now = T0, .due = TIMER_GIVE_UP},
		{.t.retry_at = T0, .t.wanted_since = T0 - 5 * SEC, .s.confirmed = T0 - 4 * SEC, .now = T0},
		{.t.retry_at = T0,
		 .t.wanted_since = T0 - 5 * SEC,
		 .s.confirmed = T0 - 6 * SEC,
		 .now = T0,
		 .due = TIMER_RETRY},
		/* W2 */
		{.t.zero_keys_at = T0, .now = T0 - 1},
		{.t.zero_keys_at = T0, .now = T0, .due = TIMER_ZERO_KEYS},
		/* several */
		{.t.zero_keys_at = T0,
		 .t.persistent = SEC,
		 .s.last_sent = T0 - SEC,
		 .now = T0,
		 .due = TIMER_ZERO_KEYS | TIMER_KEEPALIVE},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene c = cases[i];
		uint64_t next = timers_next(&c.t, &c.s, c.now);

		if (timers_run(&c.t, &c.s, c.now) != c.due)
			fail_msg("case %zu", i);
		assert_int_equal(next <= c.now, c.due != 0); /* timers_next() says the same */
		if (c.due == TIMER_RETRY)		     /* the caller sends, which sets the next time */
			timers_initiation_sent(&c.t, true, 0, c.now);
		assert_int_equal(timers_run(&c.t, &c.s, c.now), 0); /* each once */
		assert_true(timers_next(&c.t, &c.s, c.now) > c.now);
	}
}

static void test_W4_attempt(void **state)
{
	struct peer_timers t = {0};
	struct timer_stamps s = {0};

	assert_true(timers_may_initiate(&t, T0));
	timers_initiation_sent(&t, false, 100, T0);
	assert_int_equal(t.retry_at, T0 + 5 * SEC + 100);
	assert_true(timers_handshake_pending(&t, &s));
	assert_false(timers_may_initiate(&t, T0 + 5 * SEC - 1));
	assert_true(timers_may_initiate(&t, T0 + 5 * SEC));
	timers_initiation_sent(&t, true, 0, T0 + 6 * SEC);
	assert_int_equal(t.tries, 2);
	s.confirmed = T0 + 1; /* the other side's handshake, meanwhile */
	assert_false(timers_handshake_pending(&t, &s));
	timers_handshake_done(&t);
	timers_postpone_initiation(&t, T0 + 7 * SEC);
	assert_true(timers_handshake_pending(&t, &s));
	assert_int_equal(t.retry_at, T0 + 11 * SEC);
	assert_int_equal(timers_run(&t, &s, T0 + 11 * SEC), TIMER_RETRY);
}

/* With keys, the stamps are looked at often enough for whatever they may say. */
static void test_active_peers_are_looked_at(void **state)
{
	struct peer_timers t = {0};
	struct timer_stamps s = {0};

	assert_true(timers_next(&t, &s, T0) == UINT64_MAX);
	timers_session_made(&t, T0);
	assert_int_equal(t.zero_keys_at, T0 + 540 * SEC);
	assert_int_equal(timers_next(&t, &s, T0), T0 + KEEPALIVE_TIMEOUT);
}

static void check_heap(const struct timer_queue *q)
{
	for (size_t i = 1; i <= q->n; i++) {
		assert_int_equal(q->heap[i]->place, i);
		assert_true(i == 1 || q->heap[i / 2]->due <= q->heap[i]->due);
	}
}

static void test_queue(void **state)
{
	enum { N = 300 };
	struct timer_queue q = {0};
	struct timer_entry entries[N] = {0};
	uint64_t seed = 5;

	assert_true(timer_queue_reserve(&q, N));
	assert_null(timer_queue_first(&q));
	for (int i = 0; i < 20000; i++) {
		struct timer_entry *e = &entries[test_random(&seed) % N];
		uint64_t least = UINT64_MAX;
		size_t queued = 0;

		timer_queue_set(&q, e, test_random(&seed) % 3 ? test_random(&seed) % 1000 : UINT64_MAX);
		if (i % 16)
			continue;
		for (size_t k = 0; k < N; k++) {
			if (!entries[k].place)
				continue;
			queued++;
			least = entries[k].due < least ? entries[k].due : least;
		}
		check_heap(&q);
		assert_int_equal(queued, q.n);
		if (queued)
			assert_true(timer_queue_first(&q)->due == least);
	}
	for (uint64_t last = 0; q.n;) { /* comes out in order */
		struct timer_entry *e = timer_queue_first(&q);

		assert_true(e->due >= last);
		last = e->due;
		timer_queue_set(&q, e, UINT64_MAX);
		assert_int_equal(e->place, 0);
	}
	timer_queue_free(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_when_what_is_due),
		cmocka_unit_test(test_W4_attempt),
		cmocka_unit_test(test_active_peers_are_looked_at),
		cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
