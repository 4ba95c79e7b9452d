/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CANDIDATES_H
#define SLUICE_TAILNET_CANDIDATES_H

#include "disco_message.h"

/* Addresses at which a peer might be reached, bounded, the least useful forgotten first. Pure. */
#define CANDIDATES_MAX 32

struct candidate {
	struct addr_port at;
	uint8_t tx[DISCO_TX_LEN]; /* of the last ping */
	uint64_t pinged;	  /* 0: never, or answered */
	uint64_t heard;		  /* last pong; 0: never */
	uint64_t latency;	  /* ns, of the last pong */
	bool told;		  /* by the netmap or the peer; else it is only where a ping came from */
};

struct candidates {
	struct candidate v[CANDIDATES_MAX];
	size_t n;
	int best; /* the one in use, which is never forgotten; -1: none */
};

/* Where a stranger's word may make us send to: no loopback, no multicast, nothing of one link only. */
bool candidate_is_reachable(const struct addr_port *at);
int candidates_find(const struct candidates *c, const struct addr_port *at); /* -1: is not there */
/* Its index, as it was or new; -1: nobody could be reached there. */
int candidates_add(struct candidates *c, const struct addr_port *at, bool told);

#endif
