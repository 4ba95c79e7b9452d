/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy commands that need no gateway: each reads files, and says by its exit
 * status what it found, so that CI can ask.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/matrix.h"
#include "policy/print.h"
#include "command_ask.h"
#include "policy_files.h"
#include "policy_test_maps.h"
#include "user/answers/report_policy.h"
#include "user/answers/report.h"
#include "user/base/exit.h"

static void print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

/* The messages to stderr, and with --json as a part of @j, which is printed and released. */
static void cmd_policy_say(const struct command_args *a, struct diags *d, bool summary, json_t *j)
{
	if (!command_option(a, "json")) {
		diags_print(d, stderr, summary);
		json_decref(j);
		return;
	}
	print_json(policy_mistakes_json(d, j));
}

/* Mistakes in the files: they are told, and the status is theirs. */
static int give_up(const struct command_args *a, struct policy_files *f)
{
	cmd_policy_say(a, &f->d, true, json_object());
	policy_files_close(f);
	return EXIT_USAGE;
}

int cmd_policy_check(int argc, char **argv)
{
	struct policy_files f;
	struct command_args a;
	struct ruleset *r = NULL;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (policy_files_open(&f, &a, false))
		r = policy_files_build(&f, a.words[0]);
	if (r)
		ruleset_owners(r, &f.d);
	ruleset_free(r);
	cmd_policy_say(&a, &f.d, true, json_object());
	status = f.d.errors ? EXIT_USAGE : EXIT_YES;
	policy_files_close(&f);
	return status;
}

/* ---- test ------------------------------------------------------------------------------ */

struct tests {
	size_t passed, failed, elsewhere;
	bool ran; /* else the counts say nothing */
};

/* A message for each that failed, or why none could be run. */
static int run_tests(struct ruleset *r, struct policy_files *f, bool maps, struct tests *t)
{
	size_t before = f->d.errors;
	bool ok = ruleset_test(r, f->config, &t->passed, &f->d);
	char *error = NULL;

	t->failed = ok ? 0 : f->d.errors - before;
	t->ran = true;
	if (!ok || !maps)
		return ok ? EXIT_YES : EXIT_USAGE; /* as for a policy with mistakes: it does not go live */
	t->passed = 0;
	t->ran = false;
	if (!policy_test_maps(r, f->config, &(struct policy_test_maps_result){&t->passed, &t->failed, &t->elsewhere},
			      &f->d, &error)) {
		diag_error(&f->d, (struct diag_at){0}, "%s", error ? error : "out of memory");
		free(error);
		return EXIT_NO;
	}
	t->ran = true;
	if (t->elsewhere && !t->passed && !t->failed) {
		diag_error(&f->d, (struct diag_at){0}, "none of the tests is about this gateway: nothing was asked");
		return EXIT_NO;
	}
	return t->failed ? EXIT_USAGE : EXIT_YES;
}

static void show_tests(const struct tests *t, bool maps)
{
	if (!t->ran || !(t->passed + t->failed + t->elsewhere)) {
		puts(t->ran ? "tests: the policy has none" : "tests: could not be run");
		return;
	}
	printf("tests: %zu passed, %zu failed%s", t->passed, t->failed, maps ? " in the programs and maps" : "");
	if (t->elsewhere)
		printf("; %zu not asked, for they are not about this gateway", t->elsewhere);
	putchar('\n');
}

int cmd_policy_test(int argc, char **argv)
{
	struct tests t = {0};
	struct policy_files f;
	struct command_args a;
	struct ruleset *r;
	bool maps;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	maps = command_option(&a, "maps");
	if (!policy_files_open(&f, &a, true))
		return give_up(&a, &f);
	if (maps && !f.config) {
		diag_error(&f.d, (struct diag_at){0}, "--maps needs a gateway's configuration: its routes and clients");
		return give_up(&a, &f);
	}
	r = policy_files_build(&f, a.words[0]);
	if (!r || !ruleset_owners(r, &f.d)) {
		ruleset_free(r);
		return give_up(&a, &f);
	}
	status = run_tests(r, &f, maps, &t);
	cmd_policy_say(&a, &f.d, false,
		       json_pack("{s:b, s:I, s:I, s:I}", "ran", t.ran, "passed", (json_int_t)t.passed, "failed",
				 (json_int_t)t.failed, "elsewhere", (json_int_t)t.elsewhere));
	if (!command_option(&a, "json"))
		show_tests(&t, maps);
	ruleset_free(r);
	policy_files_close(&f);
	return status;
}

/* ---- diff -------------------------------------------------------------------------------- */

static json_t *cmd_policy_compare(struct policy_files *f, const struct ruleset *old, const struct ruleset *new)
{
	json_t *diff = policy_diff_json(old, new, f->config, NULL);
	size_t passed;

	if (!ruleset_owners(new, &f->d) || !ruleset_test(new, f->config, &passed, &f->d)) {
		json_decref(diff);
		return NULL;
	}
	json_object_set_new(diff, "same", json_boolean(policy_diff_is_empty(diff)));
	json_object_set_new(diff, "tests", json_integer((json_int_t)passed));
	return diff;
}

int cmd_policy_diff(int argc, char **argv)
{
	struct ruleset *old, *new;
	struct policy_files f;
	struct command_args a;
	json_t *diff;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!policy_files_open(&f, &a, true))
		return give_up(&a, &f);
	old = policy_files_build(&f, a.words[0]);
	new = policy_files_build(&f, a.words[1]);
	diff = old && new ? cmd_policy_compare(&f, old, new) : NULL;
	ruleset_free(old);
	ruleset_free(new);
	if (!diff)
		return give_up(&a, &f);
	status = policy_diff_is_empty(diff) ? EXIT_YES : EXIT_NO;
	ask_show(&a, diff, print_policy_diff);
	policy_files_close(&f);
	return status;
}

/* ---- show and matrix ------------------------------------------------------------------------ */

/* The running policy, or a file's. */
int cmd_policy_show(int argc, char **argv)
{
	struct policy_files f = {0};
	struct command_args a;
	struct ruleset *r;
	json_t *result;
	int status = EXIT_YES;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!a.n) {
		status = ask(&a, NULL, &result);
		if (status == EXIT_YES)
			ask_show(&a, result, print_policy);
		return status;
	}
	r = policy_files_build(&f, a.words[0]);
	if (!r)
		return give_up(&a, &f);
	char *text = policy_print(r->policy);

	if (command_option(&a, "json"))
		print_json(json_pack("{s:i, s:s, s:s, s:s}", "schema", REPORT_SCHEMA, "file", r->file, "hash", r->hash,
				     "text", text));
	else
		fputs(text, stdout);
	free(text);
	ruleset_free(r);
	policy_files_close(&f);
	return status;
}

static json_t *matrix_json(const struct matrix *m)
{
	static const char *const cells[] = {[MATRIX_NONE] = "none",
					    [MATRIX_SOME] = "some",
					    [MATRIX_ALL] = "all",
					    [MATRIX_DENIED] = "denied",
					    [MATRIX_UNKNOWN] = "unknown"};
	json_t *rows = json_array(), *columns = json_array();

	for (size_t c = 0; c < m->n_columns; c++)
		json_array_append_new(
			columns, json_pack("{s:s, s:s}", "service", m->columns[c].name, "ports", m->columns[c].ports));
	for (size_t r = 0; r < m->n_rows; r++) {
		json_t *list = json_array();

		for (size_t c = 0; c < m->n_columns; c++) {
			const struct matrix_entry *e = &m->cells[r * m->n_columns + c];

			json_array_append_new(list, json_pack("{s:s, s:I}", "reaches", cells[e->cell], "rule",
							      (json_int_t)(e->rule ? e->rule->id : 0)));
		}
		json_array_append_new(rows, json_pack("{s:s, s:I, s:o}", "who", m->rows[r].name, "nodes",
						      (json_int_t)m->rows[r].n_nodes, "cells", list));
	}
	return json_pack("{s:i, s:o, s:o}", "schema", REPORT_SCHEMA, "columns", columns, "rows", rows);
}

static int write_page(const struct matrix *m, const char *title, const char *path)
{
	FILE *out = !strcmp(path, "-") ? stdout : fopen(path, "we");
	bool ok = out;

	if (ok) {
		matrix_html(m, title, out);
		ok = out == stdout ? !ferror(out) : !fclose(out);
	}
	if (ok)
		return EXIT_YES;
	fprintf(stderr, "sluice policy matrix: %s: %s\n", path, strerror(errno));
	return EXIT_NO;
}

int cmd_policy_matrix(int argc, char **argv)
{
	struct policy_files f;
	struct command_args a;
	struct budget budget = budget_usual();
	struct ruleset *r = NULL;
	struct matrix m;
	const char *file, *page;
	int status = EXIT_YES;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!policy_files_open(&f, &a, true))
		return give_up(&a, &f);
	file = a.n ? a.words[0] : f.config ? f.config->policy : NULL;
	if (file)
		r = policy_files_build(&f, file);
	else
		diag_error(&f.d, (struct diag_at){0}, "which policy? name its file, or a configuration that does");
	if (!r)
		return give_up(&a, &f);
	matrix_build(&m, &r->reach, &r->blocked.all, &budget);
	page = command_option(&a, "html");
	if (page)
		status = write_page(&m, file, page);
	else if (command_option(&a, "json"))
		print_json(matrix_json(&m));
	else
		matrix_print(&m, stdout);
	matrix_free(&m);
	ruleset_free(r);
	policy_files_close(&f);
	return status;
}
