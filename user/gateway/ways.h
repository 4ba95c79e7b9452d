/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_WAYS_H
#define SLUICE_WAYS_H

#include "egress.h"

/* Does the host have a way to what is advertised? */
struct ways { /* those to which no pool leads */
	struct way_lost {
		struct prefix route;
		const char *why; /* a sentence, static */
	} *lost;
	size_t n;
};

/* After any change of pools, of the host's routes or ours; what became different is logged. */
void ways_refresh(struct ways *w, const struct site *s, const struct egress_state *egress);
/* Does the kernel lead to some route otherwise than ways_refresh() found? Asks without allocating. */
bool ways_differ(const struct ways *w, const struct site *s, const struct egress_state *egress);
/* Why nothing gets to a route; NULL: it does. */
const char *ways_trouble(const struct ways *w, const struct prefix *route);
/* A line for each reason, of the routes for which it was not so in @was; NULL: of all. */
void ways_each(const struct ways *now, const struct ways *was, void (*each)(void *ctx, const char *line), void *ctx);
void ways_close(struct ways *w);

#endif
