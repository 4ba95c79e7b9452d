/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `policy apply` and `policy rollback`: another policy takes the place of the running
 * one. Built, tested and compared with the running one on a thread (changes.c), then
 * swapped in; a dry run stops before that.
 */
#include <stdlib.h>
#include <string.h>

#include "change_policy.h"
#include "running.h"
#include "user/answers/report_policy.h"
#include "user/ruleset/policy_store.h"
#include "user/base/exit.h"

#define MATCH_MIN 8 /* digits of a hash that are enough to name it */

struct apply {
	struct change change;
	char *file, *text; /* NULL: one of the history */
	size_t len;
	uint32_t number; /* that one; 0: the policy before the running one */
	uint32_t found;	 /* its number; 0: there is none */
	char *if_match;	 /* NULL: whatever runs */
	bool dry, allow_empty, not_kept;
	struct ruleset *next; /* NULL: mistakes, not looked at, or taken over */
	size_t passed;
	json_t *changes; /* NULL: taken over */
	struct diags d;
};

/* --if-match: somebody else may have applied meanwhile. */
static bool apply_matches(const struct apply *a, const struct running *now)
{
	const struct ruleset *running = rules_running(&now->rules);
	const char *wanted = a->if_match, *is = *running->hash ? running->hash : "none";

	return !wanted || !strcmp(wanted, is) || (strlen(wanted) >= MATCH_MIN && !strncmp(wanted, is, strlen(wanted)));
}

static int apply_mismatch(const struct apply *a, const struct running *now, char **error)
{
	const struct ruleset *running = rules_running(&now->rules);

	return exit_fail(error, EXIT_NO, "another policy runs: %s (%s), expected %s; `sluice policy show` prints it",
			 *running->hash ? running->hash : "none", running->file ? running->file : "no file",
			 a->if_match);
}

/* Index of the configured client by its id, for those who count live flows. */
static uint32_t *client_places(const struct clients *clients)
{
	uint32_t *index = mem_alloc(MAX_CLIENTS, sizeof(*index));

	memset(index, 0xff, MAX_CLIENTS * sizeof(*index));
	for (size_t i = 0; i < clients->n; i++)
		index[clients->list[i].id] = (uint32_t)i;
	return index;
}

static json_t *apply_compare(const struct running *now, const struct ruleset *next)
{
	uint32_t *index = client_places(&now->clients);
	struct policy_live live = {.client_of = index};
	json_t *j;

	live.flows = maps_flows(now->site->maps, &live.n_flows);
	j = policy_diff_json(rules_running(&now->rules), next, now->site->config, &live);
	free(index);
	return j;
}

static void apply_clear(struct apply *a)
{
	ruleset_free(a->next);
	a->next = NULL;
	json_decref(a->changes);
	a->changes = NULL;
	diags_free(&a->d);
}

static void apply_begin(struct change *c, const struct running *now)
{
	apply_clear((struct apply *)c);
}

/* Of a rollback; NULL: there is none. */
static const struct policy_saved *apply_wanted(const struct apply *a, const struct rules *rules)
{
	const struct policy_store *history = rules_history(rules);

	if (!a->number && !rules_number(rules)) /* what runs is not in it */
		return policy_store_running(history);
	return a->number ? policy_store_find(history, a->number) : policy_store_before(history);
}

static bool is_sound(const struct apply *a, const struct running *now, struct diags *d)
{
	if (ruleset_is_empty(a->next) && !a->allow_empty) {
		diag_error(d, (struct diag_at){.file = a->next->file},
			   "the document is empty, so %s; expected a policy (--allow-empty applies it)",
			   now->site->config->tailnet.node ? "the coordination server's rules alone would stand"
							   : "nobody might do anything");
		return false;
	}
	return a->dry || rules_lay(&now->rules, now->site, &now->clients, now->site->config, a->next, d);
}

static void apply_work(struct change *c, const struct running *now)
{
	struct apply *a = (struct apply *)c;
	const struct policy_saved *before = a->text ? NULL : apply_wanted(a, &now->rules);

	if (!apply_matches(a, now) || (!a->text && !before))
		return;
	a->found = before ? before->number : 0;
	if (before)
		a->next = rules_build(now->site, before->file, before->text, before->len, &a->passed, &a->d);
	else
		a->next = rules_build(now->site, a->file, a->text, a->len, &a->passed, &a->d);
	if (a->next && !is_sound(a, now, &a->d)) {
		ruleset_free(a->next);
		a->next = NULL;
	}
	if (a->next)
		a->changes = apply_compare(now, a->next);
}

static json_t *hash_json(const struct ruleset *r)
{
	return *r->hash ? json_string(r->hash) : json_null();
}

static int no_such(const struct apply *a, char **error)
{
	if (!a->number)
		return exit_fail(error, EXIT_NO, "there is no earlier policy to return to");
	return exit_fail(error, EXIT_NO, "there is no policy %u: `sluice policy history` lists them", a->number);
}

/* It runs. 0, or an exit status with *error: it cannot be kept. */
static int apply_keep(const struct apply *a, struct running *now, char **error)
{
	bool earlier;
	int err = rules_took_by_hand(&now->rules, now->site, a->found, !a->not_kept, &earlier);

	if (!err)
		return EXIT_YES;
	if (earlier)
		return exit_fail(error, EXIT_NO,
				 "the policy runs, but cannot be kept, and what is kept cannot be changed: %s: %s. A "
				 "start before it can be would run an EARLIER policy",
				 now->site->config->state, strerror(-err));
	return exit_fail(error, EXIT_NO,
			 "the policy runs, but cannot be kept: %s: %s. It is tried again; until then a start lets "
			 "nothing pass (--not-kept: applies it for this run only)",
			 now->site->config->state, strerror(-err));
}

static int apply_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct apply *a = (struct apply *)c;
	json_t *j = a->changes;
	int status = EXIT_YES;

	if (!apply_matches(a, now))
		return apply_mismatch(a, now, error);
	if (!a->text && !a->found)
		return no_such(a, error);
	if (!a->next)
		return policy_refuse(&a->d, EXIT_USAGE, error);
	json_object_set_new(j, "applied", json_boolean(!a->dry));
	json_object_set_new(j, "previous", hash_json(rules_running(&now->rules)));
	json_object_set_new(j, "hash", hash_json(a->next));
	json_object_set_new(j, "tests", json_integer((json_int_t)a->passed));
	if (!a->dry) {
		if (!rules_swap(&now->rules, now->site, a->next, &a->d))
			return policy_refuse(&a->d, EXIT_NO, error);
		a->next = NULL;
		status = apply_keep(a, now, error);
		if (status)
			return status;
	}
	json_object_set_new(j, "number", json_integer((json_int_t)(a->dry ? 0 : rules_number(&now->rules))));
	json_object_set_new(j, "generation", json_integer((json_int_t)maps_generation(now->site->maps)));
	json_object_set_new(j, "warnings", policy_lines_json(&a->d, DIAG_WARNING));
	*result = j;
	a->changes = NULL;
	return EXIT_YES;
}

static void free_apply(struct change *c)
{
	struct apply *a = (struct apply *)c;

	apply_clear(a);
	free(a->file);
	free(a->text);
	free(a->if_match);
	free(a);
}

static const struct change_kind applying = {"policy apply", apply_begin, apply_work, apply_finish, free_apply};

struct change *change_policy(const struct change_policy_wanted *w)
{
	struct apply *a = mem_alloc(1, sizeof(*a));

	a->change.kind = &applying;
	a->file = w->file ? mem_strdup(w->file) : NULL;
	a->text = w->text ? mem_strndup(w->text, w->len) : NULL;
	a->len = w->len;
	a->number = w->number;
	a->if_match = w->if_match ? mem_strdup(w->if_match) : NULL;
	a->dry = w->dry;
	a->allow_empty = w->allow_empty;
	a->not_kept = w->not_kept;
	return &a->change;
}
