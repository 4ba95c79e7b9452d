/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PARTS_H
#define SLUICE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

struct change;
struct changes;
struct client;
struct control;
struct egress_state;
struct rates;
struct hooks;
struct host;
struct origin;
struct probing;
struct running;
struct site;
struct tunnel;
struct ways;

/*
 * The running gateway as the handlers of commands have it (control.h): its parts to look at, and what may be done. A
 * handler includes the headers of those parts that it is about.
 */
struct parts {
	const struct site *site;
	const struct running *running;
	const struct tunnel *tunnel;
	const struct egress_state *egress;
	const struct ways *ways;
	const struct hooks *hooks;
	const struct host *host;
	const struct rates *rates;
	const struct origin *origin;
	uint64_t started; /* monotonic ns */

	struct probing *probing;
	struct changes *changes;
	struct control *control;
	void *ctx;
	/* Ends a client's sessions and flows; it may come again at once. NULL: no client has this name. */
	const struct client *(*kick)(void *ctx, const char *name);
	/* The same, and forgets its greatest timestamp, for a client whose clock was set back. */
	const struct client *(*reset)(void *ctx, const char *name);
	struct change *(*reload)(void *ctx, bool dry);
	void (*down)(void *ctx); /* stops, and leaves nothing behind */
};

#endif
