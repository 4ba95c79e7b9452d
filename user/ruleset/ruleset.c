/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a policy's text to everything that follows from it (ruleset.h): read, parsed,
 * resolved for a place, compiled, laid out in tables.
 */
#include "ruleset.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/narrow.h"
#include "policy/test.h"
#include "config_inventory.h"
#include "user/config/config_value.h"
#include "user/kernel/maps.h"

/* An inner map of so many is 12 MiB; what is behind a class's prefix is searched by halving. */
#define TABLE_RULES_MAX (MAX_RULES * 16u)
/* A node of the kernel's trie is some 100 bytes, and two policies are there while one takes the other's place. */
#define TABLE_ENTRIES_MAX (4u << 20)

void ruleset_free(struct ruleset *r)
{
	if (!r)
		return;
	reach_free(&r->reach);
	ruleset_unlay(r->tables);
	maps_blocked_free(r->laid);
	blocklists_free(&r->blocked);
	inventory_free(&r->inventory);
	policy_free(r->policy);
	policy_free(r->bound);
	free(r->bound_file);
	free(r->bound_text);
	free(r->approved_by);
	free(r->left_out);
	free(r->file);
	free(r->text);
	free(r);
}

void ruleset_hash(const char *text, size_t len, char hash[RULESET_HASH_LEN + 1])
{
	uint8_t bytes[RULESET_HASH_LEN / 2];

	crypto_generichash(bytes, sizeof(bytes), (const uint8_t *)text, len, NULL, 0);
	sodium_bin2hex(hash, RULESET_HASH_LEN + 1, bytes, sizeof(bytes));
}

/* ---- the policy ---------------------------------------------------------------------- */

static bool ruleset_read_policy(struct ruleset *r, const struct ruleset_place *place, const struct ruleset_source *s,
				struct diags *d)
{
	const struct config_names *folders = place->config ? &place->config->blocklist_folders : NULL;
	struct blocklists_where where = {s->folder, folders, s->kept, s->now};
	struct doc *doc = doc_parse(s->file, s->text, s->len, doc_format_of(s->file), d);

	r->policy = doc ? policy_parse(doc, d) : NULL;
	if (!r->policy)
		return false;
	r->file = mem_strdup(s->file);
	r->text = mem_strndup(s->text, s->len);
	r->len = s->len;
	ruleset_hash(s->text, s->len, r->hash);
	r->lists_stay = s->lists_stay;
	return r->lists_stay || blocklists_read(r->policy, &where, &r->blocked, d);
}

/* A destination is blocked if either policy blocks it. */
static bool add_blocked(struct ruleset *r, const struct blocklists_where *where, struct diags *d)
{
	struct blocklists more;
	bool ok = blocklists_read(r->bound, where, &more, d);

	for (size_t i = 0; i < more.all.n; i++)
		prefixes_add(&r->blocked.all, &more.all.v[i]);
	prefixes_merge(&r->blocked.all);
	blocklists_free(&more);
	return ok;
}

static bool read_bound(struct ruleset *r, const struct ruleset_place *place, const struct ruleset_source *s,
		       struct diags *d)
{
	const struct config_names *folders = place->config ? &place->config->blocklist_folders : NULL;
	const struct ruleset_source *b = s->bound;
	struct blocklists_where where = {b->folder, folders, s->kept, s->now};
	struct doc *doc = doc_parse(b->file, b->text, b->len, doc_format_of(b->file), d);

	r->bound = doc ? policy_parse(doc, d) : NULL;
	if (!r->bound)
		return false;
	r->bound_file = mem_strdup(b->file);
	r->bound_text = mem_strndup(b->text, b->len);
	r->bound_len = b->len;
	return r->lists_stay || add_blocked(r, &where, d);
}

/* ---- who is who ------------------------------------------------------------------------ */

/* Adds the routes that other nodes advertise and autoApprovers name; a file may have said more itself. */
static void approve_nodes(struct inventory *inv, const struct policy *p, struct budget *budget)
{
	struct resolver *r = resolver_new(p, inv, budget);

	for (size_t i = 0; i < inv->n_nodes; i++) {
		struct inventory_node *node = &inv->nodes[i];

		for (size_t k = 0; k < node->routable.n; k++)
			if (resolve_approval(r, node, &node->routable.v[k]))
				prefixes_add(&node->approved, &node->routable.v[k]);
		prefixes_sort(&node->approved);
	}
	resolver_free(r);
}

/* A route is approved where both policies approve it. */
static void approve_both(struct ruleset *r, const struct config *config, struct budget *budget)
{
	const char **by = mem_alloc(config->n_routes, sizeof(*by));
	struct inventory scratch; /* it remembers what was approved */

	config_inventory(config, &scratch);
	config_approve(config, r->bound, &scratch, by, budget);
	for (size_t i = 0; i < config->n_routes; i++)
		if (!by[i])
			r->approved_by[i] = NULL;
	inventory_free(&scratch);
	free(by);
}

static bool read_place(struct ruleset *r, const struct ruleset_place *place, const struct policy *p,
		       struct budget *budget, struct diags *d)
{
	if (!place->config) {
		if (place->inventory && !inventory_read(&r->inventory, place->inventory, d))
			return false;
		approve_nodes(&r->inventory, p, budget);
		return true;
	}
	config_inventory(place->config, &r->inventory);
	r->approved_by = mem_alloc(place->config->n_routes, sizeof(*r->approved_by));
	config_approve(place->config, p, &r->inventory, r->approved_by, budget);
	r->gateway = config_inventory_gateway(&r->inventory);
	if (r->bound)
		approve_both(r, place->config, budget);
	return true;
}

/* Pools are each gateway's own: the policy may name more than this one has. */
static void check_pools(const struct ruleset *r, const struct config *config, struct diags *d)
{
	for (size_t i = 0; i < r->policy->n_egress; i++) {
		const struct policy_egress *e = &r->policy->egress[i];
		bool known = false;

		for (size_t k = 0; k < config->n_pools; k++)
			known |= !strcmp(config->pools[k].name, e->pool);
		if (!known)
			diag_warning(d, e->at, "egress: %s has no pool \"%s\": its clients leave by the default one",
				     config->name, e->pool);
	}
}

/* ---- tables ------------------------------------------------------------------------------ */

/* Takes @f over. */
static bool fill_tables(struct reach *x, struct filter *f, struct budget *budget, struct diags *d)
{
	const struct tables_limits limits = {
		.ids = MAX_RULES - 1, .rules = TABLE_RULES_MAX, .entries = TABLE_ENTRIES_MAX, .budget = budget};

	filter_free(x->f);
	x->f = f;
	x->t = tables_build(f, x->clients, x->inv->n_nodes, &limits, d);
	return x->t;
}

/* In a tailnet the server's rules, here the first @n, are what a policy takes away from. */
static bool narrow(struct reach *x, const struct filter *server, size_t n, const struct filter *local,
		   struct budget budget, struct diags *d)
{
	const struct filter some = {server->rules, n};

	return fill_tables(x, filter_narrow(&some, local, x->p->has_rules, &budget), &budget, d);
}

/* Those that do not fit are left out, for the former ones would let pass what the server has revoked. */
static bool narrow_to_fit(struct ruleset *r, const struct config_netmap *nm, const struct filter *local,
			  const struct budget *budget, struct diags *d)
{
	size_t fit = 0, over = nm->rules->n;
	struct diags why = {0};

	if (narrow(&r->reach, nm->rules, over, local, *budget, &why))
		return true;
	while (over - fit > 1) {
		size_t middle = fit + (over - fit) / 2;
		struct diags again = {0};

		*(narrow(&r->reach, nm->rules, middle, local, *budget, &again) ? &fit : &over) = middle;
		tables_free(r->reach.t);
		diags_free(&again);
	}
	r->n_left_out += nm->rules->n - fit;
	if (!r->left_out)
		r->left_out = mem_strdup(why.n ? why.list[0].text : "");
	diags_free(&why);
	return narrow(&r->reach, nm->rules, fit, local, *budget, d);
}

/* Takes @local over. */
static bool follow_server(struct ruleset *r, const struct config_netmap *nm, struct filter *local,
			  const struct budget *budget, struct diags *d)
{
	bool ok;

	r->n_left_out = nm->n_left_out;
	r->left_out = nm->left_out ? mem_strdup(nm->left_out) : NULL;
	ok = narrow_to_fit(r, nm, local, budget, d);
	filter_free(local);
	return ok;
}

static struct filter *compile_both(const struct ruleset *r, const struct policy *p, struct budget *budget)
{
	struct filter *own = policy_compile(r->reach.r, p, r->gateway, POLICY_DENY_ALL), *other, *both;
	struct resolver *x;

	if (!r->bound)
		return own;
	x = resolver_new(r->bound, &r->inventory, budget);
	other = policy_compile(x, r->bound, r->gateway, POLICY_DENY_ALL);
	both = filter_narrow(other, own, true, budget);
	filter_free(own);
	filter_free(other);
	resolver_free(x);
	return both;
}

static bool ruleset_lay_out(struct ruleset *r, const struct ruleset_place *place, const struct policy *p,
			    struct budget *budget, struct diags *d)
{
	struct inventory *inv = &r->inventory;
	struct reach *x = &r->reach;
	struct filter *local;

	*x = (struct reach){.p = p, .inv = inv, .r = resolver_new(p, inv, budget)};
	x->clients = mem_alloc(inv->n_nodes, sizeof(*x->clients));
	for (size_t i = 0; i < inv->n_nodes; i++)
		x->clients[i] = (struct tables_client){inv->nodes[i].addrs.v, inv->nodes[i].addrs.n};
	if (place->shut)
		return fill_tables(x, mem_alloc(1, sizeof(*x->f)), NULL, d);
	local = compile_both(r, p, budget);
	if (place->config && place->config->netmap)
		return follow_server(r, place->config->netmap, local, budget, d);
	return fill_tables(x, local, budget, d);
}

static void ruleset_warn(const struct ruleset *r, const struct ruleset_place *place, struct diags *d)
{
	const char *file = place->config && place->config->n_docs ? place->config->docs[0]->file : "gateway.yaml";
	bool tailnet = place->config && place->config->tailnet.node;
	static const struct inventory not_known;
	struct budget budget = budget_usual();

	if (place->shut || (!r->policy && tailnet))
		return; /* it is said why; or the server's rules are enough */
	if (!r->policy) {
		diag_warning(d, (struct diag_at){.file = file}, "no policy is configured: everything is refused");
		return;
	}
	policy_check(r->policy,
		     &(struct policy_check_place){
			     .inv = tailnet && !place->config->netmap ? &not_known : &r->inventory,
			     .gateway = tailnet ? NULL : r->gateway,
			     .narrows = tailnet,
		     },
		     &budget, d);
	if (place->config)
		check_pools(r, place->config, d);
}

struct ruleset *ruleset_build(const struct ruleset_place *place, const struct ruleset_source *source, struct diags *d)
{
	static const struct policy nothing;
	struct budget budget = place->budget ? *place->budget : budget_usual();
	struct ruleset *r = mem_alloc(1, sizeof(*r));
	const struct policy *p = &nothing;
	bool sound = true;

	r->shut = place->shut;
	if (source) {
		sound = ruleset_read_policy(r, place, source, d);
		p = r->policy;
		if (source->bound && sound)
			sound = read_bound(r, place, source, d);
	}
	if (p && read_place(r, place, p, &budget, d) && ruleset_lay_out(r, place, p, &budget, d) && sound) {
		resolver_set_budget(r->reach.r, NULL);
		ruleset_warn(r, place, d);
		return r;
	}
	ruleset_free(r);
	return NULL;
}

/* ---- asking ------------------------------------------------------------------------------ */

bool ruleset_owners(const struct ruleset *r, struct diags *d)
{
	bool known = r->inventory.n_users || r->inventory.n_nodes > (r->gateway != NULL);

	/* a tailnet's gateway that has no netmap yet knows nobody */
	return !r->policy || !known || policy_check_owners(r->policy, &r->inventory, d);
}

static bool says_nothing(const struct doc_node *n)
{
	return n->kind == DOC_NULL || ((n->kind == DOC_LIST || n->kind == DOC_MAP) && !n->n);
}

bool ruleset_is_empty(const struct ruleset *r)
{
	const struct doc_node *root = &r->policy->doc->root;

	for (size_t i = 0; root->kind == DOC_MAP && i < root->n; i++)
		if (!says_nothing(&root->items[i]))
			return false;
	return says_nothing(root) || root->kind == DOC_MAP;
}

uint32_t ruleset_pool(const struct ruleset *r, const struct config *config, size_t client)
{
	const char *name = r->policy ? resolve_pool(r->reach.r, &r->inventory.nodes[client]) : NULL;

	for (size_t i = 0; name && i < config->n_pools; i++)
		if (!strcmp(config->pools[i].name, name))
			return (uint32_t)i;
	return 0;
}

const struct policy_quota *ruleset_quota(const struct ruleset *r, size_t client)
{
	return r->policy ? resolve_quota(r->reach.r, &r->inventory.nodes[client]) : NULL;
}

const struct filter_rule *ruleset_rule(const struct ruleset *r, uint32_t id)
{
	for (size_t i = 0; i < r->reach.f->n; i++)
		if (r->reach.f->rules[i].id == id)
			return &r->reach.f->rules[i];
	return NULL;
}

char *ruleset_folder(const struct config *config, const char *policy)
{
	if (policy && (!strcmp(policy, RULESET_STDIN) || !strcmp(policy, RULESET_STDIN_HUJSON)))
		return NULL;
	return config_folder(config->policy ? config->policy : config->docs[0]->file);
}
