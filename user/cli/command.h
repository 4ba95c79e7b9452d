/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_COMMAND_H
#define SLUICE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The subcommands: one const table, from which dispatch, --help and the bash
 * completion come. A command returns an exit status (control.h): 0 yes, 1 no or
 * failed, 2 usage or configuration, 3 gateway not running.
 */
struct command_option {
	const char *name;  /* --name; NULL ends a list */
	char letter;	   /* -x; 0: none */
	const char *value; /* what follows it, for --help; NULL: nothing */
	const char *help;
};

enum command_group { COMMAND_OFFLINE, COMMAND_GATEWAY, COMMAND_DAEMON };

struct command {
	const char *name;     /* one or two words: "clients kick"; also the verb on the control socket */
	const char *synopsis; /* what follows the options; "" for nothing */
	const char *summary;  /* one line */
	const char *details;  /* further lines of --help; NULL: none */
	enum command_group group;
	const struct command_option *options; /* NULL: none */
	unsigned char least, most;	      /* words after the options */
	/* argv[0] is the command's name, whether one word or two */
	int (*run)(int argc, char **argv);
	bool destroys; /* what it ends is not brought back by another command: no mistyped word hints at it */
};

extern const struct command commands[]; /* ends with a NULL name */

/* The command that argv[0] (and argv[1]) name; *words: how many of them. NULL: none. */
const struct command *command_find(int argc, char **argv, int *words);
const struct command *command_by_name(const char *name);
/* The command that a word may have been meant for, never one that destroys: "log" is not "logout". NULL: none. */
const char *command_hint(const char *word);
void command_help(const struct command *c, FILE *out);
void commands_overview(FILE *out);
/* The commands of two words that begin with this one: "map list", "map dump". False: there is none. */
bool commands_below(const char *word, FILE *out);

/* ---- the words of one call --------------------------------------------------- */

#define COMMAND_OPTIONS_MAX 16

struct command_args {
	const struct command *command;
	const char *value[COMMAND_OPTIONS_MAX]; /* in the order of the options; NULL: not given; "" without a value */
	char **words;				/* n of them */
	int n;
};

/* Reads argv by the table's entry that argv[0] names. False after a message: return EXIT_USAGE. */
bool command_parse(int argc, char **argv, struct command_args *out);
/* The value of an option, NULL when it was not given. The name must be in the table. */
const char *command_option(const struct command_args *a, const char *name);
/* Says what was found in an option that was given, and what would do. False: return EXIT_USAGE. */
bool command_refuse_value(const struct command_args *a, const char *option, const char *expected);

/* ---- what they do -------------------------------------------------------------- */

int cmd_genkey(int argc, char **argv);
int cmd_pubkey(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_client_config(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_completion(int argc, char **argv);

int cmd_status(int argc, char **argv);
int cmd_clients(int argc, char **argv);
int cmd_clients_kick(int argc, char **argv);
int cmd_clients_reset(int argc, char **argv);
int cmd_flows(int argc, char **argv);
int cmd_flows_kill(int argc, char **argv);
int cmd_drops(int argc, char **argv);
int cmd_routes(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_map_list(int argc, char **argv);
int cmd_map_dump(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_logout(int argc, char **argv);
int cmd_netmap(int argc, char **argv);
int cmd_ping(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

int cmd_probe(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_policy_check(int argc, char **argv);
int cmd_policy_test(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_matrix(int argc, char **argv);
int cmd_policy_inventory(int argc, char **argv);
int cmd_policy_apply(int argc, char **argv);
int cmd_policy_rollback(int argc, char **argv);
int cmd_policy_history(int argc, char **argv);
int cmd_policy_show(int argc, char **argv);

int cmd_run(int argc, char **argv);	  /* gateway.c */
int cmd_wireguard(int argc, char **argv); /* wireguard.c */

#endif
