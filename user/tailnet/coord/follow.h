/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_FOLLOW_H
#define SLUICE_TAILNET_FOLLOW_H

#include "announce.h"
#include "user/tailnet/transport/ts2021.h"
#include "coord.h"
#include "user/tailnet/netmap/netmap.h"
#include "ourselves.h"
#include "pings.h"

/*
 * Following the netmap, when we are registered: what the server says of others goes
 * to the gateway, what changes on our side goes to the server, its pings are answered.
 * The netmap stays when the channel is gone. Part of the session (coord.c). Pure.
 */
enum follow_end { /* why it cannot be followed any more */
		  FOLLOW_ON,
		  FOLLOW_LOCKED,    /* tailnet lock */
		  FOLLOW_SENT_AWAY, /* the server wants us to end */
		  FOLLOW_UNKNOWN,   /* the server does not know us: we were deleted */
		  FOLLOW_GARBLED,   /* something is wrong with a message: error */
};

struct follow {
	const struct coord_ops *ops; /* of the session */
	void *ctx;
	const struct ourselves *self;
	struct ts2021 *ts2021;	  /* borrowed; NULL: not following */
	bool current;		  /* the whole netmap has come; its changes follow */
	enum wire_state standing; /* as last told while it was current; WIRE_STATES: not yet */
	char said[WIRE_TEXT_MAX + 1];
	struct netmap_stream stream;
	struct netmap map;
	struct announcement announcement;
	struct pings pings;
	uint64_t now; /* of the call that is being answered */
	enum follow_end end;
	char error[NETMAP_ERROR];
};

/* Returns the stream whose answer is the netmap; -1: cannot be asked for. */
int32_t follow_start(struct follow *f, struct ts2021 *channel);
void follow_stop(struct follow *f);
void follow_free(struct follow *f);

/* A part of that answer. False: it cannot be followed, @f says why. */
bool follow_receive(struct follow *f, const uint8_t *bytes, size_t len, uint64_t now);

/* What becomes of the other requests. False: it cannot be followed, @f says why. */
void follow_status(struct follow *f, int32_t stream, int status);
bool follow_closed(struct follow *f, int32_t stream, bool whole, uint64_t now);

/* Something has changed on our side. */
void follow_changed(struct follow *f);
/* Sends what is due; returns when to call again. */
uint64_t follow_tick(struct follow *f, uint64_t now);

/* Tells the gateway what has changed; @all: everything. */
void follow_tell(struct follow *f, bool all);

#endif
