/* SPDX-License-Identifier: BSD-2-Clause */
/* Disjoint port ranges with verdicts, kept so while rules are laid over them. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ports.h"

static bool beats(const struct acl_rule *a, const struct acl_rule *b)
{
	if (a->verdict != b->verdict)
		return a->verdict == VERDICT_DENY;
	return a->id < b->id;
}

/* Index of the first range that ends at or behind @port of @proto. */
static size_t lower_bound(const struct acl_rule *v, size_t n, unsigned proto, unsigned port)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v[mid].proto < proto || (v[mid].proto == proto && v[mid].last < port))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct acl_rule *ports_find(const struct acl_rule *v, size_t n, __u8 proto, __u16 port)
{
	size_t i = lower_bound(v, n, proto, port);

	return i < n && v[i].proto == proto && v[i].first <= port ? &v[i] : NULL;
}

/* A piece of @like from @first to @last, when there is one. */
static void add_piece(struct ports *out, const struct acl_rule *like, int first, int last)
{
	struct acl_rule piece = *like;

	if (first > last)
		return;
	piece.first = (__u16)first;
	piece.last = (__u16)last;
	out->v = mem_grow(out->v, out->n, sizeof(*out->v));
	out->v[out->n++] = piece;
}

static void replace(struct ports *l, size_t from, size_t to, const struct ports *pieces)
{
	size_t n = l->n - (to - from) + pieces->n;

	for (size_t i = l->n; i < n; i++)
		l->v = mem_grow(l->v, i, sizeof(*l->v));
	memmove(l->v + from + pieces->n, l->v + to, (l->n - to) * sizeof(*l->v));
	memcpy(l->v + from, pieces->v, pieces->n * sizeof(*l->v));
	l->n = n;
}

void ports_overlay(struct ports *l, const struct acl_rule *r)
{
	size_t from = lower_bound(l->v, l->n, r->proto, r->first), to;
	struct ports pieces = { 0 };
	int next = r->first; /* ports of @r in front of it are dealt with */

	for (to = from; to < l->n && l->v[to].proto == r->proto && l->v[to].first <= r->last; to++) {
		const struct acl_rule *e = &l->v[to];

		if (!beats(r, e)) {
			add_piece(&pieces, r, next, e->first - 1);
			add_piece(&pieces, e, e->first, e->last);
			next = e->last + 1;
			continue;
		}
		add_piece(&pieces, e, e->first, next - 1);
		if (e->last <= r->last)
			continue;
		add_piece(&pieces, r, next, r->last);
		add_piece(&pieces, e, r->last + 1, e->last);
		next = r->last + 1;
	}
	add_piece(&pieces, r, next, r->last);
	if (pieces.n)
		replace(l, from, to, &pieces);
	free(pieces.v);
}

void ports_join(struct ports *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct acl_rule *last = n ? &l->v[n - 1] : NULL;
		const struct acl_rule *e = &l->v[i];

		if (last && last->proto == e->proto && last->verdict == e->verdict && last->id == e->id &&
		    last->last + 1 == e->first)
			last->last = e->last;
		else
			l->v[n++] = *e;
	}
	l->n = n;
}

void ports_copy(struct ports *to, const struct ports *from)
{
	*to = (struct ports){ .n = from->n };
	for (size_t i = 0; i < from->n; i++)
		to->v = mem_grow(to->v, i, sizeof(*to->v));
	if (from->n)
		memcpy(to->v, from->v, from->n * sizeof(*to->v));
}

void ports_free(struct ports *l)
{
	free(l->v);
	*l = (struct ports){ 0 };
}
