/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ENDPOINT_H
#define SLUICE_ENDPOINT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "policy/addr.h"

/*
 * Where a peer is, and which of our addresses it talks to: an answer leaves from
 * the address the question arrived on (W17). No padding: compared as bytes.
 */
struct endpoint {
	struct addr addr;
	struct addr local; /* all zero: routing chooses */
	uint16_t port;	   /* host order; 0: no endpoint is known */
	uint16_t zero;
	uint32_t ifindex; /* for link-local addresses; else 0 */
};

static_assert(sizeof(struct endpoint) == 40, "no padding");

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Could a datagram have come from there, and may one be sent there? Not from nowhere, from many or from loopback. */
bool endpoint_is_plausible(const struct endpoint *e);
/* Of a program of this host, as an obfuscator is (udp2raw): from loopback to loopback, which comes by no NIC. */
bool endpoint_is_on_host(const struct endpoint *e);

/*
 * A peer that is reached by a relay of its region has the endpoint that Tailscale
 * gives such peers: 127.3.3.40 and the region as the port. Ours has the peer's id
 * beside it, for the relay wants to be told whom a datagram is for; in what the
 * kernel tells of a real datagram from there that is 0.
 */
static inline struct endpoint endpoint_of_relay(uint16_t region, uint32_t peer)
{
	struct endpoint e = {.port = region, .ifindex = peer + 1};
	static const uint8_t meaning[] = {0xff, 0xff, 127, 3, 3, 40};

	memcpy(e.addr.b + sizeof(e.addr.b) - sizeof(meaning), meaning, sizeof(meaning));
	return e;
}

static inline bool endpoint_is_relay(const struct endpoint *e)
{
	const struct endpoint relay = endpoint_of_relay(0, 0);

	return memcmp(&e->addr, &relay.addr, sizeof(e->addr)) == 0;
}

/* False: the endpoint names no peer. */
static inline bool endpoint_relay_peer(const struct endpoint *e, uint32_t *peer)
{
	*peer = e->ifindex - 1;
	return e->ifindex;
}

/*
 * An endpoint that one thread writes and others read, without a lock: a sequence
 * counter, odd while a write is under way. Zero initialised, version 0: never written.
 */
struct endpoint_cell {
	_Atomic uint32_t version;
	_Atomic uint64_t words[sizeof(struct endpoint) / sizeof(uint64_t)];
};

void endpoint_publish(struct endpoint_cell *c, const struct endpoint *e); /* the one writer */
/* Returns the version of what was read. */
uint32_t endpoint_read(const struct endpoint_cell *c, struct endpoint *out);

#endif
