/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain: asks the running gateway, which knows counters and next hops; with a
 * policy's file or an inventory, or where no gateway runs, the files answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command_ask.h"
#include "user/control/control.h"
#include "user/answers/report_explain.h"
#include "user/answers/report_policy.h"
#include "user/base/exit.h"
#include "policy_files.h"

struct words {
	const char *proto, *port; /* as on the control socket: NULL where left out */
};

/* [PROTO] PORT, or a protocol without ports alone. */
static struct words read_words(const struct command_args *a)
{
	const char *third = a->words[2];

	if (a->n == 4)
		return (struct words){third, a->words[3]};
	if (*third >= '0' && *third <= '9')
		return (struct words){NULL, third};
	return (struct words){third, NULL};
}

static int cmd_explain_answer(const struct command_args *a, json_t *result)
{
	int status = json_is_true(json_object_get(result, "allowed")) ? EXIT_YES : EXIT_NO;

	ask_show(a, result, print_explain);
	return status;
}

/* ---- from files --------------------------------------------------------------------- */

static int cmd_explain_print_mistakes(const struct command_args *a, struct policy_files *f)
{
	json_t *j = command_option(a, "json") ? policy_mistakes_json(&f->d, json_pack("{s:i}", "status", EXIT_USAGE))
					      : NULL;

	diags_print(&f->d, stderr, true);
	if (j && !json_dumpf(j, stdout, JSON_INDENT(2)))
		putchar('\n');
	json_decref(j);
	policy_files_close(f);
	return EXIT_USAGE;
}

static int from_files(const struct command_args *a, const struct explain_question *q)
{
	const char *file = command_option(a, "policy");
	struct policy_files f;
	struct ruleset *r;
	char *error = NULL;
	json_t *result;

	if (!policy_files_open(&f, a, true))
		return cmd_explain_print_mistakes(a, &f);
	if (!file && f.config)
		file = f.config->policy;
	if (!file) {
		diag_error(&f.d, (struct diag_at){0}, "which policy? --policy names its file");
		return cmd_explain_print_mistakes(a, &f);
	}
	r = policy_files_build(&f, file);
	if (!r)
		return cmd_explain_print_mistakes(a, &f);
	result = explain(&(struct explain_source){.rules = r, .config = f.config, .now = time(NULL)}, q, &error);
	ruleset_free(r);
	policy_files_close(&f);
	if (result)
		return cmd_explain_answer(a, result);
	fprintf(stderr, "sluice explain: %s\n", error ? error : "out of memory");
	ask_refused(a, EXIT_USAGE, error);
	free(error);
	return EXIT_USAGE;
}

/* ---- from a gateway ------------------------------------------------------------------- */

/* False: no gateway runs, so that the files may answer. */
static bool from_gateway(const struct command_args *a, const struct words *w, int *status)
{
	json_t *args = json_pack("{s:s, s:s, s:s?, s:s?}", "source", a->words[0], "destination", a->words[1], "proto",
				 w->proto, "port", w->port);
	char *path = ask_socket(a), *error = NULL;
	json_t *result;

	*status = args ? control_call(path, "explain", args, &result, &error)
		       : exit_fail(&error, EXIT_USAGE, "not valid UTF-8");
	if (*status == EXIT_YES)
		*status = cmd_explain_answer(a, result);
	else if (*status != EXIT_NOT_RUNNING) {
		fprintf(stderr, "sluice explain: %s\n", error ? error : "failed");
		ask_refused(a, *status, error);
	}
	free(error);
	free(path);
	return *status != EXIT_NOT_RUNNING;
}

int cmd_explain(int argc, char **argv)
{
	struct explain_question q;
	struct command_args a;
	char *error = NULL;
	struct words w;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	w = read_words(&a);
	if (!explain_parse(w.proto, w.port, &q, &error)) {
		fprintf(stderr, "sluice explain: %s\n", error ? error : "out of memory");
		free(error);
		return EXIT_USAGE;
	}
	q.source = a.words[0];
	q.destination = a.words[1];
	if (command_option(&a, "policy") || command_option(&a, "inventory"))
		return from_files(&a, &q);
	if (!ask_config(&a))
		return EXIT_USAGE;
	if (from_gateway(&a, &w, &status))
		return status;
	fputs("no gateway runs: this is what the files say\n", stderr);
	return from_files(&a, &q);
}
