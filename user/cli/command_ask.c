/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all commands on a running gateway have in common (command_ask.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "policy/diag.h"
#include "policy/doc.h"
#include "command_ask.h"
#include "user/answers/report_policy.h"
#include "user/config/config.h"
#include "user/control/control.h"
#include "user/base/text.h"
#include "user/base/exit.h"

char *ask_socket(const struct command_args *a)
{
	const char *socket = command_option(a, "socket"), *config = command_option(a, "config");

	return socket ? strdup(socket) : config_socket(config ? config : CONFIG_FILE);
}

bool ask_config(const struct command_args *a)
{
	const char *config = command_option(a, "config");
	struct diags d = {0};
	bool read = true;

	if (config && !command_option(a, "socket")) {
		struct doc *doc = config_read_doc(config, &d);

		read = doc != NULL;
		doc_free(doc);
	}
	if (!read)
		diags_print(&d, stderr, true);
	diags_free(&d);
	return read;
}

/* A refusal may have many lines, as those of a configuration with mistakes. */
static void print_refusal(const char *command, char *error)
{
	char escaped[1024], *rest = error;
	const char *line = strsep(&rest, "\n");

	if (!rest || !*rest) {
		fprintf(stderr, "sluice %s: %s\n", command, text_escape(line, escaped, sizeof(escaped)));
		return;
	}
	for (; line; line = strsep(&rest, "\n"))
		if (*line)
			fprintf(stderr, "%s\n", text_escape(line, escaped, sizeof(escaped)));
}

/* "file:line:column: text" as a message with its place; anything else is a text alone. */
static void add_line(const char *line, struct diags *d)
{
	struct diag_at at = {0};
	const char *text = line;
	char *file = NULL;
	int used = 0;

	for (const char *colon = strchr(line, ':'); colon && !file; colon = strchr(colon + 1, ':'))
		if (sscanf(colon, ":%u:%u: %n", &at.line, &at.column, &used) == 2 && used) {
			file = mem_strndup(line, (size_t)(colon - line));
			at.file = file;
			text = colon + used;
		}
	if (!file)
		at = (struct diag_at){0};
	if (!strncmp(text, "warning: ", 9))
		diag_warning(d, at, "%s", text + 9);
	else
		diag_error(d, at, "%s", text);
	free(file);
}

/* "2 errors, 1 warning": the numbers are fields of their own. */
static bool sums_up(const char *line)
{
	unsigned errors, warnings;
	int used = 0;

	return sscanf(line, "%u error%*1[s], %u warning%n", &errors, &warnings, &used) == 2 && used;
}

void ask_refused(const struct command_args *a, int status, const char *error)
{
	char *copy, *rest, *line;
	struct diags d = {0};
	json_t *j;

	if (!command_option(a, "json"))
		return;
	copy = rest = mem_strdup(error ? error : "failed");
	while ((line = strsep(&rest, "\n")))
		if (*line && !sums_up(line))
			add_line(line, &d);
	j = policy_mistakes_json(&d, json_pack("{s:i}", "status", status));
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	diags_free(&d);
	free(copy);
}

int ask_pages(const struct command_args *a, json_t *args, const char *list, uint64_t limit, json_t **result)
{
	char *path, *error = NULL;
	int status;

	if (!ask_config(a)) {
		json_decref(args);
		return EXIT_USAGE;
	}
	path = ask_socket(a);
	if (list)
		status = control_call_pages(path, a->command->name, args, list, limit, result, &error);
	else
		status = control_call(path, a->command->name, args, result, &error);
	if (status != EXIT_YES)
		ask_refused(a, status, error);
	if (status != EXIT_YES && error)
		print_refusal(a->command->name, error);
	free(error);
	free(path);
	return status;
}

int ask(const struct command_args *a, json_t *args, json_t **result)
{
	return ask_pages(a, args, NULL, 0, result);
}

void ask_show(const struct command_args *a, json_t *result, void (*show)(const json_t *, FILE *))
{
	if (command_option(a, "json")) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		show(result, stdout);
	}
	json_decref(result);
}

int ask_and_show(int argc, char **argv, json_t *(*arguments)(const struct command_args *),
		 void (*show)(const json_t *, FILE *))
{
	struct command_args a;
	json_t *args = NULL, *result;
	int status;

	if (!command_parse(argc, argv, &a) || (arguments && !(args = arguments(&a))))
		return EXIT_USAGE;
	status = ask(&a, args, &result);
	if (status == EXIT_YES)
		ask_show(&a, result, show);
	return status;
}

bool ask_text(const struct command_args *a, json_t *args, const char *option)
{
	const char *value = command_option(a, option);

	if (!value || !json_object_set_new(args, option, json_string(value)))
		return true;
	fprintf(stderr, "sluice %s: --%s: not valid UTF-8\n", a->command->name, option);
	return false;
}

bool ask_count(const struct command_args *a, const char *option, long max, long *n)
{
	const char *value = command_option(a, option);
	char *end;
	long got;

	if (!value)
		return true;
	errno = 0;
	got = strtol(value, &end, 10);
	if (*value >= '0' && *value <= '9' && !*end && !errno && got >= 1 && got <= max) {
		*n = got;
		return true;
	}
	return command_refuse_value(a, option, "a number from 1");
}

bool ask_number(const struct command_args *a, json_t *args, const char *option)
{
	long n = 0;

	return ask_count(a, option, INT32_MAX, &n) && (!n || !json_object_set_new(args, option, json_integer(n)));
}
