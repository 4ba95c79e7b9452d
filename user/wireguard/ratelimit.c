/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Token buckets, counted in time: a bucket is the moment at which it will be full
 * again, and a handshake moves that moment by the price of one.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "ratelimit.h"
#include "user/base/clock.h"

#define SETS  4096 /* 32,768 sources within the quarter of a second that a bucket takes to fill */
#define WAYS  8
#define PRICE (NS_PER_SEC / RATELIMIT_PER_SECOND)
#define FULL  (RATELIMIT_BURST * PRICE)

struct bucket {
	uint64_t source[2];
	uint64_t full_at; /* not after now: a full bucket, or none at all */
};

struct ratelimit {
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN];
	struct bucket buckets[SETS][WAYS];
};

struct ratelimit *ratelimit_new(const uint8_t hash_key[16])
{
	struct ratelimit *r = calloc(1, sizeof(*r));

	if (r)
		memcpy(r->hash_key, hash_key, sizeof(r->hash_key));
	return r;
}

void ratelimit_free(struct ratelimit *r)
{
	free(r);
}

/* The source's bucket, else a free place for it, else NULL. */
static struct bucket *ratelimit_find(struct bucket set[WAYS], const uint64_t source[2], uint64_t now)
{
	struct bucket *place = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].full_at <= now)
			place = &set[i];
		else if (set[i].source[0] == source[0] && set[i].source[1] == source[1])
			return &set[i];
	}
	if (place)
		*place = (struct bucket){{source[0], source[1]}, now};
	return place;
}

bool ratelimit_allow(struct ratelimit *r, const struct addr *source, uint64_t now)
{
	/* A sender with one IPv6 address has its whole /64. */
	uint64_t key[2] = {source->d[0], addr_is_v4(source) ? source->d[1] : 0};
	uint64_t hash = crypto_short_hash(r->hash_key, key, sizeof(key));
	struct bucket *b = ratelimit_find(r->buckets[hash % SETS], key, now);

	if (!b || b->full_at + PRICE > now + FULL)
		return false;
	b->full_at += PRICE;
	return true;
}
