/* SPDX-License-Identifier: BSD-2-Clause */
/* 4787-14: fragments in any order become the packet they were, whatever else comes with them. */
#include "fragments_setup.h"

/* ---- what comes, and what becomes of it -------------------------------------------------- */

struct given {
	uint16_t at, len;
	bool more;
	uint8_t tos;
	bool spoilt; /* other bytes */
};

#define MORE(from, n)		   {.at = from, .len = n, .more = true}
#define LAST(from, n)		   {.at = from, .len = n}
#define MARKED(from, ecn, goes_on) {.at = from, .len = 8, .more = goes_on, .tos = ecn}

static const struct sequence {
	const char *name;
	struct given given[6];
	int whole; /* which of them completes the packet; -1: none */
	uint16_t data;
	enum drop_reason reason; /* of what died */
	unsigned dropped;
} sequences[] = {
	{"in order", {MORE(0, 1400), MORE(1400, 1400), LAST(2800, 200)}, 2, 3000, 0, 0},
	{"last first", {LAST(2800, 200), MORE(1400, 1400), MORE(0, 1400)}, 2, 3000, 0, 0},
	{"first last", {MORE(1400, 1400), LAST(2800, 200), MORE(0, 1400)}, 2, 3000, 0, 0},
	{"one byte at the end", {MORE(0, 8), LAST(8, 1)}, 1, 9, 0, 0},
	{"repeated", {MORE(0, 1400), MORE(0, 1400), LAST(1400, 8)}, 2, 1408, DROP_FRAGMENT_REPEATED, 1},
	{"the last repeated", {LAST(1400, 8), LAST(1400, 8), MORE(0, 1400)}, 2, 1408, DROP_FRAGMENT_REPEATED, 1},
	{"repeated with other bytes",
	 {MORE(0, 1400), {.at = 0, .len = 1400, .more = true, .spoilt = true}, LAST(1400, 8)},
	 -1,
	 0,
	 DROP_FRAGMENT_OVERLAP,
	 3},
	{"overlaps by one unit", {MORE(0, 1400), MORE(1392, 1400), LAST(2792, 8)}, -1, 0, DROP_FRAGMENT_OVERLAP, 3},
	{"within another", {MORE(0, 1400), MORE(8, 8), LAST(1400, 8)}, -1, 0, DROP_FRAGMENT_OVERLAP, 3},
	{"around another", {MORE(8, 8), MORE(0, 1400), LAST(1400, 8)}, -1, 0, DROP_FRAGMENT_OVERLAP, 3},
	{"behind the last", {MORE(0, 1400), LAST(1400, 8), MORE(1408, 8), LAST(1416, 8)}, 1, 1408, 0, 0},
	{"behind the last, first missing",
	 {LAST(1400, 8), MORE(1408, 8), MORE(0, 1400)},
	 -1,
	 0,
	 DROP_FRAGMENT_OVERLAP,
	 3},
	{"two that are last", {LAST(1400, 8), LAST(2000, 8), MORE(0, 1400)}, -1, 0, DROP_FRAGMENT_OVERLAP, 3},
	{"a last that others go beyond", {MORE(2000, 8), LAST(1400, 8)}, -1, 0, DROP_FRAGMENT_OVERLAP, 2},
	{"the end, but not the last", {LAST(1400, 8), MORE(1400, 8)}, -1, 0, DROP_FRAGMENT_OVERLAP, 2},
	{"empty", {MORE(0, 0), MORE(0, 8), LAST(8, 8)}, 2, 16, DROP_FRAGMENT, 1},
	{"no multiple of eight", {MORE(0, 12), LAST(8, 8)}, -1, 0, DROP_FRAGMENT, 1},
	{"beyond the longest packet", {LAST(65528, 600)}, -1, 0, DROP_FRAGMENT, 1},
	{"incomplete", {MORE(0, 1400), LAST(2800, 8)}, -1, 0, 0, 0},
	{"congestion joins", {MARKED(0, 2, true), MARKED(8, 3, true), MARKED(16, 2, false)}, 2, 24, 0, 0},
	{"congestion on what takes none", {MARKED(0, 0, true), MARKED(8, 3, false)}, -1, 0, DROP_FRAGMENT, 2},
};

static void set_tos(uint8_t *p, bool v6, uint8_t tos)
{
	if (v6)
		p[1] = (uint8_t)(tos << 4);
	else
		p[1] = tos;
}

static void run_sequence(struct test *t, const struct sequence *s, bool v6, uint16_t id)
{
	uint8_t packet[2048];
	int whole = -1;

	memset(t->drops, 0, sizeof(t->drops));
	for (int i = 0; i < 6 && (s->given[i].len || s->given[i].more); i++) {
		const struct given *g = &s->given[i];
		size_t n = piece(packet, v6, 1, id, g->at, g->len, g->more);
		struct joined len;
		uint8_t *got;

		set_tos(packet, v6, g->tos);
		packet[n - 1] ^= g->spoilt;
		got = reassemble(t->r, 7, packet, n, t->now, &len);
		if (!got)
			continue;
		assert_int_equal(whole, -1);
		whole = i;
		if (g->tos) { /* the first of the table's that marks: all are marked then */
			assert_int_equal(got[1] >> (v6 ? 4 : 0) & 3, 3);
			set_tos(got, v6, 0);
			memset(got + 10, 0, v6 ? 0 : 2);
			uint16_t check = v6 ? 0 : csum_finish(csum_add(0, got, 20));
			memcpy(got + 10, &check, v6 ? 0 : 2);
		}
		assert_whole(got, len.len, v6, s->data, 1);
	}
	assert_int_equal(whole, s->whole);
	assert_int_equal(t->drops[s->reason], s->reason ? s->dropped : 0);
	assert_int_equal(all_drops(t), s->dropped);
}

static void test_4787_14_sequences(void **state)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(sequences); i++) {
			print_message("  IPv%d %s\n", v6 ? 6 : 4, sequences[i].name);
			run_sequence(*state, &sequences[i], v6, (uint16_t)i);
		}
}

static size_t add(struct test *t, bool v6, uint8_t from, uint16_t id, size_t at, size_t len, bool more)
{
	static uint8_t packet[PACKET_MAX];
	size_t n = piece(packet, v6, from, id, at, len, more);
	struct joined whole;

	return reassemble(t->r, t->scope, packet, n, t->now, &whole) ? whole.len : 0;
}

/* Fragments meet by sender, receiver, identification, protocol and scope. */
static void test_4787_14_keys(void **state)
{
	struct test *t = *state;
	uint8_t packet[64];
	struct joined whole;
	size_t n;

	for (int v6 = 0; v6 < 2; v6++) {
		assert_int_equal(add(t, v6, 1, 5, 0, 8, true), 0);
		assert_int_equal(add(t, v6, 2, 5, 8, 8, false), 0);
		assert_int_equal(add(t, v6, 1, 6, 8, 8, false), 0);
		n = piece(packet, v6, 1, 5, 8, 8, false);
		assert_null(reassemble(t->r, 8, packet, n, t->now, &whole));
		packet[v6 ? 39 : 19] = 10;
		assert_null(reassemble(t->r, 7, packet, n, t->now, &whole));
		packet[v6 ? 39 : 19] = 9;
		packet[v6 ? 40 : 9] = IPPROTO_TCP;
		assert_int_equal(!!reassemble(t->r, 7, packet, n, t->now, &whole), v6); /* as RFC 8200 says */
		assert_int_equal(add(t, v6, 1, 5, 8, 8, false), v6 ? 0 : 20 + 16);
	}
	assert_int_equal(all_drops(t), 0);
}

/* What was refused stays so until its time is over; then the identification is new. */
static void test_4787_14_time(void **state)
{
	struct test *t = *state;

	assert_int_equal(reassemble_expire(t->r, t->now), UINT64_MAX);
	assert_int_equal(add(t, false, 1, 5, 0, 16, true), 0);
	assert_int_equal(add(t, false, 1, 5, 8, 16, true), 0);
	assert_int_equal(t->drops[DROP_FRAGMENT_OVERLAP], 2);
	assert_int_equal(add(t, false, 1, 5, 0, 16, true), 0);
	assert_int_equal(add(t, false, 1, 5, 16, 16, false), 0);
	assert_int_equal(t->drops[DROP_FRAGMENT_OVERLAP], 4);
	assert_int_equal(add(t, false, 1, 6, 0, 16, true), 0);
	assert_int_equal(reassemble_expire(t->r, t->now + REASSEMBLE_NS - 1), t->now + REASSEMBLE_NS);
	assert_int_equal(t->drops[DROP_FRAGMENT_TIMEOUT], 0);
	t->now += REASSEMBLE_NS;
	assert_int_equal(reassemble_expire(t->r, t->now), UINT64_MAX);
	assert_int_equal(t->drops[DROP_FRAGMENT_TIMEOUT], 1);
	assert_int_equal(add(t, false, 1, 5, 0, 16, true), 0);
	assert_int_equal(add(t, false, 1, 5, 16, 16, false), 20 + 32);
	/* Late by the clock, not by a call of expire. */
	assert_int_equal(add(t, false, 1, 6, 0, 16, true), 0);
	t->now += REASSEMBLE_NS;
	assert_int_equal(add(t, false, 1, 6, 16, 16, false), 0);
	assert_int_equal(t->drops[DROP_FRAGMENT_TIMEOUT], 2);
}

/* Who is told that a packet's time is over: the sender of one whose first fragment came (RFC 792, RFC 4443 3.3). */
static void test_4787_14_time_exceeded(void **state)
{
	static const struct {
		struct given given[3];
		unsigned told;
	} cases[] = {
		{{MORE(0, 16)}, 1},
		{{MORE(0, 1400)}, 1}, /* more than an error quotes */
		{{LAST(32, 8), MORE(0, 16)}, 1},
		{{MORE(16, 16), LAST(32, 8)}, 0}, /* the first is missing */
		{{MORE(0, 16), MORE(8, 16)}, 0},  /* refused */
		{{MORE(0, 16), LAST(16, 8)}, 0},  /* whole */
	};
	struct test *t = *state;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(cases); i++) {
			uint8_t first[2048] = {0}, packet[2048];
			struct joined whole;
			size_t len = 0;

			t->told = 0;
			for (const struct given *g = cases[i].given; g->len; g++) {
				size_t n = piece(packet, v6, 1, 5, g->at, g->len, g->more);

				if (!g->at)
					memcpy(first, packet, len = n);
				reassemble(t->r, 7, packet, n, t->now, &whole);
			}
			reassemble_expire(t->r, t->now + REASSEMBLE_NS - 1);
			assert_int_equal(t->told, 0);
			reassemble_expire(t->r, t->now += REASSEMBLE_NS);
			assert_int_equal(t->told, cases[i].told);
			if (!t->told)
				continue;
			assert_int_equal(t->last.len, len < NOTICE_BYTES ? len : NOTICE_BYTES);
			assert_memory_equal(t->first, first, t->last.len);
			assert_int_equal(t->last.scope, 7);
			assert_int_equal(t->last.proto, IPPROTO_UDP);
			assert_int_equal(t->last.first_byte, byte_at(0));
			assert_int_equal(t->last.src.b[15], 1);
			assert_int_equal(t->last.dst.b[15], 9);
			assert_int_equal(addr_is_v4(&t->last.src), !v6);
		}
}

/* One sender outside floods: its own packets make room, another's wait on. Many do: the oldest goes. */
static void test_4787_14_floods(void **state)
{
	struct test *t = *state;

	t->scope = REASSEMBLE_OUTSIDE | 2;
	assert_int_equal(add(t, false, 1, 5, 0, 16, true), 0);
	for (uint16_t id = 0; id < 10000; id++, t->now++)
		assert_int_equal(add(t, false, 66, id, 0, 16, true), 0);
	assert_int_equal(t->drops[DROP_FRAGMENT_FULL], 10000 - REASSEMBLE_OF_SENDER);
	assert_int_equal(add(t, false, 66, 9999, 16, 8, false), 20 + 24);
	assert_int_equal(add(t, false, 1, 5, 16, 16, false), 20 + 32);
	assert_int_equal(add(t, false, 1, 6, 0, 16, true), 0);
	for (uint16_t id = 0; id < 10 * REASSEMBLE_PACKETS; id++, t->now++)
		assert_int_equal(add(t, false, (uint8_t)(id % 8 + 100), id, 0, 16, true), 0);
	assert_int_equal(add(t, false, 1, 6, 16, 16, false), 0); /* it was the oldest */
	assert_int_equal(add(t, false, 107, 10 * REASSEMBLE_PACKETS - 1, 16, 8, false), 20 + 24);
}

/* @n packets that never become whole, from @addresses addresses of one scope, in both families. */
static void flood(struct test *t, uint32_t scope, unsigned n, uint8_t addresses)
{
	t->scope = scope;
	for (unsigned i = 0; i < n; i++, t->now++)
		assert_int_equal(add(t, i & 1, (uint8_t)(i % addresses + 10), (uint16_t)i, 0, 16, true), 0);
}

/* What another client began before it becomes whole after it. */
static void test_fault_25_share_is_a_clients(void **state)
{
	static const struct {
		const char *name;
		struct {
			uint32_t scope;
			unsigned n;
			uint8_t addresses;
		} floods[5];
	} cases[] = {
		{"many addresses of one client", {{1, 1000, 200}}},
		{"forged addresses outside", {{REASSEMBLE_OUTSIDE | 3, 1000, 200}}},
		{"by two interfaces", {{REASSEMBLE_OUTSIDE | 3, 500, 200}, {REASSEMBLE_OUTSIDE | 4, 500, 200}}},
		{"clients who fill the table", {{1, 100, 9}, {2, 100, 9}, {3, 100, 9}, {4, 100, 9}, {5, 100, 9}}},
		{"both", {{1, 100, 9}, {2, 100, 9}, {REASSEMBLE_OUTSIDE | 3, 900, 90}, {4, 100, 9}, {5, 100, 9}}},
	};
	struct test *t = *state;

	for (size_t i = 0; i < N(cases); i++) {
		t->scope = 100;
		assert_int_equal(add(t, false, 1, 5, 0, 16, true), 0);
		for (unsigned k = 0; k < N(cases[i].floods); k++)
			flood(t, cases[i].floods[k].scope, cases[i].floods[k].n, cases[i].floods[k].addresses);
		t->scope = 100;
		if (add(t, false, 1, 5, 16, 16, false) != 20 + 32)
			fail_msg("%s", cases[i].name);
		assert_int_equal(t->drops[DROP_FRAGMENT_TIMEOUT], 0);
	}
}

static void test_4787_14_many_pieces(void **state)
{
	struct test *t = *state;

	for (unsigned i = 0; i < REASSEMBLE_FRAGMENTS; i++)
		assert_int_equal(add(t, false, 1, 5, i * 8, 8, true), 0);
	assert_int_equal(all_drops(t), 0);
	assert_int_equal(add(t, false, 1, 5, REASSEMBLE_FRAGMENTS * 8, 8, false), 0);
	assert_int_equal(t->drops[DROP_FRAGMENT], REASSEMBLE_FRAGMENTS + 1);
}

/* RFC 6946: a fragment that is a whole packet meets no others. */
static void test_4787_14_alone(void **state)
{
	struct test *t = *state;

	assert_int_equal(add(t, true, 1, 5, 8, 8, true), 0);
	assert_int_equal(add(t, true, 1, 5, 0, 24, false), 40 + 24);
	assert_int_equal(add(t, true, 1, 5, 0, 8, true), 0);
	assert_int_equal(add(t, true, 1, 5, 16, 8, false), 40 + 24);
	assert_int_equal(all_drops(t), 0);
}

/* IPv6 headers that stand before the fragment header stay, and name what followed it. */
static void test_4787_14_extensions(void **state)
{
	static const uint8_t hop[8] = {IPPROTO_FRAGMENT, 0, 1, 4};
	struct test *t = *state;
	uint8_t packet[256], *got = NULL;
	struct joined whole = {0};

	for (size_t at = 0; at < 16; at += 8) {
		size_t n = piece(packet, true, 1, 5, at, 8, !at);

		memmove(packet + 48, packet + 40, n - 40);
		memcpy(packet + 40, hop, 8);
		packet[6] = IPPROTO_HOPOPTS;
		put16(packet + 4, n + 8 - 40);
		assert_true(reassemble_is_fragment(packet, n + 8));
		got = reassemble(t->r, 7, packet, n + 8, t->now, &whole);
	}
	assert_non_null(got);
	assert_int_equal(whole.len, 40 + 8 + 16);
	assert_int_equal(whole.largest, 40 + 8 + 8 + 8);
	assert_int_equal(got[6], IPPROTO_HOPOPTS);
	assert_int_equal(got[40], IPPROTO_UDP);
	assert_memory_equal(got + 41, hop + 1, 7);
	assert_int_equal(got[4] << 8 | got[5], 24);
	assert_int_equal(got[48], byte_at(0));
	assert_int_equal(got[63], byte_at(15));
}

/* The header is the first fragment's, whenever that comes; DF is gone. */
static void test_4787_14_header(void **state)
{
	struct test *t = *state;
	uint8_t packet[256], *got;
	struct joined whole;
	size_t n;

	n = piece(packet, false, 1, 5, 8, 8, false);
	packet[8] = 3; /* its time to live */
	assert_null(reassemble(t->r, 7, packet, n, t->now, &whole));
	n = piece(packet, false, 1, 5, 0, 8, true);
	packet[6] |= 0x40; /* DF */
	memmove(packet + 24, packet + 20, 8);
	memset(packet + 20, 1, 4); /* options */
	packet[0] = 0x46;
	put16(packet + 2, n + 4);
	got = reassemble(t->r, 7, packet, n + 4, t->now, &whole);
	assert_non_null(got);
	assert_int_equal(whole.len, 24 + 16);
	assert_int_equal(whole.largest, 24 + 8);
	assert_int_equal(got[8], 64);
	assert_int_equal(got[6] | got[7], 0);
	assert_int_equal(got[20], 1);
	assert_int_equal(csum_finish(csum_add(0, got, 24)), 0);
}

static void test_what_is_no_fragment(void **state)
{
	struct test *t = *state;
	uint8_t packet[256];
	struct joined whole;

	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = whole_packet(packet, v6, 16, 1);

		assert_false(reassemble_is_fragment(packet, n));
		assert_null(reassemble(t->r, 7, packet, n, t->now, &whole));
		n = piece(packet, v6, 1, 5, 8, 8, false);
		assert_true(reassemble_is_fragment(packet, n));
		for (size_t cut = 0; cut < n; cut++) { /* less than it says */
			uint8_t *exact = malloc(cut);

			memcpy(exact, packet, cut);
			assert_false(reassemble_is_fragment(exact, cut));
			assert_null(reassemble(t->r, 7, exact, cut, t->now, &whole));
			free(exact);
		}
	}
	assert_int_equal(t->drops[DROP_FRAGMENT], all_drops(t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_4787_14_sequences),
		T(test_4787_14_keys),
		T(test_4787_14_time),
		T(test_4787_14_floods),
		T(test_4787_14_many_pieces),
		T(test_4787_14_alone),
		T(test_fault_25_share_is_a_clients),
		T(test_4787_14_extensions),
		T(test_4787_14_header),
		T(test_what_is_no_fragment),
		T(test_4787_14_time_exceeded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
