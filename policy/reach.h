/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REACH_H
#define SLUICE_REACH_H

#include "compile.h"
#include "tables.h"

/*
 * A policy worked out for an inventory: what explain, diff and matrix look at. The
 * clients of the tables are the nodes of the inventory, by index.
 */
struct reach {
	const struct policy *p;
	const struct inventory *inv;
	struct resolver *r;
	struct filter *f;
	struct tables *t;
	struct tables_client *clients;
};

/*
 * The rules of @node, or with NULL those of the whole tailnet, laid out for every
 * node of the inventory. False when the tables do not fit @limits (NULL: none but
 * those of an entry): reported, and nothing is left to free. Policy and inventory
 * must outlive it. Freed with reach_free().
 */
bool reach_build(struct reach *x, const struct policy *p, const struct inventory *inv,
		 const struct inventory_node *node, const struct tables_limits *limits, struct diags *d);
void reach_free(struct reach *x);

/*
 * The addresses that a word of a command line means: a node's name, or a selector
 * of the policy (a user, a group, a host, an address, ...). Where a host of the policy
 * is called as a node is, a destination is the host, as in a rule, and a source the
 * node: only clients are sources. Reported when nothing has that name.
 */
bool reach_lookup(const struct reach *x, const char *word, bool dst, struct prefixes *out, struct diags *d);

/* ---- explain ---------------------------------------------------------------------- */

enum explain_miss {			   /* why the nearest rule does not match */
		    EXPLAIN_NO_RULE,	   /* no rule is near */
		    EXPLAIN_PORT,	   /* source and destination match, protocol or port do not */
		    EXPLAIN_SOURCE,	   /* all but the source match */
		    EXPLAIN_DIVIDED,	   /* it does match, but it names one of the client's addresses and not all */
		    EXPLAIN_OTHER_ADDRESS, /* the answer's rule is a deny that names another address of the client */
};

struct explanation {
	struct filter_answer answer;
	const struct filter_rule *nearest; /* with a default deny: an accept that almost matches */
	const struct filter_dst *dst;	   /* its destination that does */
	enum explain_miss miss;
};

void policy_explain(const struct filter *f, const struct filter_packet *pkt, struct explanation *out);

/* "default deny; nearest rule 12 (policy.yaml:38) allows only tcp 443". To be freed. */
char *policy_explain_text(const struct explanation *e);

#endif
