/* SPDX-License-Identifier: BSD-2-Clause */
/* What commands may ask about the running policy, and how they change it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/print.h"
#include "user/explain.h"
#include "user/gateway.h"
#include "user/loop.h"
#include "user/policy_report.h"
#include "user/policy_store.h"
#include "user/report.h"

#define MATCH_MIN 8 /* digits of a hash that are enough to name it */

/* ---- explain --------------------------------------------------------------------------- */

static bool is_own(void *ctx, const struct addr *a)
{
	const struct gateway *g = ctx;

	for (size_t i = 0; i < g->n_own; i++)
		if (!addr_cmp(&g->own[i], a))
			return true;
	return false;
}

static bool rule_use(void *ctx, uint32_t rule, struct explain_use *out)
{
	const struct gateway *g = ctx;
	struct rule_use use;
	uint32_t slot = 0;
	struct flow f;

	if (rule >= MAX_RULES || maps_rule_use(g->maps, rule, &use))
		return false;
	*out = (struct explain_use){
		.flows = use.flows, .refused = use.refused, .bytes_out = use.out.bytes, .bytes_in = use.in.bytes};
	while (maps_flow_next(g->maps, &slot, &f)) {
		if (f.rule != rule)
			continue;
		out->live++;
		out->bytes_out += f.bytes_out;
		out->bytes_in += f.bytes_in;
	}
	return true;
}

/* A client keeps to one of the pool's addresses, as egress_of() in bpf/create.h chooses it. */
static const struct egress_address *address_of(const struct egress_pool *pool, uint32_t client, bool v4)
{
	const struct egress_address *usable[POOL_ADDRESSES];
	size_t n = 0;

	for (size_t i = 0; i < pool->n && n < POOL_ADDRESSES; i++)
		if (pool->address[i].present && pool->address[i].id && addr_is_v4(&pool->address[i].addr) == v4)
			usable[n++] = &pool->address[i];
	return n ? usable[client % n] : NULL;
}

static bool egress(void *ctx, uint32_t pool, size_t client, const struct addr *dst, struct explain_egress *out)
{
	static const struct addr none;
	struct gateway *g = ctx;
	const struct egress_pool *p = &g->egress.pool[pool];
	const struct egress_address *a = address_of(p, g->clients.list[client].id, addr_is_v4(dst));
	int ifindex;

	snprintf(out->interface, sizeof(out->interface), "%s", p->interface);
	if (a) {
		out->has_address = true;
		out->address = a->addr;
		out->public = a->public;
	}
	if (!netlink_route_get(&g->netlink, dst, NULL, p->ifindex, &ifindex, &out->next_hop))
		out->has_next_hop = addr_cmp(&out->next_hop, &none);
	return true;
}

int verb_explain(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct gateway *g = gateway;
	const char *src = json_string_value(json_object_get(args, "source"));
	const char *dst = json_string_value(json_object_get(args, "destination"));
	struct explain_question q = {.source = src, .destination = dst};
	struct explain_source s = {rules_running(g), g->config, g, is_own, rule_use, egress};

	if (!src || !dst)
		return control_fail(error, EXIT_USAGE, "expected a source and a destination");
	if (!explain_parse(json_string_value(json_object_get(args, "proto")),
			   json_string_value(json_object_get(args, "port")), &q, error))
		return EXIT_USAGE;
	*result = explain(&s, &q, error);
	return *result ? EXIT_YES : EXIT_USAGE;
}

/* ---- show ----------------------------------------------------------------------------------- */

int verb_policy_show(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct gateway *g = gateway;
	const struct ruleset *r = rules_running(g);
	const struct policy_saved *previous = rules_previous(g);
	const struct report_policy *report = g->rules.report;
	char *text;

	if (!r->policy)
		return control_fail(error, EXIT_NO,
				    "no policy runs: everything is refused (`sluice policy apply FILE`)");
	rules_compare(g);
	text = policy_print(r->policy);
	*result = json_pack("{s:i, s:s, s:s, s:s?, s:I, s:I, s:b, s:s, s:s%}", "schema", REPORT_SCHEMA, "file", r->file,
			    "hash", r->hash, "previous", previous ? previous->hash : NULL, "applied",
			    (json_int_t)((loop_now() - report->applied_ns) / NS_PER_SEC), "generation",
			    (json_int_t)report->generation, "differs", report->differs, "text", text, "source", r->text,
			    r->len);
	free(text);
	return *result ? EXIT_YES : control_fail(error, EXIT_NO, "out of memory");
}

/* ---- apply ----------------------------------------------------------------------------------- */

static int refuse(char **error, struct diags *d)
{
	size_t size;
	FILE *out = open_memstream(error, &size);

	if (out) {
		diags_print(d, out, true);
		fclose(out);
	}
	diags_free(d);
	return EXIT_USAGE;
}

/* --if-match: somebody else may have applied meanwhile. */
static bool matches(const struct ruleset *running, const json_t *args, char **error)
{
	const char *wanted = json_string_value(json_object_get(args, "if_match"));
	const char *is = *running->hash ? running->hash : "none";

	if (!wanted || !strcmp(wanted, is) || (strlen(wanted) >= MATCH_MIN && !strncmp(wanted, is, strlen(wanted))))
		return true;
	return control_fail(error, 0, "another policy runs: %s (%s), expected %s; `sluice policy show` prints it", is,
			    running->file ? running->file : "no file", wanted);
}

/* Index of the configured client by its id, for those who count live flows. */
static uint32_t *clients_by_id(const struct gateway *g)
{
	uint32_t *index = mem_alloc(MAX_CLIENTS, sizeof(*index));

	memset(index, 0xff, MAX_CLIENTS * sizeof(*index));
	for (size_t i = 0; i < g->clients.n; i++)
		index[g->clients.list[i].id] = (uint32_t)i;
	return index;
}

static json_t *changes(struct gateway *g, const struct ruleset *next)
{
	uint32_t *index = clients_by_id(g);
	struct policy_live live = {.client_of = index};
	json_t *j;

	live.flows = maps_flows(g->maps, &live.n_flows);
	j = policy_diff_json(rules_running(g), next, g->config, &live);
	free(index);
	return j;
}

static void finish(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

static json_t *hash_json(const struct ruleset *r)
{
	return *r->hash ? json_string(r->hash) : json_null();
}

/* A ruleset that stood all tests. Takes it over. */
static int apply(struct gateway *g, struct ruleset *next, const json_t *args, size_t passed, struct diags *d,
		 json_t **result, char **error)
{
	bool dry = json_is_true(json_object_get(args, "dry_run"));
	json_t *j = changes(g, next);

	finish(j, "applied", json_boolean(!dry));
	finish(j, "previous", hash_json(rules_running(g)));
	finish(j, "hash", hash_json(next));
	finish(j, "tests", json_integer((json_int_t)passed));
	if (!dry && !rules_swap(g, next, d)) {
		ruleset_free(next);
		json_decref(j);
		refuse(error, d);
		return EXIT_NO;
	}
	finish(j, "generation", json_integer((json_int_t)maps_generation(g->maps)));
	finish(j, "warnings", policy_lines_json(d, DIAG_WARNING));
	if (dry)
		ruleset_free(next);
	diags_free(d);
	*result = j;
	return EXIT_YES;
}

int verb_policy_apply(void *gateway, const json_t *args, json_t **result, char **error)
{
	const json_t *text = json_object_get(args, "text");
	const char *file = json_string_value(json_object_get(args, "file"));
	struct gateway *g = gateway;
	struct diags d = {0};
	struct ruleset *next;
	size_t passed;

	if (!json_is_string(text) || !file || !*file)
		return control_fail(error, EXIT_USAGE, "expected a policy's text and the name of its file");
	if (!matches(rules_running(g), args, error))
		return EXIT_NO;
	next = rules_build(g, file, json_string_value(text), json_string_length(text), &passed, &d);
	return next ? apply(g, next, args, passed, &d, result, error) : refuse(error, &d);
}

int verb_policy_rollback(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct gateway *g = gateway;
	const struct policy_saved *p = rules_previous(g);
	struct diags d = {0};
	struct ruleset *next;
	size_t passed;

	if (!p)
		return control_fail(error, EXIT_NO, "there is no earlier policy to return to");
	if (!matches(rules_running(g), args, error))
		return EXIT_NO;
	next = rules_build(g, p->file, p->text, p->len, &passed, &d);
	return next ? apply(g, next, args, passed, &d, result, error) : refuse(error, &d);
}
