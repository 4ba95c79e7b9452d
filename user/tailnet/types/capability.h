/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CAPABILITY_H
#define SLUICE_TAILNET_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Capabilities that the server gives to nodes (CapMap), and names as sources of rules
 * ("cap:NAME", from capability version 109 on). Kept as hashes of their names: a set
 * takes the same memory whatever they are called, and nobody is shown them. Pure.
 */
#define CAPABILITIES_MAX 1024 /* of one node, and of one rule */

struct capability {
	uint8_t hash[16];
};

struct capabilities { /* a set; all zero: empty */
	struct capability *v;
	size_t n;
};

/* False: there are too many. Before the set is looked into, capabilities_settle(). */
bool capabilities_add(struct capabilities *set, const char *name);
void capabilities_settle(struct capabilities *set); /* puts it in order */
void capabilities_free(struct capabilities *set);   /* leaves it empty */

int capability_cmp(const void *a, const void *b); /* for qsort() */

#endif
