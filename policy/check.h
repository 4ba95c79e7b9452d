/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_CHECK_H
#define SLUICE_POLICY_CHECK_H

#include "reach.h"

struct policy_check_place {
	const struct inventory *inv;	      /* without nodes: only what does not depend on it is looked at */
	const struct inventory_node *gateway; /* one of them, whose rules it is about; NULL: everybody's */
	bool narrows; /* the policy takes away from a coordination server's rules: it need not allow anything */
};

/*
 * Warnings about a sound policy that does not do what it says: rules that can
 * never match (nobody is their source, their destination lies outside every route,
 * or is private where only a default route leads, a deny covers all of them), rules
 * that name some addresses of a client and not all, and a policy without rules. Once
 * @budget is spent, the rest is not searched, and that is said.
 */
void policy_check(const struct policy *p, const struct policy_check_place *place, struct budget *budget,
		  struct diags *d);

/*
 * Whether the logins that a sound policy names are somebody's: in deny, quotas and egress a name that nobody has is a
 * mistake, in an accept one that two users have but for capitals. In a tailnet these are warnings: its netmap does not
 * show everybody. This is asked before a policy goes live; one that runs is not ended by it.
 */
bool policy_check_owners(const struct policy *p, const struct inventory *inv, struct diags *d);

#endif
