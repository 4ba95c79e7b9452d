/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DATAGRAMS_H
#define SLUICE_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/wireguard/endpoint.h"

/*
 * Datagrams that do not take the fast way, and wait for another thread: those of
 * other protocols on our port (disco, STUN), and those that come or go by a relay.
 * A queue that gives each back in order. Its lock is its owner's.
 */
struct datagram {
	struct datagram *next;
	struct endpoint at; /* where it came from, or goes to */
	size_t len;
	uint8_t bytes[];
};

struct datagrams { /* zero initialised: empty */
	struct datagram *first, *last;
	unsigned n;
};

/* Copies a datagram to the end. False: @max wait already, or no memory. */
bool datagrams_add(struct datagrams *q, const struct endpoint *at, const void *bytes, size_t len, unsigned max);
struct datagram *datagrams_take(struct datagrams *q); /* the oldest, to be freed with free(); NULL: none */
void datagrams_clear(struct datagrams *q);

#endif
