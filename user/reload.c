/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration read again and made true while packets flow. Everything is
 * judged first; what is refused leaves all as it was.
 */
#include <stdio.h>
#include <string.h>

#include "user/gateway.h"
#include "user/log.h"

static int refuse(char **error, int status, struct diags *d, const char *text)
{
	size_t size;
	FILE *out = open_memstream(error, &size);

	if (out) {
		if (d)
			diags_print(d, out, true);
		if (text)
			fputs(text, out);
		fclose(out);
	}
	if (d)
		diags_free(d);
	return status;
}

static int name_restart_keys(const struct config_changes *changes, char **error)
{
	char text[1024] = "needs a restart, nothing was applied:";

	for (size_t i = 0; i < changes->n_restart; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s", i ? "," : "", changes->restart[i]);
	return refuse(error, EXIT_USAGE, NULL, text);
}

int gateway_reload(struct gateway *g, char **error)
{
	struct diags d = {0};
	struct config *next = config_load(g->file, &d);
	struct config_changes changes;

	if (!next)
		return refuse(error, EXIT_USAGE, &d, NULL);
	config_diff(g->config, next, &changes);
	if (changes.n_restart) {
		config_free(next);
		diags_free(&d);
		return name_restart_keys(&changes, error);
	}
	membership_configure(g, next);
	if (!rules_check(g, next, &d)) {
		config_free(next);
		return refuse(error, EXIT_USAGE, &d, NULL);
	}
	if (!clients_apply(g, next)) {
		config_free(next);
		diags_free(&d);
		return refuse(error, EXIT_NO, NULL, "clients were not changed: see the log");
	}
	config_free(g->config);
	g->config = next;
	membership_reloaded(g);
	tunnel_tell(g);
	if (!rules_apply(g, next, &d))
		return refuse(error, EXIT_NO, &d, NULL);
	diags_free(&d);
	log_info("reloaded: %zu clients added, %zu removed, %zu changed", g->clients.added, g->clients.removed,
		 g->clients.changed);
	return EXIT_YES;
}
