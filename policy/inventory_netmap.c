/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A netmap as an inventory: what a coordination server sends to a node (Node, Peers,
 * UserProfiles as a list), or what `tailscale debug netmap` prints of it (SelfNode,
 * Peers, UserProfiles as a map by id). Of a node only who it is counts here; fields
 * that are not known are read over, for servers add some all the time.
 */
#include <string.h>

#include "inventory_read.h"

bool inventory_is_netmap(const struct doc_node *root)
{
	return doc_get(root, "Node") || doc_get(root, "SelfNode") || doc_get(root, "Peers");
}

static const char *text_of(const struct doc_node *map, const char *key)
{
	const struct doc_node *n = doc_get(map, key);

	return n && n->kind == DOC_SCALAR ? n->text : "";
}

/* The login name of a user's id, NULL: no profile says. */
static const char *inventory_netmap_login_of(const struct doc_node *profiles, const char *id)
{
	for (size_t i = 0; profiles && i < profiles->n; i++)
		if (!strcmp(text_of(&profiles->items[i], "ID"), id))
			return text_of(&profiles->items[i], "LoginName");
	return NULL;
}

/* "gw-1.example.ts.net." is gw-1. */
static struct inventory_node *inventory_netmap_add_node(struct inventory *inv, const struct doc_node *map)
{
	const char *full = text_of(map, "Name");
	char name[64];

	if (!*full)
		full = text_of(doc_get(map, "Hostinfo"), "Hostname");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(full, "."), full);
	return inventory_add_node(inv, name);
}

static void read_owner(struct inventory *inv, const struct doc_node *map, const struct doc_node *profiles,
		       struct inventory_node *node, struct diags *d)
{
	const struct doc_node *tags = inventory_list(map, "Tags", d);
	const char *tag, *login = inventory_netmap_login_of(profiles, text_of(map, "User"));

	for (size_t i = 0; tags && i < tags->n; i++)
		if (doc_string(&tags->items[i], "Tags", &tag, d))
			inventory_add_tag(inv, node, tag);
	if (node->n_tags)
		return;
	if (login && *login)
		inventory_set_user(inv, node, login);
	else
		diag_error(d, map->at, "netmap: node \"%s\" is user %s's, who has no login name in UserProfiles",
			   node->name, text_of(map, "User"));
}

static bool is_address(const struct inventory_node *node, const struct prefix *p)
{
	for (size_t i = 0; i < node->addrs.n; i++)
		if (!prefix_cmp(&node->addrs.v[i], p))
			return true;
	return false;
}

/* AllowedIPs are the node's own addresses and the routes that were approved. */
static void inventory_netmap_read_routes(const struct doc_node *map, struct inventory_node *node, struct diags *d)
{
	const struct doc_node *info = doc_get(map, "Hostinfo");
	struct prefixes allowed = {0};

	inventory_prefixes(map, "Addresses", &node->addrs, d);
	if (info)
		inventory_prefixes(info, "RoutableIPs", &node->routable, d);
	inventory_prefixes(map, "AllowedIPs", &allowed, d);
	for (size_t i = 0; i < allowed.n; i++)
		if (!is_address(node, &allowed.v[i]))
			prefixes_add(&node->approved, &allowed.v[i]);
	prefixes_free(&allowed);
}

static void inventory_netmap_read_node(struct inventory *inv, const struct doc_node *map,
				       const struct doc_node *profiles, struct inventory_origins *origins,
				       struct diags *d)
{
	struct inventory_node *node;

	if (map->kind != DOC_MAP) {
		diag_error(d, map->at, "netmap: expected a node");
		return;
	}
	node = inventory_netmap_add_node(inv, map);
	inventory_came_from(origins, map, text_of(map, "ID"));
	read_owner(inv, map, profiles, node, d);
	inventory_netmap_read_routes(map, node, d);
}

void inventory_read_netmap(struct inventory *inv, const struct doc_node *root, struct inventory_origins *origins,
			   struct diags *d)
{
	const struct doc_node *self = doc_get(root, "SelfNode"), *profiles = doc_get(root, "UserProfiles");
	const struct doc_node *peers = inventory_list(root, "Peers", d);

	inv->tailnet = true;
	if (!self)
		self = doc_get(root, "Node");
	for (size_t i = 0; profiles && i < profiles->n; i++) {
		const char *login = text_of(&profiles->items[i], "LoginName");

		if (strchr(login, '@'))
			inventory_add_user(inv, login);
	}
	if (self && self->kind != DOC_NULL)
		inventory_netmap_read_node(inv, self, profiles, origins, d);
	for (size_t i = 0; peers && i < peers->n; i++)
		inventory_netmap_read_node(inv, &peers->items[i], profiles, origins, d);
}
