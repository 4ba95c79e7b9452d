/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_TAPS_H
#define TESTS_BPF_TAPS_H

/*
 * Interfaces for live tests: TAPs in a network namespace of the test's own, which ends
 * with the process. What is written to one arrives on it; what leaves by it can be read.
 */
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "scratch.h"

struct tap {
	int fd;
	unsigned ifindex;
	uint8_t mac[6];
};

static inline void own_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		fail_msg("no network namespace: %s", strerror(errno));
}

static inline struct tap tap_open(const char *name, unsigned offload)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int hdr = sizeof(struct virtio_net_hdr), s = socket(AF_INET, SOCK_DGRAM, 0);
	struct tap t = {.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK)};

	assert_true(t.fd >= 0);
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	assert_int_equal(ioctl(t.fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(t.fd, TUNSETVNETHDRSZ, &hdr), 0);
	assert_int_equal(ioctl(t.fd, TUNSETOFFLOAD, offload), 0);
	assert_int_equal(ioctl(s, SIOCGIFHWADDR, &ifr), 0);
	memcpy(t.mac, ifr.ifr_hwaddr.sa_data, 6);
	ifr.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	t.ifindex = if_nametoindex(name);
	close(s);
	return t;
}

/* Sends one rtnetlink request that is in @nlh; the kernel's answer. */
static inline int netlink_do(struct nlmsghdr *nlh)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	char buf[8192];
	ssize_t n;
	int err;

	assert_non_null(nl);
	assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	assert_true(mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0);
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	err = mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL) < 0 ? -errno : 0;
	mnl_socket_close(nl);
	return err;
}

static inline const void *raw_addr(const struct addr *a, size_t *len)
{
	*len = addr_is_v4(a) ? 4 : 16;
	return addr_is_v4(a) ? &a->b[12] : a->b;
}

static inline void tap_address(const struct tap *t, const struct addr *a, uint8_t bits)
{
	char buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;
	size_t len;
	const void *raw = raw_addr(a, &len);

	nlh->nlmsg_type = RTM_NEWADDR;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = len == 4 ? AF_INET : AF_INET6;
	ifa->ifa_prefixlen = bits;
	ifa->ifa_flags = IFA_F_NODAD;
	ifa->ifa_index = t->ifindex;
	mnl_attr_put(nlh, IFA_LOCAL, len, raw);
	mnl_attr_put(nlh, IFA_ADDRESS, len, raw);
	must(netlink_do(nlh));
}

static inline void tap_route(const struct tap *t, const struct addr *to, const struct addr *via)
{
	char buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;
	size_t len;
	const void *raw = raw_addr(to, &len);

	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_CREATE;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	memset(rt, 0, sizeof(*rt));
	rt->rtm_family = len == 4 ? AF_INET : AF_INET6;
	rt->rtm_dst_len = (uint8_t)(len * 8);
	rt->rtm_table = RT_TABLE_MAIN;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_scope = RT_SCOPE_UNIVERSE;
	rt->rtm_type = RTN_UNICAST;
	mnl_attr_put(nlh, RTA_DST, len, raw);
	mnl_attr_put(nlh, RTA_GATEWAY, len, raw_addr(via, &len));
	mnl_attr_put_u32(nlh, RTA_OIF, t->ifindex);
	must(netlink_do(nlh));
}

static inline void tap_neighbour(const struct tap *t, const struct addr *a, const uint8_t mac[6])
{
	char buf[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ndmsg *nd;
	size_t len;
	const void *raw = raw_addr(a, &len);

	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	nd = mnl_nlmsg_put_extra_header(nlh, sizeof(*nd));
	memset(nd, 0, sizeof(*nd));
	nd->ndm_family = len == 4 ? AF_INET : AF_INET6;
	nd->ndm_ifindex = (int)t->ifindex;
	nd->ndm_state = NUD_PERMANENT;
	mnl_attr_put(nlh, NDA_DST, len, raw);
	mnl_attr_put(nlh, NDA_LLADDR, 6, mac);
	must(netlink_do(nlh));
}

static inline void tap_write(const struct tap *t, const struct virtio_net_hdr *h, const struct frame *f)
{
	uint8_t buf[sizeof(*h) + sizeof(f->b)];

	memcpy(buf, h, sizeof(*h));
	memcpy(buf + sizeof(*h), f->b, f->len);
	assert_int_equal(write(t->fd, buf, sizeof(*h) + f->len), sizeof(*h) + f->len);
}

/* The next frame with an IP packet between the two, within half a second; others are thrown away. */
static inline bool tap_read(const struct tap *t, struct virtio_net_hdr *h, struct frame *f, const struct addr *src,
			    const struct addr *dst)
{
	static uint8_t buf[70000];
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	while (poll(&p, 1, 500) > 0) {
		ssize_t n = read(t->fd, buf, sizeof(buf));
		struct addr a, b;

		if (n < (ssize_t)sizeof(*h) + 34 || (size_t)n - sizeof(*h) > sizeof(f->b))
			continue;
		memcpy(h, buf, sizeof(*h));
		f->len = (size_t)n - sizeof(*h);
		memcpy(f->b, buf + sizeof(*h), f->len);
		f->l3 = ETH_HLEN;
		f->v6 = get16(f->b + 12) == 0x86dd;
		f->l4 = f->l3 + (f->v6 ? 40 : 20);
		f->proto = f->b[f->l3 + (f->v6 ? 6 : 9)];
		a = frame_src(f);
		b = frame_dst(f);
		if (!memcmp(&a, src, 16) && !memcmp(&b, dst, 16))
			return true;
	}
	return false;
}

#endif
