/* SPDX-License-Identifier: BSD-2-Clause */
/* What commands may ask about the running policy. How they change it: change_policy.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/print.h"
#include "user/answers/report_explain.h"
#include "handlers.h"
#include "user/gateway/change_policy.h"
#include "user/gateway/egress.h"
#include "user/gateway/host.h"
#include "user/gateway/parts.h"
#include "user/gateway/running.h"
#include "user/answers/report_policy.h"
#include "user/ruleset/policy_store.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

/* ---- explain --------------------------------------------------------------------------- */

static bool is_own(void *ctx, const struct addr *a)
{
	return host_owns(((const struct parts *)ctx)->host, a);
}

static bool rule_use(void *ctx, uint32_t rule, struct explain_use *out)
{
	struct maps *maps = ((const struct parts *)ctx)->site->maps;
	struct flow_walk walk = {};
	struct rule_use use;
	struct flow f;

	if (rule >= MAX_RULES || maps_rule_use(maps, rule, &use))
		return false;
	*out = (struct explain_use){
		.flows = use.flows, .refused = use.refused, .bytes_out = use.out.bytes, .bytes_in = use.in.bytes};
	while (maps_flow_next(maps, &walk, &f)) {
		if (f.rule != rule)
			continue;
		out->live++;
		out->bytes_out += f.bytes_out;
		out->bytes_in += f.bytes_in;
	}
	return true;
}

/* A client keeps to one of the pool's addresses, as egress_of() in bpf/port.h chooses it. */
static const struct egress_address *address_of(const struct egress_pool *pool, uint32_t client, bool v4)
{
	const struct egress_address *usable[POOL_ADDRESSES];
	size_t n = 0;

	for (size_t i = 0; i < pool->n && n < POOL_ADDRESSES; i++)
		if (pool->address[i].present && !pool->address[i].spare && pool->address[i].id &&
		    addr_is_v4(&pool->address[i].addr) == v4)
			usable[n++] = &pool->address[i];
	return n ? usable[client % n] : NULL;
}

static bool verbs_policy_egress(void *ctx, uint32_t pool, size_t client, const struct addr *dst,
				struct explain_egress *out)
{
	const struct parts *parts = ctx;
	const struct egress_pool *p = &parts->egress->pool[pool];
	const struct egress_address *a = address_of(p, parts->running->clients.list[client].id, addr_is_v4(dst));
	int ifindex;

	if (p->ifindex)
		snprintf(out->interface, sizeof(out->interface), "%s", p->interface);
	if (a) {
		out->has_address = true;
		out->address = a->addr;
		out->public = a->public;
	}
	if (p->ifindex &&
	    !netlink_route_get(parts->site->netlink, dst, a ? &a->addr : NULL, p->ifindex, &ifindex, &out->next_hop))
		out->has_next_hop = !addr_is_zero(&out->next_hop);
	return true;
}

static bool verbs_policy_is_out(void *parts, size_t client)
{
	const struct clients *clients = &((const struct parts *)parts)->running->clients;

	return client < clients->n && clients->list[client].out;
}

int verb_explain(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	const char *src = json_string_value(json_object_get(args, "source"));
	const char *dst = json_string_value(json_object_get(args, "destination"));
	struct explain_question q = {.source = src, .destination = dst};
	struct explain_source s = {rules_running(&p->running->rules),
				   p->site->config,
				   parts,
				   p->origin->ops->time(p->origin->ctx),
				   is_own,
				   verbs_policy_is_out,
				   rule_use,
				   verbs_policy_egress};

	if (!src || !dst)
		return exit_fail(error, EXIT_USAGE, "expected a source and a destination");
	if (!explain_parse(json_string_value(json_object_get(args, "proto")),
			   json_string_value(json_object_get(args, "port")), &q, error))
		return EXIT_USAGE;
	*result = explain(&s, &q, error);
	return *result ? EXIT_YES : EXIT_USAGE;
}

/* ---- hosts -------------------------------------------------------------------------------- */

/* policy host: {"name"} -> {"schema", "name", "address" (a prefix where it is a network)}; for probe, by people's
 * words. */
int verb_policy_host(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *all = parts;
	const struct policy *p = rules_running(&all->running->rules)->policy;
	const char *name = json_string_value(json_object_get(args, "name"));
	const struct policy_host *host = p && name ? policy_host_named(p, name, strlen(name)) : NULL;
	char buf[ADDR_STRLEN];

	if (!name)
		return exit_fail(error, EXIT_USAGE, "expected a name");
	if (!host)
		return exit_fail(error, EXIT_NO, "the policy has no host \"%s\"", name);
	*result = json_pack("{s:i, s:s, s:s}", "schema", REPORT_SCHEMA, "name", host->name, "address",
			    prefix_str(&host->prefix, buf));
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

/* ---- show ----------------------------------------------------------------------------------- */

int verb_policy_show(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	const struct rules *rules = &p->running->rules;
	const struct ruleset *r = rules_running(rules);
	const struct policy_saved *previous = policy_store_before(rules_history(rules));
	const struct report_policy *report = rules->report;
	char *text;

	if (!r->policy && p->site->config->tailnet.node)
		return exit_fail(error, EXIT_NO,
				 "no local policy runs: the coordination server's rules are in force "
				 "(`sluice netmap` lists them)");
	if (!r->policy)
		return exit_fail(error, EXIT_NO, "no policy runs: everything is refused (`sluice policy apply FILE`)");
	rules_compare(rules, p->site);
	text = policy_print(r->policy);
	*result = json_pack("{s:i, s:s, s:s, s:s?, s:I, s:I, s:b, s:s, s:s%}", "schema", REPORT_SCHEMA, "file", r->file,
			    "hash", r->hash, "previous", previous ? previous->hash : NULL, "applied",
			    (json_int_t)((clock_now() - report->applied_ns) / NS_PER_SEC), "generation",
			    (json_int_t)report->generation, "differs", report->differs, "text", text, "source", r->text,
			    r->len);
	free(text);
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

static json_t *saved_json(const struct policy_saved *p, bool runs)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:b}", "number", (json_int_t)p->number, "file", p->file, "hash",
			 p->hash, "source", p->by_hand ? "apply" : "file", "time", (json_int_t)p->time, "running",
			 runs);
}

int verb_policy_history(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct rules *rules = &((const struct parts *)parts)->running->rules;
	const struct policy_store *history = rules_history(rules);
	uint32_t running = rules_number(rules);
	json_t *list = json_array();

	for (size_t i = history->n; i--;)
		json_array_append_new(list, saved_json(&history->list[i], history->list[i].number == running));
	*result = json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "policies", list);
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

/* ---- another one ------------------------------------------------------------------------------ */

static int verbs_policy_change(const struct parts *p, const json_t *args, struct change_policy_wanted *w, char **error)
{
	w->if_match = json_string_value(json_object_get(args, "if_match"));
	w->dry = json_is_true(json_object_get(args, "dry_run"));
	w->allow_empty = json_is_true(json_object_get(args, "allow_empty"));
	w->not_kept = json_is_true(json_object_get(args, "not_kept"));
	return changes_ask(p->changes, p->control, change_policy(w), error);
}

int verb_policy_apply(void *parts, const json_t *args, json_t **result, char **error)
{
	const json_t *text = json_object_get(args, "text");
	const char *file = json_string_value(json_object_get(args, "file"));
	struct change_policy_wanted w = {
		.file = file, .text = json_string_value(text), .len = json_string_length(text)};

	if (!json_is_string(text) || !file || !*file)
		return exit_fail(error, EXIT_USAGE, "expected a policy's text and the name of its file");
	return verbs_policy_change(parts, args, &w, error);
}

int verb_policy_rollback(void *parts, const json_t *args, json_t **result, char **error)
{
	const json_t *number = json_object_get(args, "number");
	json_int_t n = json_integer_value(number);
	struct change_policy_wanted w = {.number = (uint32_t)n};

	if (number && (n < 1 || n > UINT32_MAX))
		return exit_fail(error, EXIT_USAGE, "expected a policy's number, as `sluice policy history` has it");
	return verbs_policy_change(parts, args, &w, error);
}
