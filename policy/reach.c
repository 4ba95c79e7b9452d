/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy worked out for an inventory, and the words of people for what is in it. */
#include <stdlib.h>
#include <string.h>

#include "policy_parse.h"
#include "reach.h"

bool reach_build(struct reach *x, const struct policy *p, const struct inventory *inv,
		 const struct inventory_node *node, const struct tables_limits *limits, struct diags *d)
{
	struct budget *budget = limits ? limits->budget : NULL;

	*x = (struct reach){.p = p, .inv = inv, .r = resolver_new(p, inv, budget)};
	x->f = policy_compile(x->r, p, node, POLICY_DENY_ALL);
	resolver_set_budget(x->r, NULL);
	x->clients = mem_alloc(inv->n_nodes, sizeof(*x->clients));
	for (size_t i = 0; i < inv->n_nodes; i++)
		x->clients[i] = (struct tables_client){inv->nodes[i].addrs.v, inv->nodes[i].addrs.n};
	x->t = tables_build(x->f, x->clients, inv->n_nodes, limits, d);
	if (x->t)
		return true;
	reach_free(x);
	return false;
}

void reach_free(struct reach *x)
{
	tables_free(x->t);
	filter_free(x->f);
	resolver_free(x->r);
	free(x->clients);
	*x = (struct reach){0};
}

/* The word as a selector of the policy, in memory of its own: @p is not changed. */
static bool resolve_word(const struct reach *x, const char *word, bool dst, struct prefixes *out, struct diags *d)
{
	struct policy scratch = *x->p;
	struct parser parser = {.p = &scratch, .d = d};
	struct validator *v;
	struct policy_sel sel;
	bool known;

	scratch.mem = (struct arena){0};
	v = validator_new(&parser);
	known = parse_selector(&parser, dst ? "dst" : "src", word, strlen(word), (struct diag_at){0}, &sel) &&
		validator_check(v, &sel, dst ? STANDS_DST : STANDS_SRC);
	if (known && dst)
		resolve_dst(x->r, &sel, out);
	else if (known)
		resolve_src(x->r, &sel, out);
	validator_free(v);
	arena_free(&scratch.mem);
	return known;
}

static bool names_host(const struct policy *p, const char *word)
{
	return policy_host_named(p, word, strlen(word));
}

bool reach_lookup(const struct reach *x, const char *word, bool dst, struct prefixes *out, struct diags *d)
{
	size_t node = inventory_find(x->inv, word), before = out->n;

	if (node != SIZE_MAX && !(dst && names_host(x->p, word))) {
		prefixes_add_all(out, x->inv->nodes[node].addrs.v, x->inv->nodes[node].addrs.n);
		return true;
	}
	if (!resolve_word(x, word, dst, out, d))
		return false;
	if (out->n == before)
		diag_error(d, (struct diag_at){0}, "\"%s\": nobody has this address", word);
	return out->n > before;
}
