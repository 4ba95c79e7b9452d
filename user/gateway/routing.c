/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's routes to the clients' addresses: one by the TAP, and behind it one that is unreachable, so that packets
 * for a client never leave by the default route when the TAP is not there. What the kernel refused is told and tried
 * again: a route that stays would lead packets of the address's next owner astray.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "routing.h"
#include "policy/alloc.h"
#include "user/base/log.h"
#include "user/kernel/ipv6.h"

#define ROUTING_ROUTES_EACH 2

static const enum netlink_route routing_kinds[ROUTING_ROUTES_EACH] = {NETLINK_ROUTE_UNREACHABLE, NETLINK_ROUTE_DEVICE};

/* 0 or -errno of the first failure; the other route is changed all the same. */
static int routing_change(const struct site *s, const struct prefix *p, bool add)
{
	int err = 0;

	for (size_t i = 0; i < ROUTING_ROUTES_EACH; i++) {
		int ifindex = routing_kinds[i] == NETLINK_ROUTE_DEVICE ? s->device->tap.ifindex : 0;
		int one = add ? netlink_route_add(s->netlink, p, routing_kinds[i], ifindex)
			      : netlink_route_delete(s->netlink, p, routing_kinds[i], ifindex);

		if (!addr_is_v4(&p->addr) && ipv6_refused(one)) /* routed once the family is on: tunnel_follow() */
			one = 0;
		err = err ?: one;
	}
	return err;
}

/* The place of @p among those that are tried again; routing.n: it is not there. */
static size_t routing_place(const struct routing *r, const struct prefix *p)
{
	size_t i = 0;

	while (i < r->n && prefix_cmp(&r->again[i].prefix, p))
		i++;
	return i;
}

/* Tries again what the last call wanted of @p. */
static void routing_want(struct routing *r, const struct site *s, const struct prefix *p, bool add)
{
	size_t i = routing_place(r, p);
	char text[ADDR_STRLEN];
	int err = routing_change(s, p, add);

	if (!err && i < r->n)
		r->again[i] = r->again[--r->n];
	if (!err)
		return;
	log_error("client address %s: its route cannot be %s (%s): trying again", prefix_str(p, text),
		  add ? "added" : "removed",
		  err == -EEXIST ? "another one leads there: ip route get shows it" : strerror(-err));
	if (i == r->n)
		r->again = mem_grow(r->again, r->n++, sizeof(*r->again));
	r->again[i] = (struct routing_again){*p, add};
}

void routing_add(struct routing *r, const struct site *s, const struct prefix *p)
{
	routing_want(r, s, p, true);
}

void routing_remove(struct routing *r, const struct site *s, const struct prefix *p)
{
	routing_want(r, s, p, false);
}

void routing_retry(struct routing *r, const struct site *s)
{
	for (size_t i = r->n; i-- > 0;)
		if (!routing_change(s, &r->again[i].prefix, r->again[i].add))
			r->again[i] = r->again[--r->n];
}

void routing_close(struct routing *r)
{
	free(r->again);
	*r = (struct routing){0};
}
