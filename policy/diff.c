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

#define DEPTH_MAX 260 /* prefixes around one another */

struct move { /* a client's class before and after */
	uint32_t before, after, client;
};

#define NO_DELTA SIZE_MAX

struct side { /* what is gained or lost at a prefix, and the delta that tells it: of the prefix, or of one around it */
	struct ports ports;
	size_t delta;
};

struct level { /* a prefix with what changes there, while its inside is looked at */
	struct prefix prefix;
	struct side gained, lost;
};

struct differ {
	const struct reach *old, *new;
	struct delta *deltas;
	size_t n_deltas;
	struct level stack[DEPTH_MAX];
	size_t depth;
	struct budget *budget;
};

/* ---- ranges ------------------------------------------------------------------------ */

static void add_missing_range(struct ports *out, uint8_t proto, int first, int last)
{
	if (first > last)
		return;
	out->v = mem_grow(out->v, out->n, sizeof(*out->v));
	out->v[out->n++] = (struct acl_rule){
		.first = (uint16_t)first, .last = (uint16_t)last, .proto = proto, .verdict = VERDICT_ACCEPT};
}

static bool ends_before(const struct acl_rule *r, const struct acl_rule *a, int port)
{
	return r->proto < a->proto || (r->proto == a->proto && r->last < port);
}

/* Appends what @a accepts and the list, from *i on, does not. Both are sorted: *i moves on with them. */
static void add_missing(struct ports *out, const struct acl_rule *a, const struct acl_rule *v, size_t n, size_t *i)
{
	int next = a->first;

	while (*i < n && ends_before(&v[*i], a, next))
		++*i;
	for (size_t k = *i; k < n && v[k].proto == a->proto && v[k].first <= a->last; k++) {
		if (v[k].verdict != VERDICT_ACCEPT)
			continue;
		add_missing_range(out, a->proto, next, v[k].first - 1);
		next = v[k].last + 1;
	}
	add_missing_range(out, a->proto, next, a->last);
}

static bool diff_is_icmp(const struct acl_rule *r)
{
	return r->proto == IPPROTO_ICMP || r->proto == IPPROTO_ICMPV6;
}

/* ICMP comes with every accept: it is worth a word only where nothing else changes. */
static void drop_icmp(struct ports *l)
{
	size_t kept = 0, others = 0;

	for (size_t i = 0; i < l->n; i++)
		others += !diff_is_icmp(&l->v[i]);
	for (size_t i = 0; i < l->n; i++)
		if (!others || !diff_is_icmp(&l->v[i]))
			l->v[kept++] = l->v[i];
	l->n = kept;
}

/* What @a accepts beyond @b at their prefix. An entry is NULL where there is none. */
static struct ports beyond(const struct tables *ta, const struct tables_entry *a, const struct tables *tb,
			   const struct tables_entry *b)
{
	struct ports out = {0};
	size_t at = 0;

	for (size_t i = 0; a && i < a->value.count; i++) {
		const struct acl_rule *r = &ta->rules[a->value.first + i];

		if (r->verdict == VERDICT_ACCEPT)
			add_missing(&out, r, b ? tb->rules + b->value.first : NULL, b ? b->value.count : 0, &at);
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
		struct prefix p = tables_prefix(&t->entries[i]);

		prefixes_add(out, &p);
	}
}

/* Index of a new delta; NO_DELTA where there is nothing to tell. */
static size_t add_delta(struct differ *x, bool gains, const struct prefix *p, const struct ports *ports,
			const struct move *moves, size_t n)
{
	struct delta *d;
	size_t size = sizeof(*d) + n * sizeof(*d->clients) + ports->n * sizeof(*ports->v);

	if (!ports->n || !budget_hold(x->budget, 1, size))
		return NO_DELTA;
	x->deltas = mem_grow(x->deltas, x->n_deltas, sizeof(*x->deltas));
	d = &x->deltas[x->n_deltas];
	*d = (struct delta){.gains = gains, .dst = *p, .n_clients = n};
	ports_copy(&d->ports, ports);
	d->clients = mem_alloc(n, sizeof(*d->clients));
	for (size_t i = 0; i < n; i++)
		d->clients[i] = moves[i].client;
	return x->n_deltas++;
}

static void pop(struct differ *x)
{
	struct level *l = &x->stack[--x->depth];

	ports_free(&l->gained.ports);
	ports_free(&l->lost.ports);
}

/* What is another thing than around it has a delta of its own, and is an exception of the one around. */
static void diff_settle(struct differ *x, bool gains, const struct prefix *p, struct side *s, const struct side *around,
			const struct move *moves, size_t n)
{
	if (around && same_ports(&s->ports, &around->ports)) {
		s->delta = around->delta;
		return;
	}
	if (around && around->delta != NO_DELTA && budget_hold(x->budget, 1, sizeof(*p)))
		prefixes_add(&x->deltas[around->delta].except, p);
	s->delta = add_delta(x, gains, p, &s->ports, moves, n);
}

static void compare_at(struct differ *x, const struct prefix *p, const struct move *moves, size_t n)
{
	const struct tables_entry *before = tables_around(x->old->t, moves->before, p);
	const struct tables_entry *after = tables_around(x->new->t, moves->after, p);
	const struct level *around;
	struct level *l;

	if (!budget_pay(x->budget, 32 + (before ? before->value.count : 0) + (after ? after->value.count : 0)))
		return;
	while (x->depth && !prefix_covers(&x->stack[x->depth - 1].prefix, p))
		pop(x);
	around = x->depth ? &x->stack[x->depth - 1] : NULL;
	l = &x->stack[x->depth++];
	*l = (struct level){.prefix = *p,
			    .gained = {beyond(x->new->t, after, x->old->t, before), NO_DELTA},
			    .lost = {beyond(x->old->t, before, x->new->t, after), NO_DELTA}};
	diff_settle(x, true, p, &l->gained, around ? &around->gained : NULL, moves, n);
	diff_settle(x, false, p, &l->lost, around ? &around->lost : NULL, moves, n);
}

static int diff_by_family(const void *pa, const void *pb)
{
	const struct prefix *a = pa, *b = pb;
	int family = prefix_is_v4(a) - prefix_is_v4(b);

	return family ? family : prefix_cmp(a, b);
}

/* The @n clients that move from one class to another together. */
static void compare_classes(struct differ *x, const struct move *moves, size_t n)
{
	struct prefixes all = {0};

	add_prefixes(&all, x->old->t, moves->before);
	add_prefixes(&all, x->new->t, moves->after);
	if (!budget_pay_sort(x->budget, all.n))
		all.n = 0;
	prefixes_sort(&all);
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), diff_by_family);
	for (size_t i = 0; i < all.n && !budget_is_spent(x->budget); i++)
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
		moves[i] = (struct move){x->old->t->class_of[i], x->new->t->class_of[i], (uint32_t)i};
	qsort(moves, n, sizeof(*moves), by_move);
	for (size_t i = 0, group; i < n && !budget_is_spent(x->budget); i += group) {
		for (group = 1; i + group < n && moves[i].before == moves[i + group].before &&
				moves[i].after == moves[i + group].after;)
			group++;
		compare_classes(x, &moves[i], group);
	}
	free(moves);
}

/* Exceptions all over a prefix leave nothing to tell of it. */
static void drop_empty(struct differ *x)
{
	size_t kept = 0;

	for (size_t i = 0; i < x->n_deltas; i++) {
		struct delta *d = &x->deltas[i];

		prefixes_merge(&d->except);
		if (!prefixes_cover(&d->except, &d->dst)) {
			x->deltas[kept++] = *d;
			continue;
		}
		prefixes_free(&d->except);
		ports_free(&d->ports);
		free(d->clients);
	}
	x->n_deltas = kept;
}

bool policy_change_has(const struct policy_change *c, const struct addr *dst)
{
	struct prefix p = {*dst, 128};
	bool found = false;

	for (size_t i = 0; i < c->dst.n && !found; i++)
		found = prefix_covers(&c->dst.v[i], &p);
	return found && !prefixes_overlap(&c->except, &p);
}

void policy_diff(struct policy_diff *diff, const struct reach *old, const struct reach *new, struct budget *budget)
{
	struct differ *x = mem_alloc(1, sizeof(*x));

	x->old = old;
	x->new = new;
	x->budget = budget;
	compare_all(x);
	drop_empty(x);
	*diff = (struct policy_diff){0};
	name_deltas(diff, x->deltas, x->n_deltas, old, new, budget);
	diff->cut = budget_is_spent(budget);
	free(x->deltas);
	free(x);
}

void policy_diff_free(struct policy_diff *diff)
{
	for (size_t i = 0; i < diff->n; i++) {
		free(diff->v[i].who);
		prefixes_free(&diff->v[i].dst);
		prefixes_free(&diff->v[i].except);
		ports_free(&diff->v[i].ports);
		free(diff->v[i].clients);
	}
	free(diff->v);
	*diff = (struct policy_diff){0};
}
