/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy says without effect. */
#include <stdlib.h>
#include <string.h>

#include "check_private.h"

static void collect_node(struct checker *c, const struct inventory_node *node)
{
	prefixes_add_all(&c->plain, node->addrs.v, node->addrs.n);
	prefixes_add_all(&c->routes, node->approved.v, node->approved.n);
	for (size_t i = 0; i < node->approved.n; i++)
		if (inventory_is_default_route(&node->approved.v[i]))
			c->exit = true;
		else
			prefixes_add(&c->plain, &node->approved.v[i]);
}

static void check_collect(struct checker *c)
{
	for (size_t i = 0; i < c->inv->n_nodes; i++)
		if (!c->gateway || c->gateway == &c->inv->nodes[i])
			collect_node(c, &c->inv->nodes[i]);
	prefixes_merge(&c->plain);
	prefixes_merge(&c->routes);
}

static void warn_nobody(const struct checker *c, const struct policy_sel *s)
{
	const char *other = NULL;

	if (s->kind == SEL_USER && resolve_login(c->r, s->text, &other) == LOGIN_OTHER_CASE)
		diag_warning(c->d, s->at, "src=\"%s\": nobody has this now; did you mean \"%s\"?", s->text, other);
	else
		diag_warning(c->d, s->at, "src=\"%s\": nobody has this now", s->text);
}

static void check_sources(const struct checker *c, const struct policy_rule *r)
{
	size_t empty = 0;

	for (size_t i = 0; i < r->src.n; i++) {
		if (!resolve_is_empty(c->r, &r->src.v[i]))
			continue;
		empty++;
		if (r->src.v[i].kind != SEL_SHARED) /* that it is nobody was said */
			warn_nobody(c, &r->src.v[i]);
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

/* ---- destinations that the compiler drops ------------------------------------------------ */

enum dropped {
	KEPT,
	OUTSIDE, /* every route */
	CLIENT,	 /* another client's address: only nodes of a tailnet talk to each other */
	PRIVATE, /* only a default route leads there, and that is for the internet */
	VIA,	 /* as before, and a grant with via uses no default route */
	IN_PART, /* as before, but a part of it is the internet */
};

static void note_node(uint32_t node, void *arg)
{
	*(bool *)arg = true;
}

static bool is_of_a_client(const struct checker *c, const struct prefix *p)
{
	struct policy_sel sel = {.kind = SEL_PREFIX, .prefix = *p};
	bool found = false;

	if (p->len == 128)
		resolve_each_node(c->r, &sel, note_node, &found);
	return found;
}

/* As compile.c decides for the gateway, or for any node. */
static enum dropped fate_of(const struct checker *c, const struct policy_rule *r, const struct policy_sel *sel,
			    const struct prefix *p)
{
	const struct prefixes *internet = resolve_internet(c->r);

	if (prefixes_overlap(&c->plain, p))
		return KEPT;
	if (prefixes_overlap(&c->routes, p)) {
		if (r->via.n)
			return sel->kind == SEL_INTERNET && c->exit ? KEPT : VIA;
		if (r->kind == POLICY_DENY || (c->exit && prefixes_cover(internet, p)))
			return KEPT;
	}
	if (c->gateway && is_of_a_client(c, p))
		return CLIENT;
	if (!prefixes_overlap(&c->routes, p))
		return OUTSIDE;
	return prefixes_overlap(internet, p) ? IN_PART : PRIVATE;
}

struct fates { /* of the prefixes that a destination means */
	size_t n, dropped;
	struct prefix first; /* that is dropped */
	enum dropped why;
};

static struct fates fates_of(const struct checker *c, const struct policy_rule *r, const struct policy_sel *sel)
{
	struct prefixes set = {0};
	struct fates out = {0};

	resolve_dst(c->r, sel, &set);
	for (; out.n < set.n && budget_pay(c->budget, 16); out.n++) {
		enum dropped one = fate_of(c, r, sel, &set.v[out.n]);

		if (one == KEPT)
			continue;
		if (!out.dropped++ || one > out.why) {
			out.first = set.v[out.n];
			out.why = one;
		}
	}
	prefixes_free(&set);
	return out;
}

static char *why_dropped(const struct checker *c, const struct fates *f, const char *name)
{
	char buf[ADDR_STRLEN], *routes = list_routes(c), *text;
	const char *prefix = prefix_str(&f->first, buf), *called = f->dropped == f->n ? name : prefix;

	if (f->why == OUTSIDE)
		text = mem_printf("%s lies outside every route (routes: %s)", called, routes);
	else if (f->why == CLIENT)
		text = mem_printf("%s is a client's address: a gateway passes nothing from client to client", called);
	else if (f->why == VIA)
		text = mem_printf("only a default route leads to %s, and a grant with via uses none", called);
	else if (f->why == PRIVATE)
		text = mem_printf("%s is not the internet, and only a default route leads there: name it in routes",
				  called);
	else
		text = mem_printf("%s is not wholly the internet, and only a default route leads there: write "
				  "autogroup:internet, or name it in routes",
				  called);
	free(routes);
	return text;
}

/* What lies outside in part is usual: a group has members elsewhere, a set is for more than one gateway. */
static void check_destination(const struct checker *c, const struct policy_rule *r, const struct policy_sel *sel)
{
	struct fates f;
	char *why;

	if (sel->kind == SEL_SELF || sel->kind == SEL_ANY || sel->kind == SEL_SERVICE)
		return;
	if (resolve_is_empty(c->r, sel)) {
		diag_warning(c->d, sel->at, "dst=\"%s\": nothing has this now", sel->text);
		return;
	}
	f = fates_of(c, r, sel);
	if (!f.dropped || (f.dropped < f.n && f.why < PRIVATE))
		return;
	why = why_dropped(c, &f, sel->text);
	if (f.dropped == f.n)
		diag_warning(c->d, sel->at, "can never match: %s", why);
	else
		diag_warning(c->d, sel->at, "%zu of %zu prefixes of %s have no effect: %s", f.dropped, f.n, sel->text,
			     why);
	free(why);
}

/* Whatever the rule says, a gateway cannot carry it: it would have to translate addresses that it does not find. */
static void check_protocols(const struct checker *c, const struct policy_rule *r)
{
	char buf[4];

	if (r->kind == POLICY_DENY || (c->inv->tailnet && !c->gateway))
		return;
	for (size_t i = 0; i < r->n_ip; i++)
		if (r->ip[i].proto != POLICY_PROTO_DEFAULT && !filter_can_carry(r->ip[i].proto))
			diag_warning(c->d, r->at,
				     "%s never passes a gateway, which translates TCP, UDP and ICMP: this reaches the "
				     "gateway itself at most",
				     policy_proto_name(r->ip[i].proto, buf));
}

static void check_destinations(const struct checker *c, const struct policy_rule *r)
{
	if (c->gateway && r->via.n && !policy_carries(c->gateway, r)) {
		diag_warning(c->d, r->via.v[0].at, "can never match: this gateway has no tag that via names");
		return;
	}
	for (size_t i = 0; i < r->n_dst && !budget_is_spent(c->budget); i++)
		check_destination(c, r, &r->dst[i].sel);
	if (!r->n_dst)
		diag_warning(c->d, r->at, "can never match: dst is empty");
}

static int check_by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_name_of(const struct checker *c, const struct inventory_node *node)
{
	char buf[ADDR_STRLEN];

	for (size_t i = 0; i < c->p->n_hosts && budget_pay(c->budget, 1); i++) {
		const struct policy_host *h = &c->p->hosts[i];
		struct policy_sel sel = {.kind = SEL_HOST, .def = (uint32_t)i, .text = h->name};

		if (!strcmp(h->name, node->name) && !resolve_matches(c->r, &sel, node))
			diag_warning(c->d, h->at, "hosts: a client is called \"%s\", too: in a rule that name means %s",
				     h->name, prefix_str(&h->prefix, buf));
	}
}

/* In a rule the name is the host; people who know the client may read it otherwise. */
static void check_all_names(const struct checker *c)
{
	const struct policy *p = c->p;
	const char **names = mem_alloc(p->n_hosts, sizeof(*names));

	for (size_t i = 0; i < p->n_hosts; i++)
		names[i] = p->hosts[i].name;
	qsort(names, p->n_hosts, sizeof(*names), check_by_text);
	for (size_t i = 0; i < c->inv->n_nodes && p->n_hosts; i++) {
		const struct inventory_node *node = &c->inv->nodes[i];

		if (bsearch(&node->name, names, p->n_hosts, sizeof(*names), check_by_text))
			check_name_of(c, node);
	}
	free(names);
}

/* One filter for all that is asked of rules. */
static void check_rules(const struct checker *c)
{
	struct filter *f = policy_compile(c->r, c->p, NULL, POLICY_DENY_ALL);

	check_shadowed(c, f);
	check_divided(c, f);
	filter_free(f);
}

void policy_check(const struct policy *p, const struct policy_check_place *place, struct budget *budget,
		  struct diags *d)
{
	const struct inventory *inv = place->inv;
	struct checker c = {.p = p,
			    .inv = inv,
			    .gateway = place->gateway,
			    .r = resolver_new(p, inv, budget),
			    .budget = budget,
			    .d = d};
	struct diag_at whole = {.file = p->doc->file};

	if (!p->has_rules && !place->narrows)
		diag_warning(d, whole, "no acls and no grants: everything is denied");
	check_collect(&c);
	for (size_t i = 0; i < p->n_rules && inv->n_nodes && !budget_is_spent(budget); i++) {
		if (p->rules[i].posture.n)
			continue; /* that it holds for nobody was said */
		budget_at(budget, p->rules[i].at);
		check_sources(&c, &p->rules[i]);
		check_destinations(&c, &p->rules[i]);
		check_protocols(&c, &p->rules[i]);
	}
	check_all_names(&c);
	if (inv->n_nodes)
		check_rules(&c);
	if (budget_is_spent(budget))
		diag_warning(d, budget->at,
			     "the rules from here on were not searched for those without effect: "
			     "there is too much of them");
	prefixes_free(&c.routes);
	prefixes_free(&c.plain);
	resolver_free(c.r);
}
