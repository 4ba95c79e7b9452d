/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules whose sources are peers that hold a capability (netmap.h): who that is
 * follows from the peers, so it is found out again whenever they or the rules change.
 * By one pass over the peers, whatever the number of rules.
 */
#include <stdlib.h>
#include <string.h>

#include "netmap.h"
#include "policy/alloc.h"

/* A capability and one of the rules that it is a source of. */
struct named {
	struct capability cap; /* first: it is compared as one */
	size_t order;	       /* of the rule, among all of them */
	struct filter_rule *rule;
};

struct index {
	struct named *v; /* sorted */
	size_t n, rules;
	size_t *last; /* by rule: 1 + the peer that was added last */
};

static size_t capabilities_named(const struct netmap *m, size_t *rules)
{
	size_t n = 0;

	*rules = 0;
	for (size_t i = 0; i < m->n_filters; i++) {
		*rules += m->filters[i].n_by_cap;
		for (size_t k = 0; k < m->filters[i].n_by_cap; k++)
			n += m->filters[i].by_cap[k].caps.n;
	}
	return n;
}

static void index_rule(struct index *x, struct netmap_filter *f, const struct netmap_by_cap *by, size_t order)
{
	struct filter_rule *rule = &f->rules.rules[by->rule];

	rule->n_src = by->n_fixed;
	for (size_t i = 0; i < by->caps.n; i++)
		x->v[x->n++] = (struct named){by->caps.v[i], order, rule};
}

static struct index netmap_by_cap_index_rules(struct netmap *m)
{
	struct index x = {0};

	x.v = mem_alloc(capabilities_named(m, &x.rules) + 1, sizeof(*x.v));
	x.last = mem_alloc(x.rules + 1, sizeof(*x.last));
	for (size_t i = 0, order = 0; i < m->n_filters; i++)
		for (size_t k = 0; k < m->filters[i].n_by_cap; k++)
			index_rule(&x, &m->filters[i], &m->filters[i].by_cap[k], order++);
	if (x.n)
		qsort(x.v, x.n, sizeof(*x.v), capability_cmp);
	return x;
}

/* Its first place in the index, or where it would stand. */
static size_t first_of(const struct index *x, const struct capability *cap)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (capability_cmp(&x->v[middle].cap, cap) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_peer(struct filter_rule *rule, const struct tailnet_node *n)
{
	for (size_t i = 0; i < n->n_addresses; i++) {
		rule->src = mem_grow(rule->src, rule->n_src, sizeof(*rule->src));
		rule->src[rule->n_src++] = n->addresses[i];
	}
}

/* To every rule that names @cap, unless another capability has brought it there. Returns to how many. */
static size_t place_by(struct index *x, const struct capability *cap, const struct tailnet_node *n, size_t number)
{
	size_t rules = 0;

	for (size_t i = first_of(x, cap); i < x->n && !capability_cmp(&x->v[i].cap, cap); i++) {
		const struct named *named = &x->v[i];

		if (x->last[named->order] == number)
			continue;
		x->last[named->order] = number;
		add_peer(named->rule, n);
		rules++;
	}
	return rules;
}

/* Returns how many sources there are more. */
static size_t place_peer(struct index *x, const struct netmap_peer *p, size_t number)
{
	size_t rules = 0;

	for (size_t i = 0; i < p->caps.n; i++)
		rules += place_by(x, &p->caps.v[i], p->node, number);
	return rules * p->node->n_addresses;
}

bool netmap_expand(struct netmap *m)
{
	struct index x = netmap_by_cap_index_rules(m);
	bool any = x.rules;
	size_t sources = 0;

	m->n_unplaced = 0;
	for (size_t i = 0; i < m->n_peers && x.n; i++) {
		if (sources < NETMAP_BY_CAP_MAX)
			sources += place_peer(&x, &m->peers[i], i + 1);
		else
			m->n_unplaced += m->peers[i].caps.n != 0;
	}
	free(x.v);
	free(x.last);
	return any;
}
