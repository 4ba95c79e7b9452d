/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interfaces by which the answers to a pool's addresses may come. What a service sends
 * elsewhere, or a neighbour in its name, is not for a client, whatever rp_filter says. By
 * default it is the interface by which packets leave:
 *
 *   a bond's, bridge's or team's port   and its master, which has what arrives by the port
 *   a VRF                               and its ports, which have what arrives for it
 *   egress.answers_by                   and these: a second uplink, on which answers arrive too
 *
 * Not kept by flow: indices change, and so do uplinks.
 */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "answers_by.h"

/* The programs read Ethernet frames: another device's are none of theirs. */
static void answers_by_add(struct egress_pool *pool, const struct netlink_link *link)
{
	size_t n = 0;

	while (n < MAX_ANSWERS && pool->answers[n] && pool->answers[n] != (unsigned)link->ifindex)
		n++;
	if (n == MAX_ANSWERS)
		pool->answers_left_out = true;
	else if (link->ethernet || link->vrf || link->ifindex == pool->ifindex)
		pool->answers[n] = (unsigned)link->ifindex;
}

static int answers_by_add_ports(const struct site *s, const struct netlink_link *vrf, struct egress_pool *pool)
{
	struct if_nameindex *list = if_nameindex();
	int err = list ? 0 : -errno;

	for (size_t i = 0; !err && list[i].if_index; i++) {
		struct netlink_link port;
		int one = netlink_link(s->netlink, list[i].if_name, &port);

		if (!one && port.master == vrf->ifindex)
			answers_by_add(pool, &port);
		err = one == -ENODEV ? 0 : one;
	}
	if (list) /* NULL crashes it */
		if_freenameindex(list);
	return err;
}

static int add_with_relatives(const struct site *s, const char *name, struct egress_pool *pool)
{
	struct netlink_link link, master;
	int err = netlink_link(s->netlink, name, &link);

	if (err)
		return err == -ENODEV ? 0 : err; /* it may come yet: status says that it is not there */
	answers_by_add(pool, &link);
	if (link.vrf)
		return answers_by_add_ports(s, &link, pool);
	if (!link.port || !link.master)
		return 0;
	err = netlink_link_at(s->netlink, link.master, &master);
	if (!err)
		answers_by_add(pool, &master);
	return err == -ENODEV ? 0 : err;
}

int answers_by(const struct site *s, const struct config_pool *config, struct egress_pool *pool)
{
	int err;

	memset(pool->answers, 0, sizeof(pool->answers));
	pool->answers_left_out = false;
	err = pool->ifindex ? add_with_relatives(s, pool->interface, pool) : 0;
	for (size_t i = 0; !err && i < config->answers_by.n; i++)
		err = add_with_relatives(s, config->answers_by.v[i], pool);
	return err;
}

bool answers_come_by(const struct egress_pool *pool, unsigned ifindex)
{
	for (size_t i = 0; i < MAX_ANSWERS && pool->answers[i]; i++)
		if (pool->answers[i] == ifindex)
			return true;
	return false;
}
