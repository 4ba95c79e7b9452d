/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_INVENTORY_READ_H
#define SLUICE_POLICY_INVENTORY_READ_H

#include "inventory.h"

/* Private to inventory*.c: files of two forms. */

/* The list under @key; NULL: absent, null, or a mistake that is reported. */
const struct doc_node *inventory_list(const struct doc_node *map, const char *key, struct diags *d);
/* Adds the addresses and CIDRs of the list under @key. */
void inventory_prefixes(const struct doc_node *map, const char *key, struct prefixes *out, struct diags *d);

/* inventory_netmap.c: whether a document looks like a netmap, and what it says. */
bool inventory_is_netmap(const struct doc_node *root);
void inventory_read_netmap(struct inventory *inv, const struct doc_node *root, struct diags *d);

#endif
