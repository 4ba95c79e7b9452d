/* SPDX-License-Identifier: BSD-2-Clause */
/* Thin covers of libsodium and libb2; HMAC and HKDF by their RFCs on top of BLAKE2s. */
#include <blake2.h>
#include <sodium.h>
#include <string.h>

#include "crypto.h"

#define BLOCK_LEN 64 /* of BLAKE2s */
#define KDF_MAX	  3

static_assert(CRYPTO_SHORT_KEY_LEN == crypto_shorthash_KEYBYTES, "SipHash-2-4");

void crypto_random(void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

void crypto_wipe(void *buf, size_t len)
{
	sodium_memzero(buf, len);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void crypto_clamp(uint8_t secret[KEY_LEN])
{
	secret[0] &= 248;
	secret[31] = (secret[31] & 127) | 64;
}

void crypto_public_key(const uint8_t secret[KEY_LEN], uint8_t public[KEY_LEN])
{
	crypto_scalarmult_base(public, secret); /* clamps; cannot fail */
}

bool crypto_x25519(const uint8_t secret[KEY_LEN], const uint8_t public[KEY_LEN], uint8_t shared[KEY_LEN])
{
	if (crypto_scalarmult(shared, secret, public) == 0 && !sodium_is_zero(shared, KEY_LEN))
		return true;
	sodium_memzero(shared, KEY_LEN);
	return false;
}

static void blake2s_spans(uint8_t *out, size_t out_len, const void *key, size_t key_len, const struct span *spans,
			  size_t n)
{
	blake2s_state state;

	if (key_len)
		blake2s_init_key(&state, out_len, key, key_len);
	else
		blake2s_init(&state, out_len);
	for (size_t i = 0; i < n; i++)
		blake2s_update(&state, spans[i].bytes, spans[i].len);
	blake2s_final(&state, out, out_len);
	sodium_memzero(&state, sizeof(state));
}

void crypto_blake2s(uint8_t out[HASH_LEN], const struct span *spans, size_t n)
{
	blake2s_spans(out, HASH_LEN, NULL, 0, spans, n);
}

void crypto_mac(uint8_t out[MAC_LEN], const void *key, size_t key_len, const struct span *spans, size_t n)
{
	blake2s_spans(out, MAC_LEN, key, key_len, spans, n);
}

void crypto_hmac(uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len, const void *in, size_t len)
{
	uint8_t inner_key[BLOCK_LEN] = {0}, outer_key[BLOCK_LEN], hash[HASH_LEN];

	if (key_len > BLOCK_LEN)
		crypto_blake2s(inner_key, &(struct span){key, key_len}, 1);
	else
		memcpy(inner_key, key, key_len);
	for (size_t i = 0; i < BLOCK_LEN; i++) {
		outer_key[i] = inner_key[i] ^ 0x5c;
		inner_key[i] ^= 0x36;
	}
	crypto_blake2s(hash, (struct span[]){{inner_key, BLOCK_LEN}, {in, len}}, 2);
	crypto_blake2s(out, (struct span[]){{outer_key, BLOCK_LEN}, {hash, HASH_LEN}}, 2);
	sodium_memzero(inner_key, sizeof(inner_key));
	sodium_memzero(outer_key, sizeof(outer_key));
	sodium_memzero(hash, sizeof(hash));
}

void crypto_kdf(uint8_t *const out[], size_t n, const uint8_t key[HASH_LEN], const void *in, size_t len)
{
	uint8_t extracted[HASH_LEN], block[HASH_LEN + 1];
	size_t block_len = 0; /* the output before, and a number from 1 */

	crypto_hmac(extracted, key, HASH_LEN, in, len);
	for (size_t i = 0; i < n && i < KDF_MAX; i++) {
		block[block_len] = (uint8_t)(i + 1);
		crypto_hmac(block, extracted, HASH_LEN, block, block_len + 1);
		memcpy(out[i], block, HASH_LEN);
		block_len = HASH_LEN;
	}
	sodium_memzero(extracted, sizeof(extracted));
	sodium_memzero(block, sizeof(block));
}

static const uint8_t zero_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

void crypto_seal(uint8_t *out, const void *plain, size_t len, const uint8_t ad[HASH_LEN], const uint8_t key[KEY_LEN])
{
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, ad, HASH_LEN, NULL, zero_nonce, key);
}

bool crypto_open(uint8_t *out, const void *sealed, size_t len, const uint8_t ad[HASH_LEN], const uint8_t key[KEY_LEN])
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, len, ad, HASH_LEN, zero_nonce, key) ==
	       0;
}

void crypto_xseal(uint8_t *out, const void *plain, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[XNONCE_LEN], const uint8_t key[KEY_LEN])
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain, len, ad, ad_len, NULL, nonce, key);
}

bool crypto_xopen(uint8_t *out, const void *sealed, size_t len, const void *ad, size_t ad_len,
		  const uint8_t nonce[XNONCE_LEN], const uint8_t key[KEY_LEN])
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, len, ad, ad_len, nonce, key) == 0;
}

uint64_t crypto_short_hash(const uint8_t key[CRYPTO_SHORT_KEY_LEN], const void *in, size_t len)
{
	uint64_t hash;

	crypto_shorthash((void *)&hash, in, len, key);
	return hash;
}
