/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SESSION_H
#define SLUICE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aead.h"
#include "noise.h"
#include "replay.h"

/*
 * The result of one handshake: a pair of keys, their counters and their age. The
 * engine allocates it in locked memory and hands it to the worker, which
 * alone uses it from then on and gives it back to be wiped (transport.h).
 */
struct session {
	uint32_t local_index;  /* chosen by us: what arrives names it */
	uint32_t remote_index; /* chosen by the peer: what we send names it */
	bool initiator;	       /* we are: the side that rekeys by age */
	uint64_t birth;	       /* monotonic ns */
	uint64_t send_counter; /* of the next message */
	struct transport *transport;
	struct session *next; /* in the list of those to be given back */
	struct replay replay;
	struct aead_key send_key;
	struct aead_key receive_key;
};

void session_init(struct session *s, const struct noise_keys *keys, uint32_t local_index, bool initiator,
		  struct transport *transport, uint64_t now);

/* @now, which is of a worker's batch, or the birth of a session that was made while that was under way. */
static inline uint64_t session_not_before(const struct session *s, uint64_t now)
{
	return now > s->birth ? now : s->birth;
}

/* In ns. @now is of a worker's batch, and the session may have been made while that was under way: 0 then. */
static inline uint64_t session_age(const struct session *s, uint64_t now)
{
	return now > s->birth ? now - s->birth : 0;
}

/* May it still be used at all (W2, W3)? */
bool session_alive(const struct session *s, uint64_t now);
/* Is it time for the next handshake, seen by a sender (W1, W3)? */
bool session_wants_rekey(const struct session *s, uint64_t now);

/*
 * The cryptography alone: touches nothing but the buffers, so whole batches of it
 * can run on other cores. Counters are given out and checked by the worker.
 */

/* Bytes of the data message for a packet of @len bytes: padded to PADDING, but
 * not past @mtu (W14), which a larger packet passes unpadded. */
size_t session_sealed_len(size_t len, size_t mtu);
/* Writes the data message for @packet to @out, which has session_sealed_len()
 * bytes; @packet is out + DATA_HEADER_LEN or does not overlap it. Returns the length. */
size_t session_seal(const struct session *s, uint64_t counter, uint8_t *out, const uint8_t *packet, size_t len,
		    size_t mtu);
/* Opens the data message @msg (@len >= DATA_MIN_LEN) in place: the packet is at
 * msg + DATA_HEADER_LEN, len - DATA_MIN_LEN bytes. False: forged. */
bool session_open(const struct session *s, uint8_t *msg, size_t len);

#endif
