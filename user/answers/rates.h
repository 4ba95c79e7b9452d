/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RATES_H
#define SLUICE_RATES_H

#include <stdint.h>

#include "bpf/contract.h"

/*
 * What "now" and "in the last minute" mean in `sluice status`: a sample of the
 * counters at the start and every second, kept for a minute. Counters only grow; a smaller one
 * (maps that were made anew) starts the history again. Pure.
 */
#define RATES_SECONDS 60
#define HISTORY_NOW   5 /* seconds that a rate is the mean of */

struct rates_sample {
	uint64_t ns; /* monotonic */
	struct traffic out, in;
	uint64_t drops[DROP_MAX];
};

struct rates { /* all zero at start */
	struct rates_sample ring[RATES_SECONDS + 1];
	unsigned n, last;
};

struct rate { /* a second */
	uint64_t bits_out, bits_in, packets;
};

/* Call about once a second; what comes sooner than half a second is ignored. */
void rates_add(struct rates *h, const struct rates_sample *s);
struct rate rates_now(const struct rates *h);
/* Drops of each reason since the sample of a minute ago, or the oldest there is; @now: the counters of this moment. */
void rates_drops(const struct rates *h, const uint64_t now[DROP_MAX], uint64_t out[DROP_MAX]);

#endif
