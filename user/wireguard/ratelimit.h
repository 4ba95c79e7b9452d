/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RATELIMIT_H
#define SLUICE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * Handshakes a source may ask for while we are under load (W7): a token bucket
 * for each IPv4 address and each IPv6 /64, asked only after the cookie showed
 * that the source is real. The table has a fixed size: sets of a few buckets,
 * chosen by a keyed hash. A full bucket is as good as none and gives its place to
 * a new source; a source that finds none is refused, so that an attacker gets no
 * fresh burst and no old source loses its own.
 */
#define RATELIMIT_PER_SECOND 20
#define RATELIMIT_BURST	     5

struct ratelimit;

struct ratelimit *ratelimit_new(const uint8_t hash_key[16]); /* NULL: no memory */
void ratelimit_free(struct ratelimit *r);
/* @now in monotonic ns, never less than before. */
bool ratelimit_allow(struct ratelimit *r, const struct addr *source, uint64_t now);

#endif
