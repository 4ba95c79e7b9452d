/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Completion for bash, made of the table of commands: source <(sluice completion).
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "user/base/exit.h"

static void print_options(const struct command *c)
{
	printf("	\"%s\") options=\"--help", c->name);
	for (const struct command_option *o = c->options; o && o->name; o++)
		printf(" --%s", o->name);
	puts("\" ;;");
}

/* First words, and the second words of those that have them. */
static void print_words(void)
{
	const char *last = "";
	size_t len = 0;

	fputs("	words=\"help", stdout);
	for (const struct command *c = commands; c->name; c++) {
		size_t n = strcspn(c->name, " ");

		if (n != len || strncmp(c->name, last, n))
			printf(" %.*s", (int)n, c->name);
		last = c->name;
		len = n;
	}
	puts("\"");
}

static void print_second_words(void)
{
	for (const struct command *c = commands; c->name; c++) {
		const char *second = strchr(c->name, ' ');

		if (second)
			printf("	[[ $first == %.*s ]] && seconds+=\" %s\"\n", (int)(second - c->name), c->name,
			       second + 1);
	}
}

int cmd_completion(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	puts("# bash completion for sluice; made by: sluice completion\n_sluice()\n{\n"
	     "	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	     "	local first=${COMP_WORDS[1]} name=${COMP_WORDS[1]} words options= seconds=");
	print_words();
	print_second_words();
	puts("	[[ \" $seconds \" == *\" ${COMP_WORDS[2]} \"* ]] && name=\"$first ${COMP_WORDS[2]}\"\n"
	     "	case $name in");
	for (const struct command *c = commands; c->name; c++)
		print_options(c);
	puts("	esac\n"
	     "	COMPREPLY=()\n"
	     "	if [[ $COMP_CWORD == 1 ]]; then\n"
	     "		COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	     "	elif [[ $current == -* ]]; then\n"
	     "		COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
	     "	elif [[ $before == --@(config|socket|inventory|policy|private-key|html) || $before == -c ||\n"
	     "		$first == check || ( $first == policy && $COMP_CWORD -gt 2 ) ]]; then\n"
	     "		COMPREPLY=($(compgen -f -- \"$current\"))\n"
	     "	elif [[ $name == \"clients kick\" || $name == \"clients reset\" || $first == client-config ]]; then\n"
	     "		COMPREPLY=($(compgen -W \"$(sluice clients 2>/dev/null | awk 'NR > 1 { print $1 }')\" -- "
	     "\"$current\"))\n"
	     "	elif [[ $name == \"map dump\" ]]; then\n"
	     "		COMPREPLY=($(compgen -W \"$(sluice map list 2>/dev/null | awk 'NR > 1 { print $1 }')\" -- "
	     "\"$current\"))\n"
	     "	elif [[ $COMP_CWORD == 2 && -n $seconds ]]; then\n"
	     "		COMPREPLY=($(compgen -W \"$seconds\" -- \"$current\"))\n"
	     "	fi\n"
	     "}\n"
	     "complete -o filenames -F _sluice sluice");
	return EXIT_YES;
}
