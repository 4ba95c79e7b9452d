/* SPDX-License-Identifier: BSD-2-Clause */
/* What commands may ask about the running policy. How they change it: apply.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/print.h"
#include "user/answers/explain.h"
#include "user/gateway/gateway.h"
#include "user/answers/policy_report.h"
#include "user/ruleset/policy_store.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

/* ---- explain --------------------------------------------------------------------------- */

static bool is_own(void *ctx, const struct addr *a)
{
	return host_owns(ctx, a);
}

static bool rule_use(void *ctx, uint32_t rule, struct explain_use *out)
{
	const struct gateway *g = ctx;
	struct flow_walk walk = {};
	struct rule_use use;
	struct flow f;

	if (rule >= MAX_RULES || maps_rule_use(g->maps, rule, &use))
		return false;
	*out = (struct explain_use){
		.flows = use.flows, .refused = use.refused, .bytes_out = use.out.bytes, .bytes_in = use.in.bytes};
	while (maps_flow_next(g->maps, &walk, &f)) {
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
		if (pool->address[i].present && pool->address[i].id && addr_is_v4(&pool->address[i].addr) == v4)
			usable[n++] = &pool->address[i];
	return n ? usable[client % n] : NULL;
}

static bool verbs_policy_egress(void *ctx, uint32_t pool, size_t client, const struct addr *dst,
				struct explain_egress *out)
{
	static const struct addr none;
	struct gateway *g = ctx;
	const struct egress_pool *p = &g->egress.pool[pool];
	const struct egress_address *a = address_of(p, g->clients.list[client].id, addr_is_v4(dst));
	int ifindex;

	if (p->ifindex)
		snprintf(out->interface, sizeof(out->interface), "%s", p->interface);
	if (a) {
		out->has_address = true;
		out->address = a->addr;
		out->public = a->public;
	}
	if (p->ifindex &&
	    !netlink_route_get(&g->netlink, dst, a ? &a->addr : NULL, p->ifindex, &ifindex, &out->next_hop))
		out->has_next_hop = addr_cmp(&out->next_hop, &none);
	return true;
}

int verb_explain(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct gateway *g = gateway;
	const char *src = json_string_value(json_object_get(args, "source"));
	const char *dst = json_string_value(json_object_get(args, "destination"));
	struct explain_question q = {.source = src, .destination = dst};
	struct explain_source s = {rules_running(g), g->config,		 g, membership_time(g), is_own,
				   rule_use,	     verbs_policy_egress};

	if (!src || !dst)
		return exit_fail(error, EXIT_USAGE, "expected a source and a destination");
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
	const struct policy_saved *previous = policy_store_before(rules_history(g));
	const struct report_policy *report = g->rules.report;
	char *text;

	if (!r->policy && g->membership)
		return exit_fail(error, EXIT_NO,
				 "no local policy runs: the coordination server's rules are in force "
				 "(`sluice netmap` lists them)");
	if (!r->policy)
		return exit_fail(error, EXIT_NO, "no policy runs: everything is refused (`sluice policy apply FILE`)");
	rules_compare(g);
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

int verb_policy_history(void *gateway, const json_t *args, json_t **result, char **error)
{
	const struct policy_store *history = rules_history(gateway);
	uint32_t running = rules_number(gateway);
	json_t *list = json_array();

	for (size_t i = history->n; i--;)
		json_array_append_new(list, saved_json(&history->list[i], history->list[i].number == running));
	*result = json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "policies", list);
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}
