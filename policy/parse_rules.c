/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acls, deny and grants -> rules. An acl has ports at its destinations and one
 * protocol; a grant has a list of protocols with ports for all its destinations.
 */
#include <string.h>

#include "policy_parse.h"

#define TAILSCALE_DOMAIN "tailscale.com/"

/* Capabilities of Tailscale's own domain that its documentation lets a policy grant. */
static const char *const own_caps[] = {"drive",	  "golink",  "kubernetes", "relay",
				       "secrets", "tailsql", "tsidp",	   "webui"};

static struct policy_rule *new_rule(struct parser *x, const struct doc_node *map, enum policy_rule_kind kind)
{
	struct policy_rule *r = &x->p->rules[x->p->n_rules++];

	r->kind = kind;
	r->id = (uint32_t)x->p->n_rules;
	r->at = map->at;
	return r;
}

static void read_targets(struct parser *x, const struct doc_node *list, struct policy_rule *r)
{
	struct policy_texts texts = {0};

	read_texts(x, list, "dst", &texts);
	r->dst = arena_alloc(&x->p->mem, texts.n, sizeof(*r->dst));
	for (size_t i = 0; i < texts.n; i++)
		r->n_dst += parse_target(x, "dst", texts.v[i].text, texts.v[i].at, &r->dst[r->n_dst]);
}

static void check_action(struct parser *x, const struct doc_node *map, enum policy_rule_kind kind)
{
	const struct doc_node *n = doc_get(map, "action");
	const char *action = "";

	if (n && !doc_string(n, "action", &action, x->d))
		return;
	if (kind == POLICY_DENY ? n && strcmp(action, "deny") : strcmp(action, "accept") != 0)
		diag_error(x->d, n ? n->at : map->at, "action=\"%s\" is not supported%s", action,
			   kind == POLICY_ACL && !strcmp(action, "deny") ? ": put the rule into the section \"deny\""
									 : "");
}

/* ICMP and the like have no ports: only "*" makes sense with them. */
static void parse_rules_check_ports(struct parser *x, const struct policy_rule *r, const char *proto)
{
	if (proto_has_ports(r->ip->proto))
		return;
	for (size_t i = 0; i < r->n_dst; i++) {
		const struct policy_dst *dst = &r->dst[i];

		if (dst->ports.v[0].first || dst->ports.v[0].last != 65535)
			diag_error(x->d, dst->sel.at,
				   "dst=\"%s\": protocol \"%s\" does not support specific ports; "
				   "only \"*\" is allowed",
				   dst->sel.text, proto);
	}
}

static void read_acl_proto(struct parser *x, const struct doc_node *n, struct policy_rule *r)
{
	const char *text = "";

	r->ip = arena_alloc(&x->p->mem, 1, sizeof(*r->ip));
	r->n_ip = 1;
	if (!n || n->kind == DOC_NULL || !doc_string(n, "proto", &text, x->d))
		return;
	if (!parse_proto(text, strlen(text), &r->ip->proto)) {
		diag_error(x->d, n->at,
			   "proto=\"%s\": unknown protocol: expected a name such as tcp, or a number from 1 to 255",
			   text);
		return;
	}
	parse_rules_check_ports(x, r, text);
}

/*
 * A condition that a gateway cannot see. Without it the rule would allow more, so an accept holds for nobody; a deny
 * would forbid less, so it is refused.
 */
static void read_posture(struct parser *x, const struct doc_node *map, struct policy_rule *r)
{
	const struct doc_node *n = doc_get(map, "srcPosture");

	read_texts(x, n, "srcPosture", &r->posture);
	if (!r->posture.n)
		return;
	if (r->kind == POLICY_DENY)
		diag_error(x->d, n->at,
			   "\"srcPosture\" is not supported in a deny: nobody can tell here whether it holds");
	else
		diag_warning(
			x->d, n->at,
			"\"srcPosture\" is a condition that a gateway cannot check: this rule allows nothing here");
}

static void read_acl(struct parser *x, const struct doc_node *map, enum policy_rule_kind kind)
{
	static const char *const known[] = {"action", "src", "users", "dst", "ports", "proto", "srcPosture", NULL};
	struct policy_rule *r = new_rule(x, map, kind);

	want_keys(x, map, kind == POLICY_ACL ? "acls" : "deny", known);
	read_posture(x, map, r);
	check_action(x, map, kind);
	read_selectors(x, get_renamed(x, map, "src", "users"), "src", &r->src);
	read_targets(x, get_renamed(x, map, "dst", "ports"), r);
	read_acl_proto(x, doc_get(map, "proto"), r);
}

void read_acls(struct parser *x, const struct doc_node *n, enum policy_rule_kind kind)
{
	const char *what = kind == POLICY_ACL ? "acls" : "deny";
	const struct doc_node *list = want_list(x, n, what);

	for (size_t i = 0; list && i < list->n; i++) {
		const struct doc_node *map = &list->items[i];

		if (map->kind == DOC_NULL)
			diag_error(x->d, map->at, "%s: found nothing, expected a map", what);
		else if (want_map(x, map, what))
			read_acl(x, map, kind);
	}
}

static void check_capability(struct parser *x, const struct doc_node *key)
{
	const char *name = key->text, *slash = strchr(name, '/');
	size_t n = strlen(TAILSCALE_DOMAIN "cap/");

	if (!slash || slash == name || !slash[1] || strstr(name, "://")) {
		diag_error(x->d, key->at, "app=\"%s\": capability name must have the form {domain}/{path}", name);
		return;
	}
	if (strncmp(name, TAILSCALE_DOMAIN, strlen(TAILSCALE_DOMAIN)))
		return;
	for (size_t i = 0; i < sizeof(own_caps) / sizeof(own_caps[0]); i++)
		if (!strncmp(name, TAILSCALE_DOMAIN "cap/", n) && !strcmp(name + n, own_caps[i]))
			return;
	diag_error(x->d, key->at, "app=\"%s\": capability name must not be in the tailscale.com domain", name);
}

static void read_app(struct parser *x, const struct doc_node *n, struct policy_rule *r)
{
	const struct doc_node *map = want_map(x, n, "app");

	if (!map)
		return;
	r->app.v = arena_alloc(&x->p->mem, map->n, sizeof(*r->app.v));
	for (size_t i = 0; i < map->n; i++) {
		r->app.v[r->app.n++] = (struct policy_text){map->keys[i].text, map->keys[i].at};
		check_capability(x, &map->keys[i]);
	}
}

static void read_ips(struct parser *x, const struct doc_node *n, struct policy_rule *r)
{
	struct policy_texts texts = {0};

	read_texts(x, n, "ip", &texts);
	r->ip = arena_alloc(&x->p->mem, texts.n, sizeof(*r->ip));
	for (size_t i = 0; i < texts.n; i++)
		r->n_ip += parse_ip(x, texts.v[i].text, texts.v[i].at, &r->ip[r->n_ip]);
}

static void read_grant_dst(struct parser *x, const struct doc_node *n, struct policy_rule *r)
{
	struct policy_sels sels = {0};

	read_selectors(x, n, "dst", &sels);
	r->dst = arena_alloc(&x->p->mem, sels.n, sizeof(*r->dst));
	for (size_t i = 0; i < sels.n; i++)
		r->dst[r->n_dst++].sel = sels.v[i];
}

static void read_via(struct parser *x, const struct doc_node *n, struct policy_rule *r)
{
	struct policy_texts texts = {0};

	read_texts(x, n, "via", &texts);
	r->via.v = arena_alloc(&x->p->mem, texts.n, sizeof(*r->via.v));
	for (size_t i = 0; i < texts.n; i++) {
		const struct policy_text *t = &texts.v[i];

		if (strncmp(t->text, "tag:", 4))
			diag_error(x->d, t->at, "via=\"%s\": via can only be a tag", t->text);
		else
			r->via.n += parse_selector(x, "via", t->text, strlen(t->text), t->at, &r->via.v[r->via.n]);
	}
}

static void read_grant(struct parser *x, const struct doc_node *map)
{
	static const char *const known[] = {"src", "dst", "ip", "app", "via", "srcPosture", NULL};
	struct policy_rule *r = new_rule(x, map, POLICY_GRANT);

	want_keys(x, map, "grants", known);
	read_posture(x, map, r);
	if (is_empty(doc_get(map, "ip")) && is_empty(doc_get(map, "app")))
		diag_error(x->d, map->at, "ip and app can not both be empty");
	read_selectors(x, doc_get(map, "src"), "src", &r->src);
	read_grant_dst(x, doc_get(map, "dst"), r);
	read_ips(x, doc_get(map, "ip"), r);
	read_app(x, doc_get(map, "app"), r);
	read_via(x, doc_get(map, "via"), r);
}

void read_grants(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *list = want_list(x, n, "grants");
	const struct policy_rule *app = NULL;

	for (size_t i = 0; list && i < list->n; i++) {
		const struct doc_node *map = &list->items[i];

		if (map->kind == DOC_NULL)
			diag_error(x->d, map->at, "grants: found nothing, expected a map");
		else if (want_map(x, map, "grants"))
			read_grant(x, map);
	}
	for (size_t i = 0; i < x->p->n_rules && !app; i++)
		if (x->p->rules[i].app.n)
			app = &x->p->rules[i];
	if (app)
		diag_warning(x->d, app->app.v[0].at, "\"app\" of grants is ignored: a gateway has no use for it");
}
