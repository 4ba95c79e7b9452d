/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_ROSTER_H
#define SLUICE_TAILNET_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/netmap/netmap.h"
#include "wire.h"

/*
 * A netmap as messages, and messages as a netmap. The network process tells its
 * netmap with roster_tell(); the gateway puts the same together in a roster and
 * keeps it on disk in the same form. Pure.
 */
struct teller {
	void (*tell)(void *ctx, const struct wire_message *m); /* @m is borrowed */
	void *ctx;
};

/* Tells what has changed since netmap_settle(), @all: everything there is. One
 * transaction, or nothing at all when there is nothing to tell. */
void roster_tell(const struct netmap *m, bool all, const struct teller *t);

struct roster {
	struct netmap map; /* read it; what has changed is marked until netmap_settle() */
	/* the transaction under way */
	struct netmap_update *update; /* NULL: none */
	bool has_rules;
};

enum roster_result {
	ROSTER_MORE,	/* taken, nothing has happened yet */
	ROSTER_CHANGED, /* a transaction has ended: look at map */
	ROSTER_REFUSED, /* does not belong here; the transaction is given up */
};

/* Takes one of the messages WIRE_MAP_BEGIN to WIRE_MAP_END; what it needs of @m is moved out. */
enum roster_result roster_take(struct roster *r, struct wire_message *m);
void roster_abandon(struct roster *r); /* the transaction, if any */
void roster_free(struct roster *r);

/* The map as bytes for the disk: BE32 length and message, again and again. Freed by the caller. */
uint8_t *roster_save(const struct roster *r, size_t *len);
/* False: not what roster_save() wrote; the roster is as before. */
bool roster_load(struct roster *r, const uint8_t *bytes, size_t len);

#endif
