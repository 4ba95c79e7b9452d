/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_ANNOUNCE_H
#define SLUICE_TAILNET_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "user/base/clock.h"

/*
 * Whether the coordination server knows what we last had to tell of ourselves, and
 * the one request that tells it. An announcement counts as told when it was answered
 * with 200; until then it is told again, after a pause. And it is told again now and then
 * though nothing has changed: whether the server still knows us is in the answer only, for
 * headscale goes on with keep-alives to a node that was deleted. Pure; times are monotonic ns.
 */
#define ANNOUNCE_TIMEOUT (20 * NS_PER_SEC)
#define ANNOUNCE_AGAIN	 (600 * NS_PER_SEC)

struct announcement {
	bool due;	   /* something has changed since the last request */
	int32_t stream;	   /* of the request under way; 0: none */
	int status;	   /* HTTP's, of that */
	unsigned failures; /* in a row */
	uint64_t deadline; /* of the request; without one: what is due is not to be sent before */
	uint64_t again;	   /* when nothing is due: the next is sent then */
};

bool announce_wants(const struct announcement *a, uint64_t now); /* to be sent now */
void announce_sent(struct announcement *a, int32_t stream, uint64_t now);
/* The request is over, or could not be made: all of it is due again at @again. */
void announce_failed(struct announcement *a, uint64_t again);
void announce_told(struct announcement *a, uint64_t now);

bool announce_timed_out(const struct announcement *a, uint64_t now); /* the request; cancel it */
uint64_t announce_next(const struct announcement *a);		     /* when to look again */

#endif
