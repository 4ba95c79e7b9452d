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
static size_t ports_lower_bound(const struct acl_rule *v, size_t n, unsigned proto, unsigned port)
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
	size_t i = ports_lower_bound(v, n, proto, port);

	return i < n && v[i].proto == proto && v[i].first <= port ? &v[i] : NULL;
}

const struct acl_rule *ports_next(const struct acl_rule *v, size_t n, __u8 proto, __u16 port)
{
	size_t i = ports_lower_bound(v, n, proto, port);

	while (i < n && v[i].proto == proto && v[i].first <= port)
		i++;
	return i < n && v[i].proto == proto ? &v[i] : NULL;
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
	size_t from = ports_lower_bound(l->v, l->n, r->proto, r->first), to;
	struct ports pieces = {0};
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

/* ---- many at once -------------------------------------------------------------------- */

static int ports_by_first(const void *pa, const void *pb)
{
	const struct acl_rule *a = pa, *b = pb;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	return (a->first > b->first) - (a->first < b->first);
}

struct open_ranges { /* a heap of those that have begun, the one that beats all others at its top */
	const struct acl_rule **v;
	size_t n;
};

static void open_push(struct open_ranges *h, const struct acl_rule *r)
{
	size_t i = h->n++;

	for (; i && beats(r, h->v[(i - 1) / 2]); i = (i - 1) / 2)
		h->v[i] = h->v[(i - 1) / 2];
	h->v[i] = r;
}

static void open_pop(struct open_ranges *h)
{
	const struct acl_rule *last = h->v[--h->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && beats(h->v[child + 1], h->v[child]))
			child++;
		if (!beats(h->v[child], last))
			break;
		h->v[i] = h->v[child];
		i = child;
	}
	if (h->n)
		h->v[i] = last;
}

/* Appends, joined to its neighbour where both say the same. */
static void append_joined(struct ports *out, const struct acl_rule *like, int first, int last)
{
	struct acl_rule *before = out->n ? &out->v[out->n - 1] : NULL;

	if (before && before->proto == like->proto && before->verdict == like->verdict && before->id == like->id &&
	    before->last + 1 == first)
		before->last = (__u16)last;
	else
		add_piece(out, like, first, last);
}

/* What decides from port to port: the best of all ranges that are open there. */
static void sweep_proto(struct ports *out, const struct acl_rule *const *v, size_t n, struct open_ranges *open)
{
	int port = 0;

	for (size_t next = 0; next < n || open->n;) {
		int end;

		while (next < n && (!open->n || v[next]->first <= port)) {
			port = open->n ? port : v[next]->first;
			open_push(open, v[next++]);
		}
		if (open->v[0]->last < port) {
			open_pop(open);
			continue;
		}
		end = open->v[0]->last;
		if (next < n && v[next]->first <= end)
			end = v[next]->first - 1;
		append_joined(out, open->v[0], port, end);
		port = end + 1;
	}
}

void ports_lay(struct ports *out, const struct acl_rule *around, size_t n_around, struct acl_rule *v, size_t n)
{
	const struct acl_rule **all = mem_alloc(n + n_around, sizeof(*all));
	struct open_ranges open = {.v = mem_alloc(n + n_around, sizeof(*open.v))};
	size_t total = 0;

	if (n)
		qsort(v, n, sizeof(*v), ports_by_first);
	for (size_t i = 0, k = 0; i < n || k < n_around;)
		all[total++] =
			k == n_around || (i < n && ports_by_first(&v[i], &around[k]) < 0) ? &v[i++] : &around[k++];
	for (size_t from = 0, to; from < total; from = to) {
		for (to = from + 1; to < total && all[to]->proto == all[from]->proto;)
			to++;
		sweep_proto(out, all + from, to - from, &open);
	}
	free(all);
	free(open.v);
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
	*to = (struct ports){.n = from->n};
	for (size_t i = 0; i < from->n; i++)
		to->v = mem_grow(to->v, i, sizeof(*to->v));
	if (from->n)
		memcpy(to->v, from->v, from->n * sizeof(*to->v));
}

void ports_free(struct ports *l)
{
	free(l->v);
	*l = (struct ports){0};
}
