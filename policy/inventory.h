/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_INVENTORY_H
#define SLUICE_INVENTORY_H

#include "alloc.h"
#include "doc.h"
#include "prefixes.h"

/*
 * Who is who: the users with their roles and the nodes with their owner, addresses
 * and routes. From the gateway's configuration, from the tailnet's netmap, or from
 * a file; the policy compiler does not care which.
 *
 * The inventory owns its strings and lists. Pointers to users and nodes are void
 * after the next inventory_add_*().
 */
struct inventory_user {
	const char *name;   /* alice@example.com */
	const char **roles; /* "admin", "owner", "it-admin", ... */
	size_t n_roles;
};

struct inventory_node {
	const char *name;
	const char *user;  /* NULL: tagged */
	const char **tags; /* with "tag:" */
	size_t n_tags;
	struct prefixes addrs;
	struct prefixes routable; /* advertised */
	struct prefixes approved; /* of routable */
};

struct inventory {
	bool tailnet; /* a Tailscale tailnet's: "*" as a source is its ranges and routes; else every client there is */
	struct inventory_user *users;
	size_t n_users;
	struct inventory_node *nodes;
	size_t n_nodes;
	struct arena mem;
};

struct inventory_user *inventory_add_user(struct inventory *inv, const char *name);
void inventory_add_role(struct inventory *inv, struct inventory_user *u, const char *role);
struct inventory_node *inventory_add_node(struct inventory *inv, const char *name);
void inventory_set_user(struct inventory *inv, struct inventory_node *node, const char *user);
void inventory_add_tag(struct inventory *inv, struct inventory_node *node, const char *tag);
void inventory_free(struct inventory *inv);

bool inventory_has_tag(const struct inventory_node *node, const char *tag);
bool inventory_is_default_route(const struct prefix *p);    /* 0.0.0.0/0 or ::/0 */
bool inventory_has_exit(const struct inventory_node *node); /* an approved default route */
/* Index of the node with this name, SIZE_MAX: none. */
size_t inventory_find(const struct inventory *inv, const char *name);

/*
 * Reads a file of the form
 *
 *	tailnet: true
 *	users: [{name: alice@example.com, roles: [admin]}]
 *	nodes:
 *	- {name: laptop, user: alice@example.com, addresses: [100.64.0.5]}
 *	- {name: gw, tags: ["tag:gateway"], addresses: [100.64.0.1],
 *	   routes: [203.0.113.0/24], approved: [203.0.113.0/24]}
 *
 * in YAML or JSON (without tailnet it is a gateway with clients of its own); or a netmap,
 * as a coordination server sends it or `tailscale debug netmap` prints it. True when there
 * was no mistake. @inv is to be freed in any case.
 */
bool inventory_read(struct inventory *inv, const struct doc *doc, struct diags *d);

#endif
