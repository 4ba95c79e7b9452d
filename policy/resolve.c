/* SPDX-License-Identifier: BSD-2-Clause */
/* Selectors -> addresses, with the owners, tags and roles of an inventory. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "resolve_private.h"

/* How a login of the policy is compared with one of the inventory: a deny is for it whatever its capitals are. */
static int by_login_as(bool any_case, const char *a, const char *b)
{
	return any_case ? strcasecmp(a, b) : resolve_by_login(a, b);
}

/* Index of the first entry with @key or a later one. */
static size_t resolve_lower_bound(const struct ownership *o, const char *key, bool any_case)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (by_login_as(any_case, o->v[mid].key, key) < 0)
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

static void add_owned(const struct ownership *o, const char *key, bool any_case, struct prefixes *out)
{
	for (size_t i = resolve_lower_bound(o, key, any_case); i < o->n && !by_login_as(any_case, o->v[i].key, key);
	     i++)
		add_addrs(o->v[i].node, out);
}

void resolve_user(const struct resolver *r, const char *user, struct prefixes *out)
{
	add_owned(&r->by_user, user, false, out);
}

enum resolve_login resolve_login(const struct resolver *r, const char *login, const char **other)
{
	size_t low = 0, high = r->n_logins;
	bool exact = false;
	size_t same = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcasecmp(r->logins[mid], login) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*other = NULL;
	for (; low < r->n_logins && !strcasecmp(r->logins[low], login); low++, same++)
		if (!strcmp(r->logins[low], login))
			exact = true;
		else
			*other = r->logins[low];
	if (!same)
		return LOGIN_NOBODY;
	return same > 1 ? LOGIN_EITHER : exact ? LOGIN_EXACT : LOGIN_OTHER_CASE;
}

/* A login of the policy that is for nobody, since two have it but for capitals and it allows something. */
static bool is_either(const struct resolver *r, const char *login, bool any_case)
{
	const char *other;

	return !any_case && resolve_login(r, login, &other) == LOGIN_EITHER;
}

/* The nodes of those whom a login of the policy names. */
static void add_named(const struct resolver *r, const char *login, bool any_case, struct prefixes *out)
{
	if (!is_either(r, login, any_case))
		add_owned(&r->by_user, login, any_case, out);
}

/* Index of the first place that does not begin before @a. */
static size_t first_place(const struct resolver *r, const struct addr *a)
{
	size_t low = 0, high = r->n_places;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr_cmp(&r->places[mid].prefix.addr, a) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Calls @each for the nodes with an address in @p, or with a network that shares some with it. */
static void each_node_in(const struct resolver *r, const struct prefix *p, void (*each)(uint32_t node, void *arg),
			 void *arg)
{
	struct prefix from = {.addr = p->addr, .len = p->len < r->shortest ? p->len : r->shortest};
	struct addr first = prefix_first(&from), last = prefix_last(p);

	for (size_t i = first_place(r, &first); i < r->n_places; i++) {
		if (addr_cmp(&r->places[i].prefix.addr, &last) > 0 || !budget_pay(r->budget, 1))
			break;
		if (prefix_overlaps(p, &r->places[i].prefix))
			each(r->places[i].node, arg);
	}
}

static void take_node(uint32_t node, void *arg)
{
	*(uint32_t *)arg = node;
}

void resolve_own(const struct resolver *r, const struct addr *addr, struct prefixes *out)
{
	uint32_t node = UINT32_MAX;

	each_node_in(r, &(struct prefix){*addr, 128}, take_node, &node);
	if (node != UINT32_MAX && !r->inv->nodes[node].n_tags && r->inv->nodes[node].user)
		resolve_user(r, r->inv->nodes[node].user, out);
}

void resolve_each_user(const struct resolver *r, void (*each)(const char *user, void *arg), void *arg)
{
	for (size_t i = 0; i < r->by_user.n; i++)
		if (!i || strcmp(r->by_user.v[i].key, r->by_user.v[i - 1].key))
			each(r->by_user.v[i].key, arg);
}

/* ---- people ---------------------------------------------------------------------- */

static bool in_domain(const char *user, const struct policy_sel *sel)
{
	const char *at = strchr(user, '@'), *domain = strchr(sel->text, '@');

	return at && !(sel->any_case ? strcasecmp : strcmp)(at, domain);
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

static int by_member_any_case(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static bool in_group(const struct resolver *r, const struct policy_sel *sel, const char *user)
{
	return !is_either(r, user, sel->any_case) &&
	       bsearch(&user, r->members[sel->def], r->p->groups[sel->def].users.n, sizeof(user),
		       sel->any_case ? by_member_any_case : resolve_by_member);
}

struct spelled { /* room for a set of one */
	struct prefix prefix;
	struct prefixes set;
};

/* The set of addresses that a selector spells out, merged; NULL: it is about nodes. */
static const struct prefixes *spelled_out(const struct resolver *r, const struct policy_sel *sel, struct spelled *one)
{
	if (sel->kind == SEL_IPSET)
		return &r->ipsets[sel->def];
	if (sel->kind == SEL_INTERNET)
		return &r->internet;
	if (sel->kind != SEL_PREFIX && sel->kind != SEL_HOST)
		return NULL;
	one->prefix = sel->kind == SEL_PREFIX ? sel->prefix : r->p->hosts[sel->def].prefix;
	one->set = (struct prefixes){&one->prefix, 1};
	return &one->set;
}

/* A selector of people names this user. */
static bool names_user(const struct resolver *r, const struct policy_sel *sel, const char *user)
{
	switch (sel->kind) {
	case SEL_USER:
		return !by_login_as(sel->any_case, sel->text, user) && !is_either(r, user, sel->any_case);
	case SEL_DOMAIN:
		return in_domain(user, sel);
	case SEL_GROUP:
		return in_group(r, sel, user);
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
	struct spelled one;
	const struct prefixes *set = spelled_out(r, sel, &one);
	bool found = false;

	budget_pay(r->budget, 1 + node->addrs.n);
	if (sel->kind == SEL_TAG)
		return inventory_has_tag(node, sel->text);
	if (sel->kind == SEL_TAGGED)
		return node->n_tags;
	if (sel->kind == SEL_ANY || sel->kind == SEL_DANGER_ALL)
		return true;
	if (!set)
		return !node->n_tags && node->user && names_user(r, sel, node->user);
	for (size_t i = 0; i < node->addrs.n; i++)
		found |= prefixes_overlap(set, &node->addrs.v[i]);
	return found;
}

static uint32_t resolve_index_of(const struct resolver *r, const struct inventory_node *node)
{
	return (uint32_t)(node - r->inv->nodes);
}

static void each_owned(const struct resolver *r, const struct ownership *o, const char *key, bool any_case,
		       void (*each)(uint32_t node, void *arg), void *arg)
{
	for (size_t i = resolve_lower_bound(o, key, any_case); i < o->n && !by_login_as(any_case, o->v[i].key, key);
	     i++)
		if (budget_pay(r->budget, 1))
			each(resolve_index_of(r, o->v[i].node), arg);
}

static void each_named(const struct resolver *r, const char *login, bool any_case,
		       void (*each)(uint32_t node, void *arg), void *arg)
{
	if (!is_either(r, login, any_case))
		each_owned(r, &r->by_user, login, any_case, each, arg);
}

void resolve_each_node(const struct resolver *r, const struct policy_sel *sel, void (*each)(uint32_t node, void *arg),
		       void *arg)
{
	struct spelled one;
	const struct prefixes *set = spelled_out(r, sel, &one);

	for (size_t i = 0; set && i < set->n; i++)
		each_node_in(r, &set->v[i], each, arg);
	if (set)
		return;
	if (sel->kind == SEL_USER) {
		each_named(r, sel->text, sel->any_case, each, arg);
	} else if (sel->kind == SEL_TAG) {
		each_owned(r, &r->by_tag, sel->text, false, each, arg);
	} else if (sel->kind == SEL_GROUP) {
		for (size_t i = 0; i < r->p->groups[sel->def].users.n; i++)
			each_named(r, r->members[sel->def][i], sel->any_case, each, arg);
	} else {
		for (size_t i = 0; i < r->inv->n_nodes && !budget_is_spent(r->budget); i++)
			if (resolve_matches(r, sel, &r->inv->nodes[i]))
				each((uint32_t)i, arg);
	}
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

static void add_group(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	const struct policy_group *g = &r->p->groups[sel->def];

	for (size_t i = 0; i < g->users.n; i++)
		add_named(r, g->users.v[i].text, sel->any_case, out);
}

static void add_tagged(const struct resolver *r, struct prefixes *out)
{
	for (size_t i = 0; i < r->inv->n_nodes; i++)
		if (r->inv->nodes[i].n_tags)
			add_addrs(&r->inv->nodes[i], out);
}

/* ---- selectors -------------------------------------------------------------------- */

static void resolve_selector(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	struct spelled one;
	const struct prefixes *set = spelled_out(r, sel, &one);

	switch (sel->kind) {
	case SEL_PREFIX:
	case SEL_HOST:
	case SEL_IPSET:
	case SEL_INTERNET:
		if (budget_pay(r->budget, set->n))
			prefixes_add_all(out, set->v, set->n);
		break;
	case SEL_USER:
		add_named(r, sel->text, sel->any_case, out);
		break;
	case SEL_GROUP:
		add_group(r, sel, out);
		break;
	case SEL_DOMAIN:
	case SEL_MEMBER:
		add_people(r, sel, out);
		break;
	case SEL_ROLE:
		add_role(r, sel, out);
		break;
	case SEL_TAG:
		add_owned(&r->by_tag, sel->text, false, out);
		break;
	case SEL_TAGGED:
		add_tagged(r, out);
		break;
	case SEL_ANY:
	case SEL_DANGER_ALL:
		resolve_everything(out);
		break;
	case SEL_SELF:
	case SEL_SHARED:
	case SEL_SERVICE:
		break;
	}
}

void resolve_dst(const struct resolver *r, const struct policy_sel *sel, struct prefixes *out)
{
	bool all = sel->kind == SEL_DOMAIN || sel->kind == SEL_MEMBER || sel->kind == SEL_TAGGED;
	size_t before = out->n, looked_at = all ? r->inv->n_nodes : sel->kind == SEL_ROLE ? r->inv->n_users : 1;

	if (!budget_pay(r->budget, looked_at))
		return;
	resolve_selector(r, sel, out);
	budget_pay(r->budget, out->n - before);
}

bool resolve_is_empty(const struct resolver *r, const struct policy_sel *sel)
{
	struct prefixes set = {0};
	bool empty = true;

	if (sel->kind == SEL_PREFIX || sel->kind == SEL_HOST || sel->kind == SEL_ANY || sel->kind == SEL_SELF)
		return false;
	if (sel->kind == SEL_IPSET)
		return !r->ipsets[sel->def].n;
	if (sel->kind == SEL_GROUP) {
		for (size_t i = 0; i < r->p->groups[sel->def].users.n && empty; i++) {
			add_named(r, r->members[sel->def][i], sel->any_case, &set);
			empty = !set.n;
			budget_pay(r->budget, 1 + set.n);
		}
	} else {
		resolve_dst(r, sel, &set);
		empty = !set.n;
	}
	prefixes_free(&set);
	return empty;
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
	uint32_t entry = r->pool_of[resolve_index_of(r, node)];

	return entry ? r->p->egress[entry - 1].pool : NULL;
}

const struct policy_quota *resolve_quota(const struct resolver *r, const struct inventory_node *node)
{
	uint32_t entry = r->quota_of[resolve_index_of(r, node)];

	return entry ? &r->p->quotas[entry - 1] : NULL;
}
