/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The difference of two policies by what they allow. Clients with the same class
 * before and the same class after share their differences; each difference is
 * computed once, prefix by prefix, and given a name for those it is about by
 * diff_names.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "diff_names.h"

#define CLASS_BITS 32
#define DEPTH_MAX 260 /* prefixes around one another */

struct move { /* a client's class before and after */
	uint32_t before, after, client;
};

struct level { /* a prefix with what changes there, while its inside is looked at */
	struct prefix prefix;
	struct ports gained, lost;
};

struct differ {
	const struct reach *old, *new;
	struct delta *deltas;
	size_t n_deltas;
	struct level stack[DEPTH_MAX];
	size_t depth;
};

/* ---- ranges ------------------------------------------------------------------------ */

static void add_range(struct ports *out, uint8_t proto, int first, int last)
{
	struct acl_rule r = {
		.first = (uint16_t)first, .last = (uint16_t)last, .proto = proto, .verdict = VERDICT_ACCEPT};

	if (first <= last)
		ports_overlay(out, &r);
}

/* Appends what @a accepts and the list does not. */
static void add_missing(struct ports *out, const struct acl_rule *a, const struct acl_rule *v, size_t n)
{
	int next = a->first;

	for (size_t i = 0; i < n; i++) {
		if (v[i].proto != a->proto || v[i].verdict != VERDICT_ACCEPT || v[i].last < next ||
		    v[i].first > a->last)
			continue;
		add_range(out, a->proto, next, v[i].first - 1);
		next = v[i].last + 1;
	}
	add_range(out, a->proto, next, a->last);
}

static bool is_icmp(const struct acl_rule *r)
{
	return r->proto == IPPROTO_ICMP || r->proto == IPPROTO_ICMPV6;
}

/* ICMP comes with every accept: it is worth a word only where nothing else changes. */
static void drop_icmp(struct ports *l)
{
	size_t kept = 0, others = 0;

	for (size_t i = 0; i < l->n; i++)
		others += !is_icmp(&l->v[i]);
	for (size_t i = 0; i < l->n; i++)
		if (!others || !is_icmp(&l->v[i]))
			l->v[kept++] = l->v[i];
	l->n = kept;
}

/* What @a accepts beyond @b at their prefix. An entry is NULL where there is none. */
static struct ports beyond(const struct tables *ta, const struct tables_entry *a, const struct tables *tb,
			   const struct tables_entry *b)
{
	struct ports out = { 0 };

	for (size_t i = 0; a && i < a->value.count; i++) {
		const struct acl_rule *r = &ta->rules[a->value.first + i];

		if (r->verdict == VERDICT_ACCEPT)
			add_missing(&out, r, b ? tb->rules + b->value.first : NULL, b ? b->value.count : 0);
	}
	ports_join(&out);
	drop_icmp(&out);
	return out;
}

static bool same_ports(const struct ports *a, const struct ports *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

/* ---- prefixes ------------------------------------------------------------------------- */

static struct prefix entry_prefix(const struct tables_entry *e)
{
	return (struct prefix){ .addr = e->key.dst, .len = e->key.prefixlen - CLASS_BITS };
}

/* Index of the class's first entry. */
static size_t class_begin(const struct tables *t, uint32_t class)
{
	size_t low = 0, high = t->n_entries;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ntohl(t->entries[mid].key.class) < class)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void add_prefixes(struct prefixes *out, const struct tables *t, uint32_t class)
{
	for (size_t i = class_begin(t, class); i < t->n_entries && ntohl(t->entries[i].key.class) == class; i++) {
		struct prefix p = entry_prefix(&t->entries[i]);

		prefixes_add(out, &p);
	}
}

static void add_delta(struct differ *x, bool gains, const struct level *l, const struct move *moves, size_t n)
{
	const struct ports *ports = gains ? &l->gained : &l->lost;
	struct delta *d;

	if (!ports->n)
		return;
	x->deltas = mem_grow(x->deltas, x->n_deltas, sizeof(*x->deltas));
	d = &x->deltas[x->n_deltas++];
	*d = (struct delta){ .gains = gains, .dst = l->prefix, .n_clients = n };
	ports_copy(&d->ports, ports);
	d->clients = mem_alloc(n, sizeof(*d->clients));
	for (size_t i = 0; i < n; i++)
		d->clients[i] = moves[i].client;
}

static void pop(struct differ *x)
{
	struct level *l = &x->stack[--x->depth];

	ports_free(&l->gained);
	ports_free(&l->lost);
}

static void compare_at(struct differ *x, const struct prefix *p, const struct move *moves, size_t n)
{
	const struct tables_entry *before = tables_around(x->old->t, moves->before, p);
	const struct tables_entry *after = tables_around(x->new->t, moves->after, p);
	const struct level *around;
	struct level *l;

	while (x->depth && !prefix_covers(&x->stack[x->depth - 1].prefix, p))
		pop(x);
	around = x->depth ? &x->stack[x->depth - 1] : NULL;
	l = &x->stack[x->depth++];
	*l = (struct level){ .prefix = *p, .gained = beyond(x->new->t, after, x->old->t, before),
			     .lost = beyond(x->old->t, before, x->new->t, after) };
	if (!around || !same_ports(&l->gained, &around->gained))
		add_delta(x, true, l, moves, n);
	if (!around || !same_ports(&l->lost, &around->lost))
		add_delta(x, false, l, moves, n);
}

static int by_family(const void *pa, const void *pb)
{
	const struct prefix *a = pa, *b = pb;
	int family = prefix_is_v4(a) - prefix_is_v4(b);

	return family ? family : prefix_cmp(a, b);
}

/* The @n clients that move from one class to another together. */
static void compare_classes(struct differ *x, const struct move *moves, size_t n)
{
	struct prefixes all = { 0 };

	add_prefixes(&all, x->old->t, moves->before);
	add_prefixes(&all, x->new->t, moves->after);
	prefixes_sort(&all);
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_family);
	for (size_t i = 0; i < all.n; i++)
		compare_at(x, &all.v[i], moves, n);
	while (x->depth)
		pop(x);
	prefixes_free(&all);
}

static int by_move(const void *pa, const void *pb)
{
	return memcmp(pa, pb, sizeof(struct move)); /* any order will do that brings equal ones together */
}

static void compare_all(struct differ *x)
{
	size_t n = x->old->inv->n_nodes;
	struct move *moves = mem_alloc(n, sizeof(*moves));

	for (size_t i = 0; i < n; i++)
		moves[i] = (struct move){ x->old->t->class_of[i], x->new->t->class_of[i], (uint32_t)i };
	qsort(moves, n, sizeof(*moves), by_move);
	for (size_t i = 0, group; i < n; i += group) {
		for (group = 1; i + group < n && moves[i].before == moves[i + group].before &&
				moves[i].after == moves[i + group].after;)
			group++;
		compare_classes(x, &moves[i], group);
	}
	free(moves);
}

void policy_diff(struct policy_diff *diff, const struct reach *old, const struct reach *new)
{
	struct differ *x = mem_alloc(1, sizeof(*x));

	x->old = old;
	x->new = new;
	compare_all(x);
	*diff = (struct policy_diff){ 0 };
	name_deltas(diff, x->deltas, x->n_deltas, old, new);
	free(x->deltas);
	free(x);
}

void policy_diff_free(struct policy_diff *diff)
{
	for (size_t i = 0; i < diff->n; i++) {
		free(diff->v[i].who);
		prefixes_free(&diff->v[i].dst);
		ports_free(&diff->v[i].ports);
		free(diff->v[i].clients);
	}
	free(diff->v);
	*diff = (struct policy_diff){ 0 };
}
