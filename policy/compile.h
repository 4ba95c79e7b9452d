/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_COMPILE_H
#define SLUICE_COMPILE_H

#include "filter.h"
#include "resolve.h"

/* What a policy without acls and grants means: everything in Tailscale's own
 * semantics, nothing on a gateway. */
enum policy_absent { POLICY_ALLOW_ALL, POLICY_DENY_ALL };

/*
 * The filter rules for one node, or with @node NULL for the whole tailnet at once
 * (what tests and explanations ask about, wherever the destination may be).
 *
 * For a node only what concerns it is kept: destinations that contain one of its
 * addresses, overlap a route it is approved for, or, when it is an exit node, lie
 * in the internet. A rule's id, file and line are those of the policy's rule; the
 * file's name belongs to the policy, so the policy must outlive the filter.
 * Freed with filter_free(). Paid from the resolver's budget: once that is spent, rules are missing.
 */
struct filter *policy_compile(const struct resolver *r, const struct policy *p, const struct inventory_node *node,
			      enum policy_absent absent);

/* The rule's via names the node, or there is none. */
bool policy_carries(const struct inventory_node *node, const struct policy_rule *rule);

/* "group:eng -> billing-api:443", one line, shortened where it is long. To be freed. */
char *policy_rule_text(const struct policy_rule *r);

#endif
