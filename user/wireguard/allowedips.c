/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set: every prefix once, in a hash by prefix and in a list of its peer's.
 * The snapshot: per prefix length in use a hash of its own, in one piece of memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "allowedips.h"

#define FIRST_BUCKETS 64
#define LENGTHS	      129

/* Prefixes come from the operator, not from strangers: an unkeyed hash will do. */
static uint64_t hash_prefix(const struct addr *a, uint32_t len)
{
	uint64_t h = a->d[0] * 0x9e3779b97f4a7c15ull ^ a->d[1] ^ (uint64_t)len << 56;

	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static bool equal(const struct addr *a, const struct addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/* ---- the set ---- */

struct owned {
	struct prefix prefix;
	uint32_t peer;
	struct owned *next;	     /* in the bucket */
	struct owned *newer, *older; /* of the peer */
};

struct owner {
	struct owned *newest;
};

struct allowedips_set {
	struct owned **buckets;
	size_t n_buckets, n;
	struct owner *owners; /* by peer id */
	size_t n_owners;
};

static struct owned **allowedips_bucket_of(const struct allowedips_set *s, const struct prefix *p)
{
	return &s->buckets[hash_prefix(&p->addr, p->len) & (s->n_buckets - 1)];
}

struct allowedips_set *allowedips_set_new(void)
{
	struct allowedips_set *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->n_buckets = FIRST_BUCKETS;
	s->buckets = calloc(s->n_buckets, sizeof(struct owned *));
	if (!s->buckets) {
		free(s);
		return NULL;
	}
	return s;
}

void allowedips_set_free(struct allowedips_set *s)
{
	if (!s)
		return;
	for (uint32_t peer = 0; peer < s->n_owners; peer++)
		allowedips_take_all(s, peer);
	free(s->owners);
	free(s->buckets);
	free(s);
}

/* More buckets when there are as many entries; going on with long chains is fine, too. */
static void spread(struct allowedips_set *s)
{
	struct owned **old = s->buckets, **more;
	size_t n_old = s->n_buckets;

	if (s->n < n_old || !(more = calloc(2 * n_old, sizeof(*more))))
		return;
	s->buckets = more;
	s->n_buckets = 2 * n_old;
	for (size_t i = 0; i < n_old; i++) {
		for (struct owned *o = old[i], *next; o; o = next) {
			struct owned **to = allowedips_bucket_of(s, &o->prefix);

			next = o->next;
			o->next = *to;
			*to = o;
		}
	}
	free(old);
}

static bool make_owner(struct allowedips_set *s, uint32_t peer)
{
	size_t n = s->n_owners ? s->n_owners : 16;
	struct owner *owners;

	if (peer < s->n_owners)
		return true;
	while (n <= peer)
		n *= 2;
	owners = reallocarray(s->owners, n, sizeof(*owners));
	if (!owners)
		return false;
	memset(owners + s->n_owners, 0, (n - s->n_owners) * sizeof(*owners));
	s->owners = owners;
	s->n_owners = n;
	return true;
}

static struct owned *allowedips_find(const struct allowedips_set *s, const struct prefix *p)
{
	struct owned *o = *allowedips_bucket_of(s, p);

	while (o && (o->prefix.len != p->len || !equal(&o->prefix.addr, &p->addr)))
		o = o->next;
	return o;
}

static void link_to_peer(struct allowedips_set *s, struct owned *o, uint32_t peer)
{
	o->peer = peer;
	o->newer = NULL;
	o->older = s->owners[peer].newest;
	if (o->older)
		o->older->newer = o;
	s->owners[peer].newest = o;
}

static void unlink_from_peer(struct allowedips_set *s, struct owned *o)
{
	if (o->older)
		o->older->newer = o->newer;
	if (o->newer)
		o->newer->older = o->older;
	else
		s->owners[o->peer].newest = o->older;
}

static void allowedips_drop(struct allowedips_set *s, struct owned *o)
{
	struct owned **at = allowedips_bucket_of(s, &o->prefix);

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	unlink_from_peer(s, o);
	s->n--;
	free(o);
}

bool allowedips_give(struct allowedips_set *s, const struct prefix *p, uint32_t peer)
{
	struct owned *o = allowedips_find(s, p);
	struct owned **bucket;

	if (!make_owner(s, peer))
		return false;
	if (o) {
		unlink_from_peer(s, o);
		link_to_peer(s, o, peer);
		return true;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return false;
	spread(s);
	bucket = allowedips_bucket_of(s, p);
	o->prefix = *p;
	o->next = *bucket;
	*bucket = o;
	link_to_peer(s, o, peer);
	s->n++;
	return true;
}

void allowedips_take(struct allowedips_set *s, const struct prefix *p, uint32_t peer)
{
	struct owned *o = allowedips_find(s, p);

	if (o && o->peer == peer)
		allowedips_drop(s, o);
}

void allowedips_take_all(struct allowedips_set *s, uint32_t peer)
{
	while (peer < s->n_owners && s->owners[peer].newest)
		allowedips_drop(s, s->owners[peer].newest);
}

const struct prefix *allowedips_each(const struct allowedips_set *s, uint32_t peer, const void **cursor)
{
	const struct owned *o = *cursor;

	if (o)
		o = o->older;
	else if (peer < s->n_owners)
		o = s->owners[peer].newest;
	*cursor = o;
	return o ? &o->prefix : NULL;
}

/* ---- the snapshot ---- */

struct place {
	struct addr addr;
	uint32_t peer; /* ALLOWEDIPS_NONE: empty */
};

struct length {
	struct addr mask;
	uint32_t len;
	size_t first; /* of its places */
	size_t mask_places;
};

struct allowedips {
	size_t n_lengths;
	struct length lengths[LENGTHS]; /* longest first */
	struct place places[];
};

static struct addr masked(const struct addr *a, const struct addr *mask)
{
	return (struct addr){.d = {a->d[0] & mask->d[0], a->d[1] & mask->d[1]}};
}

static struct addr mask_of(uint32_t len)
{
	struct addr mask = {0};

	memset(mask.b, 0xff, len / 8);
	if (len % 8)
		mask.b[len / 8] = (uint8_t)(0xff << (8 - len % 8));
	return mask;
}

/* Power of two, at most half of them in use. */
static size_t places_for(size_t n)
{
	size_t places = 2;

	while (places < 2 * n)
		places *= 2;
	return places;
}

static size_t allowedips_lay_out(struct allowedips *a, const size_t counts[LENGTHS])
{
	size_t total = 0;

	for (uint32_t len = LENGTHS; len-- > 0;) {
		if (!counts[len])
			continue;
		if (a)
			a->lengths[a->n_lengths++] = (struct length){
				.mask = mask_of(len),
				.len = len,
				.first = total,
				.mask_places = places_for(counts[len]) - 1,
			};
		total += places_for(counts[len]);
	}
	return total;
}

static const struct place *allowedips_look(const struct allowedips *a, const struct length *l, const struct addr *addr)
{
	const struct place *places = a->places + l->first;
	size_t i = hash_prefix(addr, l->len) & l->mask_places;

	while (places[i].peer != ALLOWEDIPS_NONE && !equal(&places[i].addr, addr))
		i = (i + 1) & l->mask_places;
	return &places[i];
}

static void allowedips_enter(struct allowedips *a, const struct owned *o)
{
	const struct length *l = a->lengths;
	struct place *p;

	while (l->len != o->prefix.len)
		l++;
	p = (struct place *)allowedips_look(a, l, &o->prefix.addr);
	*p = (struct place){o->prefix.addr, o->peer};
}

struct allowedips *allowedips_snapshot(const struct allowedips_set *s)
{
	size_t counts[LENGTHS] = {0}, total;
	const struct owned *o;
	struct allowedips *a;

	for (size_t i = 0; i < s->n_buckets; i++)
		for (o = s->buckets[i]; o; o = o->next)
			counts[o->prefix.len]++;
	total = allowedips_lay_out(NULL, counts);
	a = malloc(sizeof(*a) + total * sizeof(struct place));
	if (!a)
		return NULL;
	a->n_lengths = 0;
	allowedips_lay_out(a, counts);
	for (size_t i = 0; i < total; i++)
		a->places[i].peer = ALLOWEDIPS_NONE;
	for (size_t i = 0; i < s->n_buckets; i++)
		for (o = s->buckets[i]; o; o = o->next)
			allowedips_enter(a, o);
	return a;
}

void allowedips_free(struct allowedips *a)
{
	free(a);
}

uint32_t allowedips_lookup(const struct allowedips *a, const struct addr *addr)
{
	/* IPv4 lives inside a prefix of IPv6, yet ::/0 does not mean it. */
	uint32_t shortest = addr_is_v4(addr) ? ADDR_V4_BITS : 0;

	for (const struct length *l = a->lengths, *end = l + a->n_lengths; l < end && l->len >= shortest; l++) {
		struct addr want = masked(addr, &l->mask);
		const struct place *p = allowedips_look(a, l, &want);

		if (p->peer != ALLOWEDIPS_NONE)
			return p->peer;
	}
	return ALLOWEDIPS_NONE;
}
