/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Noise_IK_25519_ChaChaPoly_BLAKE2s towards a coordination server
 * (noise_control.h). We are the initiator and know the server's static key:
 *
 *   -> e, es, s, ss      01, 96 bytes, with the protocol's version in front
 *   <- e, ee, se         02, 48 bytes; or 03 and a reason in clear text
 *
 * The version is also in the prologue, so nobody can change it on the way. The
 * payloads are empty. Handshake fields are sealed with nonce 0, each under a key
 * of its own, with the running hash as additional data.
 *
 * Then records, both ways: 04, BE16 length, ciphertext. Their nonce is four zero
 * bytes and a counter in big endian: that of WireGuard is in little endian.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "noise_control.h"
#include "user/wireguard/crypto.h"
#include "user/base/text.h"

enum frame_type { FRAME_INIT = 1, FRAME_RESPONSE = 2, FRAME_ERROR = 3, FRAME_RECORD = 4 };

#define RESPONSE_BODY (KEY_LEN + SEALED(0))

static const char protocol[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

static bool noise_control_die(struct noise_control *n, const char *why)
{
	noise_control_wipe(n);
	snprintf(n->error, sizeof(n->error), "%s", why);
	return false;
}

static void noise_control_mix_hash(struct noise_control *n, const void *bytes, size_t len)
{
	struct span spans[] = {{n->hash, HASH_LEN}, {bytes, len}};

	crypto_blake2s(n->hash, spans, 2);
}

/* Mixes in the shared secret of two keys; the result keys one sealed field. */
static bool noise_control_mix_dh(struct noise_control *n, const uint8_t secret[KEY_LEN], const uint8_t public[KEY_LEN],
				 uint8_t key[KEY_LEN])
{
	uint8_t shared[KEY_LEN];
	uint8_t *const out[] = {n->chaining_key, key};
	bool ok = crypto_x25519(secret, public, shared);

	if (ok)
		crypto_kdf(out, 2, n->chaining_key, shared, KEY_LEN);
	crypto_wipe(shared, sizeof(shared));
	return ok;
}

static void noise_control_seal_field(struct noise_control *n, uint8_t *out, const void *plain, size_t len,
				     const uint8_t key[KEY_LEN])
{
	crypto_seal(out, plain, len, n->hash, key);
	noise_control_mix_hash(n, out, SEALED(len));
}

static void start_hash(struct noise_control *n, const uint8_t server[KEY_LEN])
{
	struct span name = {protocol, sizeof(protocol) - 1};
	char prologue[64];

	/* The name is one byte longer than a hash, so it is hashed (Noise, section 5.2). */
	crypto_blake2s(n->hash, &name, 1);
	memcpy(n->chaining_key, n->hash, HASH_LEN);
	snprintf(prologue, sizeof(prologue), "Tailscale Control Protocol v%d", CAPABILITY_VERSION);
	noise_control_mix_hash(n, prologue, strlen(prologue));
	noise_control_mix_hash(n, server, KEY_LEN);
}

bool noise_control_start(struct noise_control *n, const uint8_t machine[KEY_LEN], const uint8_t server[KEY_LEN],
			 const uint8_t ephemeral[KEY_LEN], uint8_t init[NOISE_CONTROL_INIT_LEN])
{
	struct writer w = writer_to(init, NOISE_CONTROL_INIT_LEN);
	uint8_t public[KEY_LEN], key[KEY_LEN];
	bool ok;

	*n = (struct noise_control){.state = NOISE_CONTROL_SENT};
	memcpy(n->machine, machine, KEY_LEN);
	memcpy(n->ephemeral, ephemeral, KEY_LEN);
	start_hash(n, server);

	write_be16(&w, CAPABILITY_VERSION);
	write_u8(&w, FRAME_INIT);
	write_be16(&w, KEY_LEN + SEALED(KEY_LEN) + SEALED(0));

	crypto_public_key(ephemeral, public); /* e */
	write_bytes(&w, public, KEY_LEN);
	noise_control_mix_hash(n, public, KEY_LEN);

	ok = noise_control_mix_dh(n, ephemeral, server, key); /* es */
	if (ok) {
		crypto_public_key(machine, public); /* s */
		noise_control_seal_field(n, write_room(&w, SEALED(KEY_LEN)), public, KEY_LEN, key);
		ok = noise_control_mix_dh(n, machine, server, key); /* ss */
	}
	if (ok)
		noise_control_seal_field(n, write_room(&w, SEALED(0)), NULL, 0, key);
	crypto_wipe(key, sizeof(key));
	return ok || noise_control_die(n, "the server's key is not a usable key");
}

/* Second message of the handshake: on success the transport keys are there. */
static bool read_response(struct noise_control *n, const uint8_t *body, size_t len)
{
	uint8_t *const keys[] = {n->send_key, n->receive_key};
	uint8_t key[KEY_LEN], nothing[1];
	bool ok;

	if (len != RESPONSE_BODY)
		return noise_control_die(n, "the server's handshake message has a wrong length");
	noise_control_mix_hash(n, body, KEY_LEN);		 /* e */
	ok = noise_control_mix_dh(n, n->ephemeral, body, key) && /* ee */
	     noise_control_mix_dh(n, n->machine, body, key) &&	 /* se */
	     crypto_open(nothing, body + KEY_LEN, SEALED(0), n->hash, key);
	crypto_wipe(key, sizeof(key));
	if (!ok)
		return noise_control_die(
			n, "the server does not hold the key that it told, or the version was changed on the way");
	crypto_kdf(keys, 2, n->chaining_key, NULL, 0);
	crypto_wipe(n->machine, KEY_LEN);
	crypto_wipe(n->ephemeral, KEY_LEN);
	crypto_wipe(n->chaining_key, HASH_LEN);
	n->state = NOISE_CONTROL_OPEN;
	return true;
}

static void noise_control_make_nonce(uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES], uint64_t count)
{
	struct writer w = writer_to(nonce, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);

	write_be32(&w, 0);
	write_be64(&w, count);
}

static bool read_record(struct noise_control *n, uint8_t *body, size_t len, const struct sink *plain)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	if (n->receive_count == UINT64_MAX)
		return noise_control_die(n, "the stream is used up");
	noise_control_make_nonce(nonce, n->receive_count);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(body, NULL, NULL, body, len, NULL, 0, nonce, n->receive_key) != 0)
		return noise_control_die(n, "a record from the server does not decrypt");
	n->receive_count++;
	if (len == TAG_LEN)
		return true;
	return sink_put(plain, body, len - TAG_LEN) || noise_control_die(n, "what the server sent was refused");
}

static bool read_error(struct noise_control *n, const uint8_t *body, size_t len)
{
	char raw[64], text[96], why[128];

	snprintf(raw, sizeof(raw), "%.*s", (int)(len < sizeof(raw) ? len : sizeof(raw) - 1), (const char *)body);
	snprintf(why, sizeof(why), "the server says: %s", text_escape(raw, text, sizeof(text)));
	return noise_control_die(n, why);
}

static bool read_frame(struct noise_control *n, const struct sink *plain)
{
	uint8_t *body = n->frame + NOISE_CONTROL_HEADER;
	size_t len = n->frame_len - NOISE_CONTROL_HEADER;
	uint8_t type = n->frame[0];

	n->frame_len = 0;
	if (type == FRAME_ERROR && n->state == NOISE_CONTROL_SENT)
		return read_error(n, body, len);
	if (type == FRAME_RESPONSE && n->state == NOISE_CONTROL_SENT)
		return read_response(n, body, len);
	if (type == FRAME_RECORD && n->state == NOISE_CONTROL_OPEN)
		return read_record(n, body, len, plain);
	return noise_control_die(n, "a frame from the server has a type that does not belong here");
}

/* How long the frame being received is, as far as is known. 0: too long. */
static size_t frame_wants(const struct noise_control *n)
{
	size_t body;

	if (n->frame_len < NOISE_CONTROL_HEADER)
		return NOISE_CONTROL_HEADER;
	body = (size_t)n->frame[1] << 8 | n->frame[2];
	return body > NOISE_CONTROL_FRAME_MAX - NOISE_CONTROL_HEADER ? 0 : NOISE_CONTROL_HEADER + body;
}

bool noise_control_receive(struct noise_control *n, const uint8_t *bytes, size_t len, const struct sink *plain)
{
	while (n->state != NOISE_CONTROL_DEAD) {
		size_t wants = frame_wants(n), take = wants - n->frame_len;

		if (!wants)
			return noise_control_die(n, "a frame from the server is too long");
		if (!take) {
			if (!read_frame(n, plain))
				return false;
			continue;
		}
		if (!len)
			return true;
		take = take < len ? take : len;
		memcpy(n->frame + n->frame_len, bytes, take);
		n->frame_len += take;
		bytes += take;
		len -= take;
	}
	return false;
}

static bool send_record(struct noise_control *n, const uint8_t *plain, size_t len, const struct sink *wire)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	uint8_t frame[NOISE_CONTROL_FRAME_MAX];
	struct writer w = writer_to(frame, sizeof(frame));

	if (n->send_count == UINT64_MAX)
		return false;
	write_u8(&w, FRAME_RECORD);
	write_be16(&w, (uint16_t)SEALED(len));
	noise_control_make_nonce(nonce, n->send_count++);
	crypto_aead_chacha20poly1305_ietf_encrypt(write_room(&w, SEALED(len)), NULL, plain, len, NULL, 0, NULL, nonce,
						  n->send_key);
	return sink_put(wire, frame, writer_len(&w));
}

bool noise_control_send(struct noise_control *n, const uint8_t *plain, size_t len, const struct sink *wire)
{
	if (n->state != NOISE_CONTROL_OPEN)
		return false;
	while (len) {
		size_t part = len < NOISE_CONTROL_PLAIN_MAX ? len : NOISE_CONTROL_PLAIN_MAX;

		if (!send_record(n, plain, part, wire))
			return false;
		plain += part;
		len -= part;
	}
	return true;
}

void noise_control_wipe(struct noise_control *n)
{
	crypto_wipe(n, sizeof(*n));
	n->state = NOISE_CONTROL_DEAD;
}
