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
 * @gateway: index of the node whose rules these are, SIZE_MAX: the whole tailnet.
 * Policy and inventory must outlive it. Freed with reach_free().
 */
void reach_build(struct reach *x, const struct policy *p, const struct inventory *inv, size_t gateway);
void reach_free(struct reach *x);

/*
 * The addresses that a word of a command line means: a node's name, or a selector
 * of the policy (a user, a group, a host, an address, ...). Reported when nothing
 * has that name; *text_out outlives the call.
 */
bool reach_lookup(const struct reach *x, const char *word, bool dst, struct prefixes *out, struct diags *d);

/* ---- explain ---------------------------------------------------------------------- */

enum explain_miss { /* why the nearest rule does not match */
	EXPLAIN_NO_RULE,   /* no rule is near */
	EXPLAIN_PORT,	   /* source and destination match, protocol or port do not */
	EXPLAIN_SOURCE,	   /* all but the source match */
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
