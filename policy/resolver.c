/* SPDX-License-Identifier: BSD-2-Clause */
/* What is worked out once, before selectors are asked for: indices of people and nodes, ipsets, pools, quotas. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "resolve_private.h"
#include "tailnet_ranges.h"

int resolve_by_login(const char *a, const char *b)
{
	int order = strcasecmp(a, b);

	return order ? order : strcmp(a, b);
}

static int by_key(const void *pa, const void *pb)
{
	const struct owned *a = pa, *b = pb;
	int order = resolve_by_login(a->key, b->key);

	return order ? order : (a->node > b->node) - (a->node < b->node);
}

static void own(struct ownership *o, const char *key, const struct inventory_node *node)
{
	o->v = mem_grow(o->v, o->n, sizeof(*o->v));
	o->v[o->n++] = (struct owned){key, node};
}

static int resolver_by_place(const void *pa, const void *pb)
{
	const struct node_place *a = pa, *b = pb;

	return prefix_cmp(&a->prefix, &b->prefix);
}

static void index_places(struct resolver *r)
{
	r->shortest = 128;
	for (size_t i = 0; i < r->inv->n_nodes; i++)
		for (size_t k = 0; k < r->inv->nodes[i].addrs.n; k++) {
			const struct prefix *p = &r->inv->nodes[i].addrs.v[k];

			r->places = mem_grow(r->places, r->n_places, sizeof(*r->places));
			r->places[r->n_places++] = (struct node_place){*p, (uint32_t)i};
			if (p->len < r->shortest)
				r->shortest = p->len;
		}
	if (r->n_places)
		qsort(r->places, r->n_places, sizeof(*r->places), resolver_by_place);
}

int resolve_by_member(const void *a, const void *b)
{
	return resolve_by_login(*(const char *const *)a, *(const char *const *)b);
}

static void index_members(struct resolver *r)
{
	r->members = mem_alloc(r->p->n_groups, sizeof(*r->members));
	for (size_t i = 0; i < r->p->n_groups; i++) {
		const struct policy_sels *users = &r->p->groups[i].users;

		r->members[i] = mem_alloc(users->n, sizeof(**r->members));
		for (size_t k = 0; k < users->n; k++)
			r->members[i][k] = users->v[k].text;
		qsort(r->members[i], users->n, sizeof(**r->members), resolve_by_member);
		budget_pay_sort(r->budget, users->n);
	}
}

static void index_nodes(struct resolver *r)
{
	for (size_t i = 0; i < r->inv->n_nodes; i++) {
		const struct inventory_node *node = &r->inv->nodes[i];

		for (size_t t = 0; t < node->n_tags; t++)
			own(&r->by_tag, node->tags[t], node);
		if (!node->n_tags && node->user)
			own(&r->by_user, node->user, node);
	}
	if (r->by_user.n)
		qsort(r->by_user.v, r->by_user.n, sizeof(*r->by_user.v), by_key);
	if (r->by_tag.n)
		qsort(r->by_tag.v, r->by_tag.n, sizeof(*r->by_tag.v), by_key);
}

/* Of users that are listed, and of those who have nodes. */
static void index_logins(struct resolver *r)
{
	size_t kept = 0;

	r->logins = mem_alloc(r->inv->n_users + r->by_user.n, sizeof(*r->logins));
	for (size_t i = 0; i < r->inv->n_users; i++)
		r->logins[r->n_logins++] = r->inv->users[i].name;
	for (size_t i = 0; i < r->by_user.n; i++)
		r->logins[r->n_logins++] = r->by_user.v[i].key;
	qsort(r->logins, r->n_logins, sizeof(*r->logins), resolve_by_member);
	for (size_t i = 0; i < r->n_logins; i++)
		if (!kept || strcmp(r->logins[kept - 1], r->logins[i]))
			r->logins[kept++] = r->logins[i];
	r->n_logins = kept;
}

/* ---- what does not depend on a rule --------------------------------------------- */

static struct prefix literal(const char *text)
{
	struct prefix p = {0};

	prefix_parse(text, strlen(text), &p, NULL);
	return p;
}

static void add_literal(struct prefixes *s, const char *text)
{
	struct prefix p = literal(text);

	prefixes_add(s, &p);
}

static void subtract_literal(struct prefixes *s, const char *text)
{
	struct prefix p = literal(text);

	prefixes_subtract(s, &p);
}

static void make_internet(struct prefixes *s)
{
	add_literal(s, "0.0.0.0/0");
	subtract_literal(s, "10.0.0.0/8"); /* RFC 1918 */
	subtract_literal(s, "172.16.0.0/12");
	subtract_literal(s, "192.168.0.0/16");
	subtract_literal(s, TAILNET_V4);       /* shared space, whoever uses it */
	subtract_literal(s, "169.254.0.0/16"); /* RFC 3927 */
	add_literal(s, "2000::/3");
	prefixes_merge(s);
}

void resolve_everything(struct prefixes *out)
{
	add_literal(out, "0.0.0.0/0");
	add_literal(out, "::/0");
}

/*
 * In a tailnet its addresses, and what its routers stand for. A gateway has packets of its clients alone,
 * whatever their addresses are: there it is every address, so that none of them is missed.
 */
static void make_anybody(struct resolver *r)
{
	if (!r->inv->tailnet) {
		resolve_everything(&r->anybody);
		return;
	}
	add_literal(&r->anybody, TAILNET_V4);
	subtract_literal(&r->anybody, TAILNET_CHROMEOS);
	add_literal(&r->anybody, TAILNET_V6);
	for (size_t i = 0; i < r->inv->n_nodes; i++) {
		const struct prefixes *approved = &r->inv->nodes[i].approved;

		for (size_t j = 0; j < approved->n; j++)
			if (!inventory_is_default_route(&approved->v[j]))
				prefixes_add(&r->anybody, &approved->v[j]);
	}
	prefixes_sort(&r->anybody);
}

struct ops {
	struct prefix_op *v;
	size_t n;
};

/* False: the budget is spent. */
static bool add_op(struct resolver *r, const struct policy_ipset_op *op, uint32_t number, struct ops *out)
{
	struct prefixes target = {0};
	bool paid;

	resolve_dst(r, &op->target, &target);
	paid = budget_hold(r->budget, target.n, sizeof(*out->v));
	for (size_t i = 0; i < target.n && paid; i++) {
		out->v = mem_grow(out->v, out->n, sizeof(*out->v));
		out->v[out->n++] = (struct prefix_op){target.v[i], number, op->remove};
	}
	prefixes_free(&target);
	return paid;
}

/* An ipset after those that it refers to; they nest to a checked depth. */
static void make_ipset(struct resolver *r, uint32_t def, bool *done)
{
	const struct policy_ipset *set = &r->p->ipsets[def];
	struct ops ops = {0};

	if (done[def])
		return;
	done[def] = true;
	for (size_t i = 0; i < set->n; i++)
		if (set->ops[i].target.kind == SEL_IPSET)
			make_ipset(r, set->ops[i].target.def, done);
	budget_at(r->budget, set->at);
	for (size_t i = 0; i < set->n; i++)
		if (!add_op(r, &set->ops[i], (uint32_t)i, &ops))
			break;
	if (budget_pay_sort(r->budget, ops.n) && budget_pay(r->budget, ops.n * 8))
		prefixes_apply(&r->ipsets[def], ops.v, ops.n);
	budget_release(r->budget, ops.n, sizeof(*ops.v));
	free(ops.v);
	if (budget_hold(r->budget, r->ipsets[def].n, sizeof(struct prefix)))
		prefixes_merge(&r->ipsets[def]);
}

/* The first entry of a section that names a node counts for it. */
struct assignment {
	uint32_t *of, entry; /* entry: index and 1 */
	size_t left;	     /* nodes that nothing names yet */
};

static void assign_node(uint32_t node, void *arg)
{
	struct assignment *a = arg;

	a->left -= !a->of[node];
	if (!a->of[node])
		a->of[node] = a->entry;
}

static void assign_pools(struct resolver *r)
{
	struct assignment a = {.of = mem_alloc(r->inv->n_nodes, sizeof(*a.of)), .left = r->inv->n_nodes};

	r->pool_of = a.of;
	for (size_t i = 0; i < r->p->n_egress && a.left; i++) {
		a.entry = (uint32_t)i + 1;
		budget_at(r->budget, r->p->egress[i].at);
		resolve_each_node(r, &r->p->egress[i].who, assign_node, &a);
	}
}

static void assign_quotas(struct resolver *r)
{
	struct assignment a = {.of = mem_alloc(r->inv->n_nodes, sizeof(*a.of)), .left = r->inv->n_nodes};

	r->quota_of = a.of;
	for (size_t i = 0; i < r->p->n_quotas; i++) {
		const struct policy_sels *src = &r->p->quotas[i].src;

		a.entry = (uint32_t)i + 1;
		budget_at(r->budget, r->p->quotas[i].at);
		for (size_t k = 0; k < src->n && a.left; k++)
			resolve_each_node(r, &src->v[k], assign_node, &a);
	}
}

struct resolver *resolver_new(const struct policy *p, const struct inventory *inv, struct budget *budget)
{
	struct resolver *r = mem_alloc(1, sizeof(*r));
	bool *done = mem_alloc(p->n_ipsets, sizeof(*done));

	r->p = p;
	r->inv = inv;
	r->budget = budget;
	index_nodes(r);
	index_logins(r);
	index_places(r);
	index_members(r);
	make_internet(&r->internet);
	make_anybody(r);
	r->ipsets = mem_alloc(p->n_ipsets, sizeof(*r->ipsets));
	for (size_t i = 0; i < p->n_ipsets; i++)
		make_ipset(r, (uint32_t)i, done);
	free(done);
	assign_pools(r);
	assign_quotas(r);
	return r;
}

const struct inventory *resolver_inventory(const struct resolver *r)
{
	return r->inv;
}

struct budget *resolver_budget(const struct resolver *r)
{
	return r->budget;
}

void resolver_set_budget(struct resolver *r, struct budget *budget)
{
	r->budget = budget;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->p->n_ipsets; i++)
		prefixes_free(&r->ipsets[i]);
	free(r->ipsets);
	prefixes_free(&r->anybody);
	prefixes_free(&r->internet);
	free(r->logins);
	free(r->by_user.v);
	free(r->by_tag.v);
	free(r->places);
	for (size_t i = 0; i < r->p->n_groups; i++)
		free(r->members[i]);
	free(r->members);
	free(r->pool_of);
	free(r->quota_of);
	free(r);
}

const struct prefixes *resolve_internet(const struct resolver *r)
{
	return &r->internet;
}
