/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_COMMAND_ASK_H
#define SLUICE_COMMAND_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "command.h"

/*
 * For commands on a running gateway: asks it, prints what is to be said on stderr.
 */

/* The socket that --socket or the configuration names. Freed by the caller. */
char *ask_socket(const struct command_args *a);

/* Whether the configuration that --config names tells the socket, or --socket does.
 * False after a message: the default socket may be another gateway's. */
bool ask_config(const struct command_args *a);

/* Sends the command's own verb with @args (stolen; NULL: none). EXIT_YES with
 * *result, or another exit status after a message. */
int ask(const struct command_args *a, json_t *args, json_t **result);

/* The same for a command that lists, page after page (control_call_pages()). */
int ask_pages(const struct command_args *a, json_t *args, const char *list, uint64_t limit, json_t **result);

/*
 * With --json a refusal is JSON, too: {"schema", "status" (the exit status), "errors", "warnings", "messages"}, as of
 * `policy check`. The text goes to stderr in any case, which is not done here.
 */
void ask_refused(const struct command_args *a, int status, const char *error);

/* The result as JSON with --json, else by @show. Releases it. */
void ask_show(const struct command_args *a, json_t *result, void (*show)(const json_t *, FILE *));

/*
 * What most of these commands are: words and options become arguments, the answer is
 * shown. @arguments: NULL after a message; the function itself is NULL where there are
 * none. Returns the exit status.
 */
int ask_and_show(int argc, char **argv, json_t *(*arguments)(const struct command_args *),
		 void (*show)(const json_t *, FILE *));

/* Puts the option into @args under its own name when it was given. False after a
 * message: it is not text that JSON can carry. */
bool ask_text(const struct command_args *a, json_t *args, const char *option);
/* The same for a number from 1; false after a message. */
bool ask_number(const struct command_args *a, json_t *args, const char *option);
/* The option as a number from 1 to @max into *@n, which keeps its value when it was not
 * given. False after a message. */
bool ask_count(const struct command_args *a, const char *option, long max, long *n);

#endif
