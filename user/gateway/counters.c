/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of programs and workers, added up and remembered for a while (rates.h). */
#include "counters.h"
#include "user/base/clock.h"

void counters_drops(const struct site *s, uint64_t out[DROP_MAX])
{
	uint64_t own[DROP_MAX];

	maps_drops(s->maps, out);
	device_drops(s->device, own);
	for (int i = 0; i < DROP_MAX; i++)
		out[i] += own[i];
}

void counters_sample(struct rates *h, const struct site *s)
{
	struct rates_sample sample = {.ns = clock_now()};
	struct traffic totals[TOTAL_MAX];

	if (maps_totals(s->maps, totals))
		return;
	sample.out = totals[TOTAL_OUT];
	sample.in = totals[TOTAL_IN];
	counters_drops(s, sample.drops);
	rates_add(h, &sample);
}
