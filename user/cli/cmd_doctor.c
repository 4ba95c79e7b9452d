/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: runs all checks and shows what they found.
 */
#include <stdlib.h>

#include "command_ask.h"
#include "user/config/config_private.h"
#include "user/control/control.h"
#include "user/doctor/doctor.h"
#include "user/gateway/rules.h"
#include "user/print/print.h"
#include "user/base/exit.h"

/* Every mistake is a check of its own. Frees @d. */
static void say_mistakes(struct doctor *doctor, const char *check, const char *file, struct diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct diag_at *at = &d->list[i].at;
		char place[32] = "";

		if (at->line)
			snprintf(place, sizeof(place), ":%u:%u", at->line, at->column);
		doctor_say(doctor, check, d->list[i].level == DIAG_WARNING ? DOCTOR_WARN : DOCTOR_FAIL, NULL,
			   "%s%s: %s", at->file ? at->file : file, place, d->list[i].text);
	}
	diags_free(d);
}

/* NULL when it cannot be read. */
static struct config *check_config(struct doctor *doctor, const char *file)
{
	struct diags d = {0}, policy = {0};
	struct config *cfg = config_load(file, &d);

	if (cfg) {
		doctor_say(doctor, "config", DOCTOR_OK, NULL, "%s", file);
		config_warn_private(cfg, &d);
		rules_check(cfg, &policy);
		say_mistakes(doctor, "policy", cfg->policy ? cfg->policy : file, &policy);
	}
	say_mistakes(doctor, "config", file, &d);
	return cfg;
}

/* The answer of the gateway; NULL, which is said, when it does not run. */
static json_t *ask_gateway(struct doctor *doctor, const struct command_args *a, const char *verb)
{
	char *path = ask_socket(a), *error = NULL;
	json_t *status = NULL;
	int answer = control_call(path, verb, NULL, &status, &error);

	if (answer != EXIT_YES) {
		doctor_say(doctor, "gateway", DOCTOR_FAIL,
			   answer == EXIT_NOT_RUNNING ? "sluice run, or systemctl start sluice" : NULL, "%s",
			   error ? error : "does not answer");
		json_decref(status);
		status = NULL;
	}
	free(error);
	free(path);
	return status;
}

static void check_running(struct doctor *doctor, const struct command_args *a, const struct config *cfg)
{
	json_t *status = ask_gateway(doctor, a, "status"), *clients = NULL;

	doctor_firewall(doctor, cfg, field_number(json_object_get(status, "clients"), "active") > 0);
	doctor_tailnet(doctor, cfg, status);
	if (status) {
		doctor_gateway(doctor, cfg, status);
		clients = cfg->tailnet.node ? NULL : ask_gateway(doctor, a, "clients");
		doctor_clients(doctor, clients);
	}
	json_decref(clients);
	json_decref(status);
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor doctor = {.checks = json_array()};
	struct command_args a;
	struct config *cfg;
	const char *file;

	if (!command_parse(argc, argv, &a)) {
		json_decref(doctor.checks);
		return EXIT_USAGE;
	}
	file = command_option(&a, "config");
	cfg = check_config(&doctor, file ? file : CONFIG_FILE);
	doctor_machine(&doctor, cfg);
	if (cfg) {
		doctor_network(&doctor, cfg);
		doctor_outside(&doctor, cfg);
		if (command_option(&a, "cloud"))
			doctor_cloud(&doctor, cfg);
		check_running(&doctor, &a, cfg);
	}
	ask_show(&a, json_pack("{s:i, s:o}", "schema", 1, "checks", doctor.checks), doctor_show);
	config_free(cfg);
	return doctor.failed ? EXIT_NO : EXIT_YES;
}
