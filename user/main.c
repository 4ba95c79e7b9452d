/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice: finds the command and runs it.
 */
#include <stdio.h>
#include <string.h>

#include "user/cli/command.h"
#include "user/tailnet/network/process.h"
#include "user/base/text.h"
#include "user/base/exit.h"

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* "policy" alone, or with a word that does not follow it: tells those that do. */
static bool list_second_words(const char *first, const char *second)
{
	char text[64] = "nothing";
	size_t n = strlen(first);
	bool any = false;

	if (second)
		text_escape(second, text, sizeof(text));

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, first, n) != 0 || c->name[n] != ' ')
			continue;
		if (any)
			fprintf(stderr, ", %s", c->name + n + 1);
		else
			fprintf(stderr, "sluice %s: found %s, expected one of: %s", first, text, c->name + n + 1);
		any = true;
	}
	if (any)
		fprintf(stderr, "\nsluice %s --help tells more\n", first);
	return any;
}

static int unknown(char **argv)
{
	const char *nearest;
	char text[64];

	if (list_second_words(argv[0], argv[1]))
		return EXIT_USAGE;
	nearest = command_hint(argv[0]);
	fprintf(stderr, "sluice: no such command: \"%s\"", text_escape(argv[0], text, sizeof(text)));
	if (nearest)
		fprintf(stderr, "; did you mean \"%s\"?", nearest);
	fputs("\nsluice --help lists them\n", stderr);
	return EXIT_USAGE;
}

/* The list on stdout, and whether it got there: `sluice status > /dev/full` has failed. */
static int main_finish(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		perror("sluice: standard output");
		return status ? status : EXIT_NO;
	}
	return status;
}

/* Of a command, of the commands that a first word begins, or, without a word, of all. */
static int help(int argc, char **argv)
{
	int words;
	const struct command *c = command_find(argc, argv, &words);

	if (c)
		command_help(c, stdout);
	else if (!argc)
		commands_overview(stdout);
	else if (!commands_below(argv[0], stdout))
		return unknown(argv);
	return main_finish(EXIT_YES);
}

int main(int argc, char **argv)
{
	const struct command *c;
	int words;

	if (argc > 1 && !strcmp(argv[1], PROCESS_ARGUMENT)) /* no command, but a part of `run` */
		return process_main();
	argc--;
	argv++;
	if (argc && !strcmp(argv[0], "help")) /* help COMMAND is COMMAND --help */
		return help(argc - 1, argv + 1);
	if (!argc || is_help(argv[0])) {
		commands_overview(argc ? stdout : stderr);
		return argc ? main_finish(EXIT_YES) : EXIT_USAGE;
	}
	if (!strcmp(argv[0], "--version"))
		argv[0] = "version";
	c = command_find(argc, argv, &words);
	if (!c)
		return asks_for_help(argc, argv) ? help(argc, argv) : unknown(argv);
	argc -= words - 1;
	argv += words - 1;
	if (asks_for_help(argc, argv)) {
		command_help(c, stdout);
		return main_finish(EXIT_YES);
	}
	argv[0] = (char *)c->name;
	return main_finish(c->run(argc, argv));
}
