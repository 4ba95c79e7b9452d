/* SPDX-License-Identifier: BSD-2-Clause */
/* Users and nodes, as the policy compiler wants them. */
#include <stdlib.h>
#include <string.h>

#include "inventory_read.h"

struct inventory_user *inventory_add_user(struct inventory *inv, const char *name)
{
	struct inventory_user *u;

	inv->users = mem_grow(inv->users, inv->n_users, sizeof(*inv->users));
	u = &inv->users[inv->n_users++];
	*u = (struct inventory_user){.name = arena_strndup(&inv->mem, name, strlen(name))};
	return u;
}

void inventory_add_role(struct inventory *inv, struct inventory_user *u, const char *role)
{
	u->roles = mem_grow(u->roles, u->n_roles, sizeof(*u->roles));
	u->roles[u->n_roles++] = arena_strndup(&inv->mem, role, strlen(role));
}

struct inventory_node *inventory_add_node(struct inventory *inv, const char *name)
{
	struct inventory_node *node;

	inv->nodes = mem_grow(inv->nodes, inv->n_nodes, sizeof(*inv->nodes));
	node = &inv->nodes[inv->n_nodes++];
	*node = (struct inventory_node){.name = arena_strndup(&inv->mem, name, strlen(name))};
	return node;
}

void inventory_set_user(struct inventory *inv, struct inventory_node *node, const char *user)
{
	node->user = arena_strndup(&inv->mem, user, strlen(user));
}

void inventory_add_tag(struct inventory *inv, struct inventory_node *node, const char *tag)
{
	node->tags = mem_grow(node->tags, node->n_tags, sizeof(*node->tags));
	node->tags[node->n_tags++] = arena_strndup(&inv->mem, tag, strlen(tag));
}

void inventory_free(struct inventory *inv)
{
	for (size_t i = 0; i < inv->n_users; i++)
		free(inv->users[i].roles);
	for (size_t i = 0; i < inv->n_nodes; i++) {
		free(inv->nodes[i].tags);
		prefixes_free(&inv->nodes[i].addrs);
		prefixes_free(&inv->nodes[i].routable);
		prefixes_free(&inv->nodes[i].approved);
	}
	free(inv->users);
	free(inv->nodes);
	arena_free(&inv->mem);
	*inv = (struct inventory){0};
}

bool inventory_has_tag(const struct inventory_node *node, const char *tag)
{
	for (size_t i = 0; i < node->n_tags; i++)
		if (!strcmp(node->tags[i], tag))
			return true;
	return false;
}

bool inventory_is_default_route(const struct prefix *p)
{
	return p->len == 0 || (p->len == ADDR_V4_BITS && prefix_is_v4(p));
}

bool inventory_has_exit(const struct inventory_node *node)
{
	for (size_t i = 0; i < node->approved.n; i++)
		if (inventory_is_default_route(&node->approved.v[i]))
			return true;
	return false;
}

size_t inventory_find(const struct inventory *inv, const char *name)
{
	for (size_t i = 0; i < inv->n_nodes; i++)
		if (!strcmp(inv->nodes[i].name, name))
			return i;
	return SIZE_MAX;
}

/* ---- the file ----------------------------------------------------------------- */
