/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of prefixes as sets of addresses: merge, subtract, look up. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "prefixes.h"

void prefixes_add(struct prefixes *s, const struct prefix *p)
{
	s->v = mem_grow(s->v, s->n, sizeof(*s->v));
	s->v[s->n++] = *p;
}

void prefixes_add_all(struct prefixes *s, const struct prefix *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		prefixes_add(s, &v[i]);
}

void prefixes_free(struct prefixes *s)
{
	free(s->v);
	*s = (struct prefixes){0};
}

/* All of IPv6 first, then IPv4: in one family what nests is adjacent. */
static int prefixes_by_family(const void *pa, const void *pb)
{
	const struct prefix *a = pa, *b = pb;
	int family = prefix_is_v4(a) - prefix_is_v4(b);

	return family ? family : prefix_cmp(a, b);
}

static int prefixes_by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

void prefixes_sort(struct prefixes *s)
{
	size_t kept = 0;

	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), prefixes_by_prefix);
	for (size_t i = 0; i < s->n; i++)
		if (!kept || prefix_cmp(&s->v[kept - 1], &s->v[i]))
			s->v[kept++] = s->v[i];
	s->n = kept;
}

/* Family by family: a million prefixes are sorted in half the time that one
 * comparison of both would take. */
static void sort_families(struct prefixes *s)
{
	size_t v6 = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!prefix_is_v4(&s->v[i])) {
			struct prefix p = s->v[i];

			s->v[i] = s->v[v6];
			s->v[v6++] = p;
		}
	if (v6)
		qsort(s->v, v6, sizeof(*s->v), prefixes_by_prefix);
	if (s->n > v6)
		qsort(s->v + v6, s->n - v6, sizeof(*s->v), prefixes_by_prefix);
}

static bool bit(const struct addr *a, unsigned i)
{
	return a->b[i / 8] >> (7 - i % 8) & 1;
}

/* Two halves of one prefix, lower one first. */
static bool are_halves(const struct prefix *a, const struct prefix *b)
{
	struct prefix whole = {.addr = a->addr, .len = a->len - 1};

	if (!a->len || a->len != b->len || bit(&a->addr, whole.len))
		return false;
	return bit(&b->addr, whole.len) && prefix_covers(&whole, b);
}

void prefixes_merge(struct prefixes *s)
{
	size_t n = 0; /* of the result, a stack at the front of the list */

	sort_families(s);
	for (size_t i = 0; i < s->n; i++) {
		if (n && prefix_covers(&s->v[n - 1], &s->v[i]))
			continue;
		s->v[n++] = s->v[i];
		while (n > 1 && are_halves(&s->v[n - 2], &s->v[n - 1])) {
			n--;
			s->v[n - 1].len--;
		}
	}
	s->n = n;
}

/* What is left of @whole without @hole, which lies in it: the sibling at every bit on the way down. */
static void split(struct prefixes *out, const struct prefix *whole, const struct prefix *hole)
{
	for (unsigned len = whole->len; len < hole->len; len++) {
		struct prefix sibling = {.addr = hole->addr, .len = len + 1};

		sibling.addr.b[len / 8] ^= (uint8_t)(0x80 >> len % 8);
		sibling.addr = prefix_first(&sibling);
		if (prefix_is_v4(&sibling) == prefix_is_v4(whole)) /* IPv4 is no part of ::/0 */
			prefixes_add(out, &sibling);
	}
}

void prefixes_subtract(struct prefixes *s, const struct prefix *p)
{
	struct prefixes rest = {0};

	for (size_t i = 0; i < s->n; i++) {
		if (!prefix_overlaps(&s->v[i], p))
			prefixes_add(&rest, &s->v[i]);
		else if (!prefix_covers(p, &s->v[i]))
			split(&rest, &s->v[i], p);
	}
	prefixes_free(s);
	*s = rest;
}

/* ---- additions and removals ---------------------------------------------------------- */

static int by_nesting(const void *pa, const void *pb)
{
	const struct prefix_op *a = pa, *b = pb;
	int order = prefixes_by_family(&a->prefix, &b->prefix);

	return order ? order : (a->number < b->number) - (a->number > b->number); /* the last one first */
}

struct edge { /* a prefix of another state than the one around it */
	struct prefix prefix;
	size_t around; /* index of the addition that it is cut out of */
};

static int by_around(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;

	return a->around != b->around ? (a->around > b->around) - (a->around < b->around)
				      : prefixes_by_family(&a->prefix, &b->prefix);
}

/* What is left of @whole without the @n holes in it, which are disjoint and sorted. */
static void prefixes_cut_out(struct prefixes *out, const struct prefix *whole, const struct edge *holes, size_t n)
{
	struct prefix half = {.addr = whole->addr, .len = whole->len + 1};
	size_t lower = 0;

	if (!n)
		prefixes_add(out, whole);
	if (!n || holes[0].prefix.len <= whole->len)
		return;
	while (lower < n && prefix_covers(&half, &holes[lower].prefix))
		lower++;
	if (prefix_is_v4(&half) == prefix_is_v4(whole)) /* IPv4 is no part of ::/0 */
		prefixes_cut_out(out, &half, holes, lower);
	half.addr.b[whole->len / 8] |= (uint8_t)(0x80 >> whole->len % 8);
	if (prefix_is_v4(&half) == prefix_is_v4(whole))
		prefixes_cut_out(out, &half, holes + lower, n - lower);
}

/* A stack of the operations around the one at hand that nothing later overrules. */
static size_t find_edges(const struct prefix_op *ops, size_t n, struct prefix_op *adds, struct edge *holes,
			 size_t *n_holes)
{
	struct {
		const struct prefix_op *op;
		size_t add; /* index in @adds of the addition that it is in */
	} stack[129];
	size_t depth = 0, n_adds = 0;

	*n_holes = 0;
	for (size_t i = 0; i < n; i++) {
		bool inside;

		while (depth && !prefix_covers(&stack[depth - 1].op->prefix, &ops[i].prefix))
			depth--;
		if (depth && stack[depth - 1].op->number > ops[i].number)
			continue;
		inside = depth && !stack[depth - 1].op->remove;
		if (inside && ops[i].remove)
			holes[(*n_holes)++] = (struct edge){ops[i].prefix, stack[depth - 1].add};
		if (!inside && !ops[i].remove)
			adds[n_adds++] = ops[i];
		if (depth && !prefix_cmp(&stack[depth - 1].op->prefix, &ops[i].prefix))
			continue; /* the same twice */
		stack[depth].op = &ops[i];
		stack[depth].add = inside && !ops[i].remove ? stack[depth - 1].add : n_adds - 1;
		depth++;
	}
	return n_adds;
}

void prefixes_apply(struct prefixes *out, struct prefix_op *ops, size_t n)
{
	struct prefix_op *adds = mem_alloc(n, sizeof(*adds));
	struct edge *holes = mem_alloc(n, sizeof(*holes));
	size_t n_adds, n_holes, at = 0;

	if (n)
		qsort(ops, n, sizeof(*ops), by_nesting);
	n_adds = find_edges(ops, n, adds, holes, &n_holes);
	if (n_holes)
		qsort(holes, n_holes, sizeof(*holes), by_around);
	for (size_t i = 0; i < n_adds; i++) {
		size_t from = at;

		while (at < n_holes && holes[at].around == i)
			at++;
		prefixes_cut_out(out, &adds[i].prefix, holes + from, at - from);
	}
	free(adds);
	free(holes);
}

/* ---- asking ----------------------------------------------------------------------------- */

/* Index of the first prefix that sorts behind @p. */
static size_t upper_bound(const struct prefixes *s, const struct prefix *p)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (prefixes_by_family(&s->v[mid], p) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int prefixes_cmp(const struct prefix *a, const struct prefix *b, size_t n)
{
	int order = 0;

	for (size_t i = 0; i < n && !order; i++)
		order = prefix_cmp(&a[i], &b[i]);
	return order;
}

bool prefixes_overlap(const struct prefixes *s, const struct prefix *p)
{
	size_t next = upper_bound(s, p);

	return (next && prefix_covers(&s->v[next - 1], p)) || (next < s->n && prefix_covers(p, &s->v[next]));
}

bool prefixes_cover(const struct prefixes *s, const struct prefix *p)
{
	size_t next = upper_bound(s, p);

	return next && prefix_covers(&s->v[next - 1], p);
}
