/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_VIEW_H
#define SLUICE_VIEW_H

#include "user/answers/report.h"
#include "user/gateway/egress.h"
#include "user/gateway/parts.h"

#define NOTES_MAX 16

/* One report's worth of what the gateway knows; the source points into it. */
struct view {
	const struct parts *p;
	struct report_source source;
	struct report_egress egress[MAX_POOLS];
	struct report_egress_address addresses[MAX_POOLS][EGRESS_POOL_MAX];
	struct addr tunnel[MAX_TUNNEL_ADDR];
	struct traffic totals[TOTAL_MAX];
	uint64_t drops[DROP_MAX];
	struct report_tailnet tailnet;
	char relay[64]; /* of the last client */
	char note_text[NOTES_MAX][512];
	const char *notes[NOTES_MAX];
	size_t left_out; /* notes beyond them */
};

/* Gathers all of it, for a report that is made before the next event. */
void view_open(struct view *v, const struct parts *p);

#endif
