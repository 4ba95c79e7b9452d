/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_RESOLVE_PRIVATE_H
#define SLUICE_POLICY_RESOLVE_PRIVATE_H

#include "resolve.h"

/* Private to resolve.c, which answers questions, and resolver.c, which makes what they need. */
struct owned { /* a node under its user or under one of its tags */
	const char *key;
	const struct inventory_node *node;
};

struct ownership { /* sorted by key (resolve_by_login()), then in the inventory's order */
	struct owned *v;
	size_t n;
};

struct node_place { /* an address that a node has, or the network that it stands for */
	struct prefix prefix;
	uint32_t node;
};

struct resolver {
	const struct policy *p;
	const struct inventory *inv;
	struct budget *budget;
	struct ownership by_user, by_tag;
	struct node_place *places; /* by the first address */
	size_t n_places;
	uint8_t shortest;      /* prefix among them */
	const char ***members; /* by group: its users, sorted as logins are */
	const char **logins;   /* of everybody, each once, sorted */
	size_t n_logins;
	uint32_t *pool_of, *quota_of; /* by node: index of the section's entry, and 1; 0: none */
	struct prefixes anybody;      /* "*" as a source */
	struct prefixes internet;
	struct prefixes *ipsets; /* by definition */
};

void resolve_everything(struct prefixes *out);
/* Without capitals first, so that logins that differ by them alone stand together. */
int resolve_by_login(const char *a, const char *b);
int resolve_by_member(const void *a,
		      const void *b); /* the same of strings behind pointers, for qsort() and bsearch() */

#endif
