/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run: the gateway in the foreground. Mistakes of the configuration are all said
 * at once, before anything is touched.
 */
#include "commands.h"
#include "user/gateway/gateway.h"
#include "user/base/log.h"

int cmd_run(int argc, char **argv)
{
	struct command_args a;
	struct diags d = {0};
	struct rules_running *rules;
	struct config *config;
	const char *file;
	char error[512];

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	file = command_option(&a, "config");
	if (!file)
		file = CONFIG_FILE;
	config = config_load(file, &d);
	if (config && !host_able(error, sizeof(error))) { /* before the state folder, which is ours to read alone */
		log_error("%s", error);
		diags_free(&d);
		config_free(config);
		return EXIT_NO;
	}
	rules = config ? rules_prepare(config, &d) : NULL;
	if (rules)
		rules_log(&d);
	else
		diags_print(&d, stderr, true);
	diags_free(&d);
	if (rules)
		return gateway_run(file, config, rules);
	config_free(config);
	return EXIT_USAGE;
}
