/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What commands may ask of the running gateway. Each verb gathers what the
 * gateway knows and leaves the wording to report.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "user/control/control.h"
#include "user/gateway/changes.h"
#include "user/gateway/parts.h"
#include "user/gateway/running.h"
#include "view.h"
#include "user/base/exit.h"

/* ---- the verbs ----------------------------------------------------------------------- */

static int verbs_give(json_t *report, json_t **result, char **error)
{
	*result = report;
	return report ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

static int with_view(void *parts, json_t *(*report)(const struct report_source *), json_t **result, char **error)
{
	struct view *v = malloc(sizeof(*v));
	int status;

	if (!v)
		return exit_fail(error, EXIT_NO, "out of memory");
	view_open(v, parts);
	status = verbs_give(report(&v->source), result, error);
	free(v);
	return status;
}

static int verb_status(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;

	rules_compare(&p->running->rules, p->site);
	return with_view(parts, report_status, result, error);
}

static int verb_clients(void *parts, const json_t *args, json_t **result, char **error)
{
	json_int_t after = json_integer_value(json_object_get(args, "after"));
	struct view *v = malloc(sizeof(*v));
	int status;

	if (!v)
		return exit_fail(error, EXIT_NO, "out of memory");
	view_open(v, parts);
	status = verbs_give(report_clients(&v->source, after > 0 ? (size_t)after : 0), result, error);
	free(v);
	return status;
}

static int verb_drops(void *parts, const json_t *args, json_t **result, char **error)
{
	return with_view(parts, report_drops, result, error);
}

static int verb_routes(void *parts, const json_t *args, json_t **result, char **error)
{
	return with_view(parts, report_routes, result, error);
}

static int with_client(const struct client *c, const char *name, json_t **result, char **error)
{
	if (!c)
		return exit_fail(error, EXIT_NO, "no such client: \"%s\" (`sluice clients` lists them)", name);
	return verbs_give(json_pack("{s:i, s:s}", "schema", REPORT_SCHEMA, "client", name), result, error);
}

static int verb_clients_kick(void *parts, const json_t *args, json_t **result, char **error)
{
	const char *name = json_string_value(json_object_get(args, "client")) ?: "";
	const struct parts *p = parts;

	return with_client(p->kick(p->ctx, name), name, result, error);
}

static int verb_clients_reset(void *parts, const json_t *args, json_t **result, char **error)
{
	const char *name = json_string_value(json_object_get(args, "client")) ?: "";
	const struct parts *p = parts;

	return with_client(p->reset(p->ctx, name), name, result, error);
}

/* NULL: none, as in a tailnet without a local one. */
static const struct policy *running_policy(const struct parts *p)
{
	const struct ruleset *r = rules_running(&p->running->rules);

	return r ? r->policy : NULL;
}

static int verb_flows(void *parts, const json_t *args, json_t **result, char **error)
{
	struct report_filter filter;
	struct view *v;
	int status;

	if (!report_filter_parse(args, running_policy(parts), &filter, error))
		return EXIT_USAGE;
	v = malloc(sizeof(*v));
	if (!v)
		return exit_fail(error, EXIT_NO, "out of memory");
	view_open(v, parts);
	status = verbs_give(report_flows(&v->source, &filter), result, error);
	free(v);
	return status;
}

struct killing {
	struct maps *maps;
	json_int_t killed;
};

static bool kill_one(void *arg, uint32_t slot, const struct flow *flow)
{
	struct killing *k = arg;

	k->killed += !maps_flow_kill(k->maps, slot, LIFE_ID(flow->life));
	return true;
}

static int verb_flows_kill(void *parts, const json_t *args, json_t **result, char **error)
{
	struct killing k = {.maps = ((const struct parts *)parts)->site->maps};
	struct report_filter filter;
	struct view *v;

	if (!report_filter_parse(args, running_policy(parts), &filter, error))
		return EXIT_USAGE;
	if (report_filter_is_empty(&filter) && !json_is_true(json_object_get(args, "all")))
		return exit_fail(error, EXIT_USAGE, "which flows? name some, or say --all");
	v = malloc(sizeof(*v));
	if (!v)
		return exit_fail(error, EXIT_NO, "out of memory");
	view_open(v, parts);
	filter.limit = UINT32_MAX;
	report_each_flow(&v->source, &filter, kill_one, &k);
	free(v);
	return verbs_give(json_pack("{s:i, s:I}", "schema", REPORT_SCHEMA, "killed", k.killed), result, error);
}

static int verb_map_list(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;

	*result = report_map_list(p->site->config->pins, error);
	return *result ? EXIT_YES : EXIT_NO;
}

static int verb_map_dump(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	const char *name = json_string_value(json_object_get(args, "map"));
	json_int_t limit = json_integer_value(json_object_get(args, "limit"));
	const struct report_dump wanted = {
		.map = name ?: "",
		.after = json_string_value(json_object_get(args, "after")),
		.limit = limit > 0 ? (uint64_t)limit : REPORT_DUMP_DEFAULT,
	};
	struct view *v = malloc(sizeof(*v));

	if (!v)
		return exit_fail(error, EXIT_NO, "out of memory");
	view_open(v, p);
	*result = report_map_dump(&v->source, p->site->config->pins, &wanted, error);
	free(v);
	return *result ? EXIT_YES : EXIT_NO;
}

static int verb_reload(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	bool dry = json_is_true(json_object_get(args, "dry_run"));

	return changes_ask(p->changes, p->control, p->reload(p->ctx, dry), error);
}

static int verb_down(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	char text[IFNAMSIZ + 8];

	p->down(p->ctx);
	snprintf(text, sizeof(text), "tap %s", p->site->device->tap.name);
	return verbs_give(json_pack("{s:i, s:[s, s, s]}", "schema", REPORT_SCHEMA, "removed", "programs and maps",
				    "routes", text),
			  result, error);
}

const struct control_verb gateway_verbs[] = {
	{"status", false, verb_status},
	{"clients", false, verb_clients},
	{"clients kick", true, verb_clients_kick},
	{"clients reset", true, verb_clients_reset},
	{"flows", false, verb_flows},
	{"flows kill", true, verb_flows_kill},
	{"drops", false, verb_drops},
	{"routes", false, verb_routes},
	{"map list", false, verb_map_list},
	{"map dump", false, verb_map_dump},
	{"explain", false, verb_explain},
	{"probe", true, verb_probe},
	{"probe result", false, verb_probe_result},
	{"policy host", false, verb_policy_host},
	{"policy show", false, verb_policy_show},
	{"policy apply", true, verb_policy_apply},
	{"policy rollback", true, verb_policy_rollback},
	{"policy history", false, verb_policy_history},
	{"up", true, verb_up},
	{"logout", true, verb_logout},
	{"news", false, verb_news},
	{"netmap", false, verb_netmap},
	{"ping", false, verb_ping},
	{"pong", false, verb_pong},
	{"reload", true, verb_reload},
	{"down", true, verb_down},
	{0},
};
