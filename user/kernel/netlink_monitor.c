/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells that links, addresses, routes or rules have changed; netlink.c asks for the new state. */
#include "netlink.h" /* first: see there */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPE_AT	    offsetof(struct nlmsghdr, nlmsg_type)
#define DST_LEN_AT  (NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len))
#define PROTOCOL_AT (NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol))

/*
 * Passes every message but those about routes of routing daemons, default routes excepted: a full table that changes
 * all the time would keep the control thread busy. Where such a route leads is asked every NETLINK_ROUTES_AGAIN
 * seconds. A filter sees the type, which is in the machine's order, in the network's.
 */
static int leave_out_full_tables(int fd)
{
#define PASS_IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE_AT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, DST_LEN_AT),
		PASS_IF(0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, PROTOCOL_AT),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, RTPROT_STATIC, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		PASS_IF(RTPROT_RA),
		PASS_IF(RTPROT_DHCP),
		PASS_IF(RTPROT_KEEPALIVED),
		PASS_IF(NETLINK_PROTOCOL),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
#undef PASS_IF
	const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

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
	int err = leave_out_full_tables(fd);

	if (!err && bind(fd, (void *)&name, sizeof(name)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
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
