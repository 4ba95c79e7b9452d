/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging and cutting are each other's inverse: whatever packets go into
 * gro.h come out of gso.h byte for byte, in the order of their flow. What
 * must not be merged is a table of its own.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "user/datapath/gro.h"
#include "user/datapath/csum.h"
#include "user/datapath/gso.h"

#define PACKETS 128
#define ROOM	2048

struct shape {
	bool v6;
	uint8_t proto, tos, ttl, flags;
	uint16_t sport, window, payload;
	uint32_t seq, ack;
	uint8_t options; /* bytes */
	bool df, bad_checksum, no_checksum;
};

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* Writes a whole packet with correct checksums; returns its length. */
static size_t build(uint8_t *out, const struct shape *s, uint16_t id)
{
	size_t ip = s->v6 ? 40 : 20, l4 = s->proto == IPPROTO_TCP ? 20u + s->options : 8;
	size_t len = ip + l4 + s->payload, addr = s->v6 ? 16 : 4, field = s->proto == IPPROTO_TCP ? 16 : 6;
	uint8_t *t = out + ip;
	uint16_t sum;

	memset(out, 0, len);
	if (s->v6) {
		put32(out, 6u << 28 | (uint32_t)s->tos << 20);
		put16(out + 4, (uint16_t)(len - 40));
		out[6] = s->proto;
		out[7] = s->ttl;
		out[8 + 15] = 1;
		out[24 + 15] = 2;
	} else {
		out[0] = 0x45;
		out[1] = s->tos;
		put16(out + 2, (uint16_t)len);
		put16(out + 4, id);
		out[6] = s->df ? 0x40 : 0;
		out[8] = s->ttl;
		out[9] = s->proto;
		put32(out + 12, 0x64400005);
		put32(out + 16, 0xcb007109);
		sum = csum_finish(csum_add(0, out, 20));
		memcpy(out + 10, &sum, 2);
	}
	put16(t, s->sport);
	put16(t + 2, 443);
	if (s->proto == IPPROTO_TCP) {
		put32(t + 4, s->seq);
		put32(t + 8, s->ack);
		t[12] = (uint8_t)(l4 / 4 << 4);
		t[13] = s->flags;
		put16(t + 14, s->window);
		memset(t + 20, 1, s->options);
	} else {
		put16(t + 4, (uint16_t)(len - ip));
	}
	for (size_t i = 0; i < s->payload; i++)
		t[l4 + i] = (uint8_t)(s->seq + i * 7 + id);
	sum = csum_finish(csum_add(
		csum_pseudo(out + (s->v6 ? 8 : 12), out + (s->v6 ? 24 : 16), addr, s->proto, (uint32_t)(len - ip)), t,
		len - ip));
	if (s->bad_checksum)
		sum ^= 0x0101;
	if (!s->no_checksum)
		memcpy(t + field, &sum, 2);
	return len;
}

struct sink {
	unsigned frames;
	unsigned n;
	size_t len[PACKETS];
	uint8_t packet[PACKETS][ROOM];
};

static void take_frame(void *context, const struct iovec *iov, unsigned n)
{
	static uint8_t frame[70000];
	struct sink *sink = context;
	struct gso split;
	size_t len = 0;
	uint8_t *p;

	for (unsigned i = 0; i < n; i++) {
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	sink->frames++;
	assert_true(gso_begin(&split, frame, len));
	while ((p = gso_next(&split, &len))) {
		assert_true(sink->n < PACKETS && len <= ROOM);
		memcpy(sink->packet[sink->n], p, len);
		sink->len[sink->n++] = len;
	}
}

static uint8_t packets[PACKETS][ROOM];
static struct sink sink;

/* Sends @n shapes through; returns the number of frames it took. What comes out is in sink. */
static unsigned through(const struct shape *shapes, unsigned n, bool gso, bool uso)
{
	static struct gro c;

	memset(&sink, 0, sizeof(sink));
	gro_init(&c, gso, uso, take_frame, &sink);
	for (unsigned i = 0; i < n; i++) {
		struct packet p;
		size_t len = build(packets[i], &shapes[i], (uint16_t)(100 + i));

		memset(packets[i] + len, 0, 16); /* the tunnel's padding */
		assert_true(packet_parse(packets[i], len + 15, &p));
		gro_add(&c, &p, 5);
	}
	gro_flush(&c);
	assert_int_equal(sink.n, n);
	return sink.frames;
}

static void expect_same_order(const struct shape *shapes, unsigned n)
{
	uint8_t want[ROOM];

	for (unsigned i = 0; i < n; i++) {
		size_t len = build(want, &shapes[i], (uint16_t)(100 + i));

		assert_int_equal(sink.len[i], len);
		assert_memory_equal(sink.packet[i], want, len);
	}
}

#define TCP .proto = IPPROTO_TCP, .ttl = 64, .flags = 0x10, .sport = 5000, .window = 500, .df = true, .ack = 9
#define UDP .proto = IPPROTO_UDP, .ttl = 64, .sport = 5000, .df = true

static void run_of_tcp(struct shape *s, unsigned n, bool v6, uint16_t payload, uint16_t last)
{
	for (unsigned i = 0; i < n; i++)
		s[i] = (struct shape){TCP, .v6 = v6, .payload = i + 1 < n ? payload : last, .options = 12,
				      .seq = 0xfffff000u + i * payload};
	s[n - 1].flags |= 0x08;
}

static void test_bulk_tcp_is_one_frame(void **state)
{
	struct shape s[44];

	for (int v6 = 0; v6 < 2; v6++) {
		run_of_tcp(s, 44, v6, 1340, 77);
		assert_int_equal(through(s, 44, true, true), 1);
		expect_same_order(s, 44);
	}
}

static void test_bulk_udp_is_one_frame(void **state)
{
	struct shape s[64];

	for (int v6 = 0; v6 < 2; v6++) {
		for (unsigned i = 0; i < 64; i++)
			s[i] = (struct shape){UDP, .v6 = v6, .payload = i < 63 ? 64 : 11, .seq = i};
		assert_int_equal(through(s, 64, true, true), 1);
		expect_same_order(s, 64);
		assert_int_equal(through(s, 64, true, false), 64); /* no USO */
		expect_same_order(s, 64);
	}
}

/* Pairs that look alike but must stay two frames. */
static void test_what_is_not_merged(void **state)
{
	struct shape a = {TCP, .payload = 1000, .seq = 1}, next = a, cases[16];
	unsigned n = 0;

	next.seq += 1000;
#define CASE(change)             \
	do {                     \
		cases[n] = next; \
		cases[n].change; \
		n++;             \
	} while (0)
	CASE(seq += 1);	      /* a hole */
	CASE(seq = 1);	      /* sent again */
	CASE(ack = 10);	      /* another acknowledgment */
	CASE(window = 501);   /* another window */
	CASE(tos = 1);	      /* another mark */
	CASE(ttl = 63);	      /* another way */
	CASE(df = false);     /* another DF */
	CASE(flags = 0x11);   /* FIN */
	CASE(flags = 0x12);   /* SYN */
	CASE(flags = 0x14);   /* RST */
	CASE(options = 12);   /* other options */
	CASE(payload = 1001); /* longer than the first */
	CASE(bad_checksum = true);
	CASE(sport = 5001); /* another flow */
	for (unsigned i = 0; i < n; i++) {
		struct shape pair[2] = {a, cases[i]};

		assert_int_equal(through(pair, 2, true, true), 2);
		expect_same_order(pair, 2);
	}
	assert_int_equal(through((struct shape[]){a, next}, 2, true, true), 1);
	assert_int_equal(through((struct shape[]){a, next}, 2, false, false), 2);
}

static void test_push_and_short_end_a_frame(void **state)
{
	struct shape s[3] = {{TCP, .payload = 1000, .seq = 1},
			     {TCP, .payload = 1000, .seq = 1001},
			     {TCP, .payload = 1000, .seq = 2001}};

	s[1].flags |= 0x08;
	assert_int_equal(through(s, 3, true, true), 2);
	expect_same_order(s, 3);
	s[1].flags = 0x10;
	s[1].payload = 999;
	s[2].seq = 2000;
	assert_int_equal(through(s, 3, true, true), 2);
	expect_same_order(s, 3);
}

/* A wrong checksum arrives wrong: merging never mends it. */
static void test_wrong_checksums_stay_wrong(void **state)
{
	struct shape s[2] = {{UDP, .payload = 64, .bad_checksum = true}, {UDP, .payload = 64, .bad_checksum = true}};

	assert_int_equal(through(s, 2, true, true), 2);
	expect_same_order(s, 2);
	s[0] = s[1] = (struct shape){UDP, .payload = 64, .no_checksum = true};
	assert_int_equal(through(s, 2, true, true), 2);
	expect_same_order(s, 2);
}

/* Random mixes of flows: everything comes out, each flow in its order. */
static void test_random_mixes(void **state)
{
	uint32_t seq[8];

	srand(7);
	for (int round = 0; round < 300; round++) {
		struct shape s[PACKETS];
		unsigned at[8] = {0};

		memset(seq, 0, sizeof(seq));
		for (unsigned i = 0; i < PACKETS; i++) {
			unsigned flow = (unsigned)rand() % 8;
			uint16_t payload = rand() % 4 ? 600 : (uint16_t)(rand() % 700);

			s[i] = flow & 1 ? (struct shape){UDP, .payload = payload}
					: (struct shape){TCP, .payload = payload};
			s[i].v6 = flow & 2;
			s[i].sport = (uint16_t)(6000 + flow);
			s[i].seq = seq[flow];
			if (rand() % 16 == 0)
				s[i].flags |= (uint8_t)(1 << rand() % 5);
			seq[flow] += payload;
		}
		assert_true(through(s, PACKETS, true, true) <= PACKETS);
		for (unsigned i = 0; i < PACKETS; i++) { /* the next of this flow among what came out */
			uint8_t want[ROOM];
			size_t len = build(want, &s[i], (uint16_t)(100 + i));
			unsigned flow = s[i].sport - 6000u;
			size_t ip = s[i].v6 ? 40 : 20;

			while (at[flow] < PACKETS && (sink.packet[at[flow]][0] >> 4 != (s[i].v6 ? 6 : 4) ||
						      memcmp(sink.packet[at[flow]] + ip, want + ip, 2)))
				at[flow]++;
			assert_true(at[flow] < PACKETS);
			assert_int_equal(sink.len[at[flow]], len);
			if (!s[i].v6) /* ids of a merged run count up from the first's */
				memcpy(want + 4, sink.packet[at[flow]] + 4, 2),
					memcpy(want + 10, sink.packet[at[flow]] + 10, 2);
			assert_memory_equal(sink.packet[at[flow]++], want, len);
		}
	}
}

static void test_hostile_frames(void **state)
{
	uint8_t frame[256];
	struct gso split;

	srand(11);
	for (int i = 0; i < 200000; i++) {
		size_t len = (size_t)rand() % sizeof(frame), n;
		unsigned packets_seen = 0;
		uint8_t *p;

		for (size_t k = 0; k < len; k++)
			frame[k] = (uint8_t)rand();
		if (len > 30)
			frame[10 + 14] = rand() & 1 ? 0x45 : 0x60;
		if (!gso_begin(&split, frame, len))
			continue;
		while ((p = gso_next(&split, &n))) {
			assert_true(p >= frame && p + n <= frame + len);
			assert_true(++packets_seen <= sizeof(frame));
		}
	}
}

static void test_checksum_in_pieces(void **state)
{
	uint8_t data[301];
	uint64_t whole;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31);
	whole = csum_add(0, data, sizeof(data));
	for (size_t cut = 0; cut < sizeof(data); cut += 2)
		assert_int_equal(csum_fold(csum_add(csum_add(0, data, cut), data + cut, sizeof(data) - cut)),
				 csum_fold(whole));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bulk_tcp_is_one_frame),
		cmocka_unit_test(test_bulk_udp_is_one_frame),
		cmocka_unit_test(test_what_is_not_merged),
		cmocka_unit_test(test_push_and_short_end_a_frame),
		cmocka_unit_test(test_wrong_checksums_stay_wrong),
		cmocka_unit_test(test_random_mixes),
		cmocka_unit_test(test_hostile_frames),
		cmocka_unit_test(test_checksum_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
