/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policy and inventory -> filter rules. Sources are resolved as they are written;
 * of the destinations only those are kept that the node is concerned with, and
 * those literally: a route of 10.0.0.0/16 and a rule for 10.0.0.0/8 keep the /8.
 */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

struct source { /* addresses of a list of source selectors, shared by rules that have the same list */
	char *key;
	uint32_t hash;
	struct prefix *v;
	size_t n;
	bool owned; /* by the first rule that used it */
	struct source *next;
};

struct compiler {
	const struct resolver *r;
	const struct policy *p;
	const struct inventory_node *node; /* NULL: every node */
	struct filter *f;
	struct budget *budget;
	struct source **sources;
	size_t n_buckets; /* a power of two, one for each rule at least */
};

/* ---- sources ------------------------------------------------------------------------ */

/* A deny's logins mean more than an accept's: the key begins with which it is. */
static char *source_key(const struct policy_sels *src)
{
	size_t len = 2, at = 0;
	char *key;

	for (size_t i = 0; i < src->n; i++)
		len += strlen(src->v[i].text) + 1;
	key = mem_alloc(len, 1);
	key[at++] = src->n && src->v[0].any_case ? 'd' : 'a';
	for (size_t i = 0; i < src->n; i++) {
		size_t n = strlen(src->v[i].text);

		memcpy(key + at, src->v[i].text, n);
		key[at + n] = '\n';
		at += n + 1;
	}
	return key;
}

static uint32_t hash_source(const char *key)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * 16777619u;
	return hash;
}

static struct source *compile_source_of(struct compiler *c, const struct policy_sels *src)
{
	char *key = source_key(src);
	uint32_t hash = hash_source(key);
	struct source **bucket = &c->sources[hash & (c->n_buckets - 1)], *s;
	struct prefixes set = {0};

	for (s = *bucket; s && budget_pay(c->budget, 1); s = s->next)
		if (s->hash == hash && !strcmp(s->key, key)) {
			free(key);
			return s;
		}
	for (size_t i = 0; i < src->n && !budget_is_spent(c->budget); i++)
		resolve_src(c->r, &src->v[i], &set);
	budget_hold(c->budget, set.n, sizeof(*set.v));
	if (budget_pay_sort(c->budget, set.n))
		prefixes_sort(&set);
	s = mem_alloc(1, sizeof(*s));
	*s = (struct source){.key = key, .hash = hash, .v = set.v, .n = set.n, .next = *bucket};
	*bucket = s;
	return s;
}

static void free_sources(struct compiler *c)
{
	for (size_t i = 0; i < c->n_buckets; i++)
		while (c->sources[i]) {
			struct source *s = c->sources[i];

			c->sources[i] = s->next;
			if (!s->owned)
				free(s->v);
			free(s->key);
			free(s);
		}
	free(c->sources);
}

/* ---- destinations --------------------------------------------------------------------- */

static bool has_address_in(const struct inventory_node *node, const struct prefix *d)
{
	for (size_t i = 0; i < node->addrs.n; i++)
		if (prefix_covers(d, &node->addrs.v[i]))
			return true;
	return false;
}

static bool routes_part_of(const struct inventory_node *node, const struct prefix *d, bool with_default)
{
	for (size_t i = 0; i < node->approved.n; i++) {
		const struct prefix *route = &node->approved.v[i];

		if ((with_default || !inventory_is_default_route(route)) && prefix_overlaps(route, d))
			return true;
	}
	return false;
}

bool policy_carries(const struct inventory_node *node, const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->via.n; i++)
		if (inventory_has_tag(node, rule->via.v[i].text))
			return true;
	return !rule->via.n;
}

/* The node is one of those that may carry it, and a router there. */
static bool carries_via(const struct inventory_node *node, const struct policy_rule *rule, const struct policy_sel *sel,
			const struct prefix *d)
{
	if (!policy_carries(node, rule))
		return false;
	return sel->kind == SEL_INTERNET ? inventory_has_exit(node) : routes_part_of(node, d, false);
}

/* For everybody at once: a grant whose tag no router has lets nothing pass anywhere. */
static bool somebody_carries(const struct compiler *c, const struct policy_rule *rule, const struct policy_sel *sel,
			     const struct prefix *d)
{
	const struct inventory *inv = resolver_inventory(c->r);

	for (size_t i = 0; i < inv->n_nodes && budget_pay(c->budget, 1 + rule->via.n); i++)
		if (carries_via(&inv->nodes[i], rule, sel, d))
			return true;
	return false;
}

/* The node is concerned with destination @d of a rule. */
static bool compile_concerns(const struct compiler *c, const struct policy_rule *rule, const struct policy_sel *sel,
			     const struct prefix *d)
{
	const struct inventory_node *node = c->node;

	if (!node)
		return !rule->via.n || somebody_carries(c, rule, sel, d);
	budget_pay(c->budget, 1 + node->approved.n + rule->via.n);
	if (rule->via.n)
		return carries_via(node, rule, sel, d);
	if (has_address_in(node, d) || routes_part_of(node, d, false))
		return true;
	if (rule->kind == POLICY_DENY) /* it forbids whatever part of it may pass */
		return routes_part_of(node, d, true);
	return inventory_has_exit(node) && prefixes_cover(resolve_internet(c->r), d);
}

static void add_dst(const struct compiler *c, struct filter_rule *out, const struct prefix *d,
		    const struct policy_portlist *ports)
{
	if (!budget_pay(c->budget, ports->n) || !budget_hold(c->budget, ports->n, sizeof(*out->dst)))
		return;
	for (size_t i = 0; i < ports->n; i++) {
		out->dst = mem_grow(out->dst, out->n_dst, sizeof(*out->dst));
		out->dst[out->n_dst++] = (struct filter_dst){*d, ports->v[i].first, ports->v[i].last};
	}
}

/* "*" is one destination of two prefixes: who has any address is concerned with all of it. */
static bool concerns_any(const struct compiler *c, const struct policy_rule *rule, const struct policy_sel *sel,
			 const struct prefixes *all)
{
	bool any = false;

	for (size_t i = 0; i < all->n; i++)
		any |= compile_concerns(c, rule, sel, &all->v[i]);
	return any;
}

/* The prefixes of a destination that the node is concerned with. */
static void find_destinations(const struct compiler *c, const struct policy_rule *rule, const struct policy_sel *sel,
			      struct prefixes *out)
{
	size_t kept = 0;
	bool all;

	resolve_dst(c->r, sel, out);
	if (!budget_pay_sort(c->budget, out->n))
		return;
	prefixes_sort(out);
	all = sel->kind == SEL_ANY && concerns_any(c, rule, sel, out);
	for (size_t i = 0; i < out->n && !budget_is_spent(c->budget); i++)
		if (all || compile_concerns(c, rule, sel, &out->v[i]))
			out->v[kept++] = out->v[i];
	out->n = kept;
}

/* ---- rules ----------------------------------------------------------------------------- */

static void free_parts(struct filter_rule *out)
{
	free(out->dst);
	if (!out->shares_src)
		free(out->src);
}

#define EMIT_STEPS 16  /* writing a rule's text is as much work as that many steps */
#define EMIT_BYTES 256 /* its texts and what malloc adds to them */

/* Takes over what is in @out; a rule without sources or destinations is none. */
static void emit(struct compiler *c, const struct policy_rule *rule, uint8_t proto, struct filter_rule *out)
{
	if (!out->n_src || !out->n_dst || !budget_pay(c->budget, EMIT_STEPS) ||
	    !budget_hold(c->budget, 1, sizeof(*out) + EMIT_BYTES)) {
		free_parts(out);
		return;
	}
	out->id = rule->id;
	out->verdict = rule->kind == POLICY_DENY ? FILTER_DENY : FILTER_ACCEPT;
	out->file = rule->at.file;
	out->line = rule->at.line;
	out->column = rule->at.column;
	out->text = policy_rule_text(rule);
	if (proto != POLICY_PROTO_DEFAULT) {
		out->proto = mem_alloc(1, 1);
		out->proto[0] = proto;
		out->n_proto = 1;
	}
	c->f->rules = mem_grow(c->f->rules, c->f->n, sizeof(*c->f->rules));
	c->f->rules[c->f->n++] = *out;
}

/* Adds every prefix with all ports that the rule has for it and one protocol. */
static void compile_add_ports(const struct compiler *c, const struct policy_rule *rule, const struct policy_dst *dst,
			      uint8_t proto, const struct prefixes *set, struct filter_rule *out)
{
	for (size_t j = 0; j < rule->n_ip && budget_pay(c->budget, 1); j++)
		for (size_t k = 0; k < set->n && rule->ip[j].proto == proto && !budget_is_spent(c->budget); k++)
			add_dst(c, out, &set->v[k], rule->kind == POLICY_GRANT ? &rule->ip[j].ports : &dst->ports);
}

/* Adds every destination of the rule for one protocol: of autogroup:self the @own nodes, else (NULL) all others. */
static void add_destinations(const struct compiler *c, const struct policy_rule *rule, uint8_t proto,
			     const struct prefixes *own, struct filter_rule *out)
{
	for (size_t i = 0; i < rule->n_dst && budget_pay(c->budget, 1); i++) {
		const struct policy_dst *dst = &rule->dst[i];
		struct prefixes set = {0};

		if ((dst->sel.kind == SEL_SELF) != (own != NULL))
			continue;
		if (!own)
			find_destinations(c, rule, &dst->sel, &set);
		compile_add_ports(c, rule, dst, proto, own ? own : &set, out);
		prefixes_free(&set);
	}
}

static void compile_plain(struct compiler *c, const struct policy_rule *rule, uint8_t proto)
{
	struct source *s = compile_source_of(c, &rule->src);
	struct filter_rule out = {.src = s->v, .n_src = s->n, .shares_src = true};

	add_destinations(c, rule, proto, NULL, &out);
	if (out.n_src && out.n_dst && !s->owned) {
		out.shares_src = false;
		s->owned = true;
	}
	emit(c, rule, proto, &out);
}

struct self_rule {
	struct compiler *c;
	const struct policy_rule *rule;
	struct prefixes named; /* as sources, merged */
	uint8_t proto;
};

/* autogroup:self for one user: those of his nodes that the sources name reach all of them. */
static void compile_user(const char *user, void *arg)
{
	const struct self_rule *self = arg;
	struct compiler *c = self->c;
	struct prefixes own = {0}, src = {0}, dst = {0};
	struct filter_rule out = {0};

	resolve_user(c->r, user, &own);
	prefixes_sort(&own);
	for (size_t i = 0; i < own.n && budget_pay(c->budget, 1); i++) {
		if (prefixes_overlap(&self->named, &own.v[i]))
			prefixes_add(&src, &own.v[i]);
		if (!c->node || has_address_in(c->node, &own.v[i]))
			prefixes_add(&dst, &own.v[i]);
	}
	out.src = src.v;
	out.n_src = src.n;
	budget_hold(c->budget, src.n, sizeof(*src.v));
	add_destinations(c, self->rule, self->proto, &dst, &out);
	prefixes_free(&own);
	prefixes_free(&dst);
	emit(c, self->rule, self->proto, &out);
}

static void compile_self(struct compiler *c, const struct policy_rule *rule, uint8_t proto)
{
	struct self_rule self = {.c = c, .rule = rule, .proto = proto};
	const struct inventory_node *node = c->node;
	const struct source *s;
	size_t i = 0;

	while (i < rule->n_dst && rule->dst[i].sel.kind != SEL_SELF)
		i++;
	if (i == rule->n_dst)
		return;
	s = compile_source_of(c, &rule->src);
	prefixes_add_all(&self.named, s->v, s->n);
	if (budget_pay_sort(c->budget, s->n))
		prefixes_merge(&self.named);
	if (!node)
		resolve_each_user(c->r, compile_user, &self);
	else if (!node->n_tags && node->user)
		compile_user(node->user, &self);
	prefixes_free(&self.named);
}

static void compile_rule(struct compiler *c, const struct policy_rule *rule)
{
	bool seen[256] = {false};

	if (rule->posture.n)
		return; /* under a condition that nobody can check here */
	budget_at(c->budget, rule->at);
	for (size_t i = 0; i < rule->n_ip && budget_pay(c->budget, 1); i++) {
		if (seen[rule->ip[i].proto])
			continue;
		seen[rule->ip[i].proto] = true;
		compile_plain(c, rule, rule->ip[i].proto);
		compile_self(c, rule, rule->ip[i].proto);
	}
}

/* Anything from anywhere; its id 0 is no rule of the file. */
static void allow_all(struct compiler *c)
{
	struct policy_ports all = {0, 65535};
	struct policy_sel any = {.kind = SEL_ANY, .text = "*"};
	struct policy_sel everything = {.kind = SEL_DANGER_ALL, .text = "autogroup:danger-all"};
	struct policy_ip ip = {0};
	struct policy_dst dst = {.sel = any, .ports = {&all, 1}};
	struct policy_rule rule = {
		.kind = POLICY_ACL, .src = {&everything, 1}, .dst = &dst, .n_dst = 1, .ip = &ip, .n_ip = 1};

	compile_rule(c, &rule);
}

struct filter *policy_compile(const struct resolver *r, const struct policy *p, const struct inventory_node *node,
			      enum policy_absent absent)
{
	struct compiler c = {.r = r,
			     .p = p,
			     .node = node,
			     .f = mem_alloc(1, sizeof(*c.f)),
			     .budget = resolver_budget(r),
			     .n_buckets = 16};

	while (c.n_buckets < p->n_rules)
		c.n_buckets *= 2;
	c.sources = mem_alloc(c.n_buckets, sizeof(*c.sources));
	if (!p->has_rules && absent == POLICY_ALLOW_ALL)
		allow_all(&c);
	for (size_t i = 0; i < p->n_rules && !budget_is_spent(c.budget); i++)
		compile_rule(&c, &p->rules[i]);
	free_sources(&c);
	return c.f;
}
