/* SPDX-License-Identifier: BSD-2-Clause */
/* What may stand once in an inventory: of two with one name or address every answer would be about one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inventory_read.h"

struct named {
	const char *name;
	size_t index;
};

static int inventory_unique_by_text(const void *pa, const void *pb)
{
	const struct named *a = pa, *b = pb;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->index > b->index) - (a->index < b->index);
}

void inventory_check_users(const struct inventory *inv, const struct doc_node *list, struct diags *d)
{
	struct named *v = mem_alloc(inv->n_users, sizeof(*v));

	for (size_t i = 0; i < inv->n_users; i++)
		v[i] = (struct named){inv->users[i].name, i};
	qsort(v, inv->n_users, sizeof(*v), inventory_unique_by_text);
	for (size_t i = 1; i < inv->n_users; i++)
		if (!strcmp(v[i - 1].name, v[i].name))
			diag_error(d, list->at, "users: \"%s\" is there twice", v[i].name);
	free(v);
}

/* Nodes that are shared with a tailnet may be called as its own are: the later ones get their id behind it. */
static void inventory_unique_tell_apart(struct inventory *inv, const struct inventory_origins *o,
					const struct named *first, const struct named *other, struct diags *d)
{
	struct inventory_node *node = &inv->nodes[other->index];
	const struct inventory_origin *at = &o->v[other->index];
	char *name;

	if (!at->id || !*at->id) {
		diag_error(d, at->at, "nodes: \"%s\" is there twice, first on line %u", first->name,
			   o->v[first->index].at.line);
		return;
	}
	name = mem_printf("%s#%s", first->name, at->id);
	node->name = arena_strndup(&inv->mem, name, strlen(name));
	free(name);
}

static void inventory_unique_check_names(struct inventory *inv, const struct inventory_origins *o, struct diags *d)
{
	struct named *v = mem_alloc(inv->n_nodes, sizeof(*v));
	size_t first = 0;

	for (size_t i = 0; i < inv->n_nodes; i++)
		v[i] = (struct named){inv->nodes[i].name, i};
	qsort(v, inv->n_nodes, sizeof(*v), inventory_unique_by_text);
	for (size_t i = 1; i < inv->n_nodes; i++)
		if (strcmp(v[first].name, v[i].name))
			first = i;
		else
			inventory_unique_tell_apart(inv, o, &v[first], &v[i], d);
	free(v);
}

struct placed {
	struct prefix prefix;
	size_t node;
};

static int inventory_unique_by_prefix(const void *pa, const void *pb)
{
	const struct placed *a = pa, *b = pb;
	int order = prefix_is_v4(&a->prefix) - prefix_is_v4(&b->prefix);

	if (!order)
		order = prefix_cmp(&a->prefix, &b->prefix);
	return order ? order : (a->node > b->node) - (a->node < b->node);
}

void inventory_check_nodes(struct inventory *inv, const struct inventory_origins *o, struct diags *d)
{
	struct placed *v = NULL;
	size_t n = 0, around = 0;
	char buf[ADDR_STRLEN];

	inventory_unique_check_names(inv, o, d);
	for (size_t i = 0; i < inv->n_nodes; i++)
		for (size_t k = 0; k < inv->nodes[i].addrs.n; k++) {
			v = mem_grow(v, n, sizeof(*v));
			v[n++] = (struct placed){inv->nodes[i].addrs.v[k], i};
		}
	if (n)
		qsort(v, n, sizeof(*v), inventory_unique_by_prefix);
	for (size_t i = 1; i < n; i++) {
		size_t later = v[i].node > v[around].node ? v[i].node : v[around].node;

		if (prefix_covers(&v[around].prefix, &v[i].prefix))
			diag_error(d, o->v[later].at, "nodes: %s is an address of \"%s\" and of \"%s\"",
				   prefix_str(&v[i].prefix, buf), inv->nodes[v[around].node].name,
				   inv->nodes[v[i].node].name);
		else
			around = i;
	}
	free(v);
}
