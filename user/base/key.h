/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_KEY_H
#define SLUICE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The text of 32-byte keys: base64 in files and for people, hexadecimal in the
 * configuration protocol. Constant time in the key's bytes, for secrets pass here.
 */
#define KEY_LEN	       32
#define KEY_LEN_BASE64 44 /* without the terminator */
#define KEY_LEN_HEX    (2 * KEY_LEN)

/* Write text and terminator and return @text, for use in a printf argument. */
const char *key_to_base64(const uint8_t key[KEY_LEN], char text[KEY_LEN_BASE64 + 1]);
const char *key_to_hex(const uint8_t key[KEY_LEN], char text[KEY_LEN_HEX + 1]);

/* Exactly @len bytes of canonical text. False: not a key, @key untouched. */
bool key_from_base64(const char *text, size_t len, uint8_t key[KEY_LEN]);
bool key_from_hex(const char *text, size_t len, uint8_t key[KEY_LEN]);

bool key_is_zero(const uint8_t key[KEY_LEN]); /* constant time */

#endif
