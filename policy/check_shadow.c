/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accepts that a deny covers. The denies alone are laid out as tables: for a class of clients the longest prefix
 * around a destination says which ports of it a deny takes from all of it, and one search finds them, however many
 * denies there are.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "check_private.h"
#include "ports.h"

struct shadows {
	const struct checker *c;
	const struct filter *f; /* all rules */
	struct tables *denies;
	struct tables_client *clients; /* the nodes */
	uint32_t *classes;	       /* of the sources at hand */
	size_t n_classes;
	uint32_t *seen; /* by class: number of the sources that it was last counted for */
	uint32_t sources;
};

/* The deny that takes all of the ports at the prefix; NULL: not all are taken. */
static uint32_t deny_of(const struct tables *t, uint32_t class, const struct filter_dst *dst, uint8_t proto)
{
	const struct tables_entry *e = tables_around(t, class, &dst->prefix);
	const struct acl_rule *r;
	unsigned next = dst->first;
	uint32_t id = 0;

	for (; e && next <= dst->last; next = r->last + 1u) {
		r = ports_find(t->rules + e->value.first, e->value.count, proto, (uint16_t)next);
		if (!r)
			return 0;
		id = id ? id : r->id;
	}
	return e ? id : 0;
}

/* Whatever passes by ICMP comes with other protocols; alone it counts. */
static uint32_t deny_for_class(const struct shadows *s, uint32_t class, const struct filter_rule *r)
{
	static const uint8_t usual[] = {IPPROTO_TCP, IPPROTO_UDP};
	const uint8_t *protos = r->n_proto ? r->proto : usual;
	size_t n = r->n_proto ? r->n_proto : sizeof(usual);
	uint32_t id = 0;

	for (size_t i = 0; i < r->n_dst; i++)
		for (size_t k = 0; k < n; k++) {
			bool paid = budget_pay(s->c->budget, 16);
			uint32_t deny = paid ? deny_of(s->denies, class, &r->dst[i], protos[k]) : 0;

			if (!deny)
				return 0;
			id = id ? id : deny;
		}
	return id;
}

static void add_class(uint32_t node, void *arg)
{
	struct shadows *s = arg;
	uint32_t class = s->denies->class_of[node];

	if (s->seen[class] == s->sources)
		return;
	s->seen[class] = s->sources;
	s->classes[s->n_classes++] = class;
}

/* The classes of those who are the rule's sources; the rules of one source list stand together, mostly. */
static void find_classes(struct shadows *s, const struct filter_rule *r)
{
	s->sources++;
	s->n_classes = 0;
	for (size_t i = 0; i < r->n_src && budget_pay(s->c->budget, 8); i++)
		resolve_each_node(s->c->r, &(struct policy_sel){.kind = SEL_PREFIX, .prefix = r->src[i]}, add_class, s);
}

static const struct filter_rule *rule_of(const struct filter *f, uint32_t id)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].id == id)
			return &f->rules[i];
	return NULL;
}

static void check_shadow(struct shadows *s, const struct filter_rule *r)
{
	struct diag_at at = {.file = r->file, .line = r->line, .column = r->column};
	const struct filter_rule *deny;
	uint32_t id = 0;

	for (size_t i = 0; i < s->n_classes; i++) {
		uint32_t one = deny_for_class(s, s->classes[i], r);

		if (!one)
			return;
		id = id ? id : one;
	}
	deny = id && !budget_is_spent(s->c->budget) ? rule_of(s->f, id) : NULL;
	if (deny)
		diag_warning(s->c->d, at, "can never match: the deny on line %u covers it (%s)", deny->line,
			     deny->text);
}

/* The denies share everything with @f. */
static struct tables *deny_tables(const struct shadows *s, const struct filter *f)
{
	struct tables_limits limits = {.budget = s->c->budget};
	struct filter denies = {.rules = mem_alloc(f->n, sizeof(*f->rules))};
	struct diags none = {0};
	struct tables *t = NULL;

	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].verdict == FILTER_DENY)
			denies.rules[denies.n++] = f->rules[i];
	if (denies.n)
		t = tables_build(&denies, s->clients, s->c->inv->n_nodes, &limits, &none);
	free(denies.rules);
	diags_free(&none);
	return t;
}

void check_shadowed(const struct checker *c, const struct filter *f)
{
	size_t n = c->inv->n_nodes;
	struct shadows s = {.c = c,
			    .f = f,
			    .clients = mem_alloc(n, sizeof(*s.clients)),
			    .classes = mem_alloc(n, sizeof(*s.classes)),
			    .seen = mem_alloc(n + 1, sizeof(*s.seen))};
	const struct prefix *last = NULL;

	for (size_t i = 0; i < n; i++)
		s.clients[i] = (struct tables_client){c->inv->nodes[i].addrs.v, c->inv->nodes[i].addrs.n};
	s.denies = deny_tables(&s, s.f);
	for (size_t i = 0; s.denies && i < s.f->n && !budget_is_spent(c->budget); i++) {
		const struct filter_rule *r = &s.f->rules[i];

		if (r->verdict != FILTER_ACCEPT)
			continue;
		if (r->src != last)
			find_classes(&s, r);
		last = r->src;
		check_shadow(&s, r);
	}
	tables_free(s.denies);
	free(s.clients);
	free(s.classes);
	free(s.seen);
}
