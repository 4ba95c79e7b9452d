/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the kernel over rtnetlink, one at a time, and their answers (netlink.h); changes that it tells of by
 * itself are netlink_monitor.c's.
 */
#include "netlink.h" /* first: <net/if.h> must come before <linux/if.h> */

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUARD_PRIORITY 1 /* the local table is asked at 0, so what is for the host arrives */

int netlink_open(struct netlink *n)
{
	*n = (struct netlink){.socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)};
	if (!n->socket)
		return -errno;
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		netlink_close(n);
		return err;
	}
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	n->socket = NULL;
}

/* ---- one request and its answers -------------------------------------------- */

struct request {
	struct nlmsghdr *nlh;
	char buf[1024];
};

static void *begin(struct request *r, uint16_t type, uint16_t flags, size_t payload)
{
	memset(r->buf, 0, sizeof(r->buf));
	r->nlh = mnl_nlmsg_put_header(r->buf);
	r->nlh->nlmsg_type = type;
	r->nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(r->nlh, payload);
}

/* The bits of NLM_F_DUMP mean CREATE's company, REPLACE and EXCL, in requests that are no GET. */
static bool is_dump(const struct nlmsghdr *nlh)
{
	return (nlh->nlmsg_type & 3) == (RTM_GETLINK & 3) && nlh->nlmsg_flags & NLM_F_DUMP;
}

/* What comes may be the rest of a list that an earlier question gave up on, for it changed under way. */
static bool is_ours(const struct netlink *n, ssize_t len)
{
	const struct nlmsghdr *nlh = (const void *)n->answer;

	return !mnl_nlmsg_ok(nlh, (int)len) || nlh->nlmsg_seq == n->seq;
}

static int ask(struct netlink *n, struct request *r, mnl_cb_t each, void *ctx)
{
	unsigned portid = mnl_socket_get_portid(n->socket);
	ssize_t len;
	int more = 1;

	r->nlh->nlmsg_seq = ++n->seq;
	if (!is_dump(r->nlh))
		r->nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(n->socket, r->nlh, r->nlh->nlmsg_len) < 0)
		more = -1;
	while (more > 0) {
		len = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));
		if (len >= 0 && !is_ours(n, len))
			continue;
		more = len < 0 ? -1 : mnl_cb_run(n->answer, (size_t)len, n->seq, portid, each, ctx);
	}
	return more < 0 ? -errno : 0;
}

static int family_of(const struct addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

static void put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(nlh, type, 4, &a->w[3]);
	else
		mnl_attr_put(nlh, type, 16, a);
}

static bool get_addr(const struct nlattr *attr, struct addr *out)
{
	if (mnl_attr_get_payload_len(attr) == 4) {
		__be32 v4;

		memcpy(&v4, mnl_attr_get_payload(attr), sizeof(v4));
		*out = addr_from_v4(v4);
		return true;
	}
	if (mnl_attr_get_payload_len(attr) != 16)
		return false;
	memcpy(out, mnl_attr_get_payload(attr), 16);
	return true;
}

static uint8_t family_bits(const struct prefix *p)
{
	return (uint8_t)(prefix_is_v4(p) ? p->len - ADDR_V4_BITS : p->len);
}

/* ---- links ------------------------------------------------------------------- */

static int take_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct netlink_link *out = ctx;
	const struct nlattr *attr;

	out->ifindex = ifi->ifi_index;
	out->up = ifi->ifi_flags & IFF_UP;
	out->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) {
		if (mnl_attr_get_type(attr) == IFLA_MTU)
			out->mtu = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			strncpy(out->name, mnl_attr_get_str(attr), IFNAMSIZ - 1);
	}
	return MNL_CB_OK;
}

int netlink_link(struct netlink *n, const char *name, struct netlink_link *out)
{
	struct request r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	memset(out, 0, sizeof(*out));
	begin(&r, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(r.nlh, IFLA_IFNAME, name);
	return ask(n, &r, take_link, out);
}

static void begin_setup(struct request *r, int ifindex, uint32_t mtu, bool up)
{
	struct ifinfomsg *ifi = begin(r, RTM_NEWLINK, 0, sizeof(*ifi));

	ifi->ifi_index = ifindex;
	ifi->ifi_flags = IFF_NOARP | (up ? IFF_UP : 0);
	ifi->ifi_change = ifi->ifi_flags;
	mnl_attr_put_u32(r->nlh, IFLA_MTU, mtu);
}

/* Refused by a host without IPv6. Of one request the kernel would raise the link first, and give it an address. */
static void no_own_addresses(struct netlink *n, int ifindex, uint32_t mtu)
{
	struct request r;
	struct nlattr *spec, *inet6;

	begin_setup(&r, ifindex, mtu, false);
	spec = mnl_attr_nest_start(r.nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(r.nlh, AF_INET6);
	mnl_attr_put_u8(r.nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(r.nlh, inet6);
	mnl_attr_nest_end(r.nlh, spec);
	ask(n, &r, NULL, NULL);
}

int netlink_link_setup(struct netlink *n, int ifindex, uint32_t mtu, bool up)
{
	struct request r;

	no_own_addresses(n, ifindex, mtu);
	begin_setup(&r, ifindex, mtu, up);
	return ask(n, &r, NULL, NULL);
}

int netlink_link_delete(struct netlink *n, int ifindex)
{
	struct request r;
	struct ifinfomsg *ifi = begin(&r, RTM_DELLINK, 0, sizeof(*ifi));
	int err;

	ifi->ifi_index = ifindex;
	err = ask(n, &r, NULL, NULL);
	return err == -ENODEV ? 0 : err;
}

/* ---- addresses --------------------------------------------------------------- */

int netlink_address_add(struct netlink *n, int ifindex, const struct addr *a)
{
	struct request r;
	struct ifaddrmsg *ifa = begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*ifa));

	ifa->ifa_family = (uint8_t)family_of(a);
	ifa->ifa_prefixlen = addr_is_v4(a) ? 32 : 128;
	ifa->ifa_flags = IFA_F_NODAD;
	ifa->ifa_index = (uint32_t)ifindex;
	put_addr(r.nlh, IFA_LOCAL, a);
	put_addr(r.nlh, IFA_ADDRESS, a);
	return ask(n, &r, NULL, NULL);
}

int netlink_address_delete(struct netlink *n, int ifindex, const struct addr *a)
{
	struct request r;
	struct ifaddrmsg *ifa = begin(&r, RTM_DELADDR, 0, sizeof(*ifa));
	int err;

	ifa->ifa_family = (uint8_t)family_of(a);
	ifa->ifa_prefixlen = addr_is_v4(a) ? 32 : 128;
	ifa->ifa_index = (uint32_t)ifindex;
	put_addr(r.nlh, IFA_LOCAL, a);
	err = ask(n, &r, NULL, NULL);
	return err == -EADDRNOTAVAIL ? 0 : err;
}

struct address_list {
	struct addr *out;
	size_t n, max;
	int ifindex; /* 0: every address of the host */
};

static int take_address(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct address_list *list = ctx;
	const struct nlattr *attr;
	struct addr a, local;
	bool have = false, have_local = false;
	uint32_t flags = ifa->ifa_flags;

	if (list->ifindex && (int)ifa->ifa_index != list->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		switch (mnl_attr_get_type(attr)) {
		case IFA_ADDRESS:
			have = get_addr(attr, &a);
			break;
		case IFA_LOCAL: /* of a point-to-point link IFA_ADDRESS is the other end */
			have_local = get_addr(attr, &local);
			break;
		case IFA_FLAGS:
			flags = mnl_attr_get_u32(attr);
			break;
		}
	}
	if (have_local)
		a = local;
	if (!have && !have_local)
		return MNL_CB_OK;
	if (list->ifindex && (ifa->ifa_scope >= RT_SCOPE_LINK || flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
		return MNL_CB_OK;
	if (list->ifindex && ifa->ifa_family == AF_INET6 && flags & IFA_F_TEMPORARY) /* IPv4's IFA_F_SECONDARY */
		return MNL_CB_OK;
	if (list->n < list->max)
		list->out[list->n++] = a;
	return MNL_CB_OK;
}

static int list_addresses(struct netlink *n, struct address_list *list)
{
	struct request r;
	int err;

	begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	err = ask(n, &r, take_address, list);
	return err ?: (int)list->n;
}

int netlink_addresses(struct netlink *n, int ifindex, struct addr *out, size_t max)
{
	return list_addresses(n, &(struct address_list){.out = out, .max = max, .ifindex = ifindex});
}

int netlink_host_addresses(struct netlink *n, struct addr *out, size_t max)
{
	return list_addresses(n, &(struct address_list){.out = out, .max = max});
}

/* ---- routes ------------------------------------------------------------------ */

struct route_info {
	struct prefix dst;
	struct addr gateway;
	bool has_gateway;
	int oif;
	uint32_t metric, table;
};

static void read_route(const struct nlmsghdr *nlh, struct route_info *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	unsigned base = rtm->rtm_family == AF_INET ? ADDR_V4_BITS : 0;

	*out = (struct route_info){.table = rtm->rtm_table, .dst.len = base + rtm->rtm_dst_len};
	if (base)
		out->dst.addr = addr_from_v4(0);
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			get_addr(attr, &out->dst.addr);
			break;
		case RTA_OIF:
			out->oif = (int)mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			out->has_gateway = get_addr(attr, &out->gateway);
			break;
		case RTA_PRIORITY:
			out->metric = mnl_attr_get_u32(attr);
			break;
		case RTA_TABLE:
			out->table = mnl_attr_get_u32(attr);
			break;
		}
	}
}

struct default_search {
	int oif;
	uint32_t metric;
};

static int take_default(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct default_search *best = ctx;
	struct route_info info;

	if (rtm->rtm_dst_len || rtm->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	read_route(nlh, &info);
	if (info.table != RT_TABLE_MAIN || !info.oif || (best->oif && info.metric >= best->metric))
		return MNL_CB_OK;
	*best = (struct default_search){info.oif, info.metric};
	return MNL_CB_OK;
}

int netlink_default_interface(struct netlink *n)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct default_search best = {0};

	for (unsigned i = 0; i < 2 && !best.oif; i++) {
		struct request r;
		struct rtmsg *rtm = begin(&r, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm));

		rtm->rtm_family = (uint8_t)families[i];
		ask(n, &r, take_default, &best);
	}
	return best.oif;
}

static void put_route(struct request *r, struct rtmsg *rtm, const struct prefix *p, enum netlink_route kind,
		      int ifindex)
{
	rtm->rtm_family = prefix_is_v4(p) ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = family_bits(p);
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = NETLINK_PROTOCOL;
	rtm->rtm_scope = rtm->rtm_family == AF_INET && kind == NETLINK_ROUTE_DEVICE ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = kind == NETLINK_ROUTE_DEVICE ? RTN_UNICAST : RTN_UNREACHABLE;
	put_addr(r->nlh, RTA_DST, &p->addr);
	if (kind == NETLINK_ROUTE_DEVICE)
		mnl_attr_put_u32(r->nlh, RTA_OIF, (uint32_t)ifindex);
	else
		mnl_attr_put_u32(r->nlh, RTA_PRIORITY, NETLINK_METRIC_UNREACHABLE);
}

int netlink_route_add(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	struct request r;
	struct rtmsg *rtm = begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*rtm));

	put_route(&r, rtm, p, kind, ifindex);
	return ask(n, &r, NULL, NULL);
}

int netlink_route_delete(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	struct request r;
	struct rtmsg *rtm = begin(&r, RTM_DELROUTE, 0, sizeof(*rtm));
	int err;

	put_route(&r, rtm, p, kind, ifindex);
	err = ask(n, &r, NULL, NULL);
	return err == -ESRCH || err == -ENOENT || err == -ENODEV ? 0 : err;
}

struct route_walk {
	void (*each)(void *ctx, const struct prefix *p, enum netlink_route kind, int ifindex);
	void *ctx;
};

static int take_own_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct route_walk *walk = ctx;
	struct route_info info;

	if (rtm->rtm_protocol != NETLINK_PROTOCOL)
		return MNL_CB_OK;
	read_route(nlh, &info);
	if (info.table == RT_TABLE_MAIN)
		walk->each(walk->ctx, &info.dst,
			   rtm->rtm_type == RTN_UNICAST ? NETLINK_ROUTE_DEVICE : NETLINK_ROUTE_UNREACHABLE, info.oif);
	return MNL_CB_OK;
}

int netlink_each_route(struct netlink *n,
		       void (*each)(void *ctx, const struct prefix *p, enum netlink_route kind, int ifindex), void *ctx)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct route_walk walk = {each, ctx};
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		struct request r;
		struct rtmsg *rtm = begin(&r, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm));

		rtm->rtm_family = (uint8_t)families[i];
		err = ask(n, &r, take_own_route, &walk);
	}
	return err;
}

static int take_route(const struct nlmsghdr *nlh, void *ctx)
{
	read_route(nlh, ctx);
	return MNL_CB_OK;
}

static int ask_route(struct netlink *n, const struct addr *to, const struct addr *from, int oif, unsigned flags,
		     struct route_info *info)
{
	struct request r;
	struct rtmsg *rtm = begin(&r, RTM_GETROUTE, 0, sizeof(*rtm));

	*info = (struct route_info){0};
	rtm->rtm_flags = flags;
	rtm->rtm_family = (uint8_t)family_of(to);
	rtm->rtm_dst_len = addr_is_v4(to) ? 32 : 128;
	put_addr(r.nlh, RTA_DST, to);
	if (from) {
		rtm->rtm_src_len = rtm->rtm_dst_len;
		put_addr(r.nlh, RTA_SRC, from);
	}
	if (oif)
		mnl_attr_put_u32(r.nlh, RTA_OIF, (uint32_t)oif);
	return ask(n, &r, take_route, info);
}

int netlink_route_get(struct netlink *n, const struct addr *to, const struct addr *from, int oif, int *ifindex,
		      struct addr *next_hop)
{
	struct route_info info;
	int err = 0;

	if (oif) /* where no route leads, IPv4 takes everything for on link: so asks for the route itself first */
		err = ask_route(n, to, from, oif, RTM_F_FIB_MATCH, &info);
	if (!err)
		err = ask_route(n, to, from, oif, 0, &info);
	if (err)
		return err;
	*ifindex = info.oif;
	memset(next_hop, 0, sizeof(*next_hop));
	if (info.has_gateway)
		*next_hop = info.gateway;
	return 0;
}

/* ---- rules ------------------------------------------------------------------- */

static int guard_rule(struct netlink *n, int family, const char *iif, bool add)
{
	struct request r;
	struct fib_rule_hdr *rule =
		begin(&r, add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(*rule));
	int err;

	rule->family = (uint8_t)family;
	rule->action = FR_ACT_BLACKHOLE;
	mnl_attr_put_u32(r.nlh, FRA_PRIORITY, GUARD_PRIORITY);
	mnl_attr_put_strz(r.nlh, FRA_IIFNAME, iif);
	err = ask(n, &r, NULL, NULL);
	if (err == -EEXIST || err == -ENOENT || (family == AF_INET6 && err == -EAFNOSUPPORT))
		return 0;
	return err;
}

int netlink_guard_rule(struct netlink *n, const char *iif, bool add)
{
	return guard_rule(n, AF_INET, iif, add) ?: guard_rule(n, AF_INET6, iif, add);
}

/* ---- clsact -------------------------------------------------------------------- */

static int count_filter(const struct nlmsghdr *nlh, void *ctx)
{
	++*(unsigned *)ctx;
	return MNL_CB_OK;
}

static struct tcmsg *begin_tc(struct request *r, uint16_t type, uint16_t flags, int ifindex, uint32_t parent)
{
	struct tcmsg *tc = begin(r, type, flags, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	return tc;
}

int netlink_clsact_tidy(struct netlink *n, int ifindex)
{
	static const uint32_t sides[] = {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS};
	struct request r;
	unsigned filters = 0;

	for (unsigned i = 0; i < 2; i++) {
		int err;

		begin_tc(&r, RTM_GETTFILTER, NLM_F_DUMP, ifindex, TC_H_MAKE(TC_H_CLSACT, sides[i]));
		err = ask(n, &r, count_filter, &filters);
		if (err)
			return err;
	}
	if (filters)
		return 0;
	begin_tc(&r, RTM_DELQDISC, 0, ifindex, TC_H_CLSACT)->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(r.nlh, TCA_KIND, "clsact");
	return ask(n, &r, NULL, NULL);
}
