/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

/* Numbers that look random and are the same in every run (xorshift64*). */
struct rng {
	uint64_t state; /* not 0 */
};

static inline uint32_t rng_next(struct rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)(r->state * 0x2545f4914f6cdd1dull >> 32);
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((uint64_t)rng_next(r) * n >> 32);
}

#endif
