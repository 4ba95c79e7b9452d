/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HISTORY_H
#define SLUICE_HISTORY_H

#include <stdint.h>

#include "bpf/contract.h"

/*
 * What "now" and "in the last minute" mean in `sluice status`: a sample of the
 * counters at the start and every second, kept for a minute. Counters only grow; a smaller one
 * (maps that were made anew) starts the history again. Pure.
 */
#define HISTORY_SECONDS 60
#define HISTORY_NOW	5 /* seconds that a rate is the mean of */

struct history_sample {
	uint64_t ns; /* monotonic */
	struct traffic out, in;
	uint64_t drops[DROP_MAX];
};

struct history { /* all zero at start */
	struct history_sample ring[HISTORY_SECONDS + 1];
	unsigned n, last;
};

struct history_rate { /* a second */
	uint64_t bits_out, bits_in, packets;
};

/* Call about once a second; what comes sooner than half a second is ignored. */
void history_add(struct history *h, const struct history_sample *s);
struct history_rate history_rate(const struct history *h);
/* Drops of each reason since the sample of a minute ago, or the oldest there is; @now: the counters of this moment. */
void history_drops(const struct history *h, const uint64_t now[DROP_MAX], uint64_t out[DROP_MAX]);

#endif
