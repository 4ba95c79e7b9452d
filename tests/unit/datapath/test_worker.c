/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker makes of frames that hurt, and of a start that fails (worker_alone.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "fragments.h"
#include "tests/worker_alone.h"

#define MTU 1280

static int open_test(void **state)
{
	struct alone *t = alone_open(MTU);
	uint8_t first[ALONE_ROOM];
	size_t len;

	alone_session(t);
	send_todo(&t->w);
	assert_true(alone_take(t, first, &len)); /* the keepalive that a session begins with */
	assert_int_equal(len, 0);
	*state = t;
	return 0;
}

static int close_test(void **state)
{
	alone_close(*state);
	return 0;
}

static uint64_t drops(const struct alone *t)
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_MAX; i++)
		n += atomic_load(&t->w.drops[i]);
	return n;
}

static void put_packet(struct alone *t, const uint8_t *packet, size_t len)
{
	alone_put(t, packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6, TAP_CLIENT, 0, packet, len);
}

/* All that left is this packet. */
static void assert_sent(struct alone *t, const uint8_t *packet, size_t len)
{
	static uint8_t got[ALONE_ROOM];
	size_t n = 0;

	alone_run(t);
	assert_true(alone_take(t, got, &n));
	assert_true(n >= len && n < len + PADDING);
	assert_memory_equal(got, packet, len);
	assert_false(alone_take(t, got, &n));
}

/* ---- tests ------------------------------------------------------------------------------------ */

/* An IPv6 packet whose hop-by-hop header alone is larger than any MTU here. */
static size_t uncuttable(uint8_t *packet)
{
	size_t header = 2048, n = whole_packet(packet, true, header + 1000, 1);

	packet[6] = IPPROTO_HOPOPTS;
	packet[40] = IPPROTO_UDP;
	packet[41] = (uint8_t)(header / 8 - 1);
	return n;
}

/*
 * A frame that cannot be cut is dropped, whole and alone: the next frame, of anybody, is
 * itself. It was taken for the rest of the one before, past the counters it had.
 */
static void test_fault_14_an_uncuttable_frame_harms_no_other(void **state)
{
	static uint8_t bad[4096], good[2048];
	struct alone *t = *state;
	size_t n = uncuttable(bad), len = whole_packet(good, false, 500, 1);

	for (int i = 0; i < 3; i++) {
		uint64_t before = atomic_load(&t->w.drops[DROP_TOO_BIG]);

		alone_put(t, ETH_P_CUT, TAP_PIECE, 1 << 16 | MTU, bad, n); /* towards a service */
		put_packet(t, bad, n);					   /* towards a client */
		put_packet(t, good, len);
		assert_sent(t, good, len);
		assert_int_equal(atomic_load(&t->w.drops[DROP_TOO_BIG]), before + 2);
	}
	assert_int_equal(drops(t), 6);
}

/* The end of a session's counters in the middle of a frame: the rest is dropped, and no stale byte leaves. */
static void test_fault_14_counters_end_within_a_frame(void **state)
{
	static uint8_t packet[8192];
	struct alone *t = *state;
	size_t n = whole_packet(packet, false, 5000, 1), len;
	static uint8_t got[ALONE_ROOM];
	unsigned sent = 0;

	t->next = t->session.send_counter = REJECT_AFTER_MESSAGES - 2;
	put_packet(t, packet, n);
	send_frames(&t->w);
	while (alone_take(t, got, &len))
		sent++;
	assert_int_equal(sent, 2);
	assert_int_equal(atomic_load(&t->w.drops[DROP_NO_SESSION]), 2);
	put_packet(t, packet, 100); /* less than it says */
	alone_run(t);
	assert_false(alone_take(t, got, &len));
}

/* Whole fragments, of both sides, in between: they leave by the TAP, and nothing of them by the tunnel. */
static void test_fault_14_both_ways_are_apart(void **state)
{
	static uint8_t part[2048], good[2048], big[8192];
	struct alone *t = *state;
	size_t len = whole_packet(good, true, 500, 1), n = whole_packet(big, true, 5000, 1);
	uint8_t frame[2048];
	unsigned pieces = 0;

	alone_put(t, ETH_P_CUT, TAP_PIECE, 1 << 16 | MTU, big, n);
	alone_put(t, ETH_P_REASSEMBLE, TAP_RETURN, 2, part, piece(part, true, 1, 5, 0, 800, true));
	put_packet(t, good, len);
	assert_sent(t, good, len);
	alone_put(t, ETH_P_REASSEMBLE, TAP_RETURN, 2, part, piece(part, true, 1, 5, 800, 800, false));
	alone_run(t);
	while (read(t->outside, frame, sizeof(frame)) > 0)
		pieces++;
	assert_int_equal(pieces, 5 + 1);
	assert_int_equal(drops(t), 0);
}

/* A start that fails leaves nothing behind, and no worker to be freed again. */
static void test_fault_53_a_failed_start_is_no_worker(void **state)
{
	static struct worker_shared shared = {.control_event = -1};
	static struct worker w;
	const struct underlay none = {.fd = {-1, -1}};
	int file = memfd_create("no TAP", 0), before, after; /* epoll takes no files */

	before = dup(file);
	assert_int_equal(worker_init(&w, 0, &shared, &none, file, true, true), -EPERM);
	after = dup(file);
	assert_false(worker_exists(&w));
	assert_int_equal(after, before + 1);
	close(before);
	close(after);
	close(file);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_test, close_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fault_14_an_uncuttable_frame_harms_no_other),
		T(test_fault_14_counters_end_within_a_frame),
		T(test_fault_14_both_ways_are_apart),
		cmocka_unit_test(test_fault_53_a_failed_start_is_no_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
