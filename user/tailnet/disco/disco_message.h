/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DISCO_MESSAGE_H
#define SLUICE_TAILNET_DISCO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/base/key.h"

/*
 * Disco messages, which find paths between nodes. They travel on WireGuard's UDP
 * port and over relays:
 *
 *   magic (6)  sender's disco key (32)  nonce (24)  NaCl box of: type, version 0, body
 *
 *   01 ping          transaction (12), sender's node key (32), padding
 *   02 pong          transaction (12), the address it was seen from (16), BE16 port
 *   03 call me maybe addresses and ports where the sender may be reached, 18 bytes each
 */
#define DISCO_MAGIC_LEN	    6
#define DISCO_NONCE_LEN	    24
#define DISCO_TX_LEN	    12
#define DISCO_OVERHEAD	    (DISCO_MAGIC_LEN + KEY_LEN + DISCO_NONCE_LEN + 16)
#define DISCO_ENDPOINTS_MAX 32
#define DISCO_MAX	    (DISCO_OVERHEAD + 2 + DISCO_ENDPOINTS_MAX * 18) /* longest that we send */

enum disco_type { DISCO_PING = 1, DISCO_PONG = 2, DISCO_CALL_ME_MAYBE = 3 };

struct disco_message {
	enum disco_type type;
	uint8_t tx[DISCO_TX_LEN];			 /* ping, pong */
	uint8_t node[KEY_LEN];				 /* ping; all zero: not told */
	struct addr_port seen;				 /* pong */
	struct addr_port endpoints[DISCO_ENDPOINTS_MAX]; /* call me maybe */
	size_t n_endpoints;
};

/* Whether a datagram is one, by its magic, and whose: NULL, it is not; else KEY_LEN bytes in it. */
const uint8_t *disco_sender(const uint8_t *bytes, size_t len);

/* @shared: of our disco key and theirs, from disco_shared(). Returns the length. */
size_t disco_seal(const struct disco_message *m, const uint8_t shared[KEY_LEN], const uint8_t public[KEY_LEN],
		  const uint8_t nonce[DISCO_NONCE_LEN], uint8_t out[DISCO_MAX]);
/* False: forged, malformed, or of a kind that we do not know. */
bool disco_open(const uint8_t *bytes, size_t len, const uint8_t shared[KEY_LEN], struct disco_message *out);

/* False: @public is a low-order point. */
bool disco_shared(const uint8_t secret[KEY_LEN], const uint8_t public[KEY_LEN], uint8_t shared[KEY_LEN]);

#endif
