/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a netmap counts without the server's word (confirmation.h). */
#include "confirmation.h"

uint64_t confirmation_spent(const struct confirmation *c, uint64_t now)
{
	return c->spent + (c->since && now > c->since ? now - c->since : 0);
}

void confirmation_state(struct confirmation *c, enum wire_state state, uint64_t now)
{
	switch (state) {
	case WIRE_STATE_UNREADABLE:
	case WIRE_STATE_REFUSED:
	case WIRE_STATE_LOGIN:
	case WIRE_STATE_EXPIRED:
		c->since = c->since ? c->since : now;
		return;
	case WIRE_STATE_OFFLINE: /* a server that is away does not say who is still there, either */
		c->spent = confirmation_spent(c, now);
		c->since = 0;
		return;
	case WIRE_STATE_CONNECTED:
	case WIRE_STATE_APPROVAL:
	case WIRE_STATE_LOGGED_OUT:
		*c = (struct confirmation){0};
		return;
	default: /* under way */
		return;
	}
}

enum confirmation_due confirmation_due(struct confirmation *c, uint64_t now)
{
	if (now < confirmation_next(c))
		return CONFIRMATION_FINE;
	c->done++;
	return c->done;
}

uint64_t confirmation_next(const struct confirmation *c)
{
	static const uint64_t after[] = {
		[CONFIRMATION_FINE] = CONFIRMATION_LOUD,
		[CONFIRMATION_SAY] = CONFIRMATION_MAX,
	};

	if (!c->since || c->done == CONFIRMATION_GIVE_UP)
		return UINT64_MAX;
	return c->since + (after[c->done] > c->spent ? after[c->done] - c->spent : 0);
}

bool confirmation_is_lost(const struct confirmation *c)
{
	return c->done == CONFIRMATION_GIVE_UP;
}
