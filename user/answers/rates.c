/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of the last minute (rates.h): a ring of samples.
 */
#include <stdbool.h>

#include "rates.h"
#include "user/base/clock.h"

#define RING (RATES_SECONDS + 1)

static const struct rates_sample *ago(const struct rates *h, unsigned steps)
{
	return &h->ring[(h->last + RING - steps) % RING];
}

static bool rates_is_older(const struct rates_sample *a, const struct rates_sample *b)
{
	if (a->out.packets > b->out.packets || a->in.packets > b->in.packets)
		return false;
	for (int i = 0; i < DROP_MAX; i++)
		if (a->drops[i] > b->drops[i])
			return false;
	return a->ns < b->ns;
}

void rates_add(struct rates *h, const struct rates_sample *s)
{
	if (h->n && s->ns - ago(h, 0)->ns < 500000000 && s->ns >= ago(h, 0)->ns)
		return;
	if (h->n && !rates_is_older(ago(h, 0), s))
		h->n = 0;
	h->last = (h->last + 1) % RING;
	h->ring[h->last] = *s;
	if (h->n < RING)
		h->n++;
}

/* The newest sample that is at least @seconds older than the last one, or the oldest there is. */
static const struct rates_sample *since(const struct rates *h, uint64_t seconds)
{
	unsigned i = 0;

	while (i + 1 < h->n && ago(h, 0)->ns - ago(h, i)->ns < seconds * NS_PER_SEC)
		i++;
	return ago(h, i);
}

struct rate rates_now(const struct rates *h)
{
	struct rate r = {0};
	const struct rates_sample *old, *new;
	double seconds;

	if (h->n < 2)
		return r;
	new = ago(h, 0);
	old = since(h, HISTORY_NOW);
	seconds = (double)(new->ns - old->ns) / 1e9;
	r.bits_out = (uint64_t)((double)(new->out.bytes - old->out.bytes) * 8 / seconds);
	r.bits_in = (uint64_t)((double)(new->in.bytes - old->in.bytes) * 8 / seconds);
	r.packets =
		(uint64_t)((double)(new->out.packets - old->out.packets + new->in.packets - old->in.packets) / seconds);
	return r;
}

void rates_drops(const struct rates *h, const uint64_t now[DROP_MAX], uint64_t out[DROP_MAX])
{
	const struct rates_sample *old = since(h, RATES_SECONDS);

	for (int i = 0; i < DROP_MAX; i++)
		out[i] = h->n && now[i] > old->drops[i] ? now[i] - old->drops[i] : 0;
}
