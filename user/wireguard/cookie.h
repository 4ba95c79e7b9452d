/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_COOKIE_H
#define SLUICE_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "messages.h"

/*
 * mac1, mac2 and cookies (whitepaper section 5.3, 5.4.4, 5.4.7). mac1 shows that
 * the sender knows our public key; under load mac2 shows that it receives what
 * is sent to its address and port. The checker is our side, the maker what we
 * keep for each peer. Pure: random bytes and time (monotonic ns) are given.
 */
struct cookie_checker {
	uint8_t mac1_key[KEY_LEN];
	uint8_t cookie_key[KEY_LEN];
	uint8_t secret[KEY_LEN]; /* changes every COOKIE_SECRET_MAX_AGE */
	uint64_t secret_birth;	 /* 0: no secret yet */
};

struct cookie_maker {
	uint8_t mac1_key[KEY_LEN];
	uint8_t cookie_key[KEY_LEN];
	uint8_t last_mac1[MAC_LEN];
	bool sent_mac1; /* last_mac1 may still be answered with a cookie */
	uint8_t cookie[MAC_LEN];
	uint64_t cookie_birth; /* 0: none */
};

void cookie_checker_init(struct cookie_checker *c, const uint8_t our_public[KEY_LEN]);
/* There is no secret, or it is older than COOKIE_SECRET_MAX_AGE: renew it. */
bool cookie_checker_stale(const struct cookie_checker *c, uint64_t now);
void cookie_checker_renew(struct cookie_checker *c, const uint8_t secret[KEY_LEN], uint64_t now);

/* @msg is a whole handshake message of @len bytes, its last 32 the macs. */
bool cookie_check_mac1(const struct cookie_checker *c, const void *msg, size_t len);
/* Call only when not stale. */
bool cookie_check_mac2(const struct cookie_checker *c, const void *msg, size_t len, const struct endpoint *from);
void cookie_reply_write(const struct cookie_checker *c, struct message_cookie *reply, const void *msg, size_t len,
			const struct endpoint *from, const uint8_t nonce[XNONCE_LEN]);

void cookie_maker_init(struct cookie_maker *m, const uint8_t their_public[KEY_LEN]);
/* Fills the macs of a message we send; mac2 is zero without a fresh cookie. */
void cookie_macs_write(struct cookie_maker *m, void *msg, size_t len, uint64_t now);
/* False: not an answer to the last message we sent to this peer, or a second one; nothing changed. */
bool cookie_reply_read(struct cookie_maker *m, const struct message_cookie *reply, uint64_t now);

#endif
