/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys as text. libsodium's codecs take the same time whatever the key. */
#include <sodium.h>
#include <string.h>

#include "key.h"

const char *key_to_base64(const uint8_t key[KEY_LEN], char text[KEY_LEN_BASE64 + 1])
{
	return sodium_bin2base64(text, KEY_LEN_BASE64 + 1, key, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
}

const char *key_to_hex(const uint8_t key[KEY_LEN], char text[KEY_LEN_HEX + 1])
{
	return sodium_bin2hex(text, KEY_LEN_HEX + 1, key, KEY_LEN);
}

bool key_from_base64(const char *text, size_t len, uint8_t key[KEY_LEN])
{
	uint8_t bytes[KEY_LEN];
	size_t n;
	bool ok;

	ok = len == KEY_LEN_BASE64 &&
	     sodium_base642bin(bytes, sizeof(bytes), text, len, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	     n == KEY_LEN;
	if (ok)
		memcpy(key, bytes, KEY_LEN);
	sodium_memzero(bytes, sizeof(bytes));
	return ok;
}

bool key_from_hex(const char *text, size_t len, uint8_t key[KEY_LEN])
{
	uint8_t bytes[KEY_LEN];
	size_t n;
	bool ok;

	ok = len == KEY_LEN_HEX && sodium_hex2bin(bytes, sizeof(bytes), text, len, NULL, &n, NULL) == 0 && n == KEY_LEN;
	if (ok)
		memcpy(key, bytes, KEY_LEN);
	sodium_memzero(bytes, sizeof(bytes));
	return ok;
}

bool key_is_zero(const uint8_t key[KEY_LEN])
{
	return sodium_is_zero(key, KEY_LEN);
}
