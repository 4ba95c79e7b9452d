/* SPDX-License-Identifier: BSD-2-Clause */
/* That something about links, addresses, routes or rules has changed; what it is now, netlink.c asks. */
#include "netlink.h" /* first: see there */

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

int netlink_monitor_open(void)
{
	struct sockaddr_nl name = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (void *)&name, sizeof(name))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static unsigned change_of(uint16_t type)
{
	switch (type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return NETLINK_LINK;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return NETLINK_ADDRESS;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return NETLINK_ROUTES;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return NETLINK_RULES;
	default:
		return 0;
	}
}

unsigned netlink_monitor_read(int fd, const struct netlink *n, int ifindex)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	unsigned changes = 0;

	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);
		int left = (int)len;

		if (len < 0 && errno == ENOBUFS) {
			changes = NETLINK_LINK | NETLINK_ADDRESS | NETLINK_ROUTES | NETLINK_RULES | NETLINK_OWN_ROUTES;
			continue;
		}
		if (len <= 0)
			return changes;
		for (struct nlmsghdr *h = (void *)buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			changes |= change_of(h->nlmsg_type) |
				   (netlink_own_route_lost(n, h, ifindex) ? NETLINK_OWN_ROUTES : 0);
	}
}
