/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_COORD_H
#define SLUICE_TAILNET_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/types/dial_plan.h"
#include "user/tailnet/ipc/wire.h"
#include "user/base/url.h"

/*
 * The session with the coordination server: fetch its key, connect, register,
 * follow the netmap, tell what changes on our side; and again from the start,
 * after a pause, whenever something breaks. It decides everything and touches
 * nothing: connections are opened and bytes sent by its ops, times and random
 * bytes are given. Times are monotonic nanoseconds.
 */
struct coord;

struct coord_ops { /* must not call back */
	/* Opens the one connection; coord_opened() or coord_closed() follows. @plan: to one of these
	 * addresses; NULL: its name is looked up. */
	void (*open)(void *ctx, const struct url *to, const struct dial_plan *plan);
	void (*send)(void *ctx, const uint8_t *bytes, size_t len);
	/* Closes it, at once; nothing follows. */
	void (*close)(void *ctx);
	/* Sends a plain HEAD request on a connection of its own, if the server may ask for one
	 * there (pings.h); nobody waits for the answer. */
	void (*head)(void *ctx, const struct url *to);
	/* To the gateway. */
	void (*tell)(void *ctx, const struct wire_message *m);
	/* The relays there are now; @m lives until the next call. What is not known of them may be
	 * filled in (addresses of hosts), then or later: coord_relays_filled() tells it to the gateway. */
	void (*relays)(void *ctx, struct derpmap *m);
	void (*random)(void *ctx, void *buf, size_t len);
};

/* Takes @config over. NULL: @error says what is wrong with it. */
struct coord *coord_new(struct wire_config *config, const struct coord_ops *ops, void *ctx, char error[200]);
void coord_free(struct coord *c); /* NULL is fine; wipes */

/* What happened to the connection. */
void coord_opened(struct coord *c, uint64_t now);
void coord_received(struct coord *c, const uint8_t *bytes, size_t len, uint64_t now);
void coord_closed(struct coord *c, const char *why, uint64_t now); /* @why is for people */

/* What the gateway says: WIRE_KEYS, WIRE_ROUTES, WIRE_ENDPOINTS, WIRE_NETINFO, WIRE_LOGOUT,
 * WIRE_RECONNECT; others are ignored. It moves the parts that it needs out of @m. */
void coord_told(struct coord *c, struct wire_message *m, uint64_t now);

void coord_relays_filled(struct coord *c);

/* Does what is due; returns when to call again. */
uint64_t coord_tick(struct coord *c, uint64_t now);

#endif
