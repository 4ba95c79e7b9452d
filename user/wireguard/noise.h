/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NOISE_H
#define SLUICE_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, the two messages of the handshake. Pure:
 * ephemeral secrets and timestamps are given. Every struct here holds secrets and
 * lives in locked memory or is wiped by its owner. Integers given and returned
 * are in host order. Macs are not ours: see cookie.h.
 */
struct noise_identity { /* who we are */
	uint8_t secret[KEY_LEN];
	uint8_t public[KEY_LEN];
};

struct noise_peer { /* whom we talk to */
	uint8_t public[KEY_LEN];
	uint8_t psk[KEY_LEN];		/* all zero: none */
	uint8_t static_static[KEY_LEN]; /* DH of both static keys */
};

struct noise_state { /* between two messages of one handshake */
	uint8_t chaining_key[HASH_LEN];
	uint8_t hash[HASH_LEN];
	uint8_t ephemeral[KEY_LEN]; /* initiator: our secret; responder: the peer's public */
	uint32_t remote_index;	    /* responder: the initiator's index */
};

struct noise_keys { /* what a handshake is for */
	uint8_t send[KEY_LEN];
	uint8_t receive[KEY_LEN];
	uint32_t remote_index;
};

/* The public key is computed. An all-zero secret is a valid argument: no identity. */
void noise_identity_init(struct noise_identity *id, const uint8_t secret[KEY_LEN]);
/* False when the peer's key is a low-order point (W11): then no handshake with it ever succeeds. */
bool noise_peer_init(struct noise_peer *peer, const uint8_t public[KEY_LEN], const struct noise_identity *id);

/* Initiator, first message. Writes all but the macs. False: a low-order point; @state and @msg are zero. */
bool noise_initiation_write(struct noise_state *state, struct message_initiation *msg, const struct noise_identity *id,
			    const struct noise_peer *peer, uint32_t local_index,
			    const uint8_t ephemeral_secret[KEY_LEN], const uint8_t timestamp[TIMESTAMP_LEN]);

/* Responder, first message, in two steps: who is it, then is it. False: forged; @state is zero.
 * Neither step changes anything but its outputs. */
bool noise_initiation_read_static(struct noise_state *state, const struct message_initiation *msg,
				  const struct noise_identity *id, uint8_t public[KEY_LEN]);
bool noise_initiation_read_timestamp(struct noise_state *state, const struct message_initiation *msg,
				     const struct noise_peer *peer, uint8_t timestamp[TIMESTAMP_LEN]);

/* Responder, second message; ends the handshake: @state is wiped, @keys are the session's. */
bool noise_response_write(struct noise_state *state, struct message_response *msg, struct noise_keys *keys,
			  const struct noise_peer *peer, uint32_t local_index, const uint8_t ephemeral_secret[KEY_LEN]);

/* Initiator, second message. True: @keys are the session's and @state is wiped. False: forged, and
 * @state is as before, for the true answer may still come. */
bool noise_response_read(struct noise_state *state, const struct message_response *msg, struct noise_keys *keys,
			 const struct noise_identity *id, const struct noise_peer *peer);

#endif
