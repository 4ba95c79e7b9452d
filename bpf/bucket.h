/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_BUCKET_H
#define SLUICE_BUCKET_H

/*
 * Token buckets without a lock, counted in time: a bucket is the moment at which it
 * will be full again, and what is taken moves that moment. A client's packets are
 * all on one CPU, and so nearly always are the answers to it; should two CPUs take at
 * the same instant, both may have what was left for one, and both pay.
 */
#include "maps.h"

#define SECOND 1000000000ull

/* Nanoseconds that @n things cost at @rate a second. */
static __always_inline __u64 bucket_cost(__u64 n, __u64 rate)
{
	return n * SECOND / rate;
}

/* A bucket holds a second's worth. What costs more, a super-packet at a low rate, takes a full one, on credit. */
static __always_inline bool bucket_has(const __u64 *full_at, __u64 cost, __u64 now)
{
	__u64 from = *full_at > now ? *full_at : now;

	return from + cost <= now + (cost > SECOND ? cost : SECOND);
}

static __always_inline void bucket_pay(__u64 *full_at, __u64 cost, __u64 now)
{
	__u64 old = *full_at;

	if (old > now || __sync_val_compare_and_swap(full_at, old, now + cost) != old)
		__sync_fetch_and_add(full_at, cost);
}

static __always_inline bool bucket_take(__u64 *full_at, __u64 cost, __u64 now)
{
	bool has = bucket_has(full_at, cost, now);

	if (has)
		bucket_pay(full_at, cost, now);
	return has;
}

#endif
