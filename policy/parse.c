/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policy file -> tree: the top level and the sections that define names. Rules
 * are in parse_rules.c, our own sections in parse_own.c; what the names mean is
 * looked up last, by validate.c, since a rule may stand before its group.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policy_parse.h"

static bool valid_name(const char *name, const char *prefix, bool letter_first)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) || !name[n] || (letter_first && !isalpha((unsigned char)name[n])))
		return false;
	for (const char *c = name + n; *c; c++)
		if (isspace((unsigned char)*c) || *c == ':' || *c == '@' || *c == ',')
			return false;
	return true;
}

/* The keys of a section must look like @prefix followed by a name. */
static bool check_name(struct parser *x, const struct doc_node *key, const char *what, const char *prefix)
{
	bool tag = !strcmp(prefix, "tag:");

	if (valid_name(key->text, prefix, tag))
		return true;
	diag_error(x->d, key->at, "%s: found \"%s\", expected \"%s\" and a name%s", what, key->text, prefix,
		   tag ? " that begins with a letter" : "");
	return false;
}

/* Members are users; a message of their own for the mistake that everybody makes first. */
static void parse_read_members(struct parser *x, const struct doc_node *list, struct policy_group *g)
{
	char what[120];
	size_t kept = 0;

	snprintf(what, sizeof(what), "groups[\"%s\"]", g->name);
	read_selectors(x, list, what, &g->users);
	for (size_t i = 0; i < g->users.n; i++) {
		const struct policy_sel *s = &g->users.v[i];

		if (s->kind == SEL_USER)
			g->users.v[kept++] = *s;
		else if (s->kind == SEL_GROUP)
			diag_error(x->d, s->at, "%s: \"%s\": group members cannot be recursive", what, s->text);
		else
			diag_error(x->d, s->at, "%s: \"%s\": group members must be users, such as alice@example.com",
				   what, s->text);
	}
	g->users.n = kept;
}

static void read_groups(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *map = want_map(x, n, "groups");

	if (!map)
		return;
	x->p->groups = arena_alloc(&x->p->mem, map->n, sizeof(*x->p->groups));
	for (size_t i = 0; i < map->n; i++) {
		struct policy_group *g = &x->p->groups[x->p->n_groups++];

		g->name = map->keys[i].text;
		g->at = map->keys[i].at;
		check_name(x, &map->keys[i], "groups", "group:");
		parse_read_members(x, &map->items[i], g);
	}
}

static void read_host(struct parser *x, const struct doc_node *key, const struct doc_node *value)
{
	struct policy_host *h = &x->p->hosts[x->p->n_hosts++];
	const char *text;
	struct prefix clash;

	h->name = key->text;
	h->at = key->at;
	if (!*h->name || strpbrk(h->name, ":@*") || isspace((unsigned char)*h->name) ||
	    prefix_parse(h->name, strlen(h->name), &clash, NULL))
		diag_error(x->d, key->at, "hosts: \"%s\" cannot be a name: no \":\", \"@\" or \"*\", and no address",
			   h->name);
	if (!doc_string(value, "hosts", &text, x->d))
		return;
	if (!prefix_parse(text, strlen(text), &h->prefix, NULL))
		diag_error(x->d, value->at, "hosts[\"%s\"]: found \"%s\", expected an address or a CIDR", h->name,
			   text);
}

static void read_hosts(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *map = want_map(x, n, "hosts");

	if (!map)
		return;
	x->p->hosts = arena_alloc(&x->p->mem, map->n, sizeof(*x->p->hosts));
	for (size_t i = 0; i < map->n; i++)
		read_host(x, &map->keys[i], &map->items[i]);
}

static void read_tag_owners(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *map = want_map(x, n, "tagOwners");

	if (!map)
		return;
	x->p->tags = arena_alloc(&x->p->mem, map->n, sizeof(*x->p->tags));
	for (size_t i = 0; i < map->n; i++) {
		struct policy_tag *t = &x->p->tags[x->p->n_tags++];

		t->name = map->keys[i].text;
		t->at = map->keys[i].at;
		check_name(x, &map->keys[i], "tagOwners", "tag:");
		read_selectors(x, &map->items[i], "tagOwners", &t->owners);
	}
}

static void read_approver(struct parser *x, const struct doc_node *key, const struct doc_node *value)
{
	struct policy_approver *a = &x->p->approvers[x->p->n_approvers++];

	a->at = key->at;
	if (!prefix_parse(key->text, key->len, &a->prefix, NULL))
		diag_error(x->d, key->at, "autoApprovers.routes: found \"%s\", expected a CIDR", key->text);
	read_selectors(x, value, "autoApprovers.routes", &a->who);
}

static void read_auto_approvers(struct parser *x, const struct doc_node *n)
{
	static const char *const known[] = {"routes", "exitNode", "services", NULL};
	const struct doc_node *map = want_map(x, n, "autoApprovers"), *routes, *services;

	if (!map)
		return;
	want_keys(x, map, "autoApprovers", known);
	services = doc_get(map, "services");
	if (!is_empty(services))
		diag_warning(x->d, services->at, "\"autoApprovers.services\" is ignored: a gateway hosts no services");
	read_selectors(x, doc_get(map, "exitNode"), "autoApprovers.exitNode", &x->p->exit_approvers);
	routes = want_map(x, doc_get(map, "routes"), "autoApprovers.routes");
	if (!routes)
		return;
	x->p->approvers = arena_alloc(&x->p->mem, routes->n, sizeof(*x->p->approvers));
	for (size_t i = 0; i < routes->n; i++)
		read_approver(x, &routes->keys[i], &routes->items[i]);
}

/* "add T" or "remove T"; a target alone is added */
static void read_ipset_op(struct parser *x, const struct policy_text *t, struct policy_ipset *set)
{
	struct policy_ipset_op *op = &set->ops[set->n];
	const char *space = strchr(t->text, ' '), *target = space ? space : t->text;

	op->remove = !strncmp(t->text, "remove ", 7);
	if (space && !op->remove && strncmp(t->text, "add ", 4)) {
		diag_error(x->d, t->at, "ipsets[\"%s\"]: found \"%s\", expected \"add\" or \"remove\" and a target",
			   set->name, t->text);
		return;
	}
	set->n += parse_selector(x, set->name, target, strlen(target), t->at, &op->target);
}

static void read_ipsets(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *map = want_map(x, n, "ipsets");

	if (!map)
		return;
	x->p->ipsets = arena_alloc(&x->p->mem, map->n, sizeof(*x->p->ipsets));
	for (size_t i = 0; i < map->n; i++) {
		struct policy_ipset *set = &x->p->ipsets[x->p->n_ipsets++];
		struct policy_texts ops = {0};

		set->name = map->keys[i].text;
		set->at = map->keys[i].at;
		check_name(x, &map->keys[i], "ipsets", "ipset:");
		read_texts(x, &map->items[i], "ipsets", &ops);
		set->ops = arena_alloc(&x->p->mem, ops.n, sizeof(*set->ops));
		for (size_t j = 0; j < ops.n; j++)
			read_ipset_op(x, &ops.v[j], set);
	}
}

static void read_test(struct parser *x, const struct doc_node *map)
{
	static const char *const known[] = {"src", "user", "srcPostureAttrs", "proto", "accept", "allow", "deny", NULL};
	struct policy_assertion *t = &x->p->tests[x->p->n_tests++];
	const struct doc_node *src, *proto;

	t->at = map->at;
	want_keys(x, map, "tests", known);
	src = get_renamed(x, map, "src", "user");
	proto = doc_get(map, "proto");
	t->posture = !is_empty(doc_get(map, "srcPostureAttrs"));
	if (src && doc_string(src, "tests: src", &t->src.text, x->d))
		t->src.at = src->at;
	if (proto && doc_string(proto, "tests: proto", &t->proto.text, x->d))
		t->proto.at = proto->at;
	read_texts(x, get_renamed(x, map, "accept", "allow"), "tests: accept", &t->accept);
	read_texts(x, doc_get(map, "deny"), "tests: deny", &t->deny);
}

static void read_tests(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *list = want_list(x, n, "tests");

	if (!list)
		return;
	x->p->tests = arena_alloc(&x->p->mem, list->n, sizeof(*x->p->tests));
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].kind == DOC_NULL || want_map(x, &list->items[i], "tests"))
			read_test(x, &list->items[i]);
}

static void read_acl_section(struct parser *x, const struct doc_node *n)
{
	read_acls(x, n, POLICY_ACL);
	x->p->has_rules |= n->kind == DOC_LIST;
}

static void read_deny_section(struct parser *x, const struct doc_node *n)
{
	read_acls(x, n, POLICY_DENY);
}

static void read_grant_section(struct parser *x, const struct doc_node *n)
{
	read_grants(x, n);
	x->p->has_rules |= n->kind == DOC_LIST;
}

/* A condition on every rule: without it they would allow more, and rules that nobody can use are no policy. */
static void read_default_posture(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *list = want_list(x, n, "defaultSrcPosture");

	if (list && list->n)
		diag_error(x->d, list->at,
			   "\"defaultSrcPosture\" is not supported: to ignore a condition would widen access");
}

enum fate { READ, IGNORE };

static const struct section {
	const char *name;
	enum fate fate;
	void (*read)(struct parser *x, const struct doc_node *n);
} sections[] = {
	{"acls", READ, read_acl_section},
	{"grants", READ, read_grant_section},
	{"deny", READ, read_deny_section},
	{"groups", READ, read_groups},
	{"hosts", READ, read_hosts},
	{"tagOwners", READ, read_tag_owners},
	{"autoApprovers", READ, read_auto_approvers},
	{"ipsets", READ, read_ipsets},
	{"tests", READ, read_tests},
	{"blocklists", READ, read_blocklists},
	{"egress", READ, read_egress},
	{"quotas", READ, read_quotas},
	{"ssh", IGNORE, NULL},
	{"sshTests", IGNORE, NULL},
	{"nodeAttrs", IGNORE, NULL},
	{"randomizeClientPort", IGNORE, NULL},
	{"derpMap", IGNORE, NULL},
	{"disableIPv4", IGNORE, NULL},
	{"OneCGNATRoute", IGNORE, NULL},
	{"attrConfig", IGNORE, NULL},
	{"extraDNSRecords", IGNORE, NULL},
	{"postures", IGNORE, NULL},
	{"defaultSrcPosture", READ, read_default_posture},
};

#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

static void read_section(struct parser *x, const struct doc_node *key, const struct doc_node *value)
{
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *s = &sections[i];

		if (strcmp(key->text, s->name))
			continue;
		if (s->fate == READ)
			s->read(x, value);
		else
			diag_warning(x->d, key->at, "\"%s\" is ignored: a gateway has no use for it", s->name);
		if (s->fate == IGNORE)
			x->p->ignored.v[x->p->ignored.n++] = (struct policy_text){s->name, key->at};
		return;
	}
}

static size_t parse_length_of(const struct doc_node *root, const char *section)
{
	const struct doc_node *n = doc_get(root, section);

	return n && n->kind == DOC_LIST ? n->n : 0;
}

/* What is read over may have a flag or a heart in a name. */
static bool sections_are_visible(const struct parser *x, const struct doc_node *root)
{
	bool ok = true;

	for (size_t i = 0; i < root->n; i++)
		for (size_t k = 0; k < N_SECTIONS; k++)
			if (sections[k].fate == READ && !strcmp(root->keys[i].text, sections[k].name))
				ok &= doc_is_visible(&root->items[i], x->d);
	return ok;
}

static bool read_sections(struct parser *x, const struct doc_node *root)
{
	const char *known[N_SECTIONS + 1];
	size_t rules;

	for (size_t i = 0; i < N_SECTIONS; i++)
		known[i] = sections[i].name;
	known[N_SECTIONS] = NULL;
	want_keys(x, root, "policy", known);
	if (!sections_are_visible(x, root))
		return false; /* nothing that follows would be what its author sees */
	rules = parse_length_of(root, "acls") + parse_length_of(root, "grants") + parse_length_of(root, "deny");
	x->p->rules = arena_alloc(&x->p->mem, rules, sizeof(*x->p->rules));
	x->p->ignored.v = arena_alloc(&x->p->mem, root->n, sizeof(*x->p->ignored.v));
	for (size_t i = 0; i < root->n; i++)
		read_section(x, &root->keys[i], &root->items[i]);
	return true;
}

struct policy *policy_parse(struct doc *doc, struct diags *d)
{
	struct parser x = {.p = mem_alloc(1, sizeof(*x.p)), .d = d};
	size_t errors = d->errors;
	const struct doc_node *root = want_map(&x, &doc->root, "policy");

	x.p->doc = doc;
	if (root && read_sections(&x, root))
		validate_policy(&x);
	if (d->errors == errors)
		return x.p;
	policy_free(x.p);
	return NULL;
}

const struct policy_host *policy_host_named(const struct policy *p, const char *name, size_t len)
{
	size_t skip = len > strlen("host:") && !strncmp(name, "host:", strlen("host:")) ? strlen("host:") : 0;

	for (size_t i = 0; i < p->n_hosts; i++)
		if (strlen(p->hosts[i].name) == len - skip && !memcmp(p->hosts[i].name, name + skip, len - skip))
			return &p->hosts[i];
	return NULL;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	arena_free(&p->mem);
	doc_free(p->doc);
	free(p);
}
