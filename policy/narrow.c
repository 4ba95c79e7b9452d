/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules that two parties agree on (narrow.h). Sources are merged once a rule and
 * then walked side by side, for there may be thousands; destinations are few.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "narrow.h"
#include "alloc.h"
#include "prefixes.h"

static const uint8_t usual[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};

static void *narrow_copy_of(const void *list, size_t n, size_t size)
{
	void *copy = n ? mem_alloc(n, size) : NULL;

	if (n)
		memcpy(copy, list, n * size);
	return copy;
}

/* A rule with nothing in it but its name. */
static struct filter_rule named_like(const struct filter_rule *r)
{
	return (struct filter_rule){.id = r->id,
				    .verdict = r->verdict,
				    .file = r->file,
				    .line = r->line,
				    .column = r->column,
				    .text = r->text ? mem_strdup(r->text) : NULL};
}

static void narrow_append(struct filter *out, const struct filter_rule *r)
{
	out->rules = mem_grow(out->rules, out->n, sizeof(*r));
	out->rules[out->n++] = *r;
}

static void append_copy(struct filter *out, const struct filter_rule *r, uint32_t first_id)
{
	struct filter_rule copy = named_like(r);

	copy.id += first_id;
	copy.src = narrow_copy_of(r->src, r->n_src, sizeof(*r->src));
	copy.n_src = r->n_src;
	copy.dst = narrow_copy_of(r->dst, r->n_dst, sizeof(*r->dst));
	copy.n_dst = r->n_dst;
	copy.proto = narrow_copy_of(r->proto, r->n_proto, 1);
	copy.n_proto = r->n_proto;
	narrow_append(out, &copy);
}

/* ---- what two rules have in common ----------------------------------------------------- */

/* Of two merged sets of one family: each is sorted, and nothing in it overlaps. */
static void add_common_sources(struct prefixes *out, const struct prefixes *a, const struct prefixes *b)
{
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		const struct prefix *p = &a->v[i], *q = &b->v[k];
		struct addr p_last = prefix_last(p), q_last = prefix_last(q);

		if (prefix_overlaps(p, q))
			prefixes_add(out, p->len > q->len ? p : q);
		if (addr_cmp(&p_last, &q_last) < 0)
			i++;
		else
			k++;
	}
}

static void add_common_dst(struct filter_rule *out, const struct filter_dst *a, const struct filter_dst *b)
{
	struct filter_dst d = {.prefix = a->prefix.len > b->prefix.len ? a->prefix : b->prefix,
			       .first = a->first > b->first ? a->first : b->first,
			       .last = a->last < b->last ? a->last : b->last};

	if (!prefix_overlaps(&a->prefix, &b->prefix) || d.first > d.last)
		return;
	out->dst = mem_grow(out->dst, out->n_dst, sizeof(d));
	out->dst[out->n_dst++] = d;
}

static void add_common_protocols(struct filter_rule *out, const struct filter_rule *a, const struct filter_rule *b)
{
	const uint8_t *list = a->n_proto ? a->proto : usual;
	size_t n = a->n_proto ? a->n_proto : sizeof(usual);

	for (size_t i = 0; i < n; i++) {
		if (!filter_rule_has_proto(b, list[i]))
			continue;
		out->proto = mem_grow(out->proto, out->n_proto, 1);
		out->proto[out->n_proto++] = list[i];
	}
}

struct party { /* a rule that accepts, its sources merged: by numbers, all IPv4 lies inside of ::/0 */
	const struct filter_rule *rule;
	struct prefixes v4, v6;
};

static void append_common(struct filter *out, const struct party *server, const struct party *local,
			  struct budget *budget)
{
	struct filter_rule r = {0}, name;
	struct prefixes src = {0};

	for (size_t i = 0; i < server->rule->n_dst && budget_pay(budget, 1 + local->rule->n_dst); i++)
		for (size_t k = 0; k < local->rule->n_dst; k++)
			add_common_dst(&r, &server->rule->dst[i], &local->rule->dst[k]);
	add_common_protocols(&r, server->rule, local->rule);
	budget_hold(budget, r.n_dst, sizeof(*r.dst));
	if (r.n_dst && r.n_proto && budget_pay(budget, server->v4.n + server->v6.n + local->v4.n + local->v6.n)) {
		add_common_sources(&src, &server->v4, &local->v4);
		add_common_sources(&src, &server->v6, &local->v6);
	}
	budget_hold(budget, src.n, sizeof(*src.v));
	if (!src.n) {
		free(r.dst);
		free(r.proto);
		return;
	}
	name = named_like(local->rule);
	name.src = src.v;
	name.n_src = src.n;
	name.dst = r.dst;
	name.n_dst = r.n_dst;
	name.proto = r.proto;
	name.n_proto = r.n_proto;
	narrow_append(out, &name);
}

/* ---- all of them -------------------------------------------------------------------------- */

static struct party *parties(const struct filter *f, size_t *n)
{
	struct party *list = mem_alloc(f->n, sizeof(*list));

	*n = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct party *p = &list[*n];

		if (f->rules[i].verdict != FILTER_ACCEPT)
			continue;
		p->rule = &f->rules[i];
		for (size_t k = 0; k < p->rule->n_src; k++)
			prefixes_add(prefix_is_v4(&p->rule->src[k]) ? &p->v4 : &p->v6, &p->rule->src[k]);
		prefixes_merge(&p->v4);
		prefixes_merge(&p->v6);
		++*n;
	}
	return list;
}

static void free_parties(struct party *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		prefixes_free(&list[i].v4);
		prefixes_free(&list[i].v6);
	}
	free(list);
}

static void agree(struct filter *out, const struct filter *server, const struct filter *local, struct budget *budget)
{
	size_t n_server, n_local;
	struct party *a = parties(server, &n_server), *b = parties(local, &n_local);

	for (size_t i = 0; i < n_server; i++)
		for (size_t k = 0; k < n_local && budget_pay(budget, 1); k++)
			append_common(out, &a[i], &b[k], budget);
	free_parties(a, n_server);
	free_parties(b, n_local);
}

static void append_verdicts(struct filter *out, const struct filter *f, enum filter_verdict verdict, uint32_t first_id)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].verdict == verdict)
			append_copy(out, &f->rules[i], first_id);
}

static uint32_t greatest_id(const struct filter *f)
{
	uint32_t id = 0;

	for (size_t i = 0; i < f->n; i++)
		id = f->rules[i].id > id ? f->rules[i].id : id;
	return id;
}

struct filter *filter_narrow(const struct filter *server, const struct filter *local, bool both, struct budget *budget)
{
	struct filter *out = mem_alloc(1, sizeof(*out));
	uint32_t behind = greatest_id(local);

	append_verdicts(out, local, FILTER_DENY, 0);
	append_verdicts(out, server, FILTER_DENY, behind);
	if (both)
		agree(out, server, local, budget);
	else
		append_verdicts(out, server, FILTER_ACCEPT, behind);
	return out;
}

struct filter *filter_copy(const struct filter *f)
{
	static const struct filter nothing;

	return filter_narrow(f, &nothing, false, NULL);
}
