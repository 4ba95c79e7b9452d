/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * version: what this program is made of.
 */
#include "commands.h"
#include "user/control/control.h"
#include "version.h"

int cmd_version(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	version_print(stdout);
	return EXIT_YES;
}
