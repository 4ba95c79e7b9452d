/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ENDPOINT_H
#define SLUICE_ENDPOINT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "../policy/addr.h"

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
