/* SPDX-License-Identifier: BSD-2-Clause */
/* Which disco datagrams are opened (disco_limit.h). */
#include <stdlib.h>
#include <string.h>

#include "disco_limit.h"
#include "policy/alloc.h"
#include "user/base/clock.h"

#define SETS 2048
#define WAYS 4

struct source {
	uint64_t key[2];
	uint64_t opened; /* 0: an empty place */
	uint64_t full_at;
};

struct disco_limit {
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN];
	uint64_t others_full_at;
	struct source sources[SETS][WAYS];
};

struct disco_limit *disco_limit_new(const uint8_t hash_key[CRYPTO_SHORT_KEY_LEN])
{
	struct disco_limit *l = mem_alloc(1, sizeof(*l));

	memcpy(l->hash_key, hash_key, sizeof(l->hash_key));
	return l;
}

void disco_limit_free(struct disco_limit *l)
{
	free(l);
}

bool disco_limit_spend(uint64_t *full_at, unsigned per_second, uint64_t now)
{
	uint64_t from = *full_at > now ? *full_at : now;

	if (from + NS_PER_SEC / per_second > now + NS_PER_SEC)
		return false;
	*full_at = from + NS_PER_SEC / per_second;
	return true;
}

static bool disco_limit_is_known(const struct source *s, uint64_t now)
{
	return s->opened && now - s->opened < DISCO_LIMIT_REMEMBER;
}

/* The place of @source in its set: its own, or the one that was quiet for longest. */
static struct source *disco_limit_find(struct disco_limit *l, const struct addr *source, uint64_t key[2])
{
	struct source *set, *place;

	key[0] = source->d[0];
	key[1] = addr_is_v4(source) ? source->d[1] : 0; /* who has an IPv6 address has its /64 */
	set = l->sources[crypto_short_hash(l->hash_key, key, 2 * sizeof(*key)) % SETS];
	place = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].opened && set[i].key[0] == key[0] && set[i].key[1] == key[1])
			return &set[i];
		if (set[i].opened < place->opened)
			place = &set[i];
	}
	return place;
}

bool disco_limit_take(struct disco_limit *l, const struct addr *source, uint64_t now)
{
	uint64_t key[2];
	struct source *s = disco_limit_find(l, source, key);

	if (s->key[0] == key[0] && s->key[1] == key[1] && disco_limit_is_known(s, now))
		return disco_limit_spend(&s->full_at, DISCO_LIMIT_KNOWN, now);
	return disco_limit_spend(&l->others_full_at, DISCO_LIMIT_UNKNOWN, now);
}

void disco_limit_opened(struct disco_limit *l, const struct addr *source, uint64_t now)
{
	uint64_t key[2];
	struct source *s = disco_limit_find(l, source, key);

	if (!s->opened || s->key[0] != key[0] || s->key[1] != key[1])
		*s = (struct source){.key = {key[0], key[1]}};
	s->opened = now;
}
