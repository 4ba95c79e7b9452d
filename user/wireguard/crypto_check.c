/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known answers, checked at every start: a library that was replaced by one that
 * computes something else must not get as far as the first packet.
 */
#include <sodium.h>
#include <string.h>

#include "aead.h"
#include "crypto.h"

/* RFC 8439 section 2.8.2, and draft-irtf-cfrg-xchacha section A.3.1 with the same plaintext */
static const char sunscreen[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
				"the future, sunscreen would be it.";
static const char aead_ad[] = "50515253c0c1c2c3c4c5c6c7";
static const char aead_key_hex[] = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

#define SUNSCREEN_LEN (sizeof(sunscreen) - 1)

static void crypto_check_unhex(uint8_t *out, const char *hex)
{
	sodium_hex2bin(out, strlen(hex) / 2, hex, strlen(hex), NULL, NULL, NULL);
}

static bool is(const uint8_t *got, const char *hex)
{
	uint8_t want[SEALED(SUNSCREEN_LEN)];

	crypto_check_unhex(want, hex);
	return memcmp(got, want, strlen(hex) / 2) == 0;
}

/* RFC 7748 section 5.2, and a point of low order */
static bool check_x25519(void)
{
	uint8_t secret[KEY_LEN], public[KEY_LEN], shared[KEY_LEN], zero[KEY_LEN] = {0};

	crypto_check_unhex(secret, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
	crypto_check_unhex(public, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
	return crypto_x25519(secret, public, shared) &&
	       is(shared, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552") &&
	       !crypto_x25519(secret, zero, shared) && key_is_zero(shared);
}

/* RFC 7693 appendix B; the first keyed answer of the BLAKE2 authors' file */
static bool check_blake2s(void)
{
	uint8_t hash[HASH_LEN], mac[MAC_LEN], key[KEY_LEN];

	crypto_blake2s(hash, &(struct span){"abc", 3}, 1);
	if (!is(hash, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"))
		return false;
	crypto_check_unhex(key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	crypto_mac(mac, key, sizeof(key), NULL, 0);
	return is(mac, "9536f9b267655743dee97b8a670f9f53");
}

static bool check_chacha20poly1305(void)
{
	uint8_t key[KEY_LEN], ad[12], nonce[12], out[SEALED(SUNSCREEN_LEN)];

	crypto_check_unhex(key, aead_key_hex);
	crypto_check_unhex(ad, aead_ad);
	crypto_check_unhex(nonce, "070000004041424344454647");
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, (const uint8_t *)sunscreen, SUNSCREEN_LEN, ad, sizeof(ad),
						  NULL, nonce, key);
	return is(out, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
		       "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
		       "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		       "3ff4def08e4b7a9de576d26586cec64b6116"
		       "1ae10b594f09e26a7e902ecbd0600691");
}

static bool check_xchacha20poly1305(void)
{
	uint8_t key[KEY_LEN], ad[12], nonce[XNONCE_LEN], out[SEALED(SUNSCREEN_LEN)];

	crypto_check_unhex(key, aead_key_hex);
	crypto_check_unhex(ad, aead_ad);
	crypto_check_unhex(nonce, "404142434445464748494a4b4c4d4e4f5051525354555657");
	crypto_xseal(out, sunscreen, SUNSCREEN_LEN, ad, sizeof(ad), nonce, key);
	return is(out, "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
		       "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
		       "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
		       "21f9664c97637da9768812f615c68b13b52e"
		       "c0875924c1c7987947deafd8780acf49");
}

/* The bulk AEAD against libsodium's, which check_chacha20poly1305() has checked. */
static bool check_bulk(void)
{
	const uint64_t counter = 0x0807060504030201;
	uint8_t key[KEY_LEN], nonce[12], want[SEALED(SUNSCREEN_LEN)], got[SEALED(SUNSCREEN_LEN)];
	struct aead_key prepared;
	bool ok;

	crypto_check_unhex(key, aead_key_hex);
	crypto_check_unhex(nonce, "000000000102030405060708");
	crypto_aead_chacha20poly1305_ietf_encrypt(want, NULL, (const uint8_t *)sunscreen, SUNSCREEN_LEN, NULL, 0, NULL,
						  nonce, key);
	aead_key_init(&prepared, key);
	aead_seal(&prepared, counter, got, (const uint8_t *)sunscreen, SUNSCREEN_LEN, 0);
	ok = memcmp(want, got, sizeof(want)) == 0 && aead_open(&prepared, counter, got, got, sizeof(got)) &&
	     memcmp(got, sunscreen, SUNSCREEN_LEN) == 0;
	want[0] ^= 1;
	ok = ok && !aead_open(&prepared, counter, got, want, sizeof(want));
	aead_key_wipe(&prepared);
	return ok;
}

static const struct check {
	const char *what;
	bool (*run)(void);
} checks[] = {
	{"X25519", check_x25519},
	{"BLAKE2s", check_blake2s},
	{"ChaCha20-Poly1305", check_chacha20poly1305},
	{"XChaCha20-Poly1305", check_xchacha20poly1305},
	{"bulk ChaCha20-Poly1305", check_bulk},
};

bool crypto_init(const char **what)
{
	*what = "libsodium";
	if (sodium_init() < 0)
		return false;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		*what = checks[i].what;
		if (!checks[i].run())
			return false;
	}
	return true;
}
