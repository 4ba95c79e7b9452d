/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients with two addresses of one family of which a rule names one. A client is one to the programs, whatever
 * address it sends from: an accept holds where it names all of a family, a deny where it names any (classes.c).
 */
#include <stdlib.h>

#include "check_private.h"

struct split { /* of a client's addresses of one family */
	uint32_t has, named;
};

struct dividing {
	const struct checker *c;
	struct split *of; /* two for each node: IPv6, IPv4 */
	uint32_t *touched;
	size_t n_touched;
	bool v4; /* of the source at hand */
};

static void name_address(uint32_t node, void *arg)
{
	struct dividing *x = arg;
	struct split *s = &x->of[2 * node + x->v4];

	if (s->has > 1 && !s->named++)
		x->touched[x->n_touched++] = 2 * node + x->v4;
}

static void name_sources(struct dividing *x, const struct filter_rule *r)
{
	struct prefixes set = {0};

	prefixes_add_all(&set, r->src, r->n_src);
	prefixes_merge(&set);
	for (size_t i = 0; i < set.n && budget_pay(x->c->budget, 8); i++) {
		struct policy_sel sel = {.kind = SEL_PREFIX, .prefix = set.v[i]};

		x->v4 = prefix_is_v4(&set.v[i]);
		resolve_each_node(x->c->r, &sel, name_address, x);
	}
	prefixes_free(&set);
}

static void report_divided(const struct dividing *x, const struct filter_rule *r, size_t n, uint32_t first)
{
	const struct inventory_node *node = &x->c->inv->nodes[first / 2];
	const struct split *s = &x->of[first];
	char *more = n > 1 ? mem_printf(", and of %zu more", n - 1) : mem_strdup("");

	diag_warning(x->c->d, (struct diag_at){.file = r->file, .line = r->line, .column = r->column},
		     "its sources have %u of the %u %s addresses of %s%s: %s", s->named, s->has,
		     first % 2 ? "IPv4" : "IPv6", node->name, more,
		     r->verdict == FILTER_DENY
			     ? "a deny holds for all of them"
			     : "an accept must name all of them, so it does not hold for that client");
	free(more);
}

static void check_sources_of(struct dividing *x, const struct filter_rule *r)
{
	uint32_t first = UINT32_MAX;
	size_t n = 0;

	x->n_touched = 0;
	name_sources(x, r);
	for (size_t i = 0; i < x->n_touched; i++) {
		const struct split *s = &x->of[x->touched[i]];

		if (s->named >= s->has)
			continue;
		n++;
		first = x->touched[i] < first ? x->touched[i] : first;
	}
	if (n && !budget_is_spent(x->c->budget))
		report_divided(x, r, n, first);
	for (size_t i = 0; i < x->n_touched; i++)
		x->of[x->touched[i]].named = 0;
}

void check_divided(const struct checker *c, const struct filter *f)
{
	struct dividing x = {.c = c,
			     .of = mem_alloc(2 * c->inv->n_nodes, sizeof(*x.of)),
			     .touched = mem_alloc(2 * c->inv->n_nodes, sizeof(*x.touched))};
	const struct filter_rule *last = NULL;
	bool several = false;

	for (size_t i = 0; i < c->inv->n_nodes; i++)
		for (size_t k = 0; k < c->inv->nodes[i].addrs.n; k++)
			several |= ++x.of[2 * i + prefix_is_v4(&c->inv->nodes[i].addrs.v[k])].has > 1;
	for (size_t i = 0; i < f->n && several && budget_pay(c->budget, 1); i++) {
		budget_at(c->budget, (struct diag_at){f->rules[i].file, f->rules[i].line, f->rules[i].column});
		if (!last || f->rules[i].src != last->src || f->rules[i].id != last->id)
			check_sources_of(&x, &f->rules[i]);
		last = &f->rules[i];
	}
	free(x.of);
	free(x.touched);
}
