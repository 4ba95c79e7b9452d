/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_EGRESS_H
#define SLUICE_EGRESS_H

#include "site.h"

/* External addresses and pools. */
#define EGRESS_POOL_MAX (2 * POOL_ADDRESSES)

struct egress_pool {
	int ifindex;	  /* 0: the interface is not there, or of no use */
	bool no_ethernet; /* of no use: its frames have no Ethernet header */
	char interface[IFNAMSIZ];
	uint32_t mtu;
	unsigned answers[MAX_ANSWERS]; /* interfaces by which answers may come; the first 0 ends the list */
	bool answers_left_out;	       /* there are more of them */
	struct egress_address {
		struct addr addr, public;
		uint32_t id; /* egress id; 0: none yet */
		bool present;
		bool spare; /* the kernel would take another now: no flow begins here, those that there are go on */
	} address[EGRESS_POOL_MAX];
	size_t n;
};

struct egress_state {
	struct egress_pool pool[MAX_POOLS];
	size_t n;
	bool unsure;		       /* the kernel did not answer about some pool: asked again once a second */
	struct addr by_id[MAX_EGRESS]; /* all zero: unused */
	/* Writes down, for `down`, that we switch an interface's UDP GRO on. False: it could not, so it is left off. */
	bool (*write_down)(void *ctx, const char *interface);
	void *ctx;
};

/* At start. Interfaces and addresses that are not there yet are waited for. */
void egress_open(struct egress_state *e, const struct site *s);
/* False: an interface that the configuration names is there, and can never be used. */
bool egress_usable(const struct egress_state *e, const struct site *s, char *error, size_t size);
/* After any change of links or addresses: pools, ends of flows, notes. */
void egress_refresh(struct egress_state *e, const struct site *s);
/* Once a second: the programs give us fragments as long as we say that we live. */
void egress_keep_fragments(const struct egress_state *e, const struct site *s);

#endif
