/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CANDIDATES_H
#define SLUICE_TAILNET_CANDIDATES_H

#include "disco_message.h"
#include "user/base/clock.h"

/*
 * Addresses at which a peer might be reached, bounded, the least useful forgotten first. Each is there for a reason:
 * the netmap names it, or the peer was heard of there lately. Without one it ends, or the addresses that
 * a peer once had would be pinged for ever. Pure.
 */
#define CANDIDATES_MAX 32
#define CANDIDATE_LIFE (120 * NS_PER_SEC) /* since something was last heard of it, unless the netmap names it */

struct candidate {
	struct addr_port at;
	uint8_t tx[DISCO_TX_LEN]; /* of the last ping */
	uint64_t pinged;	  /* 0: never, or answered */
	uint64_t heard;		  /* last pong; 0: never */
	uint64_t latency;	  /* ns, of the last pong */
	bool named;		  /* by the netmap as it is now */
	uint64_t called;	  /* when the peer named it last, in its last "call me maybe"; 0: not there */
	uint64_t came;		  /* when a ping, or WireGuard, came from there last; 0: never */
};

struct candidates {
	struct candidate v[CANDIDATES_MAX];
	size_t n;
	int best; /* the one in use, which is never forgotten; -1: none */
};

/* Where a stranger's word may make us send to: no loopback, no multicast, nothing of one link only, nothing inside
 * the tailnet. */
bool candidate_is_reachable(const struct addr_port *at);
int candidates_find(const struct candidates *c, const struct addr_port *at); /* -1: is not there */
/* Which one the ping with this transaction went to; -1: none, or it was answered. */
int candidates_pinged(const struct candidates *c, const uint8_t tx[DISCO_TX_LEN]);
/* Its index, as it was or new; -1: nobody could be reached there. The caller says why it is there. */
int candidates_add(struct candidates *c, const struct addr_port *at);
/* Those whose reason has ended. Indices change. */
void candidates_forget(struct candidates *c, uint64_t now);

#endif
