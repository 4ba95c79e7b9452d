/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration read again and made true while packets flow. Everything is judged
 * first, but for one thing: who is not in it any more goes at once, whatever becomes of
 * the rest. A policy with mistakes is refused as a whole, and the running one goes on,
 * for the clients that there are now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "rules_build.h"
#include "user/base/log.h"
#include "user/base/notify.h"
#include "user/answers/policy_report.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

struct reload {
	struct change change;
	struct config *next; /* NULL: mistakes; in the end the old one, where @next is in force */
	struct config_changes changes;
	struct ruleset *rules; /* NULL: mistakes, not asked for, or taken over */
	bool stays;	       /* the policy that runs does: it was applied by hand, */
	bool refused;	       /* or the file has mistakes, which are in @d */
	bool dry;
	json_t *diff; /* NULL: taken over, or no dry run */
	struct diags d;
};

static const struct change_kind reloading;

static void reload_begin(struct change *c)
{
	struct reload *r = (struct reload *)c;

	if (!r->next)
		return;
	config_diff(c->g->config, r->next, &r->changes);
	if (!r->changes.n_restart)
		membership_configure(c->g, r->next);
}

static json_t *reload_names_of(const struct config *of, const struct config *but)
{
	json_t *list = json_array();

	for (size_t i = 0; i < of->n_clients; i++) {
		const struct config_client *other = config_client(but, of->clients[i].name);

		if (!other || config_client_cmp(other, &of->clients[i]))
			json_array_append_new(list, json_string(of->clients[i].name));
	}
	return list;
}

static json_t *names_of_changed(const struct config *old, const struct config *next)
{
	json_t *list = json_array();

	for (size_t i = 0; i < next->n_clients; i++) {
		const struct config_client *was = config_client(old, next->clients[i].name);

		if (was && !config_client_cmp(was, &next->clients[i]) && !config_client_same(was, &next->clients[i]))
			json_array_append_new(list, json_string(next->clients[i].name));
	}
	return list;
}

/* The policy of @next, with its routes, tags and roles, for the clients of @today. */
static struct ruleset *compile_for_today(const struct config *today, const struct config *next, struct diags *d)
{
	struct config both = *next;

	both.clients = today->clients;
	both.n_clients = today->n_clients;
	return rules_compile_file(&both, today->state, d);
}

/* The policy for today's clients, for two are compared by client; and whether it can be taken for those to come. */
static void look_at_policy(struct reload *r)
{
	struct gateway *g = r->change.g;
	struct ruleset *now = NULL, *next = rules_build_configured(g, r->next, &r->stays, &r->d);
	struct diags ignored = {0};

	if (next && !r->stays)
		now = compile_for_today(g->config, r->next, &ignored);
	if (next && !r->stays && !now)
		diag_warning(&r->d, (struct diag_at){.file = r->next->policy},
			     "what it would change for today's clients is not known: %s",
			     ignored.n ? ignored.list[0].text : "it cannot be compiled for them");
	if (now)
		r->diff = policy_diff_json(rules_running(g), now, g->config, NULL);
	else if (next)
		r->diff = json_pack("{s:i, s:[], s:I, s:[]}", "schema", REPORT_SCHEMA, "changes", "left_out",
				    (json_int_t)0, "other");
	diags_free(&ignored);
	ruleset_free(now);
	ruleset_free(next);
}

/* What a reload would change. */
static void reload_look(struct reload *r)
{
	const struct config *old = r->change.g->config;
	json_t *restart = json_array();

	for (size_t i = 0; i < r->changes.n_restart; i++)
		json_array_append_new(restart, json_string(r->changes.restart[i]));
	look_at_policy(r);
	if (r->diff)
		json_object_set_new(r->diff, "clients",
				    json_pack("{s:o, s:o, s:o}", "added", reload_names_of(r->next, old), "removed",
					      reload_names_of(old, r->next), "changed",
					      names_of_changed(old, r->next)));
	json_object_set_new(r->diff, "applied", json_false());
	json_object_set_new(r->diff, "notes", policy_lines_json(&r->d, DIAG_WARNING));
	json_object_set_new(r->diff, "restart", restart);
}

static void reload_work(struct change *c)
{
	struct reload *r = (struct reload *)c;
	struct diags again = {0};

	if (!r->next || (r->changes.n_restart && !r->dry))
		return;
	if (r->dry) {
		reload_look(r);
		return;
	}
	r->rules = rules_build_configured(c->g, r->next, &r->stays, &r->d);
	r->refused = !r->rules;
	if (r->refused) {
		r->rules = rules_build_again(c->g, r->next, &again);
		diags_free(&again);
	}
	if (!r->rules || rules_lay(c->g, r->next, r->rules, &r->d))
		return;
	ruleset_free(r->rules);
	r->rules = NULL;
}

static int name_restart_keys(const struct config_changes *changes, char **error)
{
	char text[1024] = "needs a restart, nothing was applied but removals of clients:";

	for (size_t i = 0; i < changes->n_restart; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s", i ? "," : "", changes->restart[i]);
	return exit_fail(error, EXIT_USAGE, "%s", text);
}

static json_t *report(const struct gateway *g, struct diags *d)
{
	return json_pack("{s:i, s:{s:I, s:I, s:I}, s:I, s:o}", "schema", REPORT_SCHEMA, "clients", "added",
			 (json_int_t)g->clients.added, "removed", (json_int_t)g->clients.removed, "changed",
			 (json_int_t)g->clients.changed, "policy", (json_int_t)maps_generation(g->maps), "notes",
			 policy_lines_json(d, DIAG_WARNING));
}

/* Later configurations have been read already: whom they take out does not come back in between. */
static void revoke_by_those_that_wait(struct gateway *g)
{
	for (const struct change *c = g->changing.first; c; c = c->next) {
		const struct reload *r = (const struct reload *)c;

		if (c->kind == &reloading && r->next && !r->dry)
			clients_revoke(g, r->next, false);
	}
}

/* Clients and rules go together: both of the new configuration, or both of the old. */
static bool reload_take_over(struct reload *r)
{
	struct gateway *g = r->change.g;
	struct clients_plan *plan = r->rules ? clients_plan(g, r->next) : NULL;
	struct config *old = g->config;

	if (!plan || !rules_swap(g, r->rules, &r->d)) {
		clients_plan_free(plan);
		return false;
	}
	clients_take(g, plan);
	r->rules = NULL;
	g->config = r->next;
	r->next = old; /* to be freed */
	if (!r->stays && !r->refused)
		rules_took_file(g);
	revoke_by_those_that_wait(g);
	membership_reloaded(g);
	ways_refresh(g);
	tunnel_tell(g);
	return true;
}

static int reload_tell(struct reload *r, json_t **result, char **error)
{
	if (!r->diff)
		return policy_refuse(&r->d, EXIT_USAGE, error);
	*result = r->diff;
	r->diff = NULL;
	return EXIT_YES;
}

/* All is as before, but for those who lose by the new configuration. */
static int reload_fail(struct reload *r, char **error)
{
	clients_revoke(r->change.g, r->next, true);
	return r->d.errors ? policy_refuse(&r->d, EXIT_NO, error)
			   : exit_fail(error, EXIT_NO,
				       "nothing was changed, but that clients who are out of the configuration, or "
				       "have other rights in it, are cut off: see the log");
}

/* The clients are in force, the policy's file is not. */
static int refuse_policy(struct reload *r, char **error)
{
	struct gateway *g = r->change.g;
	char *mistakes;

	policy_refuse(&r->d, EXIT_USAGE, &mistakes);
	exit_fail(error, EXIT_USAGE,
		  "%sthe policy is not taken, the one that ran goes on; the clients are: %zu added, %zu removed, %zu "
		  "changed",
		  mistakes ? mistakes : "", g->clients.added, g->clients.removed, g->clients.changed);
	free(mistakes);
	return EXIT_USAGE;
}

static int reload_finish(struct change *c, json_t **result, char **error)
{
	struct reload *r = (struct reload *)c;
	struct gateway *g = c->g;

	if (!r->next)
		return policy_refuse(&r->d, EXIT_USAGE, error);
	if (r->dry)
		return reload_tell(r, result, error);
	if (r->changes.n_restart) {
		clients_revoke(g, r->next, true);
		return name_restart_keys(&r->changes, error);
	}
	if (!reload_take_over(r))
		return reload_fail(r, error);
	if (rules_shut(g))
		return exit_fail(error, EXIT_NO,
				 "the clients are in force, but no memory was there to compile the policy for "
				 "them: nothing passes until it can be (sluice status)");
	log_info("reloaded: %zu clients added, %zu removed, %zu changed", g->clients.added, g->clients.removed,
		 g->clients.changed);
	if (r->refused)
		return refuse_policy(r, error);
	*result = report(g, &r->d);
	return EXIT_YES;
}

static void free_reload(struct change *c)
{
	struct reload *r = (struct reload *)c;

	config_free(r->next);
	ruleset_free(r->rules);
	json_decref(r->diff);
	diags_free(&r->d);
	if (!r->dry)
		notify_ready(NULL); /* the service manager was told that we reload */
	free(r);
}

static const struct change_kind reloading = {"reload", reload_begin, reload_work, reload_finish, free_reload};

struct change *gateway_reload(struct gateway *g, bool dry)
{
	struct reload *r = mem_alloc(1, sizeof(*r));

	r->change.kind = &reloading;
	r->dry = dry;
	if (!dry)
		notify_reloading(clock_now());
	r->next = config_load(g->file, &r->d);
	if (r->next && !dry)
		clients_revoke(g, r->next, false); /* now, not in its turn: what is worked on may take long */
	return &r->change;
}
