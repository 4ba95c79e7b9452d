/* SPDX-License-Identifier: BSD-2-Clause */
/* Selectors -> addresses, with the owners, tags and roles of an inventory. */
#include <stdlib.h>
#include <string.h>

#include "resolve.h"
#include "tailnet_ranges.h"

struct owned { /* a node under its user or under one of its tags */
	const char *key;
	const struct inventory_node *node;
};

struct ownership { /* sorted by key, then in the inventory's order */
	struct owned *v;
	size_t n;
};

struct resolver {
	const struct policy *p;
	const struct inventory *inv;
	struct ownership by_user, by_tag;
	struct prefixes anybody;  /* "*" as a source */
	struct prefixes internet;
	struct prefixes *ipsets;  /* by definition */
};

static int by_key(const void *pa, const void *pb)
{
	const struct owned *a = pa, *b = pb;
	int order = strcmp(a->key, b->key);

	return order ? order : (a->node > b->node) - (a->node < b->node);
}

static void own(struct ownership *o, const char *key, const struct inventory_node *node)
{
	o->v = mem_grow(o->v, o->n, sizeof(*o->v));
	o->v[o->n++] = (struct owned){ key, node };
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

/* Index of the first entry with @key or a later one. */
static size_t lower_bound(const struct ownership *o, const char *key)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(o->v[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void add_addrs(const struct inventory_node *node, struct prefixes *out)
{
	prefixes_add_all(out, node->addrs.v, node->addrs.n);
}

static void add_owned(const struct ownership *o, const char *key, struct prefixes *out)
{
	for (size_t i = lower_bound(o, key); i < o->n && !strcmp(o->v[i].key, key); i++)
		add_addrs(o->v[i].node, out);
}

void resolve_user(const struct resolver *r, const char *user, struct prefixes *out)
{
	add_owned(&r->by_user, user, out);
}

void resolve_own(const struct resolver *r, const struct addr *addr, struct prefixes *out)
{
	for (size_t i = 0; i < r->by_user.n; i++) {
		const struct prefixes *addrs = &r->by_user.v[i].node->addrs;

		for (size_t j = 0; j < addrs->n; j++)
			if (prefix_contains(&addrs->v[j], addr)) {
				resolve_user(r, r->by_user.v[i].key, out);
				return;
			}
	}
}

void resolve_each_user(const struct resolver *r, void (*each)(const char *user, void *arg), void *arg)
{
	for (size_t i = 0; i < r->by_user.n; i++)
		if (!i || strcmp(r->by_user.v[i].key, r->by_user.v[i - 1].key))
			each(r->by_user.v[i].key, arg);
}

/* ---- what does not depend on a rule --------------------------------------------- */

static struct prefix literal(const char *text)
{
	struct prefix p = { 0 };

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

static void add_everything(struct prefixes *out)
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
		add_everything(&r->anybody);
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

static void apply_op(struct resolver *r, const struct policy_ipset_op *op, struct prefixes *set)
{
	struct prefixes target = { 0 };

	resolve_dst(r, &op->target, &target);
	if (op->remove)
		for (size_t i = 0; i < target.n; i++)
			prefixes_subtract(set, &target.v[i]);
	else
		prefixes_add_all(set, target.v, target.n);
	prefixes_free(&target);
}

/* An ipset after those that it refers to; they nest to a checked depth. */
static void make_ipset(struct resolver *r, uint32_t def, bool *done)
{
	const struct policy_ipset *set = &r->p->ipsets[def];

	if (done[def])
		return;
	done[def] = true;
	for (size_t i = 0; i < set->n; i++)
		if (set->ops[i].target.kind == SEL_IPSET)
			make_ipset(r, set->ops[i].target.def, done);
	for (size_t i = 0; i < set->n; i++) {
		apply_op(r, &set->ops[i], &r->ipsets[def]);
		if (set->ops[i].remove || i + 1 == set->n || set->ops[i + 1].remove)
			prefixes_merge(&r->ipsets[def]);
	}
}

struct resolver *resolver_new(const struct policy *p, const struct inventory *inv)
{
	struct resolver *r = mem_alloc(1, sizeof(*r));
	bool *done = mem_alloc(p->n_ipsets, sizeof(*done));

	r->p = p;
	r->inv = inv;
	index_nodes(r);
	make_internet(&r->internet);
	make_anybody(r);
	r->ipsets = mem_alloc(p->n_ipsets, sizeof(*r->ipsets));
	for (size_t i = 0; i < p->n_ipsets; i++)
		make_ipset(r, (uint32_t)i, done);
	free(done);
	return r;
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
	free(r->by_user.v);
	free(r->by_tag.v);
	free(r);
}

const struct prefixes *resolve_internet(const struct resolver *r)
{
	return &r->internet;
}

/* ---- people ---------------------------------------------------------------------- */

static bool in_domain(const char *user, const char *sel)
{
	const char *at = strchr(user, '@'), *domain = strchr(sel, '@');

	return at && !strcmp(at, domain);
}

static bool has_role(const struct resolver *r, const char *user, const char *sel)
{
	const char *role = sel + strlen("autogroup:");

	for (size_t i = 0; i < r->inv->n_users; i++) {
		const struct inventory_user *u = &r->inv->users[i];

		if (strcmp(u->name, user))
			continue;
		for (size_t j = 0; j < u->n_roles; j++)
			if (!strcmp(u->roles[j], role))
				return true;
	}
	return false;
}

static bool in_group(const struct policy_group *g, const char *user)
{
	for (size_t i = 0; i < g->users.n; i++)
		if (!strcmp(g->users.v[i].text, user))
			return true;
	return false;
}

/* A selector of people names this user. */
static bool names_user(const struct resolver *r, const struct policy_sel *sel, const char *user)
{
	switch (sel->kind) {
	case SEL_USER:
		return !strcmp(sel->text, user);
	case SEL_DOMAIN:
		return in_domain(user, sel->text);
	case SEL_GROUP:
		return in_group(&r->p->groups[sel->def], user);
	case SEL_MEMBER:
	case SEL_ANY:
		return true;
	case SEL_ROLE:
		return has_role(r, user, sel->text);
	default:
		return false;
	}
}

bool resolve_matches(const struct resolver *r, const struct policy_sel *sel, const struct inventory_node *node)
{
	struct prefixes set = { 0 };
	bool found = false;

	if (sel->kind == SEL_TAG)
		return inventory_has_tag(node, sel->text);
	if (sel->kind == SEL_TAGGED)
		return node->n_tags;
	if (sel->kind == SEL_ANY)
		return true;
	if (sel->kind != SEL_PREFIX && sel->kind != SEL_HOST && sel->kind != SEL_IPSET && sel->kind != SEL_DANGER_ALL)
		return !node->n_tags && node->user && names_user(r, sel, node->user);
	resolve_src(r, sel, &set);
	for (size_t i = 0; i < node->addrs.n; i++)
		found |= prefixes_overlap(&set, &node->addrs.v[i]);
	prefixes_free(&set);
	return found;
}

static void add_role(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	const char *role = sel->text + strlen("autogroup:");

	for (size_t i = 0; i < r->inv->n_users; i++) {
		const struct inventory_user *u = &r->inv->users[i];

		for (size_t j = 0; j < u->n_roles; j++)
			if (!strcmp(u->roles[j], role))
				resolve_user(r, u->name, out);
	}
}

/* Every user who has nodes and whom the selector names. */
static void add_people(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	for (size_t i = 0; i < r->by_user.n; i++)
		if (names_user(r, sel, r->by_user.v[i].key))
			add_addrs(r->by_user.v[i].node, out);
}

static void add_group(const struct resolver *r, const struct policy_group *g, struct prefixes *out)
{
	for (size_t i = 0; i < g->users.n; i++)
		resolve_user(r, g->users.v[i].text, out);
}

static void add_tagged(const struct resolver *r, struct prefixes *out)
{
	for (size_t i = 0; i < r->inv->n_nodes; i++)
		if (r->inv->nodes[i].n_tags)
			add_addrs(&r->inv->nodes[i], out);
}

/* ---- selectors -------------------------------------------------------------------- */

void resolve_dst(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	switch (sel->kind) {
	case SEL_PREFIX:
		prefixes_add(out, &sel->prefix);
		break;
	case SEL_HOST:
		prefixes_add(out, &r->p->hosts[sel->def].prefix);
		break;
	case SEL_IPSET:
		prefixes_add_all(out, r->ipsets[sel->def].v, r->ipsets[sel->def].n);
		break;
	case SEL_USER:
		resolve_user(r, sel->text, out);
		break;
	case SEL_GROUP:
		add_group(r, &r->p->groups[sel->def], out);
		break;
	case SEL_DOMAIN:
	case SEL_MEMBER:
		add_people(r, sel, out);
		break;
	case SEL_ROLE:
		add_role(r, sel, out);
		break;
	case SEL_TAG:
		add_owned(&r->by_tag, sel->text, out);
		break;
	case SEL_TAGGED:
		add_tagged(r, out);
		break;
	case SEL_INTERNET:
		prefixes_add_all(out, r->internet.v, r->internet.n);
		break;
	case SEL_ANY:
	case SEL_DANGER_ALL:
		add_everything(out);
		break;
	case SEL_SELF:
		break;
	}
}

void resolve_src(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	if (sel->kind == SEL_ANY)
		prefixes_add_all(out, r->anybody.v, r->anybody.n);
	else
		resolve_dst(r, sel, out);
}

/* ---- what hangs on a node ---------------------------------------------------------- */

static const struct policy_sel *first_match(const struct resolver *r, const struct policy_sels *list,
					    const struct inventory_node *node)
{
	for (size_t i = 0; i < list->n; i++)
		if (resolve_matches(r, &list->v[i], node))
			return &list->v[i];
	return NULL;
}

const struct policy_sel *resolve_approval(const struct resolver *r, const struct inventory_node *node,
					  const struct prefix *prefix)
{
	const struct policy_sel *by = NULL;

	if (inventory_is_default_route(prefix))
		return first_match(r, &r->p->exit_approvers, node);
	for (size_t i = 0; i < r->p->n_approvers && !by; i++)
		if (prefix_covers(&r->p->approvers[i].prefix, prefix))
			by = first_match(r, &r->p->approvers[i].who, node);
	return by;
}

const char *resolve_pool(const struct resolver *r, const struct inventory_node *node)
{
	for (size_t i = 0; i < r->p->n_egress; i++)
		if (resolve_matches(r, &r->p->egress[i].who, node))
			return r->p->egress[i].pool;
	return NULL;
}

const struct policy_quota *resolve_quota(const struct resolver *r, const struct inventory_node *node)
{
	for (size_t i = 0; i < r->p->n_quotas; i++)
		if (first_match(r, &r->p->quotas[i].src, node))
			return &r->p->quotas[i];
	return NULL;
}
