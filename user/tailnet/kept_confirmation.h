/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_KEPT_CONFIRMATION_H
#define SLUICE_TAILNET_KEPT_CONFIRMATION_H

#include "user/tailnet/confirmation.h"

/*
 * The hour for which a netmap counts without the server's word (confirmation.h), kept on disk: whoever makes us start
 * again, or waits until we do, gains no other hour by it. Each start costs a minute of it, the most that was not
 * written.
 */
#define CONFIRMATION_KEEP  (60 * NS_PER_SEC)  /* it is written so often, */
#define CONFIRMATION_GRACE (300 * NS_PER_SEC) /* and this is left of it where that cannot be read */

struct kept_confirmation {
	const char *folder, *server; /* borrowed */
	struct confirmation now;
	uint64_t on_disk; /* ns that went by; 0: there is no file */
	uint64_t keep_at; /* not written before; monotonic ns */
};

void kept_confirmation_open(struct kept_confirmation *k, const char *folder, const char *server);
/* Says and writes what is due; true: the netmap counts no longer, from now on. */
bool kept_confirmation_tick(struct kept_confirmation *k, uint64_t now);
/* When to tick again; UINT64_MAX: not by itself. */
uint64_t kept_confirmation_next(const struct kept_confirmation *k);
void kept_confirmation_close(struct kept_confirmation *k, uint64_t now); /* writes what has waited */

#endif
