/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration read again and made true while packets flow. Everything is
 * judged first; what is refused leaves all as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "user/base/notify.h"
#include "user/answers/policy_report.h"
#include "user/answers/report.h"

struct reload {
	struct change change;
	struct config *next; /* NULL: mistakes; in the end the old one, where @next is in force */
	struct config_changes changes;
	struct ruleset *rules; /* NULL: mistakes, not asked for, or taken over */
	struct diags d;
};

static void forget(struct reload *r)
{
	config_free(r->next);
	r->next = NULL;
	ruleset_free(r->rules);
	r->rules = NULL;
	diags_free(&r->d);
}

static void begin(struct change *c)
{
	struct reload *r = (struct reload *)c;

	forget(r);
	r->next = config_load(c->g->file, &r->d);
	if (!r->next)
		return;
	config_diff(c->g->config, r->next, &r->changes);
	if (!r->changes.n_restart)
		membership_configure(c->g, r->next);
}

static void work(struct change *c)
{
	struct reload *r = (struct reload *)c;

	if (!r->next || r->changes.n_restart)
		return;
	r->rules = rules_build_configured(c->g, r->next, &r->d);
	if (!r->rules || rules_lay(c->g, r->next, r->rules, &r->d))
		return;
	ruleset_free(r->rules);
	r->rules = NULL;
}

static int name_restart_keys(const struct config_changes *changes, char **error)
{
	char text[1024] = "needs a restart, nothing was applied:";

	for (size_t i = 0; i < changes->n_restart; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s", i ? "," : "", changes->restart[i]);
	return control_fail(error, EXIT_USAGE, "%s", text);
}

static json_t *report(const struct gateway *g, struct diags *d)
{
	return json_pack("{s:i, s:{s:I, s:I, s:I}, s:I, s:o}", "schema", REPORT_SCHEMA, "clients", "added",
			 (json_int_t)g->clients.added, "removed", (json_int_t)g->clients.removed, "changed",
			 (json_int_t)g->clients.changed, "policy", (json_int_t)maps_generation(g->maps), "notes",
			 policy_lines_json(d, DIAG_WARNING));
}

/* Clients and rules go together: both of the new configuration, or both of the old. */
static bool take_over(struct reload *r)
{
	struct gateway *g = r->change.g;
	struct clients_plan *plan = clients_plan(g, r->next);
	struct config *old = g->config;

	if (!plan || !rules_swap(g, r->next, r->rules, &r->d)) {
		clients_plan_free(plan);
		return false;
	}
	clients_take(g, plan);
	r->rules = NULL;
	g->config = r->next;
	r->next = old; /* to be freed */
	membership_reloaded(g);
	ways_refresh(g);
	tunnel_tell(g);
	return true;
}

static int finish(struct change *c, json_t **result, char **error)
{
	struct reload *r = (struct reload *)c;
	struct gateway *g = c->g;

	if (!r->next)
		return policy_refuse(&r->d, EXIT_USAGE, error);
	if (r->changes.n_restart)
		return name_restart_keys(&r->changes, error);
	if (!r->rules)
		return policy_refuse(&r->d, EXIT_USAGE, error);
	if (!take_over(r))
		return r->d.errors ? policy_refuse(&r->d, EXIT_NO, error)
				   : control_fail(error, EXIT_NO, "clients were not changed: see the log");
	log_info("reloaded: %zu clients added, %zu removed, %zu changed", g->clients.added, g->clients.removed,
		 g->clients.changed);
	*result = report(g, &r->d);
	return EXIT_YES;
}

static void free_reload(struct change *c)
{
	struct reload *r = (struct reload *)c;

	forget(r);
	free(r);
	notify_ready(NULL); /* the service manager was told that we reload */
}

static const struct change_kind reloading = {"reload", begin, work, finish, free_reload};

struct change *gateway_reload(void)
{
	struct reload *r = mem_alloc(1, sizeof(*r));

	r->change.kind = &reloading;
	notify_reloading(loop_now());
	return &r->change;
}
