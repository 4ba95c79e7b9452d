/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CONFIRMATION_H
#define SLUICE_TAILNET_CONFIRMATION_H

#include <stdbool.h>
#include <stdint.h>

#include "user/tailnet/ipc/wire.h"
#include "user/base/clock.h"

/*
 * For how long a netmap counts that the server does not confirm. While the server is away, peers are served as they
 * were, for as long as that takes, as all nodes of a tailnet do. But a server that answers and whose netmap cannot be
 * followed (it cannot be read, it is refused to us, somebody has to log in first) may have removed somebody: after
 * an hour of that nobody is served until it can be followed again. What has gone by of the hour is forgotten with the
 * server's word only: while the server is away it stands still, and it goes on after a restart. Pure.
 */
#define CONFIRMATION_LOUD (60 * NS_PER_SEC)
#define CONFIRMATION_MAX  (3600 * NS_PER_SEC)

enum confirmation_due { CONFIRMATION_FINE, CONFIRMATION_SAY, CONFIRMATION_GIVE_UP };

struct confirmation {	/* zero initialised: the netmap is as the server has it, as far as we know */
	uint64_t spent; /* of the hour, before @since */
	uint64_t since; /* it goes by since then; 0: it stands still */
	enum confirmation_due done;
};

/* How we stand with the server now. */
void confirmation_state(struct confirmation *c, enum wire_state state, uint64_t now);
/* What is to be done now; each once. */
enum confirmation_due confirmation_due(struct confirmation *c, uint64_t now);
/* When to ask again; UINT64_MAX: not by itself. */
uint64_t confirmation_next(const struct confirmation *c);
/* How long the server did not confirm it, though it was there. */
uint64_t confirmation_spent(const struct confirmation *c, uint64_t now);
/* It was given up, and has not come again. */
bool confirmation_is_lost(const struct confirmation *c);

#endif
