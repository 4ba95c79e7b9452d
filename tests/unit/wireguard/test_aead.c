/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bulk AEAD seam. The answers were computed by a program that shares no code
 * with either backend and that itself gives RFC 8439's; Wycheproof's kinds of
 * mistakes (every bit of the tag, truncation, wrong nonce) are tried below.
 */
#include "wg_test.h"

#include "user/wireguard/aead.h"

static const char key_hex[] = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

static struct aead_key make_key(void)
{
	uint8_t bytes[KEY_LEN];
	struct aead_key key;

	unhex(bytes, sizeof(bytes), key_hex);
	aead_key_init(&key, bytes);
	return key;
}

/* Plaintext byte i is 7 * i + length. */
static const struct {
	uint64_t counter;
	size_t len;
	const char *sealed;
} answers[] = {
	{0x0, 0, "3ae5d3f2a376d317eaea5aef0215ba54"},
	{0x1, 1, "e24df6c71bc8df0f57033a1a7289e52747"},
	{0xffffffff, 15, "49fbcc956baf6f82c810190e539b409e2aee6b26591aaedd5a32ee543c9341"},
	{0x100000000, 16, "8663cfcd1e074b36f225ce034c0b97b876d7125d9bb59f8d100150cef61dcdab"},
	{0x123456789abcdef, 63,
	 "5be9457d917cb29f33641815cc76704404de7b08f9f70f1e02d6f6a6ad861351170326c47f07d23fe32c185aa8116766"
	 "2968aaeb705581a98fcdaf6ef4d855ab7850b626816f8bb952a8d2eda84195"},
	{0x8000000000000000, 64,
	 "b623aa99051a6354b830a98d6458b0f679365e1ba87a20cef4dd8a999678dc607cc4418d7dcc56b8f85fe6b0fec9fbb6"
	 "8bfd18da634686756aa1e2076c6e7c1bfeea474349a98017436d6301593d3ff7"},
	{0xffffffffffffe03e, 65,
	 "2cded023571f7be2a651932227b8a8cb71c0a6072ccdfbb6ac40f9465e01950ce86ba46cdca0498ef1656fd536f8838f"
	 "9b6d56881b8ab5633c5c9da86e028438120e877666743a74bb4140f026c2ec4246"},
	{0x7, 130,
	 "7269ef7454e7c516b17b4a3cb05ce91d1555451439bf40817d6f19551815da183019c38cb5676683909c8d76f9833de5"
	 "2dc9e2dc1dbb66397771d08268cc52b1bd2a535dfa7b79cb098f0fbc781c13c34003fb274b902da8fd19e6e4a3b3b240"
	 "1409ec79693949c5427c81db185cf18661109fb4d79e32719cce0ab3e91d16fbb36ec846126acfca0d5fdf054ba43826"
	 "e694"},
};

static void test_known_answers(void **state)
{
	struct aead_key key = make_key();

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		uint8_t plain[256], sealed[256 + TAG_LEN], want[256 + TAG_LEN], opened[256];
		size_t len = answers[i].len;

		for (size_t j = 0; j < len; j++)
			plain[j] = (uint8_t)(7 * j + len);
		assert_int_equal(unhex(want, sizeof(want), answers[i].sealed), SEALED(len));
		aead_seal(&key, answers[i].counter, sealed, plain, len, 0);
		assert_memory_equal(sealed, want, SEALED(len));
		assert_true(aead_open(&key, answers[i].counter, opened, sealed, SEALED(len)));
		assert_memory_equal(opened, plain, len);
	}
	aead_key_wipe(&key);
}

/* Padding sealed aside is the same as padding written into the packet, in place or not. */
static void test_W14_padding_and_in_place(void **state)
{
	struct aead_key key = make_key();
	uint64_t seed = 1;

	for (size_t len = 0; len < 200; len++) {
		for (size_t pad = 0; pad < PADDING; pad++) {
			uint8_t plain[256] = {0}, want[256], got[256], in_place[256];

			test_random_bytes(&seed, plain, len);
			aead_seal(&key, len, want, plain, len + pad, 0);
			aead_seal(&key, len, got, plain, len, pad);
			assert_memory_equal(got, want, SEALED(len + pad));
			memset(in_place, 0xff, sizeof(in_place));
			memcpy(in_place, plain, len);
			aead_seal(&key, len, in_place, in_place, len, pad);
			assert_memory_equal(in_place, want, SEALED(len + pad));
			assert_true(aead_open(&key, len, in_place, in_place, SEALED(len + pad)));
			assert_memory_equal(in_place, plain, len + pad);
		}
	}
	aead_key_wipe(&key);
}

static void test_forgeries(void **state)
{
	struct aead_key key = make_key(), other;
	uint8_t sealed[SEALED(40)], bad[SEALED(40)], out[64], bytes[KEY_LEN] = {1};

	aead_seal(&key, 5, sealed, (const uint8_t *)"forty bytes of text that nobody can change", 40, 0);
	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
		memcpy(bad, sealed, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(aead_open(&key, 5, out, bad, sizeof(bad)));
	}
	for (size_t len = 0; len < sizeof(sealed); len++)
		assert_false(aead_open(&key, 5, out, sealed, len));
	for (unsigned bit = 0; bit < 64; bit++) /* the nonce has all 64 bits of the counter */
		assert_false(aead_open(&key, 5 ^ 1ull << bit, out, sealed, sizeof(sealed)));
	aead_key_init(&other, bytes);
	assert_false(aead_open(&other, 5, out, sealed, sizeof(sealed)));
	assert_true(aead_open(&key, 5, out, sealed, sizeof(sealed)));
	aead_key_wipe(&other);
	aead_key_wipe(&key);
}

static void test_W18_key_is_wiped(void **state)
{
	static const struct aead_key zero;
	struct aead_key key = make_key();

	assert_memory_not_equal(&key, &zero, sizeof(key));
	aead_key_wipe(&key);
	assert_memory_equal(&key, &zero, sizeof(key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_W14_padding_and_in_place),
		cmocka_unit_test(test_forgeries),
		cmocka_unit_test(test_W18_key_is_wiped),
	};

	return cmocka_run_group_tests_name(aead_name, tests, test_init, NULL);
}
