/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy on its way from the file to the maps: read, parsed, tested, compiled
 * for this gateway, laid out in tables, and swapped in as a whole. Until the swap
 * nothing has changed; a policy with a mistake in it never gets that far.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/filter.h"
#include "policy/policy.h"
#include "policy/tables.h"
#include "policy/test.h"
#include "user/config_inventory.h"
#include "user/gateway.h"
#include "user/log.h"
#include "user/loop.h"
#include "user/report.h"

#define HASH_BYTES 32

struct rules_running {
	struct policy *policy; /* NULL: none is configured, nothing is allowed */
	struct inventory inventory;
	struct resolver *resolver;
	struct filter *filter;
	struct tables *tables;
	const char **approved_by; /* by route */
	uint8_t hash[HASH_BYTES]; /* of the file as it was read */
	char *file;
	struct report_policy report;
};

static void free_running(struct rules_running *r)
{
	if (!r)
		return;
	tables_free(r->tables);
	if (r->filter)
		filter_free(r->filter);
	resolver_free(r->resolver);
	inventory_free(&r->inventory);
	policy_free(r->policy);
	free(r->approved_by);
	free(r->file);
	free(r);
}

/* ---- building: nothing outside is touched ---------------------------------------------- */

static bool hash_file(const char *file, uint8_t hash[HASH_BYTES])
{
	size_t len;
	char *text = state_read_file(file, DOC_MAX_SIZE, &len);

	if (!text)
		return false;
	crypto_generichash(hash, HASH_BYTES, (uint8_t *)text, len, NULL, 0);
	free(text);
	return true;
}

static struct policy *read_policy(const char *file, uint8_t hash[HASH_BYTES], struct diags *d)
{
	struct diag_at at = {.file = file};
	size_t len;
	char *text = state_read_file(file, DOC_MAX_SIZE, &len);
	struct doc *doc;

	if (!text) {
		diag_error(d, at, "the policy cannot be read: %s", strerror(errno));
		return NULL;
	}
	crypto_generichash(hash, HASH_BYTES, (uint8_t *)text, len, NULL, 0);
	doc = doc_parse(file, text, len, doc_format_of(file), d);
	free(text);
	return doc ? policy_parse(doc, d) : NULL;
}

static struct tables *lay_out(struct rules_running *r, const struct config *config, struct diags *d)
{
	struct tables_limits limits = {.rules = MAX_RULES * 16u};
	struct tables_client *clients = calloc(config->n_clients + 1, sizeof(*clients));
	struct tables *tables;

	for (size_t i = 0; i < config->n_clients; i++) {
		const struct prefixes *addrs = &r->inventory.nodes[i].addrs;

		clients[i] = (struct tables_client){addrs->v, addrs->n};
	}
	tables = tables_build(r->filter, clients, config->n_clients, &limits, d);
	free(clients);
	return tables;
}

/* The sections' tests are about the whole tailnet, wherever a destination is. */
static bool run_tests(struct rules_running *r, struct diags *d)
{
	struct filter *everywhere = policy_compile(r->resolver, r->policy, NULL, POLICY_DENY_ALL);
	size_t passed;
	bool ok = policy_run_tests(r->policy, r->resolver, everywhere, &passed, d);

	filter_free(everywhere);
	return ok;
}

static struct rules_running *build(const struct config *config, struct diags *d)
{
	static const struct policy nothing;
	struct rules_running *r = calloc(1, sizeof(*r));
	const struct policy *policy = &nothing;

	if (!r)
		return NULL;
	if (config->policy) {
		r->file = strdup(config->policy);
		r->policy = read_policy(config->policy, r->hash, d);
		if (!r->policy)
			goto fail;
		policy = r->policy;
	}
	if (!policy->has_rules)
		diag_warning(d, (struct diag_at){.file = config->policy ?: "gateway.yaml"},
			     "%s: everything is refused",
			     config->policy ? "the policy has neither acls nor grants" : "no policy is configured");
	config_inventory(config, &r->inventory);
	r->approved_by = calloc(config->n_routes + 1, sizeof(*r->approved_by));
	config_approve(config, policy, &r->inventory, r->approved_by);
	r->resolver = resolver_new(policy, &r->inventory);
	r->filter = policy_compile(r->resolver, policy, config_inventory_gateway(&r->inventory), POLICY_DENY_ALL);
	if (r->policy && !run_tests(r, d))
		goto fail;
	r->tables = lay_out(r, config, d);
	if (r->tables)
		return r;
fail:
	free_running(r);
	return NULL;
}

bool rules_check(struct gateway *g, const struct config *config, struct diags *d)
{
	struct rules_running *r = build(config, d);

	free_running(r);
	return r;
}

/* ---- into the maps ----------------------------------------------------------------------- */

static uint32_t pool_of(const struct rules_running *r, const struct config *config, const struct inventory_node *node)
{
	const char *name = r->policy ? resolve_pool(r->resolver, node) : NULL;

	for (size_t i = 0; name && i < config->n_pools; i++)
		if (!strcmp(config->pools[i].name, name))
			return (uint32_t)i;
	if (name)
		log_warning("the policy gives %s the pool %s, which this gateway does not have: default", node->name, name);
	return 0;
}

/* The list of clients has the order of the configuration, and so have nodes and classes. */
static struct client_class *fill_classes(struct gateway *g, const struct rules_running *r, const struct config *config)
{
	struct client_class *classes = calloc(MAX_CLIENTS, sizeof(*classes));

	for (size_t i = 0; classes && i < config->n_clients; i++)
		classes[g->clients.list[i].id] = (struct client_class){
			.class = r->tables->class_of[i],
			.pool = pool_of(r, config, &r->inventory.nodes[i]),
			.quota = r->policy ? resolve_quota(r->resolver, &r->inventory.nodes[i]) : 0,
		};
	if (classes)
		classes[0] = (struct client_class){0};
	return classes;
}

static struct maps_acl *fill_acl(const struct tables *t)
{
	struct maps_acl *acl = calloc(t->n_entries + 1, sizeof(*acl));

	for (size_t i = 0; acl && i < t->n_entries; i++) {
		const struct tables_entry *e = &t->entries[i];

		acl[i] = (struct maps_acl){
			.class = ntohl(e->key.class),
			.dst = {.addr = e->key.dst, .len = e->key.prefixlen - 32},
			.first = e->value.first,
			.count = e->value.count,
			.flags = e->value.flags,
		};
	}
	return acl;
}

static struct maps_route *fill_routes(const struct rules_running *r, const struct config *config, size_t *n)
{
	struct maps_route *routes = calloc(config->n_routes + 1, sizeof(*routes));

	*n = 0;
	for (size_t i = 0; routes && i < config->n_routes; i++)
		if (r->approved_by[i])
			routes[(*n)++] = (struct maps_route){config->routes[i].prefix,
							     {.pool = ROUTE_POOL_OF_CLIENT, .id = (uint32_t)i}};
	return routes;
}

static bool swap_in(struct gateway *g, struct rules_running *r, const struct config *config, struct diags *d)
{
	struct client_class *classes = fill_classes(g, r, config);
	struct maps_acl *acl = fill_acl(r->tables);
	size_t n_routes;
	struct maps_route *routes = fill_routes(r, config, &n_routes);
	struct maps_policy policy = {
		.classes = classes,
		.n_classes = MAX_CLIENTS,
		.acl = acl,
		.n_acl = r->tables->n_entries,
		.rules = r->tables->rules,
		.n_rules = r->tables->n_rules,
		.routes = routes,
		.n_routes = n_routes,
	};
	char *why = NULL;
	int err = -ENOMEM;

	if (classes && acl && routes)
		err = maps_policy_apply(g->maps, &policy, &r->report.generation, &why);
	if (err)
		diag_error(d, (struct diag_at){.file = config->policy}, "the policy cannot be put into the maps: %s",
			   why ?: strerror(-err));
	free(why);
	free(classes);
	free(acl);
	free(routes);
	return !err;
}

bool rules_apply(struct gateway *g, const struct config *config, struct diags *d)
{
	struct rules_running *r = build(config, d);

	if (!r || !swap_in(g, r, config, d)) {
		free_running(r);
		return false;
	}
	r->report.file = r->file;
	r->report.applied_ns = loop_now();
	free_running(g->rules.running);
	g->rules.running = r;
	g->rules.report = r->policy ? &r->report : NULL;
	return true;
}

void rules_close(struct gateway *g)
{
	free_running(g->rules.running);
	g->rules = (struct rules){0};
}

/* ---- for reports ---------------------------------------------------------------------------- */

bool rules_approved(const struct gateway *g, size_t route, const char **by)
{
	*by = g->rules.running ? g->rules.running->approved_by[route] : NULL;
	return *by;
}

void rules_compare(struct gateway *g)
{
	struct rules_running *r = g->rules.running;
	uint8_t hash[HASH_BYTES];

	if (r && r->policy)
		r->report.differs = !hash_file(r->file, hash) || memcmp(hash, r->hash, sizeof(hash));
}
