/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_GATE_H
#define SLUICE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cookie.h"
#include "endpoint.h"
#include "engine.h"
#include "ratelimit.h"
#include "user/base/clock.h"

/*
 * The gate in front of the handshakes: whether a message is worth the curve operations
 * that it asks for. Each worker judges what arrives at it; the engine sees what passed.
 * Pure: bytes, times and random bytes come in.
 *
 *	mac1 -> mac2 right: the source is real, and is judged by its own bucket
 *	     -> else a stranger: all strangers share one budget of handshakes, and
 *		behind its end one of cookies; then silence
 *
 * Only what a source cannot be made to lose by others counts against it: whoever sends
 * in its name has no cookie of it. A response or a cookie is not judged by mac2: it
 * names an index that we chose, 32 random bits of a handshake under way, so its sender
 * receives what we send; the engine knows these.
 *
 * Three owners: the keys are made by one thread and published as snapshots that nobody
 * changes; the load is shared, in atomics; each judging thread has buckets of its own.
 */
#define GATE_STRANGERS_PER_SECOND 2000	/* handshakes without a cookie; more is load */
#define GATE_STRANGERS_BURST	  4096	/* everybody at once, after a restart */
#define GATE_COOKIES_PER_SECOND	  20000 /* no less than the front lets through (bpf/admit.h) */
#define GATE_COOKIES_BURST	  1000
#define GATE_SECRET_TURN	  (COOKIE_SECRET_MAX_AGE / 2)

/*
 * The keys by which macs are checked. Two secrets, half a life apart: a cookie is good for at least
 * half of COOKIE_SECRET_MAX_AGE, and for no longer than that. In locked memory.
 */
struct gate_keys {
	struct cookie_checker of[2];
	unsigned young; /* the one that new cookies are made with */
	bool valid;	/* there is an identity */
};

void gate_keys_init(struct gate_keys *k, const uint8_t our_public[KEY_LEN], bool valid);
/* Is a new secret due? Then gate_keys_renew(). */
bool gate_keys_stale(const struct gate_keys *k, uint64_t now);
void gate_keys_renew(struct gate_keys *k, const uint8_t secret[KEY_LEN], uint64_t now);
/* For who checks macs elsewhere: the key of mac1; a secret of cookies, the young one first. NULL: there is none. */
const uint8_t *gate_keys_mac1(const struct gate_keys *k);
const uint8_t *gate_keys_secret(const struct gate_keys *k, unsigned older);
uint64_t gate_keys_next(const struct gate_keys *k); /* when one is due */

#define GATE_LOAD_MEMORY (60 * NS_PER_SEC)

/* How much strangers ask for. Zero initialised. */
struct gate_load {
	_Atomic uint64_t strangers, cookies, junk; /* buckets: when each is full again */
	_Atomic uint64_t seen;			   /* when there was last more than we do for strangers; 0: never */
};

/*
 * One datagram of any bytes. ENGINE_OK: it is for the engine, *@proven tells whether its
 * source is (what is no handshake message passes: the engine says what is wrong with it).
 * ENGINE_COOKIE_SENT: it is to be answered by gate_cookie(). Else it is dropped.
 */
enum engine_result gate_judge(const struct gate_keys *k, struct ratelimit *sources, struct gate_load *load,
			      const void *msg, size_t len, const struct endpoint *from, uint64_t now, bool *proven);
void gate_cookie(const struct gate_keys *k, struct message_cookie *reply, const void *msg, size_t len,
		 const struct endpoint *from, const uint8_t nonce[XNONCE_LEN]);

/* Was there load within GATE_LOAD_MEMORY? */
bool gate_is_loaded(const struct gate_load *load, uint64_t now);

/* A bucket for each source, wherever it is: a peer that a relay brings has its own, too. */
bool gate_source_allow(struct ratelimit *sources, const struct endpoint *from, uint64_t now);

#endif
