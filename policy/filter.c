/* SPDX-License-Identifier: BSD-2-Clause */
/* Filter rules, and what they say about one packet: slowly, and plainly right. */
#include <netinet/in.h>
#include <stdlib.h>

#include "filter.h"

static void free_rule(struct filter_rule *r)
{
	if (!r->shares_src)
		free(r->src);
	free(r->dst);
	free(r->proto);
	free(r->text);
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		free_rule(&f->rules[i]);
	free(f->rules);
	free(f);
}

bool filter_rule_from(const struct filter_rule *r, const struct addr *src)
{
	for (size_t i = 0; i < r->n_src; i++)
		if (prefix_contains(&r->src[i], src))
			return true;
	return false;
}

bool filter_rule_has_proto(const struct filter_rule *r, uint8_t proto)
{
	if (!r->n_proto)
		return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
	for (size_t i = 0; i < r->n_proto; i++)
		if (r->proto[i] == proto)
			return true;
	return false;
}

static bool filter_is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

bool filter_can_carry(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || filter_is_icmp(proto);
}

bool filter_dst_matches(const struct filter_rule *r, const struct filter_dst *dst, const struct filter_packet *pkt)
{
	if (!prefix_contains(&dst->prefix, &pkt->dst))
		return false;
	if (pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP || pkt->proto == IPPROTO_SCTP)
		return pkt->port >= dst->first && pkt->port <= dst->last;
	if (filter_is_icmp(pkt->proto) && r->verdict == FILTER_ACCEPT)
		return true;
	return dst->first == 0 && dst->last == 65535;
}

static bool rule_matches(const struct filter_rule *r, const struct filter_packet *pkt)
{
	if (!filter_rule_from(r, &pkt->src))
		return false;
	if (!filter_rule_has_proto(r, pkt->proto) && !(filter_is_icmp(pkt->proto) && r->verdict == FILTER_ACCEPT))
		return false;
	for (size_t i = 0; i < r->n_dst; i++)
		if (filter_dst_matches(r, &r->dst[i], pkt))
			return true;
	return false;
}

static bool rule_lists(const struct filter_rule *r, const struct filter_packet *pkt)
{
	if (!filter_rule_from(r, &pkt->src) || !filter_rule_has_proto(r, pkt->proto))
		return false;
	for (size_t i = 0; i < r->n_dst; i++)
		if (prefix_contains(&r->dst[i].prefix, &pkt->dst) && pkt->port >= r->dst[i].first &&
		    pkt->port <= r->dst[i].last)
			return true;
	return false;
}

/* A deny before an accept, then the one that stands first in the file. */
static bool decides_before(const struct filter_rule *a, const struct filter_rule *b)
{
	if (a->verdict != b->verdict)
		return a->verdict == FILTER_DENY;
	return a->id < b->id;
}

static struct filter_answer filter_decide(const struct filter *f, const struct filter_packet *pkt,
					  bool (*applies)(const struct filter_rule *r, const struct filter_packet *pkt))
{
	struct filter_answer answer = {.verdict = FILTER_DENY};

	for (size_t i = 0; i < f->n; i++) {
		const struct filter_rule *r = &f->rules[i];

		if (answer.rule && !decides_before(r, answer.rule))
			continue;
		if (applies(r, pkt))
			answer.rule = r;
	}
	if (answer.rule)
		answer.verdict = answer.rule->verdict;
	return answer;
}

struct filter_answer filter_match(const struct filter *f, const struct filter_packet *pkt)
{
	return filter_decide(f, pkt, rule_lists);
}

struct filter_answer filter_verdict(const struct filter *f, const struct filter_packet *pkt)
{
	bool v4 = addr_is_v4(&pkt->dst);

	if (addr_is_v4(&pkt->src) != v4 || (filter_is_icmp(pkt->proto) && (pkt->proto == IPPROTO_ICMP) != v4))
		return (struct filter_answer){.verdict = FILTER_DENY}; /* no such packet */
	return filter_decide(f, pkt, rule_matches);
}
