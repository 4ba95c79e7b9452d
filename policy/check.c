/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy says without effect. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct checker {
	const struct policy *p;
	const struct inventory *inv;
	struct resolver *r;
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

/* A selector that means no address now. */
static bool is_empty(const struct checker *c, const struct policy_sel *sel, bool dst)
{
	struct prefixes set = { 0 };
	bool empty;

	if (sel->kind == SEL_SELF)
		return false;
	if (dst)
		resolve_dst(c->r, sel, &set);
	else
		resolve_src(c->r, sel, &set);
	empty = !set.n;
	prefixes_free(&set);
	return empty;
}

static void check_sources(const struct checker *c, const struct policy_rule *r)
{
	size_t empty = 0;

	for (size_t i = 0; i < r->src.n; i++) {
		if (!is_empty(c, &r->src.v[i], false))
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
	for (size_t i = 0; i < set.n && !reachable; i++)
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
		if (is_empty(c, sel, true)) {
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

static bool covers_protos(const struct filter_rule *deny, const struct filter_rule *accept)
{
	static const uint8_t usual[] = { 6, 17, 1, 58 };
	const uint8_t *v = accept->n_proto ? accept->proto : usual;
	size_t n = accept->n_proto ? accept->n_proto : sizeof(usual);

	for (size_t i = 0; i < n; i++)
		if (!filter_rule_has_proto(deny, v[i]))
			return false;
	return true;
}

static bool covers_dst(const struct filter_rule *deny, const struct filter_rule *accept)
{
	for (size_t i = 0; i < accept->n_dst; i++) {
		bool covered = false;

		for (size_t j = 0; j < deny->n_dst && !covered; j++) {
			const struct filter_dst *a = &accept->dst[i], *d = &deny->dst[j];

			covered = prefix_covers(&d->prefix, &a->prefix) && d->first <= a->first && a->last <= d->last;
		}
		if (!covered)
			return false;
	}
	return true;
}

static bool covers_src(const struct filter_rule *deny, const struct filter_rule *accept)
{
	struct prefixes set = { 0 };
	bool covered = true;

	prefixes_add_all(&set, deny->src, deny->n_src);
	prefixes_merge(&set);
	for (size_t i = 0; i < accept->n_src && covered; i++)
		covered = prefixes_cover(&set, &accept->src[i]);
	prefixes_free(&set);
	return covered;
}

static const struct filter_rule *shadow_of(const struct filter *f, const struct filter_rule *accept)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct filter_rule *deny = &f->rules[i];

		if (deny->verdict == FILTER_DENY && covers_dst(deny, accept) && covers_protos(deny, accept) &&
		    covers_src(deny, accept))
			return deny;
	}
	return NULL;
}

static void check_shadowed(const struct checker *c)
{
	struct filter *f = policy_compile(c->r, c->p, NULL, POLICY_DENY_ALL);

	for (size_t i = 0; i < f->n; i++) {
		const struct filter_rule *r = &f->rules[i], *deny;
		struct diag_at at = { .file = r->file, .line = r->line, .column = r->column };

		if (r->verdict != FILTER_ACCEPT)
			continue;
		deny = shadow_of(f, r);
		if (deny)
			diag_warning(c->d, at, "can never match: the deny on line %u covers it (%s)", deny->line,
				     deny->text);
	}
	filter_free(f);
}

void policy_check(const struct policy *p, const struct inventory *inv, bool narrows, struct diags *d)
{
	struct checker c = { .p = p, .inv = inv, .r = resolver_new(p, inv), .d = d };
	struct diag_at whole = { .file = p->doc->file };

	if (!p->has_rules && !narrows)
		diag_warning(d, whole, "no acls and no grants: everything is denied");
	collect(&c);
	for (size_t i = 0; i < p->n_rules && inv->n_nodes; i++) {
		check_sources(&c, &p->rules[i]);
		check_destinations(&c, &p->rules[i]);
	}
	if (inv->n_nodes)
		check_shadowed(&c);
	prefixes_free(&c.routes);
	prefixes_free(&c.addresses);
	resolver_free(c.r);
}
