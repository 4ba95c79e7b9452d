/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (whitepaper section 5.4):
 *
 *	<- s				the initiator knows the responder's key
 *	-> e, es, s, ss, {timestamp}	initiation
 *	<- e, ee, se, psk, {}		response
 *
 * Two values run along: the chaining key takes in every secret, the hash every
 * byte that was sent, and each sealed field is bound to the hash so far. A token
 * of the pattern is one line below, named in its comment.
 *
 * Whatever comes from outside is worked on in a local state, which becomes the
 * caller's only when all of the message was right.
 */
#include <endian.h>
#include <string.h>

#include "crypto.h"
#include "noise.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

static void noise_mix_hash(struct noise_state *s, const void *bytes, size_t len)
{
	crypto_blake2s(s->hash, (struct span[]){{s->hash, HASH_LEN}, {bytes, len}}, 2);
}

/* Takes a secret into the chaining key; @key, when not NULL, is for the next sealed field. */
static void mix_key(struct noise_state *s, uint8_t *key, const void *secret, size_t len)
{
	crypto_kdf((uint8_t *[]){s->chaining_key, key}, key ? 2 : 1, s->chaining_key, secret, len);
}

static bool noise_mix_dh(struct noise_state *s, uint8_t *key, const uint8_t secret[KEY_LEN],
			 const uint8_t public[KEY_LEN])
{
	uint8_t shared[KEY_LEN];
	bool ok = crypto_x25519(secret, public, shared);

	if (ok)
		mix_key(s, key, shared, KEY_LEN);
	crypto_wipe(shared, sizeof(shared));
	return ok;
}

static void mix_ephemeral(struct noise_state *s, const uint8_t public[KEY_LEN])
{
	noise_mix_hash(s, public, KEY_LEN);
	mix_key(s, NULL, public, KEY_LEN);
}

static void mix_psk(struct noise_state *s, uint8_t key[KEY_LEN], const uint8_t psk[KEY_LEN])
{
	uint8_t temp[HASH_LEN];

	crypto_kdf((uint8_t *[]){s->chaining_key, temp, key}, 3, s->chaining_key, psk, KEY_LEN);
	noise_mix_hash(s, temp, HASH_LEN);
	crypto_wipe(temp, sizeof(temp));
}

static void noise_seal_field(struct noise_state *s, uint8_t *out, const void *plain, size_t len,
			     const uint8_t key[KEY_LEN])
{
	crypto_seal(out, plain, len, s->hash, key);
	noise_mix_hash(s, out, SEALED(len));
}

static bool open_field(struct noise_state *s, void *out, const uint8_t *sealed, size_t len, const uint8_t key[KEY_LEN])
{
	if (!crypto_open(out, sealed, len, s->hash, key))
		return false;
	noise_mix_hash(s, sealed, len);
	return true;
}

/* Both sides begin with what they know before the first message. */
static void noise_begin(struct noise_state *s, const uint8_t responder_public[KEY_LEN])
{
	memset(s, 0, sizeof(*s));
	crypto_blake2s(s->chaining_key, &(struct span){construction, strlen(construction)}, 1);
	memcpy(s->hash, s->chaining_key, HASH_LEN);
	noise_mix_hash(s, identifier, strlen(identifier));
	noise_mix_hash(s, responder_public, KEY_LEN);
}

static void derive_keys(const struct noise_state *s, uint8_t initiator_sends[KEY_LEN], uint8_t responder_sends[KEY_LEN])
{
	crypto_kdf((uint8_t *[]){initiator_sends, responder_sends}, 2, s->chaining_key, NULL, 0);
}

void noise_identity_init(struct noise_identity *id, const uint8_t secret[KEY_LEN])
{
	memcpy(id->secret, secret, KEY_LEN);
	if (key_is_zero(secret)) {
		memset(id->public, 0, KEY_LEN);
		return;
	}
	crypto_clamp(id->secret);
	crypto_public_key(id->secret, id->public);
}

bool noise_peer_init(struct noise_peer *peer, const uint8_t public[KEY_LEN], const struct noise_identity *id)
{
	memmove(peer->public, public, KEY_LEN);
	return crypto_x25519(id->secret, public, peer->static_static);
}

/* The static-static secret is zero for a peer whose key is a low-order point. */
static bool mix_static_static(struct noise_state *s, uint8_t key[KEY_LEN], const struct noise_peer *peer)
{
	if (key_is_zero(peer->static_static))
		return false;
	mix_key(s, key, peer->static_static, KEY_LEN);
	return true;
}

bool noise_initiation_write(struct noise_state *state, struct message_initiation *msg, const struct noise_identity *id,
			    const struct noise_peer *peer, uint32_t local_index,
			    const uint8_t ephemeral_secret[KEY_LEN], const uint8_t timestamp[TIMESTAMP_LEN])
{
	struct noise_state s;
	uint8_t key[KEY_LEN];
	bool ok = false;

	memset(msg, 0, sizeof(*msg));
	noise_begin(&s, peer->public);
	memcpy(s.ephemeral, ephemeral_secret, KEY_LEN);

	crypto_public_key(s.ephemeral, msg->ephemeral); /* e */
	mix_ephemeral(&s, msg->ephemeral);
	if (!noise_mix_dh(&s, key, s.ephemeral, peer->public)) /* es */
		goto out;
	noise_seal_field(&s, msg->sealed_static, id->public, KEY_LEN, key); /* s */
	if (!mix_static_static(&s, key, peer))				    /* ss */
		goto out;
	noise_seal_field(&s, msg->sealed_timestamp, timestamp, TIMESTAMP_LEN, key); /* {timestamp} */

	msg->type = htole32(MESSAGE_INITIATION);
	msg->sender_index = htole32(local_index);
	ok = true;
out:
	if (!ok) {
		memset(msg, 0, sizeof(*msg));
		crypto_wipe(&s, sizeof(s));
	}
	*state = s;
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(key, sizeof(key));
	return ok;
}

bool noise_initiation_read_static(struct noise_state *state, const struct message_initiation *msg,
				  const struct noise_identity *id, uint8_t public[KEY_LEN])
{
	struct noise_state s;
	uint8_t key[KEY_LEN], opened[KEY_LEN];
	bool ok;

	noise_begin(&s, id->public);
	memcpy(s.ephemeral, msg->ephemeral, KEY_LEN);
	s.remote_index = le32toh(msg->sender_index);

	mix_ephemeral(&s, msg->ephemeral);				       /* e */
	ok = noise_mix_dh(&s, key, id->secret, msg->ephemeral) &&	       /* es */
	     open_field(&s, opened, msg->sealed_static, SEALED(KEY_LEN), key); /* s */
	if (ok)
		memcpy(public, opened, KEY_LEN);
	else
		crypto_wipe(&s, sizeof(s));
	*state = s;
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(key, sizeof(key));
	return ok;
}

bool noise_initiation_read_timestamp(struct noise_state *state, const struct message_initiation *msg,
				     const struct noise_peer *peer, uint8_t timestamp[TIMESTAMP_LEN])
{
	uint8_t key[KEY_LEN], opened[TIMESTAMP_LEN];
	bool ok;

	ok = mix_static_static(state, key, peer) &&					   /* ss */
	     open_field(state, opened, msg->sealed_timestamp, SEALED(TIMESTAMP_LEN), key); /* {timestamp} */
	if (ok)
		memcpy(timestamp, opened, TIMESTAMP_LEN);
	else
		crypto_wipe(state, sizeof(*state));
	crypto_wipe(key, sizeof(key));
	return ok;
}

bool noise_response_write(struct noise_state *state, struct message_response *msg, struct noise_keys *keys,
			  const struct noise_peer *peer, uint32_t local_index, const uint8_t ephemeral_secret[KEY_LEN])
{
	uint8_t key[KEY_LEN];
	bool ok;

	memset(msg, 0, sizeof(*msg));
	crypto_public_key(ephemeral_secret, msg->ephemeral); /* e */
	mix_ephemeral(state, msg->ephemeral);
	ok = noise_mix_dh(state, NULL, ephemeral_secret, state->ephemeral) && /* ee */
	     noise_mix_dh(state, NULL, ephemeral_secret, peer->public);	      /* se */
	if (ok) {
		mix_psk(state, key, peer->psk);				    /* psk */
		noise_seal_field(state, msg->sealed_nothing, NULL, 0, key); /* {} */
		derive_keys(state, keys->receive, keys->send);
		keys->remote_index = state->remote_index;
		msg->type = htole32(MESSAGE_RESPONSE);
		msg->sender_index = htole32(local_index);
		msg->receiver_index = htole32(state->remote_index);
	} else {
		memset(msg, 0, sizeof(*msg));
	}
	crypto_wipe(state, sizeof(*state));
	crypto_wipe(key, sizeof(key));
	return ok;
}

bool noise_response_read(struct noise_state *state, const struct message_response *msg, struct noise_keys *keys,
			 const struct noise_identity *id, const struct noise_peer *peer)
{
	struct noise_state s = *state;
	uint8_t key[KEY_LEN], nothing[1];
	bool ok = false;

	mix_ephemeral(&s, msg->ephemeral);			    /* e */
	if (!noise_mix_dh(&s, NULL, s.ephemeral, msg->ephemeral) || /* ee */
	    !noise_mix_dh(&s, NULL, id->secret, msg->ephemeral))    /* se */
		goto out;
	mix_psk(&s, key, peer->psk);					   /* psk */
	if (!open_field(&s, nothing, msg->sealed_nothing, SEALED(0), key)) /* {} */
		goto out;

	derive_keys(&s, keys->send, keys->receive);
	keys->remote_index = le32toh(msg->sender_index);
	crypto_wipe(state, sizeof(*state));
	ok = true;
out:
	crypto_wipe(&s, sizeof(s));
	crypto_wipe(key, sizeof(key));
	return ok;
}
