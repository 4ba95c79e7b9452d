/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_SERVER_CLOCK_H
#define SLUICE_TAILNET_SERVER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What time it is where keys expire. The server says it with what it sends (ControlTime);
 * from then on it goes by a clock that nobody sets (CLOCK_BOOTTIME), so that a wrong clock of
 * ours, and one that is set right, cut nobody off and keep nobody in. While the two agree
 * ours is used, which goes on where time stood still (a machine that was suspended and
 * restored). Until the server has said something ours is all there is. Pure; seconds.
 */
#define SERVER_CLOCK_TOLERANCE 60		     /* as tailscaled has */
#define SERVER_CLOCK_EPOCH     INT64_C(1735689600)   /* 2025: a server whose clock is before it has none */
#define SERVER_CLOCK_END       INT64_C(253402300800) /* the year 10000: what is later is no time that was told */

struct server_clock {
	int64_t ahead; /* of the time since boot; 0: not known */
};

/* Is it a time that a server may say? */
bool server_clock_is_time(int64_t server);
/* The server has said that it is @server, Unix time, @boot seconds after boot. */
void server_clock_heard(struct server_clock *c, int64_t server, int64_t boot);
/* Unix time there, when it is @wall on our clock. */
int64_t server_clock_now(const struct server_clock *c, int64_t wall, int64_t boot);

#endif
