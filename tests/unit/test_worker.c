/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker without a thread: frames go in by a socket in the TAP's place, and what it
 * seals leaves by a relay, which here is a list in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fragments.h"
#include "user/datapath/pieces.h"
#include "user/datapath/tap.h"
#include "user/datapath/worker.h"

#define PEER   3
#define MTU    1280
#define SECOND 1000000000ull

struct test {
	struct worker w;
	struct worker_shared shared;
	struct handshakes handshakes; /* nobody takes from its lanes */
	struct transport transport;
	struct session session, theirs;
	struct allowedips_set *allowed;
	int outside; /* of the TAP */
	uint64_t next; /* counter that may come */
};

static void make_session(struct session *s, struct transport *t, bool initiator)
{
	struct noise_keys keys = {.remote_index = 9};

	memset(keys.send, initiator ? 1 : 2, KEY_LEN);
	memset(keys.receive, initiator ? 2 : 1, KEY_LEN);
	session_init(s, &keys, 5, true, t, SECOND);
}

static void command(struct test *t, enum transport_op op)
{
	struct transport_command c = {
		.op = op, .transport = &t->transport, .session = &t->session, .endpoint = endpoint_of_relay(1, PEER)
	};

	assert_true(transport_apply(&t->w.transports, &c, t->w.now));
}

/* The next message that left, opened: *@len bytes, keepalives 0; false: there is none. */
static bool take_message(struct test *t, uint8_t out[2048], size_t *len)
{
	struct parcel *p = parcels_take(&t->w.mail.leaving);
	const struct message_data *m;

	if (!p)
		return false;
	assert_in_range(p->len, DATA_MIN_LEN, DATA_MIN_LEN + MTU);
	m = (const void *)p->bytes;
	assert_int_equal(le64toh(m->counter), t->next); /* each once, none left out */
	t->next++;
	assert_true(session_open(&t->theirs, p->bytes, p->len));
	*len = p->len - DATA_MIN_LEN;
	memcpy(out, p->bytes + DATA_HEADER_LEN, *len);
	free(p);
	return true;
}

static int open_test(void **state)
{
	struct test *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
	const struct underlay none = {.fd = {-1, -1}};
	const struct prefix all[] = {{.len = 0}, {.addr = addr_from_v4(0), .len = 96}};
	uint8_t first[2048];
	size_t len;
	int tap[2];

	memset(t, 0, sizeof(*t));
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tap), 0);
	t->outside = tap[1];
	t->shared.parcels = true;
	t->shared.control_event = eventfd(0, EFD_NONBLOCK);
	t->handshakes.event = eventfd(0, EFD_NONBLOCK);
	t->shared.handshakes = &t->handshakes;
	assert_int_equal(worker_init(&t->w, 0, &t->shared, &none, tap[0], true, true), 0);
	t->allowed = allowedips_set_new();
	for (size_t i = 0; i < 2; i++)
		assert_true(allowedips_give(t->allowed, &all[i], PEER));
	t->w.allowed = allowedips_snapshot(t->allowed);
	t->w.now = 2 * SECOND;
	t->w.mtu = MTU;
	t->transport.peer = PEER;
	make_session(&t->session, &t->transport, true);
	make_session(&t->theirs, NULL, false);
	command(t, TRANSPORT_ADD);
	command(t, TRANSPORT_ENDPOINT);
	command(t, TRANSPORT_INSTALL);
	send_todo(&t->w);
	assert_true(take_message(t, first, &len)); /* the keepalive that a session begins with */
	*state = t;
	return 0;
}

static int close_test(void **state)
{
	struct test *t = *state;

	command(t, TRANSPORT_REMOVE);
	allowedips_free((void *)t->w.allowed);
	allowedips_set_free(t->allowed);
	close(t->outside);
	close(t->w.tap_fd);
	close(t->shared.control_event);
	close(t->handshakes.event);
	worker_free(&t->w);
	assert_false(worker_exists(&t->w));
	free(t);
	return 0;
}

static uint64_t drops(const struct test *t)
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_MAX; i++)
		n += atomic_load(&t->w.drops[i]);
	return n;
}

/* ---- frames in, messages out ------------------------------------------------------------- */

/* A frame of the TAP with this type and Ethernet source around @packet. */
static void put_frame(struct test *t, uint16_t type, enum tap_mac_kind kind, uint32_t id, const uint8_t *packet,
		      size_t len)
{
	static uint8_t frame[sizeof(struct virtio_net_hdr) + ETH_HLEN + 66000];
	uint8_t *eth = frame + sizeof(struct virtio_net_hdr);

	memset(frame, 0, sizeof(struct virtio_net_hdr) + ETH_HLEN);
	tap_mac_put(eth + ETH_ALEN, kind, id);
	put16(eth + 2 * ETH_ALEN, type);
	memcpy(eth + ETH_HLEN, packet, len);
	assert_int_equal(write(t->outside, frame, (size_t)(eth + ETH_HLEN + len - frame)),
			 eth + ETH_HLEN + len - frame);
}

static void put_packet(struct test *t, const uint8_t *packet, size_t len)
{
	put_frame(t, packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6, TAP_CLIENT, 0, packet, len);
}

/* What the worker does with what it was given, and with what waits for a session. */
static void run(struct test *t)
{
	send_frames(&t->w);
	send_todo(&t->w);
}

/* All that left is this packet. */
static void assert_sent(struct test *t, const uint8_t *packet, size_t len)
{
	uint8_t got[2048];
	size_t n;

	run(t);
	assert_true(take_message(t, got, &n));
	assert_true(n >= len && n < len + PADDING);
	assert_memory_equal(got, packet, len);
	assert_false(take_message(t, got, &n));
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
	struct test *t = *state;
	size_t n = uncuttable(bad), len = whole_packet(good, false, 500, 1);

	for (int i = 0; i < 3; i++) {
		uint64_t before = atomic_load(&t->w.drops[DROP_TOO_BIG]);

		put_frame(t, ETH_P_CUT, TAP_PIECE, 1 << 16 | MTU, bad, n); /* towards a service */
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
	struct test *t = *state;
	size_t n = whole_packet(packet, false, 5000, 1), len;
	uint8_t got[2048];
	unsigned sent = 0;

	t->next = t->session.send_counter = REJECT_AFTER_MESSAGES - 2;
	put_packet(t, packet, n);
	send_frames(&t->w);
	while (take_message(t, got, &len))
		sent++;
	assert_int_equal(sent, 2);
	assert_int_equal(atomic_load(&t->w.drops[DROP_NO_SESSION]), 2);
	put_packet(t, packet, 100); /* less than it says */
	run(t);
	assert_false(take_message(t, got, &len));
}

/* Whole fragments, of both sides, in between: they leave by the TAP, and nothing of them by the tunnel. */
static void test_fault_14_both_ways_are_apart(void **state)
{
	static uint8_t part[2048], good[2048], big[8192];
	struct test *t = *state;
	size_t len = whole_packet(good, true, 500, 1), n = whole_packet(big, true, 5000, 1);
	uint8_t frame[2048];
	unsigned pieces = 0;

	put_frame(t, ETH_P_CUT, TAP_PIECE, 1 << 16 | MTU, big, n);
	put_frame(t, ETH_P_REASSEMBLE, TAP_RETURN, 2, part, piece(part, true, 1, 5, 0, 800, true));
	put_packet(t, good, len);
	assert_sent(t, good, len);
	put_frame(t, ETH_P_REASSEMBLE, TAP_RETURN, 2, part, piece(part, true, 1, 5, 800, 800, false));
	run(t);
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
