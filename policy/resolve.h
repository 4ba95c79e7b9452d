/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RESOLVE_H
#define SLUICE_RESOLVE_H

#include "budget.h"
#include "inventory.h"
#include "policy.h"

/*
 * Selectors -> addresses. A resolver ties one policy to one inventory and keeps
 * what is asked for again and again: nodes by owner and by tag, resolved ipsets.
 * Both must outlive it and must not change under it. What it costs, and what is made
 * with it, is paid from @budget (NULL: without end), which outlives it, too.
 */
struct resolver;

struct resolver *resolver_new(const struct policy *p, const struct inventory *inv, struct budget *budget);
void resolver_free(struct resolver *r);

/* Appends the addresses that a selector means as a source, as a destination.
 * autogroup:self means nothing here: it depends on the source (resolve_user). */
void resolve_src(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out);
void resolve_dst(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out);

const struct inventory *resolver_inventory(const struct resolver *r);
struct budget *resolver_budget(const struct resolver *r);
/* For what is asked of it from now on. */
void resolver_set_budget(struct resolver *r, struct budget *budget);

/* Whether the selector means no address now. */
bool resolve_is_empty(const struct resolver *r, const struct policy_sel *sel);

/*
 * Whose a login is. @other: the login that differs by capitals alone, or the nearest one where nobody has it; NULL.
 * LOGIN_EITHER: two users have it but for capitals, so that an accept for it is for nobody.
 */
enum resolve_login { LOGIN_EXACT, LOGIN_OTHER_CASE, LOGIN_EITHER, LOGIN_NOBODY };

enum resolve_login resolve_login(const struct resolver *r, const char *login, const char **other);

/* Addresses of a user's untagged nodes. */
void resolve_user(const struct resolver *r, const char *user, struct prefixes *out);

/* Addresses of all untagged nodes of the user who has @addr on one of them. */
void resolve_own(const struct resolver *r, const struct addr *addr, struct prefixes *out);

/* Calls @each for every node that a selector names, by its index in the inventory; in no order, some of them twice. */
void resolve_each_node(const struct resolver *r, const struct policy_sel *sel, void (*each)(uint32_t node, void *arg),
		       void *arg);

/* The node is one of those a user, group, tag or autogroup names. */
bool resolve_matches(const struct resolver *r, const struct policy_sel *sel, const struct inventory_node *node);

/* IPv4 without private, shared (100.64/10) and link-local space; IPv6 2000::/3. Merged. */
const struct prefixes *resolve_internet(const struct resolver *r);

/* Calls @each for every user who has an untagged node, in order of names. */
void resolve_each_user(const struct resolver *r, void (*each)(const char *user, void *arg), void *arg);

/*
 * Who approves that @node routes @prefix, NULL: nobody. An advertised prefix equal
 * to or inside a key of autoApprovers.routes whose approvers include the node; a
 * default route only by exitNode.
 */
const struct policy_sel *resolve_approval(const struct resolver *r, const struct inventory_node *node,
					  const struct prefix *prefix);

/* What the policy says about a client, one of the inventory's: the pool's name (NULL: the
 * default), and its quota (NULL: none). */
const char *resolve_pool(const struct resolver *r, const struct inventory_node *node);
const struct policy_quota *resolve_quota(const struct resolver *r, const struct inventory_node *node);

#endif
