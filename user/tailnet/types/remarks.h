/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_REMARKS_H
#define SLUICE_TAILNET_REMARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "json_fields.h"

/*
 * What the server thinks is wrong with this node, or wants somebody to know: its Health, a
 * list, or its newer DisplayMessages, each with an id, which come as changes. For people
 * only; one of a wrong form is left out, and costs nobody the netmap. Pure.
 */
#define REMARKS_MAX	 16   /* that are kept, the first ones */
#define REMARKS_SAID_MAX 1024 /* in one message: of those that are over as many may come before one of ours */
#define REMARK_TEXT_MAX	 511  /* bytes, without its terminator */

enum remark_severity { REMARK_LOW, REMARK_MEDIUM, REMARK_HIGH, REMARK_SEVERITIES };

struct remark {
	char *id;
	enum remark_severity severity;
	char *text; /* one line, escaped; NULL, in a change: it is over */
};

struct remarks { /* in the order of their arrival */
	struct remark *v;
	size_t n;
};

struct remarks_change {
	bool clear; /* before those below */
	struct remarks list;
};

/* What a message of the netmap says of them. */
void remarks_read(const json_t *message, struct remarks_change *out);
/* And that somebody should open a page (PopBrowserURL), which any message may. */
void remarks_read_page(const json_t *message, struct remarks_change *out);
/* One of our own making. @text: raw; NULL: it is over. */
void remarks_add(struct remarks *list, const char *id, enum remark_severity severity, const char *text);
/* Moves them out of @change. True: it has changed something. */
bool remarks_apply(struct remarks *to, struct remarks_change *change);
bool remarks_equal(const struct remarks *a, const struct remarks *b); /* ids apart */
void remarks_free(struct remarks *list);			      /* leaves it empty */

const char *remark_severity_name(enum remark_severity s); /* "high" */

#endif
