/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How commands are found, explained and read; what they are is in the table of
 * command_table.c.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "policy/diag.h"
#include "command.h"
#include "user/base/text.h"

const struct command *command_by_name(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* Two words before one, so that "clients kick" is not "clients". */
const struct command *command_find(int argc, char **argv, int *words)
{
	char two[64];

	*words = 2;
	if (argc >= 2) {
		snprintf(two, sizeof(two), "%s %s", argv[0], argv[1]);
		const struct command *c = command_by_name(two);

		if (c)
			return c;
	}
	*words = 1;
	return argc >= 1 ? command_by_name(argv[0]) : NULL;
}

/* ---- --help ------------------------------------------------------------------ */

static void print_option(const struct command_option *o, FILE *out)
{
	char left[64];

	if (o->letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name, o->value ? " " : "",
			 o->value ? o->value : "");
	else
		snprintf(left, sizeof(left), "    --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	fprintf(out, "  %-26s %s\n", left, o->help);
}

void command_help(const struct command *c, FILE *out)
{
	fprintf(out, "usage: sluice %s%s%s%s\n\n%s\n", c->name, c->options ? " [options]" : "", *c->synopsis ? " " : "",
		c->synopsis, c->summary);
	if (c->details)
		fprintf(out, "\n%s\n", c->details);
	if (c->options)
		fputc('\n', out);
	for (const struct command_option *o = c->options; o && o->name; o++)
		print_option(o, out);
}

bool commands_below(const char *word, FILE *out)
{
	size_t n = strlen(word);
	bool any = false;

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, word, n) != 0 || c->name[n] != ' ')
			continue;
		if (!any)
			fprintf(out, "usage: sluice %s COMMAND [options] [arguments]\n\n", word);
		fprintf(out, "  %-15s %s\n", c->name, c->summary);
		any = true;
	}
	return any;
}

void commands_overview(FILE *out)
{
	static const char *const titles[] = {
		[COMMAND_DAEMON] = "The gateway itself",
		[COMMAND_GATEWAY] = "On a running gateway",
		[COMMAND_OFFLINE] = "Anywhere",
	};

	fputs("Sluice, a tailnet egress gateway: WireGuard clients reach allow-listed services\n"
	      "through one static address.\n\nusage: sluice COMMAND [options] [arguments]\n",
	      out);
	for (int group = COMMAND_DAEMON; group >= 0; group--) {
		fprintf(out, "\n%s:\n", titles[group]);
		for (const struct command *c = commands; c->name; c++)
			if ((int)c->group == group)
				fprintf(out, "  %-15s %s\n", c->name, c->summary);
	}
	fputs("\nsluice COMMAND --help tells more. Exit status: 0 yes, 1 no or failed, 2 usage or\n"
	      "configuration, 3 gateway not running.\n",
	      out);
}

/* "apply" is a word of its own for whoever has seen `policy apply` once. */
static const char *as_second_word(const char *word)
{
	for (const struct command *c = commands; c->name; c++) {
		const char *space = strchr(c->name, ' ');

		if (space && !strcmp(space + 1, word) && !c->destroys)
			return c->name;
	}
	return NULL;
}

const char *command_hint(const char *word)
{
	const char *names[64] = {0}, *second = as_second_word(word);

	for (size_t i = 0, n = 0; commands[i].name && n < 63; i++)
		if (!commands[i].destroys)
			names[n++] = commands[i].name;
	return second ? second : diag_nearest(word, names);
}

/* ---- arguments ----------------------------------------------------------------- */

/* The table's options in getopt's form; 256 + index is what getopt_long() returns for one. */
static void to_getopt(const struct command_option *o, struct option *longs, char *shorts)
{
	int i = 0;

	*shorts++ = ':'; /* tells an absent value from an unknown option */
	for (; o && o->name && i < COMMAND_OPTIONS_MAX; o++, i++) {
		longs[i] = (struct option){o->name, o->value ? required_argument : no_argument, NULL, 256 + i};
		if (o->letter)
			*shorts++ = o->letter;
		if (o->letter && o->value)
			*shorts++ = ':';
	}
	longs[i] = (struct option){0};
	*shorts = 0;
}

static int command_index_of(const struct command_option *o, int found)
{
	if (found >= 256)
		return found - 256;
	for (int i = 0; o[i].name; i++)
		if (o[i].letter == found)
			return i;
	return -1;
}

static bool command_refuse(const struct command *c, const char *why, const char *what)
{
	char text[128];

	fprintf(stderr, "sluice %s: %s%s%s\n", c->name, why, what ? ": " : "",
		what ? text_escape(what, text, sizeof(text)) : "");
	fprintf(stderr, "usage: sluice %s%s%s%s (--help tells more)\n", c->name, c->options ? " [options]" : "",
		*c->synopsis ? " " : "", c->synopsis);
	return false;
}

static bool refuse_option(const struct command *c, int found, const char *word)
{
	char letter[] = {'-', (char)optopt, 0};

	/* of letters in one word getopt is still at that word; optopt is the one it means */
	if (optopt && optopt < 256)
		word = letter;
	return command_refuse(c, found == ':' ? "needs a value" : "unknown option", word);
}

bool command_parse(int argc, char **argv, struct command_args *out)
{
	struct option longs[COMMAND_OPTIONS_MAX + 1];
	char shorts[2 * COMMAND_OPTIONS_MAX + 2];
	const struct command *c = command_by_name(argv[0]);
	int found;

	*out = (struct command_args){.command = c};
	to_getopt(c->options, longs, shorts);
	optind = 0; /* starts getopt anew */
	opterr = 0; /* it would not say whose option it is */
	while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		int i = found == '?' || found == ':' || !c->options ? -1 : command_index_of(c->options, found);

		if (i < 0)
			return refuse_option(c, found, argv[optind - 1]);
		out->value[i] = optarg ? optarg : "";
	}
	out->words = argv + optind;
	out->n = argc - optind;
	if (out->n > c->most)
		return command_refuse(c, "one word too many", out->words[c->most]);
	if (out->n >= c->least)
		return true;
	return out->n ? command_refuse(c, "words are missing after", out->words[out->n - 1])
		      : command_refuse(c, "missing", c->synopsis);
}

const char *command_option(const struct command_args *a, const char *name)
{
	const struct command_option *o = a->command->options;

	for (int i = 0; o[i].name; i++)
		if (!strcmp(o[i].name, name))
			return a->value[i];
	abort(); /* a command asks for an option that its table does not have: a mistake of ours */
}

bool command_refuse_value(const struct command_args *a, const char *option, const char *expected)
{
	char text[128];

	fprintf(stderr, "sluice %s: --%s: found \"%s\", expected %s\n", a->command->name, option,
		text_escape(command_option(a, option), text, sizeof(text)), expected);
	return false;
}
