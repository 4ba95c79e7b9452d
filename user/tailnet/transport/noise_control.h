/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_NOISE_CONTROL_H
#define SLUICE_TAILNET_NOISE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/base/key.h"
#include "user/wireguard/crypto.h"

/*
 * The encrypted stream to the coordination server, client side. Pure: the
 * ephemeral key is given, bytes come in, bytes go out. It holds secrets: wipe it.
 */
#define CAPABILITY_VERSION 131 /* of the protocol; a higher one promises behaviour that we do not have */

#define NOISE_CONTROL_HEADER	3
#define NOISE_CONTROL_FRAME_MAX 4096
#define NOISE_CONTROL_PLAIN_MAX (NOISE_CONTROL_FRAME_MAX - NOISE_CONTROL_HEADER - TAG_LEN)
/* version, type, length, e, enc(s), tag of the empty payload */
#define NOISE_CONTROL_INIT_LEN (2 + NOISE_CONTROL_HEADER + KEY_LEN + SEALED(KEY_LEN) + SEALED(0))

enum noise_control_state { NOISE_CONTROL_SENT, NOISE_CONTROL_OPEN, NOISE_CONTROL_DEAD };

struct noise_control {
	enum noise_control_state state;
	uint8_t hash[HASH_LEN], chaining_key[HASH_LEN];
	uint8_t machine[KEY_LEN], ephemeral[KEY_LEN]; /* secrets, until open */
	uint8_t send_key[KEY_LEN], receive_key[KEY_LEN];
	uint64_t send_count, receive_count;
	uint8_t frame[NOISE_CONTROL_FRAME_MAX]; /* being received */
	size_t frame_len;
	char error[128]; /* why it is dead, for people; text of the server is escaped */
};

/* Starts the handshake and writes its first message. False: @server is a low-order point; dead. */
bool noise_control_start(struct noise_control *n, const uint8_t machine[KEY_LEN], const uint8_t server[KEY_LEN],
			 const uint8_t ephemeral[KEY_LEN], uint8_t init[NOISE_CONTROL_INIT_LEN]);

/* Takes received bytes and puts the plaintext of whole records into @plain. False: it is dead. */
bool noise_control_receive(struct noise_control *n, const uint8_t *bytes, size_t len, const struct sink *plain);

/* Seals @len bytes into as many records as they need and puts those into @wire. False: not open,
 * out of nonces, or @wire refused. */
bool noise_control_send(struct noise_control *n, const uint8_t *plain, size_t len, const struct sink *wire);

void noise_control_wipe(struct noise_control *n);

/*
 * The first bytes that the server sends inside may be an early payload: a magic,
 * a length and JSON (a challenge that we have no use for). It is cut out here.
 */
#define EARLY_HEADER (5 + 4)
#define EARLY_MAX    65536

struct early {
	uint8_t header[EARLY_HEADER];
	size_t header_len;
	uint32_t skip; /* bytes of it still to come */
	bool over;
};

/* Hands on to @rest what is not of the early payload. False: it is too long, or @rest refused. */
bool early_receive(struct early *e, const uint8_t *bytes, size_t len, const struct sink *rest);

#endif
