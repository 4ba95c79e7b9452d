/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF programs and maps at a start: loaded, or taken over with the flows of the run before. */
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/log.h"

/* Of maps that were replaced: which of their flows live on. */
static void programs_say_carried(const struct maps *m, const char *pins)
{
	const struct maps_carried *c = maps_carried(m);

	if (c->wanted)
		log_warning("%s: no memory for a table of %u flows beside the one that was there, so it has as many as "
			    "that: `sluice down` and a start make the larger one, and live flows end",
			    pins, c->wanted);
	if (!c->layout)
		return;
	if (c->taken == c->flows)
		log_info("%s: maps of layout %u were replaced: all their %u live flows and mappings go on", pins,
			 c->layout, c->flows);
	else if (c->taken)
		log_warning("%s: maps of layout %u were replaced: %u of their %u live flows and mappings go on, the "
			    "others ended: %s",
			    pins, c->layout, c->taken, c->flows,
			    c->error ? strerror(-c->error) : "there was no room for them (nat.flows)");
	else
		log_warning("%s: maps of layout %u were replaced, and their %u flows and mappings ended: %s", pins,
			    c->layout, c->flows,
			    c->error ? strerror(-c->error) : "this program does not read that layout");
}

struct maps *programs_open(const struct config *config, char *error, size_t size)
{
	struct maps_options options = {.pins = config->pins, .flows = config->nat.flows};
	char *why = NULL;
	struct maps *m = maps_open(&options, &why);

	if (!m) {
		snprintf(error, size, "%s", why ? why : "the BPF programs do not load");
		free(why);
		return NULL;
	}
	programs_say_carried(m, config->pins);
	maps_sessions_clear(m);
	return m;
}
