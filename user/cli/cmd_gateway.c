/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands on a running gateway: each asks over the control socket and shows the
 * answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/diag.h"
#include "command_ask.h"
#include "user/control/control.h"
#include "user/answers/report.h"
#include "user/gateway/host.h"
#include "user/gateway/remove.h"
#include "user/answers/report_policy.h"
#include "user/base/exit.h"
#include "user/print/print.h"

int cmd_status(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_status);
}

int cmd_drops(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_drops);
}

int cmd_routes(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_routes);
}

int cmd_map_list(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_map_list);
}

static json_t *reload_arguments(const struct command_args *a)
{
	return json_pack("{s:b}", "dry_run", command_option(a, "dry-run") != NULL);
}

static void show_reloaded(const json_t *r, FILE *out)
{
	if (json_object_get(r, "restart"))
		print_policy_reload(r, out);
	else
		print_reload(r, out);
}

int cmd_reload(int argc, char **argv)
{
	return ask_and_show(argc, argv, reload_arguments, show_reloaded);
}

int cmd_clients(int argc, char **argv)
{
	struct command_args a;
	const char *sort;
	json_t *result;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	sort = command_option(&a, "sort");
	if (sort && !print_sorts_by(sort)) {
		command_refuse_value(&a, "sort", "name, user, bytes, received, sent or handshake");
		return EXIT_USAGE;
	}
	status = ask_pages(&a, NULL, "clients", UINT64_MAX, &result);
	if (status != EXIT_YES)
		return status;
	json_object_del(result, "next");
	if (command_option(&a, "json")) {
		ask_show(&a, result, NULL);
	} else {
		print_clients(result, sort, stdout);
		json_decref(result);
	}
	return EXIT_YES;
}

static void show_kicked(const json_t *r, FILE *out)
{
	fprintf(out, "kicked %s\n", field_text(r, "client"));
}

/* Puts the one word of a command into its arguments; NULL after a message. */
static json_t *word(const struct command_args *a, const char *key)
{
	json_t *args = json_object();

	if (!json_object_set_new(args, key, json_string(a->words[0])))
		return args;
	fprintf(stderr, "sluice %s: not valid UTF-8\n", a->command->name);
	json_decref(args);
	return NULL;
}

static json_t *client_argument(const struct command_args *a)
{
	return word(a, "client");
}

int cmd_clients_kick(int argc, char **argv)
{
	return ask_and_show(argc, argv, client_argument, show_kicked);
}

static void show_reset(const json_t *r, FILE *out)
{
	fprintf(out, "reset %s: the next time it comes, its clock is believed\n", field_text(r, "client"));
}

int cmd_clients_reset(int argc, char **argv)
{
	return ask_and_show(argc, argv, client_argument, show_reset);
}

/* With --limit, where it is given. @args NULL stays NULL. */
static json_t *limited(const struct command_args *a, json_t *args)
{
	if (!args || ask_number(a, args, "limit"))
		return args;
	json_decref(args);
	return NULL;
}

/* Lists page after page up to --limit, and shows it. */
static int ask_and_list(const struct command_args *a, json_t *args, const char *list, uint64_t limit,
			void (*show)(const json_t *, FILE *))
{
	json_t *result;
	int status;

	if (!args)
		return EXIT_USAGE;
	if (json_object_get(args, "limit"))
		limit = (uint64_t)json_integer_value(json_object_get(args, "limit"));
	status = ask_pages(a, args, list, limit, &result);
	if (status != EXIT_YES)
		return status;
	json_object_del(result, "next");
	ask_show(a, result, show);
	return EXIT_YES;
}

int cmd_map_dump(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	return ask_and_list(&a, limited(&a, word(&a, "map")), "entries", REPORT_DUMP_DEFAULT, print_map_dump);
}

/* ---- flows ------------------------------------------------------------------------- */

static json_t *flow_filter(const struct command_args *a)
{
	json_t *args = json_object();

	if (ask_text(a, args, "user") && ask_text(a, args, "client") && ask_text(a, args, "service") &&
	    ask_text(a, args, "proto"))
		return args;
	json_decref(args);
	return NULL;
}

int cmd_flows(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	return ask_and_list(&a, limited(&a, flow_filter(&a)), "flows", REPORT_FLOWS_DEFAULT, print_flows);
}

static void show_killed(const json_t *r, FILE *out)
{
	unsigned long long n = field_number(r, "killed");

	fprintf(out, "ended %llu flow%s\n", n, n == 1 ? "" : "s");
}

/* All flows only when that is said. */
static json_t *kill_arguments(const struct command_args *a)
{
	json_t *args = flow_filter(a);
	bool all = command_option(a, "all");

	if (args && all == (json_object_size(args) > 0)) {
		fputs("sluice flows kill: expected --all, or what to end: --user, --client, --service, --proto\n",
		      stderr);
		json_decref(args);
		return NULL;
	}
	if (args && all)
		json_object_set_new(args, "all", json_true());
	return args;
}

int cmd_flows_kill(int argc, char **argv)
{
	return ask_and_show(argc, argv, kill_arguments, show_killed);
}

/* ---- down ---------------------------------------------------------------------------- */

static void add_removed(void *ctx, const char *what)
{
	json_array_append_new(ctx, json_string(what));
}

/* No gateway runs: what one has left behind is found by its configuration. */
static int remove_leftovers(const struct command_args *a, json_t **result)
{
	const char *file = command_option(a, "config");
	struct diags d = {0};
	struct config *cfg = config_load(file ? file : CONFIG_FILE, &d);
	struct locks locks;
	struct locks_of of;
	char error[512];
	json_t *removed;
	int status;

	if (!cfg) {
		diags_print(&d, stderr, false);
		diags_free(&d);
		return EXIT_USAGE;
	}
	diags_free(&d);
	of = host_locks(cfg);
	if (locks_take_present(&locks, &of, error, sizeof(error))) {
		fprintf(stderr, "sluice down: %s\n", error);
		config_free(cfg);
		return EXIT_NO;
	}
	removed = json_array();
	status = gateway_remove(cfg, add_removed, removed);
	locks_release(&locks, &of);
	if (status)
		fprintf(stderr, "sluice down: %s%s\n", strerror(-status),
			status == -EPERM || status == -EACCES ? ": try sudo" : "");
	*result = json_pack("{s:i, s:o}", "schema", 1, "removed", removed);
	config_free(cfg);
	return status ? EXIT_NO : EXIT_YES;
}

/* The gateway has answered and goes; when its socket is gone, so is all else. */
static void wait_until_gone(const char *path)
{
	const struct timespec step = {.tv_nsec = 50000000};

	for (int i = 0; i < 200; i++) {
		json_t *result = NULL;
		char *error = NULL;
		int status = control_call(path, "status", NULL, &result, &error);

		json_decref(result);
		free(error);
		if (status == EXIT_NOT_RUNNING)
			return;
		nanosleep(&step, NULL);
	}
}

int cmd_down(int argc, char **argv)
{
	struct command_args a;
	json_t *result = NULL;
	char *path, *error = NULL;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!ask_config(&a))
		return EXIT_USAGE;
	path = ask_socket(&a);
	status = control_call(path, "down", NULL, &result, &error);
	if (status == EXIT_YES)
		wait_until_gone(path);
	else if (status == EXIT_NOT_RUNNING)
		status = remove_leftovers(&a, &result);
	else
		fprintf(stderr, "sluice down: %s\n", error ? error : "failed");
	if (result)
		ask_show(&a, result, print_down);
	free(error);
	free(path);
	return status;
}
