/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_DIFF_H
#define SLUICE_POLICY_DIFF_H

#include "ports.h"
#include "reach.h"

/*
 * What two policies make different for people: who gains and who loses which
 * ports of which destination. Rules that are worded differently and allow the same
 * are no difference.
 */
struct policy_change {
	bool gains;
	char *who;		/* a group, a tag, autogroup:member, a user, or a node's name */
	size_t members;		/* users behind a group, nodes behind a tag; 1 for a user or node */
	const char *service;	/* name of the destination in section hosts, "" when it has none */
	struct prefixes dst;	/* one when it has a name or exceptions */
	struct prefixes except; /* inside of it, where this does not change; merged */
	struct ports ports;	/* what is gained or lost; ids are 0 */
	uint32_t *clients;	/* nodes behind @who, indices into the inventory, sorted */
	size_t n_clients;
};

struct policy_diff {
	struct policy_change *v;
	size_t n;
	bool cut; /* the budget was spent: there are more */
};

/* @old and @new are for the same inventory and live as long as the result. @budget: NULL: without end. */
void policy_diff(struct policy_diff *diff, const struct reach *old, const struct reach *new, struct budget *budget);
void policy_diff_free(struct policy_diff *diff);

/* The change is about this destination: inside of it, and in none of its exceptions. */
bool policy_change_has(const struct policy_change *c, const struct addr *dst);

/* "tcp 22", "tcp udp 443", "gre". To be freed. */
char *policy_change_ports(const struct policy_change *c);

/* A line for each change, "+ group:oncall (3 users)  billing-api 203.0.113.9  tcp 22", in columns. */
void policy_diff_print(const struct policy_diff *diff, FILE *out);

#endif
