/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TABLES_H
#define SLUICE_TABLES_H

#include "bpf/contract.h"
#include "budget.h"
#include "diag.h"
#include "filter.h"

/*
 * Filter rules -> the tables that the BPF programs look up.
 *
 * A class is a set of clients that the same rules name as a source. For each class
 * there is one entry for every destination prefix of those rules; what rules for
 * shorter prefixes say is merged into it, so that the longest match alone gives
 * the whole list of port ranges. Lists that are equal are stored once.
 */
struct tables_client {
	const struct prefix *addrs; /* inner addresses */
	size_t n;
};

#define TABLES_NO_PARENT UINT32_MAX

struct tables_entry {
	struct acl_key key;
	struct acl_entry value;
	uint32_t parent; /* index of the next shorter match, or none */
};

struct tables {
	uint32_t *class_of; /* by index of the client, from 1 */
	size_t n_clients, n_classes;
	struct tables_entry *entries; /* sorted by class and destination */
	size_t n_entries;
	struct acl_rule *rules; /* the lists, one after the other */
	size_t n_rules;
	/*
	 * Clients with two addresses of one family that different rules name. A class
	 * belongs to a client, so they get what every such address may do; everything
	 * that any of them may not do is denied. SIZE_MAX: there is none.
	 */
	size_t n_divided, first_divided;
};

struct tables_limits {	/* 0: none */
	size_t ids;	/* the largest id of a rule */
	size_t classes; /* the largest number of a class */
	size_t entries, rules;
	struct budget *budget; /* for steps and memory; NULL: without end */
};

/*
 * The tables for @clients. NULL when they do not fit @limits (NULL: none), or when
 * one list has more ranges than an entry can count: reported, with the rule at which
 * they are full, for nothing is built beyond a limit. Freed with tables_free().
 */
struct tables *tables_build(const struct filter *f, const struct tables_client *clients, size_t n_clients,
			    const struct tables_limits *limits, struct diags *d);
void tables_free(struct tables *t);

/*
 * What a program finds for a class: the longest match as the kernel's LPM trie
 * does it (by numbers: IPv4 lies below ::/0), then the range. NULL: the default deny.
 */
const struct tables_entry *tables_match(const struct tables *t, uint32_t class, const struct addr *dst);
/* What holds for all of @p that no longer prefix takes out; NULL: the default deny. */
const struct tables_entry *tables_around(const struct tables *t, uint32_t class, const struct prefix *p);
struct prefix tables_prefix(const struct tables_entry *e);
/* The class's entries that begin inside of @p, from index *from on; returns the index behind them. */
size_t tables_inside(const struct tables *t, uint32_t class, const struct prefix *p, size_t *from);
const struct acl_rule *tables_find(const struct tables *t, uint32_t class, const struct addr *dst, uint8_t proto,
				   uint16_t port);

/*
 * What the tables say to a packet that opens a flow, as by_rules() of bpf/decide.h: every command that tells who
 * reaches what asks here.
 */
struct tables_decision {
	bool accept;
	const struct acl_rule *rule; /* NULL: the default deny, or ICMP where a rule accepts something else */
};

struct tables_decision tables_decide(const struct tables *t, uint32_t class, const struct addr *dst, uint8_t proto,
				     uint16_t port);

#endif
