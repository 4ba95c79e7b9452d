/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's routes to the clients' addresses: one by the TAP, and behind it one that is unreachable, so that packets
 * for a client never leave by the default route when the TAP is not there. What the kernel refused is told and tried
 * again: a route that stays would lead packets of the address's next owner astray.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "policy/alloc.h"
#include "user/base/log.h"

#define ROUTING_ROUTES_EACH 2

static const enum netlink_route routing_kinds[ROUTING_ROUTES_EACH] = {NETLINK_ROUTE_UNREACHABLE, NETLINK_ROUTE_DEVICE};

/* 0 or -errno of the first failure; the other route is changed all the same. */
static int routing_change(struct gateway *g, const struct prefix *p, bool add)
{
	int err = 0;

	for (size_t i = 0; i < ROUTING_ROUTES_EACH; i++) {
		int ifindex = routing_kinds[i] == NETLINK_ROUTE_DEVICE ? g->device.tap.ifindex : 0;
		int one = add ? netlink_route_add(&g->netlink, p, routing_kinds[i], ifindex)
			      : netlink_route_delete(&g->netlink, p, routing_kinds[i], ifindex);

		err = err ?: one;
	}
	return err;
}

/* The place of @p among those that are tried again; routing.n: it is not there. */
static size_t routing_place(const struct gateway *g, const struct prefix *p)
{
	size_t i = 0;

	while (i < g->routing.n && memcmp(&g->routing.again[i].prefix, p, sizeof(*p)))
		i++;
	return i;
}

/* What the last call wanted of @p is what is tried again. */
static void routing_want(struct gateway *g, const struct prefix *p, bool add)
{
	size_t i = routing_place(g, p);
	char text[ADDR_STRLEN];
	int err = routing_change(g, p, add);

	if (!err && i < g->routing.n)
		g->routing.again[i] = g->routing.again[--g->routing.n];
	if (!err)
		return;
	log_error("client address %s: its route cannot be %s (%s): trying again", prefix_str(p, text),
		  add ? "added" : "removed",
		  err == -EEXIST ? "another one leads there: ip route get shows it" : strerror(-err));
	if (i == g->routing.n)
		g->routing.again = mem_grow(g->routing.again, g->routing.n++, sizeof(*g->routing.again));
	g->routing.again[i] = (struct routing_again){*p, add};
}

void routing_add(struct gateway *g, const struct prefix *p)
{
	routing_want(g, p, true);
}

void routing_remove(struct gateway *g, const struct prefix *p)
{
	routing_want(g, p, false);
}

void routing_retry(struct gateway *g)
{
	for (size_t i = g->routing.n; i-- > 0;)
		if (!routing_change(g, &g->routing.again[i].prefix, g->routing.again[i].add))
			g->routing.again[i] = g->routing.again[--g->routing.n];
}

void routing_close(struct gateway *g)
{
	free(g->routing.again);
	g->routing = (struct routing){0};
}
