/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TRANSPORT_PRIVATE_H
#define SLUICE_TRANSPORT_PRIVATE_H

#include "transport.h"

/* Shared by transport.c, open.c and seal.c; the worker's thread only. */

void transport_want(struct transport_set *set, struct transport *t, unsigned todo);
/* At most once in REKEY_TIMEOUT. */
void transport_want_handshake(struct transport_set *set, struct transport *t, uint64_t now);
/* Makes garbage of *@s, which becomes NULL and may be NULL. */
void transport_retire(struct transport_set *set, struct session **s);
/* A message came from there (W12); cheap when the last one did, too. */
void transport_follow(const struct transport_set *set, struct transport *t, const struct allowedips *allowed,
		      const struct endpoint *from, uint64_t now);

/* Stamps and counters have one writer, so a load and a store are enough. */
static inline void stamp(_Atomic uint64_t *where, uint64_t value)
{
	atomic_store_explicit(where, value, memory_order_relaxed);
}

static inline void stamp_first(_Atomic uint64_t *where, uint64_t now)
{
	if (!atomic_load_explicit(where, memory_order_relaxed))
		stamp(where, now);
}

static inline void count(_Atomic uint64_t *where, uint64_t n)
{
	stamp(where, atomic_load_explicit(where, memory_order_relaxed) + n);
}

#endif
