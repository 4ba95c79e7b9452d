/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RELAY_STATES_H
#define SLUICE_TAILNET_RELAY_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* How our relays stand, as the network process has told it last. Pure. */
#define RELAY_STATES_MAX 64 /* more are not kept */

struct relay_states {
	struct wire_relay_state v[RELAY_STATES_MAX]; /* never WIRE_RELAY_LEFT */
	size_t n;
};

/* Copies @s. False: nothing new in it, or no room for it. */
bool relay_states_take(struct relay_states *r, const struct wire_relay_state *s);
/* NULL: nothing was said. */
const struct wire_relay_state *relay_states_find(const struct relay_states *r, uint16_t region);
void relay_states_clear(struct relay_states *r); /* what was said is no longer so */

#endif
