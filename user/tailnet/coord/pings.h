/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_PINGS_H
#define SLUICE_TAILNET_PINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/clock.h"
#include "user/base/url.h"

/*
 * The server's pings: each names an address that wants a HEAD request, which shows that
 * we are there (headscale chooses the primary of two routers by it). What a server may ask
 * for by them is bounded: how often, how many at a time, for how long, and of whom.
 * Pure; times are monotonic ns.
 */
#define PINGS_MAX      2		 /* inside the session at a time: its streams are few */
#define PING_PATIENCE  (15 * NS_PER_SEC) /* as tailscaled has */
#define PINGS_INTERVAL NS_PER_SEC	 /* one so often, on average */
#define PINGS_BURST    8

struct pings {
	struct url last; /* servers send one again until it is answered: that is the same ping */
	bool last_inside;
	uint64_t paid; /* the ones answered are paid for until then */
	struct {
		int32_t stream; /* 0: free */
		uint64_t deadline;
	} waiting[PINGS_MAX];
};

/* Whether this one is to be answered now; @inside: the session. */
bool pings_take(struct pings *p, const struct url *url, bool inside, uint64_t now);
/* One that was taken could not be sent: the server's next try of the same is to be answered. */
void pings_failed(struct pings *p);
/* What waits for its answer inside the session. */
void pings_sent(struct pings *p, int32_t stream, uint64_t now);
void pings_closed(struct pings *p, int32_t stream);	    /* any stream that has ended */
int32_t pings_overdue(const struct pings *p, uint64_t now); /* 0: none; cancel it */
uint64_t pings_next(const struct pings *p);

/*
 * Whom a server may have us speak with outside of the session: its own host, by the port of
 * ours or the usual ones; another (server_url may be another name than login_server) only as
 * one that shows a certificate for its name. Nobody else's machine hears more than a TLS hello.
 */
enum ping_target { PING_REFUSED, PING_OWN, PING_CERTIFIED };

enum ping_target ping_target(const struct url *server, const struct url *to);

#endif
