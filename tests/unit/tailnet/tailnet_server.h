/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_TAILNET_SERVER_H
#define TESTS_TAILNET_SERVER_H

/*
 * The other side of the coordination protocol, for tests: a Noise responder,
 * written from the specification of Noise and not from our initiator.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "user/wireguard/crypto.h"
#include "user/tailnet/transport/noise_control.h"

struct noise_server {
	uint8_t secret[32], public[32];
	uint8_t h[32], ck[32];
	uint8_t client[32];	  /* machine key that was shown */
	uint8_t c2s[32], s2c[32]; /* transport keys */
	uint64_t received, sent;
	unsigned version; /* of the protocol, as the client says */
};

#define NOISE_RESPONSE_LEN (3 + 32 + 16)

static inline void noise_server_hash(struct noise_server *s, const void *data, size_t len)
{
	struct span spans[] = {{s->h, 32}, {data, len}};

	crypto_blake2s(s->h, spans, 2);
}

static inline void noise_server_dh(struct noise_server *s, const uint8_t secret[32], const uint8_t public[32],
				   uint8_t key[32])
{
	uint8_t shared[32], *const out[] = {s->ck, key};

	(void)!crypto_scalarmult(shared, secret, public);
	crypto_kdf(out, 2, s->ck, shared, 32);
}

/* False: the initiation is not one, or is not for this key. */
static inline bool noise_server_respond(struct noise_server *s, const uint8_t init[NOISE_CONTROL_INIT_LEN],
					uint8_t response[NOISE_RESPONSE_LEN])
{
	static const char name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
	const struct span whole = {name, sizeof(name) - 1};
	const uint8_t *e = init + 5, *s_sealed = e + 32, *tag = s_sealed + 48;
	uint8_t key[32], ephemeral[32], nothing[16], *const split[] = {s->c2s, s->s2c};
	char prologue[64];

	crypto_public_key(s->secret, s->public);
	s->version = (unsigned)(init[0] << 8 | init[1]);
	s->received = s->sent = 0;
	if (init[2] != 1 || init[3] != 0 || init[4] != 96)
		return false;
	crypto_blake2s(s->h, &whole, 1);
	memcpy(s->ck, s->h, 32);
	snprintf(prologue, sizeof(prologue), "Tailscale Control Protocol v%u", s->version);
	noise_server_hash(s, prologue, strlen(prologue));
	noise_server_hash(s, s->public, 32);
	noise_server_hash(s, e, 32);
	noise_server_dh(s, s->secret, e, key); /* es */
	if (!crypto_open(s->client, s_sealed, 48, s->h, key))
		return false;
	noise_server_hash(s, s_sealed, 48);
	noise_server_dh(s, s->secret, s->client, key); /* ss */
	if (!crypto_open(nothing, tag, 16, s->h, key))
		return false;
	noise_server_hash(s, tag, 16);

	memcpy(response, "\x02\x00\x30", 3);
	crypto_random(ephemeral, 32);
	crypto_public_key(ephemeral, response + 3);
	noise_server_hash(s, response + 3, 32);
	noise_server_dh(s, ephemeral, e, key);	       /* ee */
	noise_server_dh(s, ephemeral, s->client, key); /* se */
	crypto_seal(response + 35, NULL, 0, s->h, key);
	crypto_kdf(split, 2, s->ck, NULL, 0);
	return true;
}

static inline void noise_server_nonce(uint8_t nonce[12], uint64_t count)
{
	memset(nonce, 0, 12);
	for (int i = 0; i < 8; i++)
		nonce[11 - i] = (uint8_t)(count >> 8 * i); /* big endian */
}

/* One record with @len bytes; returns its length. */
static inline size_t noise_server_seal(struct noise_server *s, const void *plain, size_t len, uint8_t *out)
{
	uint8_t nonce[12];

	out[0] = 4;
	out[1] = (uint8_t)((len + 16) >> 8);
	out[2] = (uint8_t)(len + 16);
	noise_server_nonce(nonce, s->sent++);
	crypto_aead_chacha20poly1305_ietf_encrypt(out + 3, NULL, plain, len, NULL, 0, NULL, nonce, s->s2c);
	return 3 + len + 16;
}

/* Opens one record of @len bytes into @plain; returns its length, or -1. */
static inline int noise_server_open(struct noise_server *s, const uint8_t *record, size_t len, uint8_t *plain)
{
	uint8_t nonce[12];

	if (len < 19 || record[0] != 4 || (size_t)(record[1] << 8 | record[2]) != len - 3)
		return -1;
	noise_server_nonce(nonce, s->received++);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, record + 3, len - 3, NULL, 0, nonce, s->c2s))
		return -1;
	return (int)len - 19;
}

#endif
