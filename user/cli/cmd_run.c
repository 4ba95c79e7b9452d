/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run: the gateway in the foreground. Mistakes of the configuration are all said
 * at once, before anything is touched.
 */
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "user/config/config.h"
#include "user/gateway/gateway.h"
#include "user/gateway/host.h"
#include "user/gateway/rules.h"
#include "user/gateway/state.h"
#include "user/handlers/handlers.h"
#include "user/tailnet_gateway/membership.h"
#include "user/base/log.h"
#include "user/base/exit.h"

#define TRY_AGAIN_SECONDS 3

/*
 * Mistakes end the service for good only where no gateway ever ran with this configuration: else the service manager
 * starts us again until they are mended, not as fast as after a crash.
 */
static bool may_try_again(const char *file)
{
	char *folder = config_state(file), *state = mem_printf("%s/" STATE_FILE, folder);
	bool ran = !access(state, F_OK);

	free(state);
	free(folder);
	if (ran && getenv("NOTIFY_SOCKET"))
		sleep(TRY_AGAIN_SECONDS);
	return ran;
}

int cmd_run(int argc, char **argv)
{
	struct command_args a;
	struct rules_running *rules;
	struct diags d = {0};
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
		return gateway_run(&(struct gateway_options){
			.file = file,
			.config = config,
			.rules = rules,
			.origin = config->tailnet.node ? &membership_origin : &origin_configuration,
			.verbs = gateway_verbs,
		});
	config_free(config);
	return may_try_again(file) ? EXIT_NO : EXIT_USAGE;
}
