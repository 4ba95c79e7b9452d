/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells the server about us until it has confirmed it (announce.h). */
#include "announce.h"

bool announce_wants(const struct announcement *a, uint64_t now)
{
	return !a->stream && now >= (a->due ? a->deadline : a->again);
}

void announce_sent(struct announcement *a, int32_t stream, uint64_t now)
{
	a->due = false;
	a->stream = stream;
	a->status = 0;
	a->deadline = now + ANNOUNCE_TIMEOUT;
}

void announce_failed(struct announcement *a, uint64_t again)
{
	a->due = true;
	a->stream = 0;
	a->failures++;
	a->deadline = again;
}

void announce_told(struct announcement *a, uint64_t now)
{
	a->stream = 0;
	a->failures = 0;
	a->deadline = 0;
	a->again = now + ANNOUNCE_AGAIN;
}

bool announce_timed_out(const struct announcement *a, uint64_t now)
{
	return a->stream && now >= a->deadline;
}

uint64_t announce_next(const struct announcement *a)
{
	return a->due || a->stream ? a->deadline : a->again;
}
