/* SPDX-License-Identifier: BSD-2-Clause */
/* 4787-13: packets become fragments, which become the packet again. */
#include "fragments_setup.h"

/* ---- cutting ------------------------------------------------------------------------------- */

static const struct {
	size_t data, mtu;
	unsigned fragments; /* 0: not to be cut so */
} cuts[] = {
	{3000, 1500, 3},   {1480, 1500, 1}, {1481, 1500, 2}, {3000, 1280, 3}, {65000, 1280, 52},
	{65000, 576, 118}, {200, 68, 5},    {20, 28, 3},     {20, 27, 0},     {20, 0, 0},
};

/* Each fragment is well formed, full, and none has a byte of another; together they are the packet. */
static void cut_and_join(struct test *t, bool v6, size_t data, size_t mtu, unsigned pieces)
{
	static uint8_t packet[PACKET_MAX], parts[128][1500];
	size_t len = whole_packet(packet, v6, data, 1), sizes[128];
	struct joined whole;
	uint8_t *got = NULL;
	unsigned n = 0;
	struct fragmenter c;

	assert_int_equal(fragment_begin(&c, packet, len, mtu, 0x12345678), pieces > 0);
	if (!pieces)
		return;
	while ((sizes[n] = fragment_next(&c, parts[n]))) {
		assert_true(sizes[n] <= mtu && sizes[n] + 8 > (n + 1 < pieces ? mtu : 0));
		assert_true(v6 || !csum_finish(csum_add(0, parts[n], 20)));
		n++;
	}
	assert_int_equal(n, pieces);
	assert_int_equal(fragment_next(&c, parts[n]), 0);
	if (n == 1 && !v6)
		return;			 /* it is no fragment */
	for (unsigned i = n; i-- > 0;) { /* backwards */
		assert_null(got);
		got = reassemble(t->r, 7, parts[i], sizes[i], t->now, &whole);
	}
	assert_whole(got, whole.len, v6, data, 1);
	assert_int_equal(whole.largest, sizes[0]);
}

static void test_4787_13_cut(void **state)
{
	for (size_t i = 0; i < N(cuts); i++) {
		size_t more = cuts[i].mtu ? 28 : 0; /* IPv6 with a fragment header needs so much more than IPv4 */

		print_message("  %zu bytes for %zu\n", cuts[i].data, cuts[i].mtu);
		cut_and_join(*state, false, cuts[i].data, cuts[i].mtu, cuts[i].fragments);
		if (cuts[i].mtu + more <= 1500)
			cut_and_join(*state, true, cuts[i].data, cuts[i].mtu + more, cuts[i].fragments);
	}
}

/* Options marked for it are copied, others blanked (RFC 791 section 3.1). */
static void test_4787_13_cut_options(void **state)
{
	static const uint8_t options[12] = {1, 7, 3, 4, 148, 4, 0, 0, 68, 4, 5, 0}; /* record route, alert, time */
	static const uint8_t later[12] = {1, 1, 1, 1, 148, 4, 0, 0, 1, 1, 1, 1};
	uint8_t packet[1024], out[512];
	size_t n = whole_packet(packet, false, 500, 1);
	struct fragmenter c;

	memmove(packet + 32, packet + 20, 500);
	memcpy(packet + 20, options, 12);
	packet[0] = 0x48;
	put16(packet + 2, n + 12);
	assert_true(fragment_begin(&c, packet, n + 12, 300, 1));
	assert_int_equal(fragment_next(&c, out), 32 + 264);
	assert_memory_equal(out + 20, options, 12);
	assert_int_equal(fragment_next(&c, out), 32 + 236);
	assert_memory_equal(out + 20, later, 12);
	assert_int_equal(csum_finish(csum_add(0, out, 32)), 0);
	assert_int_equal(fragment_next(&c, out), 0);
	packet[21] = 0; /* an option of no length: left as it is */
	packet[22] = 0;
	assert_true(fragment_begin(&c, packet, n + 12, 300, 1));
	assert_int_equal(fragment_next(&c, out), 32 + 264);
	assert_int_equal(fragment_next(&c, out), 32 + 236);
}

/* An IPv6 datagram behind a hop-by-hop header of @size bytes. */
static size_t behind_options(uint8_t *packet, size_t size, size_t data)
{
	static uint8_t plain[PACKET_MAX];
	size_t n = whole_packet(plain, true, data, 1);

	memcpy(packet, plain, 40);
	memset(packet + 40, 0, size);
	memcpy(packet + 40 + size, plain + 40, data);
	put16(packet + 4, size + data);
	packet[40] = packet[6];
	packet[6] = IPPROTO_HOPOPTS;
	packet[41] = (uint8_t)(size / 8 - 1);
	packet[42] = 0x1e; /* one option, to be skipped */
	packet[43] = (uint8_t)(size - 4 < 255 ? size - 4 : 255);
	return n + size;
}

/* What a client sends behind options of any length is cut again and joined. A longer header was refused. */
static void test_fault_14_cut_behind_options(void **state)
{
	struct test *t = *state;
	static uint8_t packet[PACKET_MAX], parts[8][1500];

	for (size_t size = 8; size <= 216; size += 8) {
		size_t len = behind_options(packet, size, 3000), sizes[8], n = 0;
		struct joined whole;
		uint8_t *got = NULL;
		struct fragmenter c;

		assert_true(fragment_begin(&c, packet, len, 1280, 5));
		while ((sizes[n] = fragment_next(&c, parts[n]))) {
			assert_true(sizes[n] <= 1280);
			assert_memory_equal(parts[n] + 42, packet + 42, size - 2); /* repeated in each */
			n++;
		}
		for (size_t i = 0; i < n; i++)
			got = reassemble(t->r, 7, parts[i], sizes[i], t->now, &whole);
		assert_non_null(got);
		assert_int_equal(whole.len, len);
		assert_memory_equal(got, packet, len);
	}
	assert_int_equal(all_drops(t), 0);
}

/* What is refused leaves nothing to be cut: stale bytes would be taken for the next packet. */
static void test_fault_14_refused_is_empty(void **state)
{
	uint8_t packet[PACKET_MAX], out[PACKET_MAX];
	size_t good = whole_packet(packet, true, 3000, 1), n;
	struct fragmenter c;

	assert_true(fragment_begin(&c, packet, good, 1280, 1));
	assert_int_equal(fragment_next(&c, out), 1280);
	assert_false(fragment_begin(&c, packet, good, 55, 1)); /* no room */
	assert_int_equal(fragment_next(&c, out), 0);
	n = behind_options(packet, 1248, 3000); /* the header fills the MTU */
	assert_false(fragment_begin(&c, packet, n, 1280, 1));
	assert_int_equal(fragment_next(&c, out), 0);
	n = piece(packet, false, 1, 5, 8, 1000, true);
	assert_false(fragment_begin(&c, packet, n, 576, 1));
	assert_int_equal(fragment_next(&c, out), 0);
}

static void test_cut_refuses(void **state)
{
	uint8_t packet[2048];
	struct fragmenter c;

	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = piece(packet, v6, 1, 5, 8, 1000, true);

		assert_false(fragment_begin(&c, packet, n, 576, 1)); /* a fragment already */
		n = whole_packet(packet, v6, 1000, 1);
		for (size_t len = 0; len < 64; len++) {
			uint8_t *exact = malloc(len);

			memcpy(exact, packet, len);
			assert_false(fragment_begin(&c, exact, len, 576, 1));
			free(exact);
		}
		assert_false(fragment_begin(&c, packet, n - 1, 576, 1));
		packet[0] = 0x55;
		assert_false(fragment_begin(&c, packet, n, 576, 1));
	}
}

/* Many packets at once, in random pieces, order, with repetitions: every one arrives once, whole. */
static void test_4787_14_random(void **state)
{
	struct test *t = *state;
	static uint8_t packet[PACKET_MAX], parts[16 * 80][1500];
	struct rng rng = {7};

	for (int round = 0; round < 50; round++) {
		unsigned n = 0, order[16 * 80], done = 0;
		size_t sizes[16 * 80], data[16];
		struct fragmenter c;

		for (unsigned k = 0; k < 16; k++) {
			bool v6 = k & 1;

			data[k] = 3000 + rng_below(&rng, 20000);
			assert_true(fragment_begin(&c, packet, whole_packet(packet, v6, data[k], (uint8_t)k),
						   600 + rng_below(&rng, 900), k));
			while ((sizes[n] = fragment_next(&c, parts[n])))
				n++;
		}
		for (unsigned i = 0; i < n; i++) {
			unsigned j = rng_below(&rng, i + 1);

			order[i] = order[j];
			order[j] = i;
		}
		for (unsigned i = 0; i < n; i++) {
			struct joined whole;
			uint8_t *got = reassemble(t->r, 7, parts[order[i]], sizes[order[i]], t->now, &whole);

			if (!got)
				continue;
			unsigned k = got[0] >> 4 == 6 ? got[23] : got[15];

			assert_whole(got, whole.len, k & 1, data[k], (uint8_t)k);
			done++;
		}
		assert_int_equal(done, 16);
		assert_int_equal(all_drops(t), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_4787_13_cut),	T(test_4787_13_cut_options),	     T(test_cut_refuses),
		T(test_4787_14_random), T(test_fault_14_cut_behind_options), T(test_fault_14_refused_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
