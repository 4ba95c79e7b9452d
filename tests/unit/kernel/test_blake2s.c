/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs' BLAKE2s (bpf/blake2s.h) is libb2's, for each length that the known answers have, keyed and not. */
#include <blake2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/blake2s.h"

#define INPUTS 256 /* of BLAKE2's known answers: bytes 0, 1, 2 ..., also as the key */

static void hash(uint8_t *out, uint32_t digest, const uint8_t *key, uint32_t key_len, const uint8_t *in, uint32_t len)
{
	struct blake2s_block b = {};
	uint32_t taken = 0, n;
	struct blake2s s;

	blake2s_begin(&s, key_len, digest);
	if (key_len) {
		memcpy(b.b, key, key_len);
		taken = sizeof(b);
		blake2s_compress(&s, &b, taken, !len);
	}
	while (len || !taken) {
		n = len < sizeof(b) ? len : sizeof(b);
		memset(&b, 0, sizeof(b));
		memcpy(b.b, in, n);
		in += n;
		len -= n;
		taken += n;
		blake2s_compress(&s, &b, taken, !len);
		if (!taken)
			break;
	}
	for (uint32_t i = 0; i < digest; i++)
		out[i] = (uint8_t)(s.h[i / 4] >> 8 * (i % 4));
}

static void test_known_answers(void **state)
{
	uint8_t bytes[INPUTS], got[32], want[32];

	for (int i = 0; i < INPUTS; i++)
		bytes[i] = (uint8_t)i;
	for (uint32_t len = 0; len < INPUTS; len++) {
		for (uint32_t key = 0; key <= 32; key += 16) {
			for (uint32_t digest = 16; digest <= 32; digest += 16) {
				hash(got, digest, bytes, key, bytes, len);
				assert_int_equal(blake2s(want, bytes, bytes, digest, len, key), 0);
				assert_memory_equal(got, want, digest);
			}
		}
	}
}

/* RFC 7693, appendix B. */
static void test_abc(void **state)
{
	static const uint8_t want[] = {0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b,
				       0xa3, 0x4e, 0xeb, 0x45, 0x2f, 0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6,
				       0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82};
	uint8_t got[32];

	hash(got, 32, NULL, 0, (const uint8_t *)"abc", 3);
	assert_memory_equal(got, want, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_abc),
	};

	return cmocka_run_group_tests_name("blake2s", tests, NULL, NULL);
}
