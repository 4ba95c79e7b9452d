/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_POLICY_SAME_H
#define TESTS_POLICY_SAME_H

#include <string.h>

#include "policy/policy.h"

/* Two policies are the same tree: everything but places, and what a prefix looks like in text. */
static inline bool same_text(const char *a, const char *b)
{
	return !a == !b && (!a || !strcmp(a, b));
}

static inline bool same_texts(const struct policy_texts *a, const struct policy_texts *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = same_text(a->v[i].text, b->v[i].text);
	return same;
}

static inline bool same_sel(const struct policy_sel *a, const struct policy_sel *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == SEL_PREFIX ? !prefix_cmp(&a->prefix, &b->prefix)
				     : same_text(a->text, b->text) && a->def == b->def;
}

static inline bool same_sels(const struct policy_sels *a, const struct policy_sels *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = same_sel(&a->v[i], &b->v[i]);
	return same;
}

static inline bool same_portlist(const struct policy_portlist *a, const struct policy_portlist *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

static inline bool same_rule(const struct policy_rule *a, const struct policy_rule *b)
{
	bool same = a->kind == b->kind && a->id == b->id && same_sels(&a->src, &b->src) &&
		    same_sels(&a->via, &b->via) && same_texts(&a->app, &b->app) &&
		    same_texts(&a->posture, &b->posture) && a->n_dst == b->n_dst && a->n_ip == b->n_ip;

	for (size_t i = 0; same && i < a->n_dst; i++)
		same = same_sel(&a->dst[i].sel, &b->dst[i].sel) && same_portlist(&a->dst[i].ports, &b->dst[i].ports);
	for (size_t i = 0; same && i < a->n_ip; i++)
		same = a->ip[i].proto == b->ip[i].proto && same_portlist(&a->ip[i].ports, &b->ip[i].ports);
	return same;
}

static inline bool same_ipset(const struct policy_ipset *a, const struct policy_ipset *b)
{
	bool same = same_text(a->name, b->name) && a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = a->ops[i].remove == b->ops[i].remove && same_sel(&a->ops[i].target, &b->ops[i].target);
	return same;
}

static inline bool same_test(const struct policy_assertion *a, const struct policy_assertion *b)
{
	return a->posture == b->posture && same_text(a->src.text, b->src.text) &&
	       same_text(a->proto.text, b->proto.text) && same_texts(&a->accept, &b->accept) &&
	       same_texts(&a->deny, &b->deny);
}

static inline bool same_names(const struct policy *a, const struct policy *b)
{
	bool same = a->n_groups == b->n_groups && a->n_hosts == b->n_hosts && a->n_tags == b->n_tags &&
		    a->n_ipsets == b->n_ipsets && a->n_approvers == b->n_approvers;

	for (size_t i = 0; same && i < a->n_groups; i++)
		same = same_text(a->groups[i].name, b->groups[i].name) &&
		       same_sels(&a->groups[i].users, &b->groups[i].users);
	for (size_t i = 0; same && i < a->n_hosts; i++)
		same = same_text(a->hosts[i].name, b->hosts[i].name) &&
		       !prefix_cmp(&a->hosts[i].prefix, &b->hosts[i].prefix);
	for (size_t i = 0; same && i < a->n_tags; i++)
		same = same_text(a->tags[i].name, b->tags[i].name) && same_sels(&a->tags[i].owners, &b->tags[i].owners);
	for (size_t i = 0; same && i < a->n_ipsets; i++)
		same = same_ipset(&a->ipsets[i], &b->ipsets[i]);
	for (size_t i = 0; same && i < a->n_approvers; i++)
		same = !prefix_cmp(&a->approvers[i].prefix, &b->approvers[i].prefix) &&
		       same_sels(&a->approvers[i].who, &b->approvers[i].who);
	return same && same_sels(&a->exit_approvers, &b->exit_approvers);
}

static inline bool same_own(const struct policy *a, const struct policy *b)
{
	bool same = a->n_blocklists == b->n_blocklists && a->n_egress == b->n_egress && a->n_quotas == b->n_quotas;

	for (size_t i = 0; same && i < a->n_blocklists; i++)
		same = same_text(a->blocklists[i].name, b->blocklists[i].name) &&
		       same_text(a->blocklists[i].file, b->blocklists[i].file) &&
		       a->blocklists[i].max_age == b->blocklists[i].max_age;
	for (size_t i = 0; same && i < a->n_egress; i++)
		same = same_sel(&a->egress[i].who, &b->egress[i].who) &&
		       same_text(a->egress[i].pool, b->egress[i].pool);
	for (size_t i = 0; same && i < a->n_quotas; i++)
		same = same_sels(&a->quotas[i].src, &b->quotas[i].src) && a->quotas[i].flows == b->quotas[i].flows &&
		       a->quotas[i].new_flows == b->quotas[i].new_flows &&
		       a->quotas[i].packets == b->quotas[i].packets && a->quotas[i].bytes == b->quotas[i].bytes;
	return same;
}

static inline bool same_policy(const struct policy *a, const struct policy *b)
{
	bool same = a->has_rules == b->has_rules && a->n_rules == b->n_rules && a->n_tests == b->n_tests &&
		    same_names(a, b) && same_own(a, b);

	for (size_t i = 0; same && i < a->n_rules; i++)
		same = same_rule(&a->rules[i], &b->rules[i]);
	for (size_t i = 0; same && i < a->n_tests; i++)
		same = same_test(&a->tests[i], &b->tests[i]);
	return same;
}

#endif
