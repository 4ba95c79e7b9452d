/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RULESET_DECIDE_H
#define SLUICE_RULESET_DECIDE_H

#include "ruleset.h"

/*
 * What a gateway does with a packet that opens a flow: the same steps as the programs (decide() of bpf/decide.h, then
 * may_open() of bpf/out.h), in the same order, on the same tables. Every command that tells who reaches what by this
 * gateway asks here.
 */
#define DECIDE_NO_ROUTE SIZE_MAX

struct decide_place {
	const struct ruleset *rules;
	const struct config *config; /* NULL: an inventory; no routes are known */
	void *ctx;
	bool (*is_own)(void *ctx, const struct addr *a); /* the host has this address; NULL: not known */
};

struct decide_packet {
	uint32_t class; /* of the client in the ruleset's tables; 0: of no client */
	uint8_t proto;
	uint16_t port;
	struct addr dst;
};

struct decided {
	enum drop_reason reason; /* DROP_NONE: it passes */
	uint32_t rule;
	size_t route; /* DECIDE_NO_ROUTE: none, or none is needed */
	bool host;    /* for the gateway itself */
};

struct decided ruleset_decide(const struct decide_place *s, const struct decide_packet *p);

/* The most specific approved route to an address; DECIDE_NO_ROUTE: there is none. */
size_t ruleset_route_to(const struct ruleset *r, const struct config *config, const struct addr *a);

#endif
