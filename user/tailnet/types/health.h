/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_HEALTH_H
#define SLUICE_TAILNET_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "json_fields.h"

/*
 * What the server thinks is wrong with this node, or wants somebody to know: its Health, a
 * list, or its newer DisplayMessages, each with an id, which come as changes. For people
 * only; one of a wrong form is left out, and costs nobody the netmap. Pure.
 */
#define HEALTH_MAX	 16   /* that are kept, the first ones */
#define REMARKS_SAID_MAX 1024 /* in one message: of those that are over as many may come before one of ours */
#define HEALTH_TEXT_MAX	 511  /* bytes, without its terminator */

enum health_severity { HEALTH_LOW, HEALTH_MEDIUM, HEALTH_HIGH, HEALTH_SEVERITIES };

struct health_message {
	char *id;
	enum health_severity severity;
	char *text; /* one line, escaped; NULL, in a change: it is over */
};

struct health { /* in the order of their arrival */
	struct health_message *v;
	size_t n;
};

struct health_change {
	bool clear; /* before those below */
	struct health list;
};

/* What a message of the netmap says of them. */
void health_read(const json_t *message, struct health_change *out);
/* And that somebody should open a page (PopBrowserURL), which any message may. */
void health_read_page(const json_t *message, struct health_change *out);
/* One of our own making. @text: raw; NULL: it is over. */
void health_add(struct health *list, const char *id, enum health_severity severity, const char *text);
/* Moves them out of @change. True: it has changed something. */
bool health_apply(struct health *to, struct health_change *change);
bool health_equal(const struct health *a, const struct health *b); /* ids apart */
void health_free(struct health *list);				   /* leaves it empty */

const char *health_severity_name(enum health_severity s); /* "high" */

#endif
