/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logins that nobody has, or two. A deny, a quota or a pool for a name that nobody has holds for nobody, and its author
 * believes that it does; an accept for a name that two have by capitals alone is for one of them, and nobody knows
 * which.
 */
#include <stdlib.h>

#include "check.h"

struct owners {
	const struct policy *p;
	const struct resolver *r;
	struct diags *d;
	bool tailnet; /* its netmap shows some of its users only: a name may be somebody's whom we do not see */
};

static void owners_report(const struct owners *o, const struct policy_sel *s, const char *section, const char *other)
{
	char *hint = other ? mem_printf("; did you mean \"%s\"?", other) : mem_strdup("");
	const char *text = "%s: \"%s\": nobody has this login, so this holds for nobody%s";

	if (o->tailnet)
		diag_warning(o->d, s->at, text, section, s->text, hint);
	else
		diag_error(o->d, s->at, text, section, s->text, hint);
	free(hint);
}

static void owners_check_sel(const struct owners *o, const struct policy_sel *s, const char *section)
{
	const char *other = NULL;
	enum resolve_login found = s->kind == SEL_USER ? resolve_login(o->r, s->text, &other) : LOGIN_EXACT;

	if (found == LOGIN_NOBODY || (found == LOGIN_OTHER_CASE && !s->any_case))
		owners_report(o, s, section, other);
}

static void owners_check_list(const struct owners *o, const struct policy_sels *list, const char *section)
{
	for (size_t i = 0; i < list->n; i++)
		owners_check_sel(o, &list->v[i], section);
}

static void owners_check_either(const struct owners *o, const struct policy_sel *s)
{
	const char *other = NULL;

	if (s->kind != SEL_USER || resolve_login(o->r, s->text, &other) != LOGIN_EITHER)
		return;
	if (o->tailnet)
		diag_warning(o->d, s->at, "\"%s\" allows nobody: \"%s\" differs from it by capitals alone", s->text,
			     other);
	else
		diag_error(o->d, s->at, "\"%s\" may be either of two users: \"%s\" differs from it by capitals alone",
			   s->text, other);
}

static void owners_check_accept(const struct owners *o, const struct policy_rule *r, bool *groups)
{
	for (size_t i = 0; i < r->src.n + r->n_dst; i++) {
		const struct policy_sel *s = i < r->src.n ? &r->src.v[i] : &r->dst[i - r->src.n].sel;

		owners_check_either(o, s);
		if (s->kind == SEL_GROUP)
			groups[s->def] = true;
	}
}

static void owners_check_deny(const struct owners *o, const struct policy_rule *r)
{
	owners_check_list(o, &r->src, "deny");
	for (size_t i = 0; i < r->n_dst; i++)
		owners_check_sel(o, &r->dst[i].sel, "deny");
}

static void owners_check_rules(const struct owners *o)
{
	bool *groups = mem_alloc(o->p->n_groups, sizeof(*groups)); /* that an accept names */

	for (size_t i = 0; i < o->p->n_rules; i++)
		if (o->p->rules[i].kind == POLICY_DENY)
			owners_check_deny(o, &o->p->rules[i]);
		else
			owners_check_accept(o, &o->p->rules[i], groups);
	for (size_t i = 0; i < o->p->n_groups; i++)
		for (size_t k = 0; groups[i] && k < o->p->groups[i].users.n; k++)
			owners_check_either(o, &o->p->groups[i].users.v[k]);
	free(groups);
}

bool policy_check_owners(const struct policy *p, const struct inventory *inv, struct diags *d)
{
	struct budget budget = budget_usual();
	struct resolver *r = resolver_new(p, inv, &budget);
	struct owners o = {p, r, d, inv->tailnet};
	size_t errors = d->errors;

	owners_check_rules(&o);
	for (size_t i = 0; i < p->n_quotas; i++)
		owners_check_list(&o, &p->quotas[i].src, "quotas");
	for (size_t i = 0; i < p->n_egress; i++)
		owners_check_sel(&o, &p->egress[i].who, "egress");
	resolver_free(r);
	return d->errors == errors;
}
