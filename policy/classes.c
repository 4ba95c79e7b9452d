/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partition refinement: which clients do the same rules name? Costs one step for
 * every client in every distinct set of sources, however many rules share the set.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "classes.h"

struct host { /* one address of one client */
	struct addr addr;
	uint32_t client;
};

struct wide { /* a client that stands for a whole network */
	struct prefix prefix;
	uint32_t client;
};

struct count { /* addresses of a client by family */
	uint32_t v4, v6;
};

struct splitter {
	struct classes *c;
	struct budget *budget;
	struct host *hosts; /* sorted by address */
	size_t n_hosts;
	struct wide *wides;
	size_t n_wides;
	struct count *total, *hit; /* by client; hit: in the set at hand */
	uint32_t *touched;	   /* clients with a hit */
	size_t n_touched;
	bool *divided;
};

/* ---- source sets -------------------------------------------------------------------- */

struct rule_ref {
	const struct filter_rule *rule;
	uint32_t index, hash; /* hash: of the sources, so that few lists are compared in full */
};

static uint32_t hash_sources(const struct filter_rule *r)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < r->n_src; i++) {
		for (size_t k = 0; k < sizeof(r->src[i].addr.b); k++)
			hash = (hash ^ r->src[i].addr.b[k]) * 16777619u;
		hash = (hash ^ r->src[i].len) * 16777619u;
	}
	return hash;
}

static int by_sources(const void *pa, const void *pb)
{
	const struct rule_ref *ra = pa, *rb = pb;
	const struct filter_rule *a = ra->rule, *b = rb->rule;

	if (ra->hash != rb->hash)
		return ra->hash < rb->hash ? -1 : 1;
	if (a->verdict != b->verdict)
		return a->verdict < b->verdict ? -1 : 1;
	if (a->n_src != b->n_src)
		return a->n_src < b->n_src ? -1 : 1;
	return a->src == b->src ? 0 : prefixes_cmp(a->src, b->src, a->n_src);
}

static void add_to_set(struct classes *c, const struct rule_ref *ref, bool same_as_last)
{
	struct source_set *set;

	if (!same_as_last) {
		c->sets = mem_grow(c->sets, c->n_sets, sizeof(*c->sets));
		c->sets[c->n_sets++] = (struct source_set){.verdict = ref->rule->verdict};
		set = &c->sets[c->n_sets - 1];
		prefixes_add_all(&set->src, ref->rule->src, ref->rule->n_src);
		prefixes_merge(&set->src);
	}
	set = &c->sets[c->n_sets - 1];
	set->rules = mem_grow(set->rules, set->n_rules, sizeof(*set->rules));
	set->rules[set->n_rules++] = ref->index;
}

static void make_sets(struct classes *c, const struct filter *f, struct budget *budget)
{
	struct rule_ref *refs = mem_alloc(f->n, sizeof(*refs));

	for (size_t i = 0; i < f->n; i++) {
		bool shared = i && f->rules[i].src == f->rules[i - 1].src && f->rules[i].n_src == f->rules[i - 1].n_src;

		refs[i] = (struct rule_ref){.rule = &f->rules[i], .index = (uint32_t)i};
		if (shared)
			refs[i].hash = refs[i - 1].hash;
		else if (budget_pay(budget, f->rules[i].n_src))
			refs[i].hash = hash_sources(&f->rules[i]);
	}
	if (budget_is_spent(budget))
		goto out;
	qsort(refs, f->n, sizeof(*refs), by_sources);
	for (size_t i = 0; i < f->n; i++) {
		bool same = i && !by_sources(&refs[i - 1], &refs[i]);

		if (!same && !(budget_pay_sort(budget, refs[i].rule->n_src) &&
			       budget_hold(budget, refs[i].rule->n_src, sizeof(struct prefix))))
			break;
		add_to_set(c, &refs[i], same);
	}
out:
	free(refs);
}

/* ---- clients --------------------------------------------------------------------------- */

static int classes_by_addr(const void *a, const void *b)
{
	return addr_cmp(&((const struct host *)a)->addr, &((const struct host *)b)->addr);
}

static void classes_add_client(struct splitter *s, const struct tables_client *client, uint32_t index)
{
	for (size_t i = 0; i < client->n; i++) {
		const struct prefix *p = &client->addrs[i];

		if (prefix_is_v4(p))
			s->total[index].v4++;
		else
			s->total[index].v6++;
		if (p->len == 128) {
			s->hosts = mem_grow(s->hosts, s->n_hosts, sizeof(*s->hosts));
			s->hosts[s->n_hosts++] = (struct host){p->addr, index};
		} else {
			s->wides = mem_grow(s->wides, s->n_wides, sizeof(*s->wides));
			s->wides[s->n_wides++] = (struct wide){*p, index};
		}
	}
}

static void hit(struct splitter *s, uint32_t client, bool v4)
{
	struct count *h = &s->hit[client];

	if (!h->v4 && !h->v6)
		s->touched[s->n_touched++] = client;
	if (v4)
		h->v4++;
	else
		h->v6++;
}

static void hit_hosts(struct splitter *s, const struct prefix *p)
{
	size_t low = 0, high = s->n_hosts;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr_cmp(&s->hosts[mid].addr, &p->addr) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (struct addr last = prefix_last(p); low < s->n_hosts && addr_cmp(&s->hosts[low].addr, &last) <= 0; low++)
		if (prefix_contains(p, &s->hosts[low].addr))
			hit(s, s->hosts[low].client, prefix_is_v4(p));
}

/* An accept must name all of a network, a deny any part of it. */
static void hit_wides(struct splitter *s, const struct source_set *set)
{
	for (size_t i = 0; i < s->n_wides; i++) {
		const struct prefix *p = &s->wides[i].prefix;

		if (set->verdict == FILTER_ACCEPT ? prefixes_cover(&set->src, p) : prefixes_overlap(&set->src, p))
			hit(s, s->wides[i].client, prefix_is_v4(p));
	}
}

/* ---- splitting ----------------------------------------------------------------------------- */

static void divide(struct splitter *s, uint32_t client)
{
	if (s->divided[client])
		return;
	s->divided[client] = true;
	s->c->n_divided++;
	if (client < s->c->first_divided)
		s->c->first_divided = client;
}

/* Families of the client that the set takes: where only a part of its addresses is
 * named, an accept leaves it out and a deny takes it. */
static unsigned families_in(struct splitter *s, uint32_t client, enum filter_verdict verdict)
{
	const struct count *all = &s->total[client], *h = &s->hit[client];
	unsigned families = 0;

	if (h->v4 && (h->v4 == all->v4 || verdict == FILTER_DENY))
		families |= CLASS_V4;
	if (h->v6 && (h->v6 == all->v6 || verdict == FILTER_DENY))
		families |= CLASS_V6;
	if ((h->v4 && h->v4 != all->v4) || (h->v6 && h->v6 != all->v6))
		divide(s, client);
	return families;
}

static uint32_t child_of(struct classes *c, uint32_t node, uint32_t set, unsigned families)
{
	struct class_node *n = &c->nodes[node];
	uint32_t child;

	if (n->stamp != set + 1) {
		memset(n->child, 0, sizeof(n->child));
		n->stamp = set + 1;
	}
	if (n->child[families])
		return n->child[families];
	child = (uint32_t)c->n_nodes;
	n->child[families] = child;
	c->nodes = mem_grow(c->nodes, c->n_nodes, sizeof(*c->nodes));
	c->nodes[c->n_nodes++] = (struct class_node){.parent = node, .set = set, .families = (uint8_t)families};
	return child;
}

static void split_by(struct splitter *s, uint32_t set)
{
	struct classes *c = s->c;

	s->n_touched = 0;
	for (size_t i = 0; i < c->sets[set].src.n && budget_pay(s->budget, 4); i++)
		hit_hosts(s, &c->sets[set].src.v[i]);
	if (budget_pay(s->budget, s->n_wides + s->n_touched))
		hit_wides(s, &c->sets[set]);
	for (size_t i = 0; i < s->n_touched; i++) {
		uint32_t client = s->touched[i];
		unsigned families = families_in(s, client, c->sets[set].verdict);

		if (families)
			c->node_of[client] = child_of(c, c->node_of[client], set, families);
		s->hit[client] = (struct count){0};
	}
}

void classes_build(struct classes *c, const struct filter *f, const struct tables_client *clients, size_t n,
		   struct budget *budget)
{
	struct splitter s = {.c = c, .budget = budget};

	*c = (struct classes){.first_divided = SIZE_MAX};
	make_sets(c, f, budget);
	c->node_of = mem_alloc(n, sizeof(*c->node_of));
	c->nodes = mem_grow(NULL, 0, sizeof(*c->nodes));
	c->nodes[c->n_nodes++] = (struct class_node){.parent = CLASS_ROOT};
	s.total = mem_alloc(n, sizeof(*s.total));
	s.hit = mem_alloc(n, sizeof(*s.hit));
	s.touched = mem_alloc(n, sizeof(*s.touched));
	s.divided = mem_alloc(n, sizeof(*s.divided));
	for (size_t i = 0; i < n; i++)
		classes_add_client(&s, &clients[i], (uint32_t)i);
	if (s.n_hosts)
		qsort(s.hosts, s.n_hosts, sizeof(*s.hosts), classes_by_addr);
	for (size_t i = 0; i < c->n_sets && !budget_is_spent(budget); i++)
		split_by(&s, (uint32_t)i);
	free(s.hosts);
	free(s.wides);
	free(s.total);
	free(s.hit);
	free(s.touched);
	free(s.divided);
}

void classes_free(struct classes *c)
{
	for (size_t i = 0; i < c->n_sets; i++) {
		prefixes_free(&c->sets[i].src);
		free(c->sets[i].rules);
	}
	free(c->sets);
	free(c->nodes);
	free(c->node_of);
	*c = (struct classes){0};
}
