/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's clock, by ours (server_clock.h). */
#include "server_clock.h"

bool server_clock_is_time(int64_t server)
{
	return server >= SERVER_CLOCK_EPOCH && server < SERVER_CLOCK_END;
}

void server_clock_heard(struct server_clock *c, int64_t server, int64_t boot)
{
	if (server_clock_is_time(server))
		c->ahead = server - boot;
}

int64_t server_clock_now(const struct server_clock *c, int64_t wall, int64_t boot)
{
	int64_t there = c->ahead + boot;
	int64_t off = wall > there ? wall - there : there - wall;

	return c->ahead && off > SERVER_CLOCK_TOLERANCE ? there : wall;
}
