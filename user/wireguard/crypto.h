/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CRYPTO_H
#define SLUICE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messages.h"

/*
 * The handshake's primitives (whitepaper section 5.4), each a thin cover of a
 * library: X25519, XChaCha20-Poly1305 and SipHash of libsodium, BLAKE2s of libb2.
 */

/* Initialises the libraries and checks known answers of every primitive, the bulk
 * AEAD included. False: @what names the first that is wrong; do not go on. Call
 * once, before any other function here. */
bool crypto_init(const char **what);

void crypto_random(void *buf, size_t len);
void crypto_wipe(void *buf, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

void crypto_public_key(const uint8_t secret[KEY_LEN], uint8_t public[KEY_LEN]);
void crypto_clamp(uint8_t secret[KEY_LEN]);
/* False when the shared secret is all zero, so for every low-order point (W11); @shared is zero then. */
bool crypto_x25519(const uint8_t secret[KEY_LEN], const uint8_t public[KEY_LEN], uint8_t shared[KEY_LEN]);

struct span { /* bytes to hash, one after the other */
	const void *bytes;
	size_t len;
};

/* BLAKE2s-256 of @n spans. */
void crypto_blake2s(uint8_t out[HASH_LEN], const struct span *spans, size_t n);
/* Keyed BLAKE2s with 16 bytes of output; key_len <= 32. */
void crypto_mac(uint8_t out[MAC_LEN], const void *key, size_t key_len, const struct span *spans, size_t n);
/* HMAC-BLAKE2s (RFC 2104). */
void crypto_hmac(uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len, const void *in, size_t len);
/* HKDF (RFC 5869) of @in with salt @key, @n outputs (1 to 3) of 32 bytes each; an output may be @key. */
void crypto_kdf(uint8_t *const out[], size_t n, const uint8_t key[HASH_LEN], const void *in, size_t len);

/* ChaCha20-Poly1305 of one short handshake field with additional data; nonce zero. */
void crypto_seal(uint8_t *out, const void *plain, size_t len, const uint8_t ad[HASH_LEN], const uint8_t key[KEY_LEN]);
bool crypto_open(uint8_t *out, const void *sealed, size_t len, const uint8_t ad[HASH_LEN], const uint8_t key[KEY_LEN]);
/* XChaCha20-Poly1305 for cookie replies. */
void crypto_xseal(uint8_t *out, const void *plain, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[XNONCE_LEN], const uint8_t key[KEY_LEN]);
bool crypto_xopen(uint8_t *out, const void *sealed, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[XNONCE_LEN], const uint8_t key[KEY_LEN]);

#define CRYPTO_SHORT_KEY_LEN 16
/* Keyed short hash (SipHash-2-4) for tables that strangers may fill. */
uint64_t crypto_short_hash(const uint8_t key[CRYPTO_SHORT_KEY_LEN], const void *in, size_t len);

#endif
