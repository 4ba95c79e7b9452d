/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `policy apply` and `policy rollback`: another policy takes the place of the running
 * one. Built, tested and compared with the running one on a thread (changes.c), then
 * swapped in; a dry run stops before that.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "user/answers/policy_report.h"
#include "user/base/exit.h"
#include "user/ruleset/policy_store.h"

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
static bool apply_matches(const struct apply *a)
{
	const struct ruleset *running = rules_running(a->change.g);
	const char *wanted = a->if_match, *is = *running->hash ? running->hash : "none";

	return !wanted || !strcmp(wanted, is) || (strlen(wanted) >= MATCH_MIN && !strncmp(wanted, is, strlen(wanted)));
}

static int apply_mismatch(const struct apply *a, char **error)
{
	const struct ruleset *running = rules_running(a->change.g);

	return exit_fail(error, EXIT_NO, "another policy runs: %s (%s), expected %s; `sluice policy show` prints it",
			 *running->hash ? running->hash : "none", running->file ? running->file : "no file",
			 a->if_match);
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

static json_t *apply_compare(const struct gateway *g, const struct ruleset *next)
{
	uint32_t *index = clients_by_id(g);
	struct policy_live live = {.client_of = index};
	json_t *j;

	live.flows = maps_flows(g->maps, &live.n_flows);
	j = policy_diff_json(rules_running(g), next, g->config, &live);
	free(index);
	return j;
}

static void apply_begin(struct change *c)
{
	struct apply *a = (struct apply *)c;

	ruleset_free(a->next);
	a->next = NULL;
	json_decref(a->changes);
	a->changes = NULL;
	diags_free(&a->d);
}

/* Of a rollback; NULL: there is none. */
static const struct policy_saved *apply_wanted(const struct apply *a)
{
	const struct policy_store *history = rules_history(a->change.g);

	if (!a->number && !rules_number(a->change.g)) /* what runs is not in it */
		return policy_store_running(history);
	return a->number ? policy_store_find(history, a->number) : policy_store_before(history);
}

static bool is_sound(const struct apply *a, struct diags *d)
{
	const struct gateway *g = a->change.g;

	if (ruleset_is_empty(a->next) && !a->allow_empty) {
		diag_error(d, (struct diag_at){.file = a->next->file},
			   "the document is empty, so %s; expected a policy (--allow-empty applies it)",
			   g->membership ? "the coordination server's rules alone would stand"
					 : "nobody might do anything");
		return false;
	}
	return a->dry || rules_lay(g, g->config, a->next, d);
}

static void apply_work(struct change *c)
{
	struct apply *a = (struct apply *)c;
	const struct policy_saved *before = a->text ? NULL : apply_wanted(a);

	if (!apply_matches(a) || (!a->text && !before))
		return;
	a->found = before ? before->number : 0;
	if (before)
		a->next = rules_build(c->g, before->file, before->text, before->len, &a->passed, &a->d);
	else
		a->next = rules_build(c->g, a->file, a->text, a->len, &a->passed, &a->d);
	if (a->next && !is_sound(a, &a->d)) {
		ruleset_free(a->next);
		a->next = NULL;
	}
	if (a->next)
		a->changes = apply_compare(c->g, a->next);
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
static int apply_keep(const struct apply *a, char **error)
{
	struct gateway *g = a->change.g;
	bool earlier;
	int err = rules_took_by_hand(g, a->found, !a->not_kept, &earlier);

	if (!err)
		return EXIT_YES;
	if (earlier)
		return exit_fail(error, EXIT_NO,
				 "the policy runs, but cannot be kept, and what is kept cannot be changed: %s: %s. A "
				 "start before it can be would run an EARLIER policy",
				 g->config->state, strerror(-err));
	return exit_fail(error, EXIT_NO,
			 "the policy runs, but cannot be kept: %s: %s. It is tried again; until then a start lets "
			 "nothing pass (--not-kept: applies it for this run only)",
			 g->config->state, strerror(-err));
}

static int apply_finish(struct change *c, json_t **result, char **error)
{
	struct apply *a = (struct apply *)c;
	struct gateway *g = c->g;
	json_t *j = a->changes;
	int status = EXIT_YES;

	if (!apply_matches(a))
		return apply_mismatch(a, error);
	if (!a->text && !a->found)
		return no_such(a, error);
	if (!a->next)
		return policy_refuse(&a->d, EXIT_USAGE, error);
	json_object_set_new(j, "applied", json_boolean(!a->dry));
	json_object_set_new(j, "previous", hash_json(rules_running(g)));
	json_object_set_new(j, "hash", hash_json(a->next));
	json_object_set_new(j, "tests", json_integer((json_int_t)a->passed));
	if (!a->dry) {
		if (!rules_swap(g, a->next, &a->d))
			return policy_refuse(&a->d, EXIT_NO, error);
		a->next = NULL;
		status = apply_keep(a, error);
		if (status)
			return status;
	}
	json_object_set_new(j, "number", json_integer((json_int_t)(a->dry ? 0 : rules_number(g))));
	json_object_set_new(j, "generation", json_integer((json_int_t)maps_generation(g->maps)));
	json_object_set_new(j, "warnings", policy_lines_json(&a->d, DIAG_WARNING));
	*result = j;
	a->changes = NULL;
	return EXIT_YES;
}

static void free_apply(struct change *c)
{
	struct apply *a = (struct apply *)c;

	apply_begin(c);
	free(a->file);
	free(a->text);
	free(a->if_match);
	free(a);
}

static const struct change_kind applying = {"policy apply", apply_begin, apply_work, apply_finish, free_apply};

static struct apply *new_apply(const json_t *args)
{
	const char *match = json_string_value(json_object_get(args, "if_match"));
	struct apply *a = mem_alloc(1, sizeof(*a));

	a->change.kind = &applying;
	a->dry = json_is_true(json_object_get(args, "dry_run"));
	a->allow_empty = json_is_true(json_object_get(args, "allow_empty"));
	a->not_kept = json_is_true(json_object_get(args, "not_kept"));
	a->if_match = match ? mem_strdup(match) : NULL;
	return a;
}

int verb_policy_apply(void *gateway, const json_t *args, json_t **result, char **error)
{
	const json_t *text = json_object_get(args, "text");
	const char *file = json_string_value(json_object_get(args, "file"));
	struct apply *a;

	if (!json_is_string(text) || !file || !*file)
		return exit_fail(error, EXIT_USAGE, "expected a policy's text and the name of its file");
	a = new_apply(args);
	a->file = mem_strdup(file);
	a->len = json_string_length(text);
	a->text = mem_strndup(json_string_value(text), a->len);
	return changes_ask(gateway, &a->change, error);
}

int verb_policy_rollback(void *gateway, const json_t *args, json_t **result, char **error)
{
	const json_t *number = json_object_get(args, "number");
	json_int_t n = json_integer_value(number);
	struct apply *a;

	if (number && (n < 1 || n > UINT32_MAX))
		return exit_fail(error, EXIT_USAGE, "expected a policy's number, as `sluice policy history` has it");
	a = new_apply(args);
	a->number = (uint32_t)n;
	return changes_ask(gateway, &a->change, error);
}
