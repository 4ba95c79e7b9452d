/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy apply and rollback. The file is read here, so that it may be on another
 * machine: `ssh gateway sluice policy apply - < policy.yaml`.
 */
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "command_ask.h"
#include "policy_files.h"
#include "user/answers/report_policy.h"
#include "user/base/exit.h"

#define SETTLE_MS 200 /* an editor writes, renames and touches: once it is done is enough */

static json_t *common_args(const struct command_args *a)
{
	const char *match = command_option(a, "if-match");

	return json_pack("{s:b, s:b, s:b, s:s?}", "dry_run", command_option(a, "dry-run") != NULL, "allow_empty",
			 command_option(a, "allow-empty") != NULL, "not_kept", command_option(a, "not-kept") != NULL,
			 "if_match", match);
}

static int send(const struct command_args *a, json_t *args)
{
	json_t *result;
	int status = ask(a, args, &result);

	if (status == EXIT_YES)
		ask_show(a, result, print_policy_apply);
	return status;
}

static int cmd_policy_apply_print_mistakes(const struct command_args *a, struct diags *d)
{
	json_t *j =
		command_option(a, "json") ? policy_mistakes_json(d, json_pack("{s:i}", "status", EXIT_USAGE)) : NULL;

	diags_print(d, stderr, true);
	if (j && !json_dumpf(j, stdout, JSON_INDENT(2)))
		putchar('\n');
	json_decref(j);
	diags_free(d);
	return EXIT_USAGE;
}

/* What JSON cannot carry is no policy either; its reader says where. */
static int explain_text(const struct command_args *a, const char *name, const char *text, size_t len)
{
	struct diags d = {0};

	doc_free(doc_parse(name, text, len, doc_format_of(name), &d));
	if (!d.errors)
		diag_error(&d, (struct diag_at){.file = name}, "is not valid UTF-8");
	return cmd_policy_apply_print_mistakes(a, &d);
}

/* @hash (may be NULL): of what was sent last; the same is not sent again. */
static int apply_file(const struct command_args *a, char *hash)
{
	char now[RULESET_HASH_LEN + 1], *name, *text;
	struct diags d = {0};
	json_t *args, *value;
	size_t len;
	int status = EXIT_YES;

	text = policy_files_text(a->words[0], &name, &len, &d);
	if (!text)
		return cmd_policy_apply_print_mistakes(a, &d);
	ruleset_hash(text, len, now);
	value = json_stringn(text, len);
	if (hash && !strcmp(hash, now)) {
		json_decref(value);
	} else if (!value) {
		status = explain_text(a, name, text, len);
	} else {
		args = common_args(a);
		json_object_set_new(args, "text", value);
		json_object_set_new(args, "file", json_string(name));
		status = send(a, args);
	}
	if (hash)
		strcpy(hash, now);
	free(text);
	free(name);
	return status;
}

/* ---- --watch ----------------------------------------------------------------------------- */

/* Waits for a change in the folder, then until it is quiet. False: an error. */
static bool wait_for_change(int fd)
{
	char events[4096];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	bool seen = false;
	int n;

	while ((n = poll(&p, 1, seen ? SETTLE_MS : -1)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0 && read(fd, events, sizeof(events)) < 0 && errno != EINTR)
			return false;
		seen |= n > 0;
	}
	return n == 0;
}

/* The folder is watched: editors put a new file in the place of the old one. */
static int cmd_policy_apply_watch(const struct command_args *a)
{
	char *path = strdup(a->words[0]), hash[RULESET_HASH_LEN + 1] = "";
	int fd = inotify_init1(IN_CLOEXEC);

	if (!path || fd < 0 ||
	    inotify_add_watch(fd, dirname(path), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0) {
		fprintf(stderr, "sluice policy apply: cannot watch the folder of %s: %s\n", a->words[0],
			strerror(errno));
		free(path);
		if (fd >= 0)
			close(fd);
		return EXIT_NO;
	}
	free(path);
	do {
		apply_file(a, hash);
		fflush(stdout);
	} while (wait_for_change(fd));
	perror("sluice policy apply: watching");
	close(fd);
	return EXIT_NO;
}

int cmd_policy_apply(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!command_option(&a, "watch"))
		return apply_file(&a, NULL);
	if (strcmp(a.words[0], "-") && !command_option(&a, "if-match"))
		return cmd_policy_apply_watch(&a);
	fputs("sluice policy apply: --watch needs a file, and does not go with --if-match\n", stderr);
	return EXIT_USAGE;
}

int cmd_policy_rollback(int argc, char **argv)
{
	struct command_args a;
	unsigned long n;
	json_t *args;
	char *end;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	args = common_args(&a);
	if (a.n) {
		n = strtoul(a.words[0], &end, 10);
		if (*a.words[0] < '0' || *a.words[0] > '9' || *end || !n || n > UINT32_MAX) {
			fputs("sluice policy rollback: expected a number, as `sluice policy history` has it\n", stderr);
			json_decref(args);
			return EXIT_USAGE;
		}
		json_object_set_new(args, "number", json_integer((json_int_t)n));
	}
	return send(&a, args);
}

int cmd_policy_history(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_policy_history);
}
