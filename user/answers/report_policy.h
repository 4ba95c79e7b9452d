/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REPORT_POLICY_H
#define SLUICE_REPORT_POLICY_H

#include <jansson.h>

#include "policy/diff.h"
#include "user/ruleset/ruleset.h"

/*
 * What the policy commands and verbs answer, as JSON (a `schema` as in report.h: fields
 * are added, never changed). Pure.
 *
 * check, policy check	{"schema", "errors", "warnings", "messages": [{"file", "line", "column", "level"
 *			("error", "warning"), "text"}]}
 * policy test	the same and {"passed", "failed", "elsewhere" (with --maps: not of this gateway)}
 * policy diff	{"schema", "same", "changes": [{"change" ("gain", "loss"), "who", "members", "service",
 *			"destinations": [], "except": [], "ports",
 *			"flows" (live ones that end; null: no gateway was asked)}],
 *			"no_clients" (logins that one of them names alone, and who have none here),
 *			"left_out", "other": ["carol-laptop leaves by pool bank instead of default", ...],
 *			"tests": passed}
 * policy apply	the same without "same", and {"applied" (no dry run), "hash", "previous", "generation",
 *			"number" (in the history), "warnings": []}
 *			args: {"file", "text", "dry_run", "if_match", "allow_empty", "not_kept"}
 * policy rollback	the same, args: {"number", "dry_run", "if_match", "allow_empty", "not_kept"}
 * policy history	{"schema", "policies": [{"number", "file", "hash", "source" ("file", "apply"), "time" (Unix
 *			seconds), "running"}]}, the latest first
 * reload, dry_run	as policy apply, and {"clients": {"added": [], "removed": [], "changed": []}, "restart": []
 *			(keys), "notes": []}
 * policy show	{"schema", "file", "hash", "previous", "applied" (s ago), "generation", "differs", "text",
 *			"source" (as it was given)}
 */
#define POLICY_CHANGES_MAX 1000

/* Puts all of a check's answer into @j, and returns it. */
json_t *policy_mistakes_json(const struct diags *d, json_t *j);
/* As the lines that people read, in file order; an array of strings of one level. */
json_t *policy_lines_json(struct diags *d, enum diag_level level);

/* For a verb's handler (control.h): the messages as people read them, with the sum, into *error. Returns @status. */
int policy_refuse(struct diags *d, int status, char **error);

/* Live flows that @r would end; NULL when no gateway is asked. */
struct policy_live {
	const struct flow *flows; /* maps_flows() */
	uint32_t n_flows;
	const uint32_t *client_of; /* index of a client by id, MAX_CLIENTS of them; UINT32_MAX: nobody's */
};

/* What changes between two rulesets of one place. @config: for the pools' names; may be NULL. */
json_t *policy_diff_json(const struct ruleset *old, const struct ruleset *new, const struct config *config,
			 const struct policy_live *live);
/* Does it say that anything changes? */
bool policy_diff_is_empty(const json_t *diff);

void print_policy_diff(const json_t *diff, FILE *out);
void print_policy_apply(const json_t *result, FILE *out);
void print_policy(const json_t *result, FILE *out);
void print_policy_history(const json_t *result, FILE *out);
void print_policy_reload(const json_t *result, FILE *out); /* of a dry run */

#endif
