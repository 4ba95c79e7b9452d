/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: the mistakes of a configuration and its policy, all at once; with --host,
 * those of the machine too.
 */
#include <stdio.h>
#include <time.h>

#include "command.h"
#include "user/config/config_private.h"
#include "user/gateway/rules.h"
#include "user/doctor/hostcheck.h"
#include "user/answers/report_policy.h"
#include "user/base/exit.h"

/* Needs the clock, so it is not the configuration's: an expired client is no mistake, only surprising. */
static void warn_expired(const struct config *cfg, struct diags *d)
{
	time_t now = time(NULL);

	for (size_t i = 0; i < cfg->n_clients; i++)
		if (cfg->clients[i].expires && cfg->clients[i].expires <= now)
			diag_warning(d, config_at(cfg->clients[i].node, "expires", CONFIG_NO_ITEM),
				     "client.expires: %s has expired, so it cannot connect", cfg->clients[i].name);
}

static void cmd_check_say(struct diags *d, bool json)
{
	json_t *j = json ? policy_mistakes_json(d, json_object()) : NULL;

	if (!json)
		diags_print(d, stderr, true);
	else if (!json_dumpf(j, stdout, JSON_INDENT(2)))
		putchar('\n');
	json_decref(j);
}

int cmd_check(int argc, char **argv)
{
	struct command_args a;
	struct diags d = {0};
	const char *config;
	struct config *cfg;
	size_t in_files;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	config = command_option(&a, "config");
	if (config && a.n) {
		fputs("sluice check: the file is named twice: by --config and as a word\n", stderr);
		return EXIT_USAGE;
	}
	cfg = config_load(a.n ? a.words[0] : config ? config : CONFIG_FILE, &d);
	if (cfg) {
		warn_expired(cfg, &d);
		config_warn_private(cfg, &d);
		rules_check(cfg, &d);
	}
	in_files = d.errors;
	if (cfg && command_option(&a, "host"))
		hostcheck(cfg, &d);
	cmd_check_say(&d, command_option(&a, "json"));
	status = in_files ? EXIT_USAGE : d.errors ? EXIT_NO : EXIT_YES;
	diags_free(&d);
	config_free(cfg);
	return status;
}
