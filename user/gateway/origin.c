/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of the configuration's own: it says all there is to know, and the host's clock says when they expire. */
#include "origin.h"

#include "policy/addr.h"
#include "user/wireguard/messages.h"
#include "user/base/clock.h"

static bool origin_open(struct origin *o, const struct origin_host *host, char *error, size_t size)
{
	return true;
}

static void origin_nothing(void *o)
{
}

static bool origin_waits(const void *o)
{
	return false;
}

static uint64_t origin_never(void *o)
{
	return UINT64_MAX;
}

static int64_t origin_host_time(const void *o)
{
	return (int64_t)(clock_wall() / NS_PER_SEC);
}

static bool origin_revokes_none(const void *o, const struct config_client *c)
{
	return false;
}

static void origin_place_nowhere(void *o, const struct client *c)
{
}

static void origin_configure_nothing(const void *o, struct config *next)
{
}

static void origin_ignore_unrouted(void *o, const struct addr *dst)
{
}

static bool origin_report_none(void *o, struct report_tailnet *out)
{
	return false;
}

static void origin_no_primary(const void *o, struct report_route *route)
{
}

static bool origin_no_relay(const void *o, uint16_t region, char *name, size_t size)
{
	*name = 0;
	return false;
}

const struct origin_ops origin_configuration = {
	.open = origin_open,
	.begin = origin_nothing,
	.forward = origin_nothing,
	.waits = origin_waits,
	.tick = origin_never,
	.second = origin_nothing,
	.close = origin_nothing,
	.time = origin_host_time,
	.revokes = origin_revokes_none,
	.place = origin_place_nowhere,
	.configure = origin_configure_nothing,
	.reloaded = origin_nothing,
	.unrouted = origin_ignore_unrouted,
	.report = origin_report_none,
	.primary = origin_no_primary,
	.relay_away = origin_no_relay,
};
