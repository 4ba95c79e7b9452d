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

#include "change_config.h"
#include "revoke.h"
#include "rules_build.h"
#include "running.h"
#include "user/base/log.h"
#include "user/base/systemd.h"
#include "user/config/config_named.h"
#include "user/answers/report_policy.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

struct reload {
	struct change change;
	const char *file;
	struct config *next;	   /* NULL: mistakes; in the end the old one, where @next is in force */
	struct config_named named; /* whom it names all the same, where it has mistakes, */
	size_t cut_off;		   /* and how many lost by it at once */
	struct config_changes changes;
	struct ruleset *rules; /* NULL: mistakes, not asked for, or taken over */
	bool stays;	       /* the policy that runs does: it was applied by hand, */
	bool refused;	       /* or the file has mistakes, which are in @d */
	bool dry;
	json_t *diff; /* NULL: taken over, or no dry run */
	json_t *what; /* names of what changes; NULL: mistakes */
	struct diags d;
};

static const struct change_kind reloading;

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

/* What is another by @next: clients by their names, and keys of the configuration. */
static json_t *reload_what(const struct config *old, const struct config *next, const struct config_changes *changes)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < changes->n_changed; i++)
		json_array_append_new(keys, json_string(changes->changed[i]));
	return json_pack("{s:o, s:o, s:o, s:o}", "added", reload_names_of(next, old), "removed",
			 reload_names_of(old, next), "changed", names_of_changed(old, next), "keys", keys);
}

static void reload_begin(struct change *c, const struct running *now)
{
	struct reload *r = (struct reload *)c;

	if (!r->next)
		return;
	config_diff(now->site->config, r->next, &r->changes);
	now->clients.origin->ops->configure(now->clients.origin->ctx, r->next); /* a tailnet's clients are in no file */
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
static void look_at_policy(struct reload *r, const struct running *running)
{
	struct ruleset *now = NULL, *next = rules_build_configured(&running->rules, r->next, &r->stays, &r->d);
	struct diags ignored = {0};

	if (next && !r->stays)
		now = compile_for_today(running->site->config, r->next, &ignored);
	if (next && !r->stays && !now)
		diag_warning(&r->d, (struct diag_at){.file = r->next->policy},
			     "what it would change for today's clients is not known: %s",
			     ignored.n ? ignored.list[0].text : "it cannot be compiled for them");
	if (now)
		r->diff = policy_diff_json(rules_running(&running->rules), now, running->site->config, NULL);
	else if (next)
		r->diff = json_pack("{s:i, s:[], s:I, s:[]}", "schema", REPORT_SCHEMA, "changes", "left_out",
				    (json_int_t)0, "other");
	diags_free(&ignored);
	ruleset_free(now);
	ruleset_free(next);
}

/* What a reload would change. */
static void reload_look(struct reload *r, const struct running *now)
{
	const struct config *old = now->site->config;
	json_t *restart = json_array();

	for (size_t i = 0; i < r->changes.n_restart; i++)
		json_array_append_new(restart, json_string(r->changes.restart[i]));
	look_at_policy(r, now);
	if (r->diff)
		json_object_set_new(r->diff, "clients",
				    json_pack("{s:o, s:o, s:o}", "added", reload_names_of(r->next, old), "removed",
					      reload_names_of(old, r->next), "changed",
					      names_of_changed(old, r->next)));
	json_object_set_new(r->diff, "applied", json_false());
	json_object_set_new(r->diff, "notes", policy_lines_json(&r->d, DIAG_WARNING));
	json_object_set_new(r->diff, "restart", restart);
}

static void reload_work(struct change *c, const struct running *now)
{
	struct reload *r = (struct reload *)c;
	struct diags again = {0};

	if (!r->next)
		return;
	json_decref(r->what);
	r->what = reload_what(now->site->config, r->next, &r->changes);
	if (r->changes.n_restart && !r->dry)
		return;
	if (r->dry) {
		reload_look(r, now);
		return;
	}
	r->rules = rules_build_configured(&now->rules, r->next, &r->stays, &r->d);
	r->refused = !r->rules;
	if (r->refused) {
		r->rules = rules_build_again(&now->rules, r->next, &again);
		diags_free(&again);
	}
	if (!r->rules || rules_lay(&now->rules, now->site, &now->clients, r->next, r->rules, &r->d))
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

static json_t *reload_report(const struct running *now, const struct reload *r, struct diags *d)
{
	return json_pack("{s:i, s:O?, s:{s:I, s:I, s:I}, s:I, s:o}", "schema", REPORT_SCHEMA, "names", r->what,
			 "clients", "added", (json_int_t)now->clients.added, "removed",
			 (json_int_t)now->clients.removed, "changed", (json_int_t)now->clients.changed, "policy",
			 (json_int_t)maps_generation(now->site->maps), "notes", policy_lines_json(d, DIAG_WARNING));
}

/* Later configurations have been read already: whom they take out does not come back in between. */
static void revoke_by_those_that_wait(struct running *now)
{
	for (struct change *c = now->changes->first; c; c = c->next) {
		struct reload *r = (struct reload *)c;

		if (c->kind != &reloading || r->dry)
			continue;
		if (r->next)
			clients_revoke(&now->clients, now->site, r->next, false);
		else
			clients_revoke_unnamed(&now->clients, now->site, r->file, &r->named);
	}
}

/* Clients and rules go together: both of the new configuration, or both of the old. */
static bool reload_take_over(struct reload *r, struct running *now)
{
	if (!r->rules || !running_take(now, RUNNING_RELOADED, r->next, r->rules, &r->d))
		return false;
	r->rules = NULL;
	if (!r->stays && !r->refused)
		rules_took_file(&now->rules, now->site);
	revoke_by_those_that_wait(now);
	running_taken(now, RUNNING_RELOADED, r->next);
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
static int reload_fail(struct reload *r, struct running *now, char **error)
{
	clients_revoke(&now->clients, now->site, r->next, true);
	return r->d.errors ? policy_refuse(&r->d, EXIT_NO, error)
			   : exit_fail(error, EXIT_NO,
				       "nothing was changed, but that clients who are out of the configuration, or "
				       "have other rights in it, are cut off: see the log");
}

/* The clients are in force, the policy's file is not. */
static int refuse_policy(struct reload *r, const struct running *now, char **error)
{
	char *mistakes;

	policy_refuse(&r->d, EXIT_USAGE, &mistakes);
	exit_fail(error, EXIT_USAGE,
		  "%sthe policy is not taken, the one that ran goes on; the clients are: %zu added, %zu removed, %zu "
		  "changed",
		  mistakes ? mistakes : "", now->clients.added, now->clients.removed, now->clients.changed);
	free(mistakes);
	return EXIT_USAGE;
}

/* Nothing is taken of files with mistakes, but whom they take away. */
static int refuse_files(struct reload *r, const struct running *now, char **error)
{
	char *mistakes, cut[96] = "";

	policy_refuse(&r->d, EXIT_USAGE, &mistakes);
	if (r->cut_off)
		snprintf(cut, sizeof(cut), ", but that %zu client%s cut off (see the log)", r->cut_off,
			 r->cut_off == 1 ? " is" : "s are");
	if (r->named.unsure && !r->dry && !now->clients.origin->ops->netmap)
		exit_fail(error, EXIT_USAGE, "%snothing was changed%s; clients that are not found stay, for %s",
			  mistakes ? mistakes : "", cut, r->named.unsure);
	else
		exit_fail(error, EXIT_USAGE, "%snothing was changed%s", mistakes ? mistakes : "", cut);
	free(mistakes);
	return EXIT_USAGE;
}

static void reload_log(const struct running *now, const struct reload *r)
{
	char keys[256] = "";

	for (size_t i = 0; i < r->changes.n_changed; i++)
		snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s",
			 i ? ", " : "; other keys: ", r->changes.changed[i]);
	log_info("reloaded: %zu clients added, %zu removed, %zu changed%s", now->clients.added, now->clients.removed,
		 now->clients.changed, keys);
}

static int reload_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct reload *r = (struct reload *)c;

	if (!r->next)
		return refuse_files(r, now, error);
	if (r->dry)
		return reload_tell(r, result, error);
	if (r->changes.n_restart) {
		clients_revoke(&now->clients, now->site, r->next, true);
		return name_restart_keys(&r->changes, error);
	}
	if (!reload_take_over(r, now))
		return reload_fail(r, now, error);
	if (rules_shut(&now->rules))
		return exit_fail(error, EXIT_NO,
				 "the clients are in force, but no memory was there to compile the policy for "
				 "them: nothing passes until it can be (sluice status)");
	reload_log(now, r);
	if (r->refused)
		return refuse_policy(r, now, error);
	*result = reload_report(now, r, &r->d);
	return EXIT_YES;
}

static void free_reload(struct change *c)
{
	struct reload *r = (struct reload *)c;

	config_free(r->next);
	config_named_free(&r->named);
	ruleset_free(r->rules);
	json_decref(r->what);
	json_decref(r->diff);
	diags_free(&r->d);
	if (!r->dry)
		systemd_ready(NULL); /* the service manager was told that we reload */
	free(r);
}

static const struct change_kind reloading = {"reload", reload_begin, reload_work, reload_finish, free_reload};

struct change *change_config(const char *file, struct running *now, bool dry)
{
	struct reload *r = mem_alloc(1, sizeof(*r));

	r->change.kind = &reloading;
	r->dry = dry;
	if (!dry)
		systemd_reloading(clock_now());
	r->file = file;
	r->next = config_load_again(file, now->site->config->clients_dir, &r->named, &r->d);
	if (dry)
		return &r->change;
	if (r->next) /* now, not in its turn: what is worked on may take long */
		r->cut_off = clients_revoke(&now->clients, now->site, r->next, false);
	else
		r->cut_off = clients_revoke_unnamed(&now->clients, now->site, file, &r->named);
	return &r->change;
}
