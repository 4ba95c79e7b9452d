/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy says without effect. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ports.h"

struct checker {
	const struct policy *p;
	const struct inventory *inv;
	struct resolver *r;
	struct budget *budget;
	struct diags *d;
	struct prefixes routes;	   /* approved somewhere */
	struct prefixes addresses; /* of any node */
};

static void collect(struct checker *c)
{
	for (size_t i = 0; i < c->inv->n_nodes; i++) {
		const struct inventory_node *node = &c->inv->nodes[i];

		prefixes_add_all(&c->addresses, node->addrs.v, node->addrs.n);
		prefixes_add_all(&c->routes, node->approved.v, node->approved.n);
	}
	prefixes_merge(&c->addresses);
	prefixes_merge(&c->routes);
}

static void check_sources(const struct checker *c, const struct policy_rule *r)
{
	size_t empty = 0;

	for (size_t i = 0; i < r->src.n; i++) {
		if (!resolve_is_empty(c->r, &r->src.v[i]))
			continue;
		empty++;
		diag_warning(c->d, r->src.v[i].at, "src=\"%s\": nobody has this now", r->src.v[i].text);
	}
	if (empty == r->src.n)
		diag_warning(c->d, r->at, "can never match: %s", r->src.n ? "nobody is its source" : "src is empty");
}

/* The first few routes, for a message. */
static char *list_routes(const struct checker *c)
{
	char *text = NULL, buf[ADDR_STRLEN];
	size_t size, shown = c->routes.n < 3 ? c->routes.n : 3;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return mem_strdup("");
	for (size_t i = 0; i < shown; i++)
		fprintf(f, "%s%s", i ? ", " : "", prefix_str(&c->routes.v[i], buf));
	if (c->routes.n > shown)
		fprintf(f, " and %zu more", c->routes.n - shown);
	if (!shown)
		fputs("none", f);
	fclose(f);
	return text;
}

static bool is_reachable(const struct checker *c, const struct policy_sel *sel)
{
	struct prefixes set = { 0 };
	bool reachable = false;

	resolve_dst(c->r, sel, &set);
	for (size_t i = 0; i < set.n && !reachable && budget_pay(c->budget, 8); i++)
		reachable = prefixes_overlap(&c->routes, &set.v[i]) || prefixes_overlap(&c->addresses, &set.v[i]);
	prefixes_free(&set);
	return reachable;
}

static void check_destinations(const struct checker *c, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct policy_sel *sel = &r->dst[i].sel;
		char *routes;

		if (sel->kind == SEL_SELF || sel->kind == SEL_ANY)
			continue;
		if (resolve_is_empty(c->r, sel)) {
			diag_warning(c->d, sel->at, "dst=\"%s\": nothing has this now", sel->text);
			continue;
		}
		if (is_reachable(c, sel))
			continue;
		routes = list_routes(c);
		diag_warning(c->d, sel->at, "can never match: %s lies outside every route (routes: %s)", sel->text,
			     routes);
		free(routes);
	}
	if (!r->n_dst)
		diag_warning(c->d, r->at, "can never match: dst is empty");
}

/* ---- shadowed by a deny ---------------------------------------------------------------- */

/*
 * The denies alone, as tables: for a class of clients the longest prefix around a destination says which ports of
 * it a deny takes from all of it, and one search finds them, however many denies there are.
 */
struct shadows {
	const struct checker *c;
	struct filter *f; /* all rules */
	struct tables *denies;
	struct tables_client *clients; /* the nodes */
	uint32_t *classes; /* of the sources at hand */
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
	static const uint8_t usual[] = { IPPROTO_TCP, IPPROTO_UDP };
	const uint8_t *protos = r->n_proto ? r->proto : usual;
	size_t n = r->n_proto ? r->n_proto : sizeof(usual);
	uint32_t id = 0;

	for (size_t i = 0; i < r->n_dst; i++)
		for (size_t k = 0; k < n; k++) {
			uint32_t deny = budget_pay(s->c->budget, 16) ? deny_of(s->denies, class, &r->dst[i], protos[k]) : 0;

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
		resolve_each_node(s->c->r, &(struct policy_sel){ .kind = SEL_PREFIX, .prefix = r->src[i] }, add_class,
				  s);
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
	struct diag_at at = { .file = r->file, .line = r->line, .column = r->column };
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
	struct tables_limits limits = { .budget = s->c->budget };
	struct filter denies = { .rules = mem_alloc(f->n, sizeof(*f->rules)) };
	struct diags none = { 0 };
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

static void check_shadowed(const struct checker *c)
{
	size_t n = c->inv->n_nodes;
	struct shadows s = { .c = c, .f = policy_compile(c->r, c->p, NULL, POLICY_DENY_ALL),
			     .clients = mem_alloc(n, sizeof(*s.clients)), .classes = mem_alloc(n, sizeof(*s.classes)),
			     .seen = mem_alloc(n + 1, sizeof(*s.seen)) };
	const struct prefix *last = NULL;

	for (size_t i = 0; i < n; i++)
		s.clients[i] = (struct tables_client){ c->inv->nodes[i].addrs.v, c->inv->nodes[i].addrs.n };
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
	filter_free(s.f);
	free(s.clients);
	free(s.classes);
	free(s.seen);
}

void policy_check(const struct policy *p, const struct inventory *inv, bool narrows, struct budget *budget,
		  struct diags *d)
{
	struct checker c = { .p = p, .inv = inv, .r = resolver_new(p, inv, budget), .budget = budget, .d = d };
	struct diag_at whole = { .file = p->doc->file };

	if (!p->has_rules && !narrows)
		diag_warning(d, whole, "no acls and no grants: everything is denied");
	collect(&c);
	for (size_t i = 0; i < p->n_rules && inv->n_nodes && !budget_is_spent(budget); i++) {
		budget_at(budget, p->rules[i].at);
		check_sources(&c, &p->rules[i]);
		check_destinations(&c, &p->rules[i]);
	}
	if (inv->n_nodes)
		check_shadowed(&c);
	if (budget_is_spent(budget))
		diag_warning(d, budget->at, "the rules from here on were not searched for those without effect: "
					    "there is too much of them");
	prefixes_free(&c.routes);
	prefixes_free(&c.addresses);
	resolver_free(c.r);
}
