/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Item 38 of the second faults: the reset that answers a segment of no connection (RFC 9293
 * section 3.10.7.1), whole packets in, whole packets out.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "user/datapath/csum.h"
#include "user/datapath/reset.h"

#define N(table) (sizeof(table) / sizeof(*(table)))

#define PORT_A 40000
#define PORT_B 443

static const struct {
	const char *name;
	uint8_t flags;
	size_t payload, options;
	uint32_t seq, ack;
	bool reset; /* what is wanted */
	uint32_t want_seq, want_ack;
	uint8_t want_flags;
} answers[] = {
	{"ACK", TH_ACK, 0, 0, 7, 1000, true, 1000, 0, TH_RST},
	{"data", TH_ACK | TH_PUSH, 1200, 12, 7, 0xffffffff, true, 0xffffffff, 0, TH_RST},
	{"FIN ACK", TH_ACK | TH_FIN, 3, 0, 7, 5, true, 5, 0, TH_RST},
	{"SYN ACK", TH_ACK | TH_SYN, 0, 4, 7, 99, true, 99, 0, TH_RST},
	{"SYN", TH_SYN, 0, 4, 7, 0, true, 0, 8, TH_RST | TH_ACK},
	{"nothing", 0, 0, 0, 7, 3, true, 0, 7, TH_RST | TH_ACK},
	{"data without ACK", TH_PUSH, 100, 12, 7, 3, true, 0, 107, TH_RST | TH_ACK},
	{"a super-packet over the end of numbers", TH_PUSH, 60000, 12, 0xfffffff0, 3, true, 0, 60000 - 16,
	 TH_RST | TH_ACK},
	{"SYN FIN with data", TH_SYN | TH_FIN, 10, 0, 7, 0, true, 0, 19, TH_RST | TH_ACK},
	{"RST", TH_RST, 0, 0, 7, 0, false, 0, 0, 0},
	{"RST ACK", TH_RST | TH_ACK, 0, 0, 7, 9, false, 0, 0, 0},
};

static uint8_t memory[sizeof(struct virtio_net_hdr) + sizeof(struct ethhdr) + UINT16_MAX];

/* Answer @i's segment, whole and right, at @at. */
static size_t segment_of(size_t i, bool v6, uint8_t *at)
{
	struct segment s = {.src = v6 ? (struct addr){.b = {0xfd, 1, [15] = 5}} : addr_from_v4(htonl(0x64400005)),
			    .dst = v6 ? (struct addr){.b = {0x20, 1, [15] = 9}} : addr_from_v4(htonl(0xcb007109)),
			    .sport = PORT_A,
			    .dport = PORT_B,
			    .seq = answers[i].seq,
			    .ack = answers[i].ack,
			    .flags = answers[i].flags};
	size_t len = segment_put(&s, at), l4 = v6 ? 40 : 20, addr = v6 ? 16 : 4;
	uint8_t *ip = at, *tcp = at + l4;
	uint16_t sum = 0, total;

	memset(at + len, 1, answers[i].options); /* no operation */
	memset(at + len + answers[i].options, 'x', answers[i].payload);
	len += answers[i].options + answers[i].payload;
	tcp[12] = (uint8_t)((20 + answers[i].options) / 4 << 4);
	total = htons((uint16_t)(v6 ? len - 40 : len));
	memcpy(ip + (v6 ? 4 : 2), &total, 2);
	memcpy(tcp + 16, &sum, 2);
	sum = csum_finish(
		csum_add(csum_pseudo(ip + (v6 ? 8 : 12), ip + (v6 ? 24 : 16), addr, IPPROTO_TCP, (uint32_t)(len - l4)),
			 tcp, len - l4));
	memcpy(tcp + 16, &sum, 2);
	return len;
}

static bool sums_hold(const uint8_t *ip, size_t len)
{
	bool v6 = ip[0] >> 4 == 6;
	size_t l4 = v6 ? 40 : 20;

	if (!v6 && csum_finish(csum_add(0, ip, 20)))
		return false;
	return !csum_finish(csum_add(
		csum_pseudo(ip + (v6 ? 8 : 12), ip + (v6 ? 24 : 16), v6 ? 16 : 4, IPPROTO_TCP, (uint32_t)(len - l4)),
		ip + l4, len - l4));
}

static void assert_answer(size_t i, const struct packet *segment, const uint8_t *out, size_t len)
{
	struct packet p;
	struct tcphdr tcp;
	uint8_t copy[SEGMENT_MAX];

	memcpy(copy, out, len);
	assert_true(packet_parse(copy, len, &p));
	assert_int_equal(p.len, len);
	assert_int_equal(len, p.l4 + sizeof(tcp)); /* no more than the shortest segment */
	assert_true(sums_hold(copy, len));
	assert_memory_equal(&p.src, &segment->dst, sizeof(p.src));
	assert_memory_equal(&p.dst, &segment->src, sizeof(p.dst));
	memcpy(&tcp, copy + p.l4, sizeof(tcp));
	assert_int_equal(ntohs(tcp.source), PORT_B);
	assert_int_equal(ntohs(tcp.dest), PORT_A);
	assert_int_equal(ntohl(tcp.seq), answers[i].want_seq);
	assert_int_equal(ntohl(tcp.ack_seq), answers[i].want_ack);
	assert_int_equal(tcp.th_flags, answers[i].want_flags);
}

static void test_fault_38_numbers(void **state)
{
	uint8_t out[SEGMENT_MAX], again[SEGMENT_MAX];

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(answers); i++) {
			struct packet p, reset;
			size_t len;

			print_message("  IPv%d %s\n", v6 ? 6 : 4, answers[i].name);
			len = segment_of(i, v6, memory);
			assert_true(packet_parse(memory, len, &p));
			len = reset_of(&p, out);
			assert_int_equal(len > 0, answers[i].reset);
			if (!len)
				continue;
			assert_answer(i, &p, out, len);
			assert_true(packet_parse(out, len, &reset));
			assert_int_equal(reset_of(&reset, again), 0); /* two gateways do not talk for ever */
		}
}

/* Cut anywhere, or with a header that is longer than the packet: no answer, nothing read past its end. */
static void test_fault_38_broken(void **state)
{
	uint8_t out[SEGMENT_MAX];
	struct packet p;
	size_t len = segment_of(0, false, memory);

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t exact[64];

		memcpy(exact, memory, cut);
		exact[2] = 0;
		exact[3] = (uint8_t)cut;
		if (packet_parse(exact, cut, &p))
			assert_int_equal(reset_of(&p, out), 0);
	}
	for (unsigned doff = 0; doff < 16; doff++) {
		memory[32] = (uint8_t)(doff << 4);
		assert_true(packet_parse(memory, len, &p));
		assert_int_equal(reset_of(&p, out) > 0, doff == 5);
	}
}

/* ---- the frame ----------------------------------------------------------------------------- */

static size_t frame_of(struct worker *w, size_t i, bool v6, uint16_t type, uint8_t kind)
{
	struct ethhdr eth = {.h_source = {TAP_MAC_0, kind, 0, 0, 0, 1}, .h_proto = htons(type)};

	w->frame = memory;
	memset(memory, 0, sizeof(struct virtio_net_hdr));
	memcpy(memory + sizeof(struct virtio_net_hdr), &eth, sizeof(eth));
	return 24 + segment_of(i, v6, memory + 24);
}

/* A client's becomes its answer, where it stands; what was not asked for stays what it is. */
static void test_fault_38_frames(void **state)
{
	static struct worker w = {.tap_fd = -1};

	for (int v6 = 0; v6 < 2; v6++) {
		size_t len = frame_of(&w, 1, v6, ETH_P_RESET, TAP_CLIENT);
		struct gso split;

		assert_int_equal(reset_frame(&w, len), 24u + (v6 ? 60 : 40));
		assert_true(gso_begin(&split, memory, len));
		assert_true(sums_hold(split.whole.data, split.whole.len));

		len = frame_of(&w, 1, v6, v6 ? ETH_P_IPV6 : ETH_P_IP, TAP_CLIENT);
		assert_int_equal(reset_frame(&w, len), len);

		len = frame_of(&w, 1, v6, ETH_P_RESET, TAP_CLIENT);
		memory[len - 1] ^= 1; /* broken on its way: it would be another's reset */
		assert_int_equal(reset_frame(&w, len), 0);
		assert_int_equal(w.drops[DROP_MALFORMED], v6 + 1);

		for (size_t cut = 0; cut < len; cut++) {
			size_t left = reset_frame(&w, cut);

			assert_true(left == 0 || (cut < 24 && left == cut));
			w.drops[DROP_MALFORMED] = (uint64_t)v6 + 1;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_38_numbers),
		cmocka_unit_test(test_fault_38_broken),
		cmocka_unit_test(test_fault_38_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
