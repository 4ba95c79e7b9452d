/* SPDX-License-Identifier: BSD-2-Clause */
/* Bulk ChaCha20-Poly1305 by libsodium, for systems without BoringSSL. */
#include <endian.h>
#include <sodium.h>
#include <string.h>

#include "aead.h"

#define NONCE_LEN crypto_aead_chacha20poly1305_ietf_NPUBBYTES

const char aead_name[] = "sodium";

static const uint8_t *key_bytes(const struct aead_key *key)
{
	return (const uint8_t *)key->opaque;
}

static void aead_sodium_make_nonce(uint8_t nonce[NONCE_LEN], uint64_t counter)
{
	counter = htole64(counter);
	memset(nonce, 0, NONCE_LEN - sizeof(counter));
	memcpy(nonce + NONCE_LEN - sizeof(counter), &counter, sizeof(counter));
}

void aead_key_init(struct aead_key *key, const uint8_t bytes[KEY_LEN])
{
	memcpy(key->opaque, bytes, KEY_LEN);
}

void aead_key_wipe(struct aead_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

void aead_seal(const struct aead_key *key, uint64_t counter, uint8_t *out, const uint8_t *plain, size_t len, size_t pad)
{
	uint8_t nonce[NONCE_LEN];

	if (pad) { /* has one input only: make room for the zeros */
		memmove(out, plain, len);
		memset(out + len, 0, pad);
		plain = out;
	}
	aead_sodium_make_nonce(nonce, counter);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len + pad, NULL, 0, NULL, nonce, key_bytes(key));
}

bool aead_open(const struct aead_key *key, uint64_t counter, uint8_t *out, const uint8_t *sealed, size_t len)
{
	uint8_t nonce[NONCE_LEN];

	aead_sodium_make_nonce(nonce, counter);
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, len, NULL, 0, nonce,
							 key_bytes(key)) == 0;
}
