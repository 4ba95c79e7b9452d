/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_NETMAP_COPY_H
#define SLUICE_TAILNET_NETMAP_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/netmap/netmap.h"
#include "wire.h"

/*
 * A netmap as messages, and messages as a netmap. The network process tells its
 * netmap with netmap_copy_tell(); the gateway puts the same together in a roster and
 * keeps it on disk in the same form. Pure.
 */
struct teller {
	void (*tell)(void *ctx, const struct wire_message *m); /* @m is borrowed */
	void *ctx;
};

/* Tells what has changed since netmap_settle(), @all: everything there is. One
 * transaction, or nothing at all when there is nothing to tell. */
void netmap_copy_tell(const struct netmap *m, bool all, const struct teller *t);

struct netmap_copy {
	struct netmap map; /* read it; what has changed is marked until netmap_settle() */
	/* the transaction under way */
	struct netmap_update *update; /* NULL: none */
	bool has_rules;
};

enum netmap_copy_result {
	NETMAP_COPY_MORE,    /* taken, nothing has happened yet */
	NETMAP_COPY_CHANGED, /* a transaction has ended: look at map */
	NETMAP_COPY_REFUSED, /* does not belong here; the transaction is given up */
};

/* Takes one of the messages WIRE_MAP_BEGIN to WIRE_MAP_END; what it needs of @m is moved out. */
enum netmap_copy_result netmap_copy_take(struct netmap_copy *r, struct wire_message *m);
void netmap_copy_abandon(struct netmap_copy *r); /* the transaction, if any */
void netmap_copy_free(struct netmap_copy *r);

/* The map as bytes for the disk: BE32 length and message, again and again. Freed by the caller. */
uint8_t *netmap_copy_save(const struct netmap_copy *r, size_t *len);
/* False: not what netmap_copy_save() wrote; the roster is as before. */
bool netmap_copy_load(struct netmap_copy *r, const uint8_t *bytes, size_t len);

#endif
