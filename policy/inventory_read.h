/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_INVENTORY_READ_H
#define SLUICE_POLICY_INVENTORY_READ_H

#include "inventory.h"

/* Private to inventory*.c: files of two forms. */

/* The list under @key; NULL: absent, null, or a mistake that is reported. */
const struct doc_node *inventory_list(const struct doc_node *map, const char *key, struct diags *d);
/* Adds the addresses and CIDRs of the list under @key. */
void inventory_prefixes(const struct doc_node *map, const char *key, struct prefixes *out, struct diags *d);

/* Where each node stands in the file, in the inventory's order; id: what tells nodes of one name apart, or NULL. */
struct inventory_origin {
	struct diag_at at;
	const char *id;
};

struct inventory_origins {
	struct inventory_origin *v;
	size_t n;
};

void inventory_came_from(struct inventory_origins *o, const struct doc_node *map, const char *id);

/* inventory_netmap.c: whether a document looks like a netmap, and what it says. */
bool inventory_is_netmap(const struct doc_node *root);
void inventory_read_netmap(struct inventory *inv, const struct doc_node *root, struct inventory_origins *origins,
			   struct diags *d);

/* inventory_unique.c: a name is one user's or one node's, an address is one node's. */
void inventory_check_users(const struct inventory *inv, const struct doc_node *list, struct diags *d);
void inventory_check_nodes(struct inventory *inv, const struct inventory_origins *origins, struct diags *d);

#endif
