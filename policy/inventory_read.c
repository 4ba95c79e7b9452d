/* SPDX-License-Identifier: BSD-2-Clause */
/* A file of users and nodes. */
#include <stdlib.h>
#include <string.h>

#include "inventory_read.h"

const struct doc_node *inventory_list(const struct doc_node *map, const char *key, struct diags *d)
{
	const struct doc_node *n = doc_get(map, key);
	char found[80];

	if (!n || n->kind == DOC_NULL || n->kind == DOC_LIST)
		return n && n->kind == DOC_LIST ? n : NULL;
	diag_error(d, n->at, "%s: found %s, expected a list", key, doc_found(n, found, sizeof(found)));
	return NULL;
}

void inventory_prefixes(const struct doc_node *map, const char *key, struct prefixes *out, struct diags *d)
{
	const struct doc_node *list = inventory_list(map, key, d);
	struct prefix p;
	const char *text;

	for (size_t i = 0; list && i < list->n; i++) {
		if (!doc_string(&list->items[i], key, &text, d))
			continue;
		if (prefix_parse(text, strlen(text), &p, NULL))
			prefixes_add(out, &p);
		else
			diag_error(d, list->items[i].at, "%s: found \"%s\", expected an address or a CIDR", key, text);
	}
}

static bool inventory_read_name(const struct doc_node *map, const char *what, const char **out, struct diags *d)
{
	const struct doc_node *n = doc_get(map, "name");

	if (map->kind == DOC_MAP && n)
		return doc_string(n, what, out, d);
	diag_error(d, map->at, "%s: \"name\" is missing", what);
	return false;
}

static void read_user(struct inventory *inv, const struct doc_node *map, struct diags *d)
{
	static const char *const known[] = {"name", "roles", NULL};
	const struct doc_node *roles = inventory_list(map, "roles", d);
	struct inventory_user *u;
	const char *text;

	doc_only_keys(map, "users", known, d);
	if (!inventory_read_name(map, "users", &text, d))
		return;
	u = inventory_add_user(inv, text);
	for (size_t i = 0; roles && i < roles->n; i++)
		if (doc_string(&roles->items[i], "roles", &text, d))
			inventory_add_role(inv, u, text);
}

static void inventory_read_node(struct inventory *inv, const struct doc_node *map, struct inventory_origins *origins,
				struct diags *d)
{
	static const char *const known[] = {"name", "user", "tags", "addresses", "routes", "approved", NULL};
	const struct doc_node *user = doc_get(map, "user"), *tags = inventory_list(map, "tags", d);
	struct inventory_node *node;
	const char *text;

	doc_only_keys(map, "nodes", known, d);
	if (!inventory_read_name(map, "nodes", &text, d))
		return;
	node = inventory_add_node(inv, text);
	inventory_came_from(origins, map, NULL);
	if (user && user->kind != DOC_NULL && doc_string(user, "user", &text, d))
		inventory_set_user(inv, node, text);
	for (size_t i = 0; tags && i < tags->n; i++)
		if (doc_string(&tags->items[i], "tags", &text, d))
			inventory_add_tag(inv, node, text);
	if (!node->user == !node->n_tags)
		diag_error(d, map->at, "nodes: \"%s\": expected either \"user\" or \"tags\"", node->name);
	inventory_prefixes(map, "addresses", &node->addrs, d);
	inventory_prefixes(map, "routes", &node->routable, d);
	inventory_prefixes(map, "approved", &node->approved, d);
}

void inventory_came_from(struct inventory_origins *o, const struct doc_node *map, const char *id)
{
	o->v = mem_grow(o->v, o->n, sizeof(*o->v));
	o->v[o->n++] = (struct inventory_origin){map->at, id};
}

static void read_lists(struct inventory *inv, const struct doc *doc, struct inventory_origins *origins, struct diags *d)
{
	static const char *const known[] = {"tailnet", "users", "nodes", NULL};
	const struct doc_node *users, *nodes, *tailnet = doc_get(&doc->root, "tailnet");

	if (!doc_is_visible(&doc->root, d))
		return;
	users = inventory_list(&doc->root, "users", d);
	nodes = inventory_list(&doc->root, "nodes", d);
	if (doc->root.kind != DOC_MAP)
		diag_error(d, doc->root.at, "inventory: expected a map with \"users\" and \"nodes\"");
	doc_only_keys(&doc->root, "inventory", known, d);
	if (tailnet)
		doc_bool(tailnet, "tailnet", &inv->tailnet, d);
	for (size_t i = 0; users && i < users->n; i++)
		read_user(inv, &users->items[i], d);
	for (size_t i = 0; nodes && i < nodes->n; i++)
		inventory_read_node(inv, &nodes->items[i], origins, d);
	inventory_check_users(inv, users, d);
}

bool inventory_read(struct inventory *inv, const struct doc *doc, struct diags *d)
{
	struct inventory_origins origins = {0};
	size_t errors = d->errors;

	if (inventory_is_netmap(&doc->root))
		inventory_read_netmap(inv, &doc->root, &origins, d);
	else
		read_lists(inv, doc, &origins, d);
	inventory_check_nodes(inv, &origins, d);
	free(origins.v);
	return d->errors == errors;
}
