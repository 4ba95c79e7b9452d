/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a netmap counts without the server's word (confirmation.h). */
#include "confirmation.h"

void confirmation_state(struct confirmation *c, enum wire_state state, uint64_t now)
{
	switch (state) {
	case WIRE_STATE_UNREADABLE:
	case WIRE_STATE_REFUSED:
	case WIRE_STATE_LOGIN:
	case WIRE_STATE_EXPIRED:
		c->missing = c->missing ? c->missing : now;
		return;
	case WIRE_STATE_OFFLINE:
		if (confirmation_is_lost(c)) /* nor does a server that is away say who is still there */
			return;
		*c = (struct confirmation){0};
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
	if (!c->missing || now < confirmation_next(c))
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

	return !c->missing || c->done == CONFIRMATION_GIVE_UP ? UINT64_MAX : c->missing + after[c->done];
}

bool confirmation_is_lost(const struct confirmation *c)
{
	return c->done == CONFIRMATION_GIVE_UP;
}
