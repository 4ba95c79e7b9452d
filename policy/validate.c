/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be wrong in a policy that reads well: names that nobody defines,
 * selectors where they cannot stand, sets that contain themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "policy_parse.h"

/* Suggestions cost time: past this many errors nobody reads them. */
#define SUGGEST_MAX 50
#define IPSET_DEPTH 32

struct name { /* of a definition; sorted by text */
	const char *text;
	uint32_t def;
	unsigned line;
};

struct names {
	const char *what, *section;
	struct name *v;
	size_t n;
};

struct validator {
	struct parser *x;
	struct names groups, tags, hosts, ipsets;
};

#define BIT(kind) (1u << (kind))
#define PEOPLE	  (BIT(SEL_USER) | BIT(SEL_DOMAIN) | BIT(SEL_GROUP) | BIT(SEL_MEMBER) | BIT(SEL_ROLE))
#define PLACES	  (BIT(SEL_PREFIX) | BIT(SEL_HOST) | BIT(SEL_IPSET))

static const struct {
	const char *what;
	unsigned allowed; /* bits of enum policy_sel_kind */
} positions[] = {
	[STANDS_SRC] = {"src", PEOPLE | PLACES | BIT(SEL_ANY) | BIT(SEL_TAG) | BIT(SEL_TAGGED) | BIT(SEL_DANGER_ALL) |
				       BIT(SEL_SHARED)},
	[STANDS_DST] = {"dst", PEOPLE | PLACES | BIT(SEL_ANY) | BIT(SEL_TAG) | BIT(SEL_TAGGED) | BIT(SEL_INTERNET) |
				       BIT(SEL_SELF) | BIT(SEL_SERVICE)},
	[STANDS_VIA] = {"via", BIT(SEL_TAG)},
	[STANDS_OWNER] = {"owner", PEOPLE | BIT(SEL_TAG)},
	[STANDS_CLIENT] = {"egress", PEOPLE | BIT(SEL_TAG) | BIT(SEL_TAGGED)},
	[STANDS_IPSET] = {"ipsets", PLACES | BIT(SEL_INTERNET)},
};

static int validate_by_name(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* An index of the names that a section defines. */
#define INDEX(names, list, count, what_, section_)                                                                   \
	do {                                                                                                         \
		(names)->what = (what_);                                                                             \
		(names)->section = (section_);                                                                       \
		(names)->v = mem_alloc(count, sizeof(struct name));                                                  \
		for (size_t i_ = 0; i_ < (count); i_++)                                                              \
			(names)->v[(names)->n++] = (struct name){(list)[i_].name, (uint32_t)i_, (list)[i_].at.line}; \
		qsort((names)->v, (names)->n, sizeof(struct name), validate_by_name);                                \
	} while (0)

static const struct name *validate_find(const struct names *names, const char *text)
{
	struct name key = {.text = text};

	return names->n ? bsearch(&key, names->v, names->n, sizeof(key), validate_by_name) : NULL;
}

static const struct name *validate_nearest(const struct names *names, const char *text)
{
	const char **known = mem_alloc(names->n + 1, sizeof(*known)), *near;
	const struct name *found;

	for (size_t i = 0; i < names->n; i++)
		known[i] = names->v[i].text;
	near = diag_nearest(text, known);
	found = near ? validate_find(names, near) : NULL;
	free(known);
	return found;
}

static void validate_not_found(struct validator *v, const struct names *names, const struct policy_sel *s,
			       enum stands stands)
{
	struct diags *d = v->x->d;
	const char *what = positions[stands].what;
	const struct name *near = d->errors < SUGGEST_MAX ? validate_nearest(names, s->text) : NULL;
	char *hint = near ? mem_printf("; did you mean \"%s\"? (%s, line %u)", near->text, names->section, near->line)
			  : mem_strdup("");

	if (stands == STANDS_VIA)
		diag_error(d, s->at, "%s: %s \"%s\" not found%s", what, names->what, s->text, hint);
	else if (stands == STANDS_SRC)
		diag_error(d, s->at, "%s=%s not found: \"%s\"%s", what, names->what, s->text, hint);
	else
		diag_error(d, s->at, "%s=\"%s\": %s not found: \"%s\"%s", what, s->text, names->what, s->text, hint);
	free(hint);
}

static const struct names *validate_names_of(const struct validator *v, enum policy_sel_kind kind)
{
	switch (kind) {
	case SEL_GROUP:
		return &v->groups;
	case SEL_TAG:
		return &v->tags;
	case SEL_HOST:
		return &v->hosts;
	case SEL_IPSET:
		return &v->ipsets;
	default:
		return NULL;
	}
}

static void misplaced(struct validator *v, const struct policy_sel *s, enum stands stands)
{
	if (stands == STANDS_SRC)
		diag_error(v->x->d, s->at, "\"%s\" not valid on the src side of a rule", s->text);
	else if (s->kind == SEL_DANGER_ALL && stands == STANDS_DST)
		diag_error(v->x->d, s->at, "dst=\"%s\": cannot use autogroup:danger-all as a dst", s->text);
	else
		diag_error(v->x->d, s->at, "%s=\"%s\": not valid here", positions[stands].what, s->text);
}

bool validator_check(struct validator *v, struct policy_sel *s, enum stands stands)
{
	const struct names *names = validate_names_of(v, s->kind);
	const struct name *name;

	if (!(positions[stands].allowed & BIT(s->kind))) {
		misplaced(v, s, stands);
		return false;
	}
	if (!names)
		return true;
	name = validate_find(names, s->text);
	if (!name)
		validate_not_found(v, names, s, stands);
	else
		s->def = name->def;
	return name;
}

static void check_sels(struct validator *v, struct policy_sels *list, enum stands stands)
{
	for (size_t i = 0; i < list->n; i++)
		validator_check(v, &list->v[i], stands);
}

/*
 * autogroup:self means each user's own nodes, so the sources must be people; an
 * acl may also say "*", which then means each of them.
 */
static void check_self(struct validator *v, const struct policy_rule *r)
{
	unsigned allowed = PEOPLE | (r->kind == POLICY_GRANT ? 0 : BIT(SEL_ANY));
	bool self = false;

	for (size_t i = 0; i < r->n_dst; i++)
		self |= r->dst[i].sel.kind == SEL_SELF;
	for (size_t i = 0; self && i < r->src.n; i++)
		if (!(allowed & BIT(r->src.v[i].kind))) {
			diag_error(v->x->d, r->src.v[i].at,
				   "src=\"%s\": autogroup:self can only be used with users, groups, or supported "
				   "autogroups",
				   r->src.v[i].text);
			return;
		}
}

static void check_grant_dst(struct validator *v, const struct policy_rule *r, const struct policy_sel *dst)
{
	bool all = dst->kind == SEL_PREFIX &&
		   (dst->prefix.len == 0 || (prefix_is_v4(&dst->prefix) && dst->prefix.len == 96));

	if (all)
		diag_error(v->x->d, dst->at,
			   "dst \"%s\": to allow all IP addresses, use \"*\" or \"autogroup:internet\"", dst->text);
	if (dst->kind == SEL_INTERNET && r->app.n)
		diag_error(v->x->d, dst->at, "dst=\"%s\": cannot use app grants with autogroup:internet", dst->text);
}

/*
 * What exists in a tailnet alone is nobody and nothing on a gateway. An accept then allows less than its author
 * wrote, which is safe; a deny or a quota would not hold for those whom it names.
 */
static void check_exists(struct validator *v, const struct policy_sel *s, const char *section)
{
	const char *why = s->kind == SEL_SHARED ? "guests of a tailnet are no clients of a gateway"
						: "a service of Tailscale's own has no address here";

	if (s->kind != SEL_SHARED && s->kind != SEL_SERVICE)
		return;
	if (section)
		diag_error(v->x->d, s->at, "%s: \"%s\": %s, so this would hold for nothing", section, s->text, why);
	else
		diag_warning(v->x->d, s->at, "\"%s\" is ignored: %s", s->text, why);
}

static void check_all_exist(struct validator *v, const struct policy_rule *r)
{
	const char *section = r->kind == POLICY_DENY ? "deny" : NULL;

	for (size_t i = 0; i < r->src.n; i++)
		check_exists(v, &r->src.v[i], section);
	for (size_t i = 0; i < r->n_dst; i++)
		check_exists(v, &r->dst[i].sel, section);
}

static void mean_any_case(struct policy_sels *list)
{
	for (size_t i = 0; i < list->n; i++)
		list->v[i].any_case = true;
}

static void check_rule(struct validator *v, struct policy_rule *r)
{
	if (r->kind == POLICY_DENY)
		mean_any_case(&r->src);
	check_sels(v, &r->src, STANDS_SRC);
	check_sels(v, &r->via, STANDS_VIA);
	check_all_exist(v, r);
	for (size_t i = 0; i < r->n_dst; i++) {
		r->dst[i].sel.any_case = r->kind == POLICY_DENY;
		validator_check(v, &r->dst[i].sel, STANDS_DST);
		if (r->kind == POLICY_GRANT)
			check_grant_dst(v, r, &r->dst[i].sel);
	}
	check_self(v, r);
}

/* Depth-first; @state: 0 not seen, 1 on the way down to here, 2 well. */
static void check_nesting(struct validator *v, char *state, uint32_t i, unsigned depth)
{
	struct policy_ipset *set = &v->x->p->ipsets[i];

	if (state[i] == 2)
		return;
	if (state[i] == 1 || depth > IPSET_DEPTH) {
		diag_error(v->x->d, set->at, "ipsets[\"%s\"]: %s", set->name,
			   state[i] == 1 ? "contains itself" : "nested too deeply");
		state[i] = 2;
		return;
	}
	state[i] = 1;
	for (size_t j = 0; j < set->n; j++)
		if (set->ops[j].target.kind == SEL_IPSET)
			check_nesting(v, state, set->ops[j].target.def, depth + 1);
	state[i] = 2;
}

static void check_ipsets(struct validator *v)
{
	struct policy *p = v->x->p;
	size_t errors = v->x->d->errors;
	char *state;

	for (size_t i = 0; i < p->n_ipsets; i++)
		for (size_t j = 0; j < p->ipsets[i].n; j++)
			validator_check(v, &p->ipsets[i].ops[j].target, STANDS_IPSET);
	if (v->x->d->errors != errors)
		return; /* indices are not known */
	state = mem_alloc(p->n_ipsets, 1);
	for (size_t i = 0; i < p->n_ipsets; i++)
		check_nesting(v, state, (uint32_t)i, 1);
	free(state);
}

static void check_duplicate_lists(struct validator *v)
{
	const struct policy *p = v->x->p;
	struct names lists = {0};

	INDEX(&lists, p->blocklists, p->n_blocklists, "list", "blocklists");
	for (size_t i = 1; i < lists.n; i++) {
		uint32_t a = lists.v[i - 1].def, b = lists.v[i].def;
		const struct policy_blocklist *first = &p->blocklists[a < b ? a : b];

		if (strcmp(lists.v[i - 1].text, lists.v[i].text))
			continue;
		diag_error(v->x->d, p->blocklists[a < b ? b : a].at,
			   "blocklists: \"%s\" is there twice, first on line %u", first->name, first->at.line);
		break;
	}
	free(lists.v);
}

struct validator *validator_new(struct parser *x)
{
	struct validator *v = mem_alloc(1, sizeof(*v));
	struct policy *p = x->p;

	v->x = x;
	INDEX(&v->groups, p->groups, p->n_groups, "group", "groups");
	INDEX(&v->tags, p->tags, p->n_tags, "tag", "tagOwners");
	INDEX(&v->hosts, p->hosts, p->n_hosts, "host", "hosts");
	INDEX(&v->ipsets, p->ipsets, p->n_ipsets, "ipset", "ipsets");
	return v;
}

void validator_free(struct validator *v)
{
	free(v->groups.v);
	free(v->tags.v);
	free(v->hosts.v);
	free(v->ipsets.v);
	free(v);
}

static void check_quota(struct validator *v, struct policy_quota *q)
{
	mean_any_case(&q->src);
	check_sels(v, &q->src, STANDS_SRC);
	for (size_t i = 0; i < q->src.n; i++)
		check_exists(v, &q->src.v[i], "quotas");
}

void validate_policy(struct parser *x)
{
	struct policy *p = x->p;
	struct validator *v = validator_new(x);

	for (size_t i = 0; i < p->n_rules; i++)
		check_rule(v, &p->rules[i]);
	for (size_t i = 0; i < p->n_tags; i++)
		check_sels(v, &p->tags[i].owners, STANDS_OWNER);
	for (size_t i = 0; i < p->n_approvers; i++)
		check_sels(v, &p->approvers[i].who, STANDS_OWNER);
	check_sels(v, &p->exit_approvers, STANDS_OWNER);
	for (size_t i = 0; i < p->n_egress; i++)
		validator_check(v, &p->egress[i].who, STANDS_CLIENT);
	for (size_t i = 0; i < p->n_quotas; i++)
		check_quota(v, &p->quotas[i]);
	check_ipsets(v);
	check_duplicate_lists(v);
	validator_free(v);
}
