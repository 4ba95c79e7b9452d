/* SPDX-License-Identifier: BSD-2-Clause */
/* How our relays stand (relay_states.h). */
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "relay_states.h"

static struct wire_relay_state *relay_states_at(struct relay_states *r, uint16_t region)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].region == region)
			return &r->v[i];
	return NULL;
}

const struct wire_relay_state *relay_states_find(const struct relay_states *r, uint16_t region)
{
	return relay_states_at((struct relay_states *)r, region);
}

static bool is_same(const struct wire_relay_state *a, const struct wire_relay_state *b)
{
	return a->state == b->state && conn_error_equal(&a->why, &b->why) && !strcmp(a->host, b->host ? b->host : "");
}

bool relay_states_take(struct relay_states *r, const struct wire_relay_state *s)
{
	struct wire_relay_state *at = relay_states_at(r, s->region);

	if (s->state == WIRE_RELAY_LEFT) {
		if (!at)
			return false;
		free(at->host);
		*at = r->v[--r->n];
		return true;
	}
	if ((at && is_same(at, s)) || (!at && r->n == RELAY_STATES_MAX))
		return false;
	if (!at)
		at = &r->v[r->n++];
	else
		free(at->host);
	*at = *s;
	at->host = mem_strdup(s->host ? s->host : "");
	return true;
}

void relay_states_clear(struct relay_states *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].host);
	r->n = 0;
}
