/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MESSAGES_H
#define SLUICE_MESSAGES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/clock.h"
#include "user/base/key.h"

/*
 * WireGuard on the wire (whitepaper section 5.4) and its times (section 6.1).
 * All integers are little endian; the structs are packed, so a pointer into a
 * datagram may be cast to them whatever its alignment. Everything that follows
 * from something else is derived here, not typed.
 */
#define TAG_LEN	      16
#define MAC_LEN	      16 /* mac1, mac2, cookie */
#define HASH_LEN      32
#define TIMESTAMP_LEN 12 /* TAI64N: 8 bytes of seconds, 4 of nanoseconds, big endian */
#define XNONCE_LEN    24
#define SEALED(len)   ((len) + TAG_LEN)

enum message_type {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_DATA = 4,
};

struct message_macs {
	uint8_t mac1[MAC_LEN];
	uint8_t mac2[MAC_LEN];
} __attribute__((packed));

struct message_initiation {
	uint32_t type; /* one byte of type, three reserved that are zero: one little-endian word */
	uint32_t sender_index;
	uint8_t ephemeral[KEY_LEN];
	uint8_t sealed_static[SEALED(KEY_LEN)];
	uint8_t sealed_timestamp[SEALED(TIMESTAMP_LEN)];
	struct message_macs macs;
} __attribute__((packed));

struct message_response {
	uint32_t type;
	uint32_t sender_index;
	uint32_t receiver_index;
	uint8_t ephemeral[KEY_LEN];
	uint8_t sealed_nothing[SEALED(0)];
	struct message_macs macs;
} __attribute__((packed));

struct message_cookie {
	uint32_t type;
	uint32_t receiver_index;
	uint8_t nonce[XNONCE_LEN];
	uint8_t sealed_cookie[SEALED(MAC_LEN)];
} __attribute__((packed));

struct message_data {
	uint32_t type;
	uint32_t receiver_index;
	uint64_t counter;
	uint8_t sealed[]; /* the padded packet and the tag; only the tag: a keepalive */
} __attribute__((packed));

#define DATA_HEADER_LEN	  sizeof(struct message_data)
#define DATA_MIN_LEN	  (DATA_HEADER_LEN + SEALED(0))
#define HANDSHAKE_MAX_LEN sizeof(struct message_initiation)
#define PADDING		  16 /* packets are padded to a multiple, but not past the MTU */

static_assert(sizeof(struct message_initiation) == 148, "whitepaper 5.4.2");
static_assert(sizeof(struct message_response) == 92, "whitepaper 5.4.3");
static_assert(sizeof(struct message_cookie) == 64, "whitepaper 5.4.7");
static_assert(sizeof(struct message_data) == 16, "whitepaper 5.4.6");

/* Times are monotonic nanoseconds. A time of 0 means "never". */
#define REKEY_AFTER_TIME     (120 * NS_PER_SEC)
#define REJECT_AFTER_TIME    (180 * NS_PER_SEC)
#define REKEY_TIMEOUT	     (5 * NS_PER_SEC)
#define REKEY_JITTER_MAX     (333 * NS_PER_MS)
#define REKEY_ATTEMPT_TIME   (90 * NS_PER_SEC)
#define KEEPALIVE_TIMEOUT    (10 * NS_PER_SEC)
#define MAX_HANDSHAKE_TRIES  (REKEY_ATTEMPT_TIME / REKEY_TIMEOUT)
#define ZERO_KEYS_AFTER_TIME (3 * REJECT_AFTER_TIME)
/* The initiator rekeys on receiving while a keepalive and a retry still fit before the end. */
#define REKEY_ON_RECEIVE_TIME (REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT)
#define NEW_HANDSHAKE_TIMEOUT (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT)
#define COOKIE_SECRET_MAX_AGE (120 * NS_PER_SEC)
#define COOKIE_LATENCY	      (5 * NS_PER_SEC) /* a cookie is used this much shorter than it lives */

#define REPLAY_BITS	      8192
#define REPLAY_WORD_BITS      64
#define REPLAY_WINDOW	      (REPLAY_BITS - REPLAY_WORD_BITS) /* one word is being refilled (RFC 6479) */
#define REKEY_AFTER_MESSAGES  (1ull << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_WINDOW - 1)

/* Ours: under load the side that answered rekeys, too, and before the other would. */
#define REKEY_UNDER_LOAD_TIME (REKEY_AFTER_TIME - 2 * NEW_HANDSHAKE_TIMEOUT)

#define INITIATIONS_PER_SECOND 50  /* a peer */
#define MAX_STAGED	       128 /* packets a peer that wait for a session */

#endif
