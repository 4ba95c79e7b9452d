/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the kernel over rtnetlink, one at a time, and their answers (netlink.h): links, addresses, filters.
 * Routes and rules are netlink_routes.c's, changes that the kernel tells of by itself netlink_monitor.c's.
 */
#include "netlink_private.h"
#include "user/base/clock.h"

#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_TRIES    16
#define ASK_PAUSE_NS 500000
#define ASK_TOTAL    (100 * NS_PER_MS) /* since the first try: packets, clients and commands wait meanwhile */

int netlink_open(struct netlink *n)
{
	int strict = 1; /* then the kernel leaves out what a list is not asked for */

	*n = (struct netlink){.socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)};
	if (!n->socket)
		return -errno;
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		netlink_close(n);
		return err;
	}
	mnl_socket_setsockopt(n->socket, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	n->socket = NULL;
}

/* ---- one request and its answers -------------------------------------------- */

void *netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, size_t payload)
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

/* A message may belong to a list that an earlier question gave up on because it changed under way. */
static bool netlink_is_ours(const struct netlink *n, ssize_t len)
{
	const struct nlmsghdr *nlh = (const void *)n->answer;

	return !mnl_nlmsg_ok(nlh, (int)len) || nlh->nlmsg_seq == n->seq;
}

static int ask_once(struct netlink *n, struct netlink_request *r, mnl_cb_t each, void *ctx)
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
		if (len >= 0 && !netlink_is_ours(n, len))
			continue;
		more = len < 0 ? -1 : mnl_cb_run(n->answer, (size_t)len, n->seq, portid, each, ctx);
	}
	return more < 0 ? -errno : 0;
}

/*
 * A list that changed while it was read (EINTR of libmnl), a socket that overflowed, a kernel that is busy: these say
 * nothing of what was asked, and pass. Every request here may be repeated.
 */
static bool passes(int err)
{
	return err == -EINTR || err == -EBUSY || err == -ENOBUFS || err == -EAGAIN;
}

int netlink_ask_anew(struct netlink *n, struct netlink_request *r, mnl_cb_t each, void *ctx, void (*anew)(void *ctx))
{
	const struct timespec pause = {.tv_nsec = ASK_PAUSE_NS};
	uint64_t until = clock_now() + ASK_TOTAL;
	int err = ask_once(n, r, each, ctx);

	for (int i = 1; i < ASK_TRIES && passes(err) && clock_now() < until; i++) {
		nanosleep(&pause, NULL);
		if (anew)
			anew(ctx);
		err = ask_once(n, r, each, ctx);
	}
	return err;
}

int netlink_ask(struct netlink *n, struct netlink_request *r, mnl_cb_t each, void *ctx)
{
	return netlink_ask_anew(n, r, each, ctx, NULL);
}

int netlink_family(const struct addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

void netlink_put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(nlh, type, 4, &a->w[3]);
	else
		mnl_attr_put(nlh, type, 16, a);
}

bool netlink_get_addr(const struct nlattr *attr, struct addr *out)
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

/* ---- links ------------------------------------------------------------------- */

/* Reads the kind of the device and of its master. */
static void take_kinds(const struct nlattr *nest, struct netlink_link *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested (attr, nest) {
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) {
			out->tun = !strcmp(mnl_attr_get_str(attr), "tun");
			out->holds |= !strcmp(mnl_attr_get_str(attr), "dummy");
			out->vrf = !strcmp(mnl_attr_get_str(attr), "vrf");
		} else if (mnl_attr_get_type(attr) == IFLA_INFO_SLAVE_KIND) {
			out->port = strcmp(mnl_attr_get_str(attr), "vrf") != 0;
		}
	}
}

static int netlink_take_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct netlink_link *out = ctx;
	const struct nlattr *attr;

	out->ifindex = ifi->ifi_index;
	out->up = ifi->ifi_flags & IFF_UP;
	out->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	out->holds = ifi->ifi_flags & IFF_LOOPBACK;
	mnl_attr_for_each (attr, nlh, sizeof(*ifi)) {
		if (mnl_attr_get_type(attr) == IFLA_MTU)
			out->mtu = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			strncpy(out->name, mnl_attr_get_str(attr), IFNAMSIZ - 1);
		else if (mnl_attr_get_type(attr) == IFLA_MASTER)
			out->master = (int)mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_LINKINFO)
			take_kinds(attr, out);
	}
	return MNL_CB_OK;
}

int netlink_link(struct netlink *n, const char *name, struct netlink_link *out)
{
	struct netlink_request r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	memset(out, 0, sizeof(*out));
	netlink_begin(&r, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(r.nlh, IFLA_IFNAME, name);
	return netlink_ask(n, &r, netlink_take_link, out);
}

int netlink_link_at(struct netlink *n, int ifindex, struct netlink_link *out)
{
	struct netlink_request r;
	struct ifinfomsg *ifi = netlink_begin(&r, RTM_GETLINK, 0, sizeof(*ifi));

	memset(out, 0, sizeof(*out));
	ifi->ifi_index = ifindex;
	return ifindex > 0 ? netlink_ask(n, &r, netlink_take_link, out) : -ENODEV;
}

static void begin_setup(struct netlink_request *r, int ifindex, uint32_t mtu, bool up)
{
	struct ifinfomsg *ifi = netlink_begin(r, RTM_NEWLINK, 0, sizeof(*ifi));

	ifi->ifi_index = ifindex;
	ifi->ifi_flags = IFF_NOARP | (up ? IFF_UP : 0);
	ifi->ifi_change = ifi->ifi_flags;
	mnl_attr_put_u32(r->nlh, IFLA_MTU, mtu);
}

/* Refused by a host without IPv6. Of one request the kernel would raise the link first, and give it an address. */
static void no_own_addresses(struct netlink *n, int ifindex, uint32_t mtu)
{
	struct netlink_request r;
	struct nlattr *spec, *inet6;

	begin_setup(&r, ifindex, mtu, false);
	spec = mnl_attr_nest_start(r.nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(r.nlh, AF_INET6);
	mnl_attr_put_u8(r.nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(r.nlh, inet6);
	mnl_attr_nest_end(r.nlh, spec);
	netlink_ask(n, &r, NULL, NULL);
}

int netlink_link_setup(struct netlink *n, int ifindex, uint32_t mtu, bool up)
{
	struct netlink_request r;

	no_own_addresses(n, ifindex, mtu);
	begin_setup(&r, ifindex, mtu, up);
	return netlink_ask(n, &r, NULL, NULL);
}

int netlink_link_delete(struct netlink *n, int ifindex)
{
	struct netlink_request r;
	struct ifinfomsg *ifi = netlink_begin(&r, RTM_DELLINK, 0, sizeof(*ifi));
	int err;

	ifi->ifi_index = ifindex;
	err = netlink_ask(n, &r, NULL, NULL);
	return err == -ENODEV ? 0 : err;
}

/* ---- addresses --------------------------------------------------------------- */

int netlink_address_add(struct netlink *n, int ifindex, const struct addr *a)
{
	struct netlink_request r;
	struct ifaddrmsg *ifa = netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*ifa));

	ifa->ifa_family = (uint8_t)netlink_family(a);
	ifa->ifa_prefixlen = addr_is_v4(a) ? 32 : 128;
	ifa->ifa_flags = IFA_F_NODAD;
	ifa->ifa_index = (uint32_t)ifindex;
	netlink_put_addr(r.nlh, IFA_LOCAL, a);
	netlink_put_addr(r.nlh, IFA_ADDRESS, a);
	return netlink_ask(n, &r, NULL, NULL);
}

int netlink_address_delete(struct netlink *n, int ifindex, const struct addr *a)
{
	struct netlink_request r;
	struct ifaddrmsg *ifa = netlink_begin(&r, RTM_DELADDR, 0, sizeof(*ifa));
	int err;

	ifa->ifa_family = (uint8_t)netlink_family(a);
	ifa->ifa_prefixlen = addr_is_v4(a) ? 32 : 128;
	ifa->ifa_index = (uint32_t)ifindex;
	netlink_put_addr(r.nlh, IFA_LOCAL, a);
	err = netlink_ask(n, &r, NULL, NULL);
	return err == -EADDRNOTAVAIL ? 0 : err;
}

struct address_list {
	struct addr *out;
	size_t n, max;
	int ifindex;		   /* 0: every address of the host */
	uint32_t unwanted;	   /* IFA_F_... that an address must not have */
	const struct addr *wanted; /* NULL: all; else just where it is */
	int on;			   /* the interface that has it; 0: none */
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
	mnl_attr_for_each (attr, nlh, sizeof(*ifa)) {
		switch (mnl_attr_get_type(attr)) {
		case IFA_ADDRESS:
			have = netlink_get_addr(attr, &a);
			break;
		case IFA_LOCAL: /* of a point-to-point link IFA_ADDRESS is the other end */
			have_local = netlink_get_addr(attr, &local);
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
	if (list->ifindex && ifa->ifa_scope >= (ifa->ifa_family == AF_INET6 ? RT_SCOPE_LINK : RT_SCOPE_HOST))
		return MNL_CB_OK;
	if (flags & list->unwanted)
		return MNL_CB_OK;
	if (list->wanted && !addr_cmp(&a, list->wanted))
		list->on = (int)ifa->ifa_index;
	else if (list->n++ < list->max)
		list->out[list->n - 1] = a;
	return MNL_CB_OK;
}

static void forget_addresses(void *ctx)
{
	((struct address_list *)ctx)->n = 0;
}

/* How many there are, which may be more than the list has room for; or -errno. */
static int netlink_list_addresses(struct netlink *n, struct address_list *list)
{
	struct netlink_request r;
	struct ifaddrmsg *ifa = netlink_begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa));
	int err;

	ifa->ifa_index = (uint32_t)list->ifindex;
	err = netlink_ask_anew(n, &r, take_address, list, forget_addresses);
	return err == -ENODEV ? 0 : err ?: (int)list->n; /* what is not there has none */
}

int netlink_addresses(struct netlink *n, int ifindex, struct addr *out, size_t max)
{
	struct address_list list = {
		.out = out, .max = max, .ifindex = ifindex, .unwanted = IFA_F_TENTATIVE | IFA_F_DADFAILED};
	int count = netlink_list_addresses(n, &list);

	return count > (int)max ? -EOVERFLOW : count;
}

#define SLAAC_BITS 64 /* a temporary address and the lasting one beside it have so many in common */

/* Beside what the kernel chose, or the first. */
static const struct addr *lasting_source(const struct addr *list, int n, const struct addr *to,
					 const struct addr *choice)
{
	const struct addr *first = NULL;

	for (int i = 0; i < n; i++) {
		if (addr_is_v4(&list[i]) != addr_is_v4(to))
			continue;
		if (choice && !addr_is_v4(to) && prefix_contains(&(struct prefix){*choice, SLAAC_BITS}, &list[i]))
			return &list[i];
		first = first ?: &list[i];
	}
	return first;
}

/* 1, or 0: there is none; or -errno. */
static int netlink_source(struct netlink *n, int ifindex, const struct addr *to, struct addr *out)
{
	struct addr list[NETLINK_ADDRESSES], choice;
	const uint32_t absent = IFA_F_TENTATIVE | IFA_F_DADFAILED;
	bool has_choice = netlink_prefsrc(n, to, ifindex, &choice);
	struct address_list all = {.out = list, .max = NETLINK_ADDRESSES, .ifindex = ifindex, .unwanted = absent};
	const struct addr *found;
	int count;

	if (!addr_is_v4(to))
		all.unwanted |= IFA_F_TEMPORARY;
	count = netlink_list_addresses(n, &all);
	if (count < 0 || count > NETLINK_ADDRESSES)
		return count < 0 ? count : -EOVERFLOW;
	if (has_choice && addr_is_in(&choice, list, count)) {
		*out = choice;
		return 1;
	}
	all.unwanted = absent | IFA_F_SECONDARY | IFA_F_DEPRECATED; /* and IPv6's IFA_F_TEMPORARY, the same bit */
	all.n = 0;
	count = netlink_list_addresses(n, &all);
	if (count < 0)
		return count;
	found = lasting_source(list, count, to, has_choice ? &choice : NULL);
	if (found)
		*out = *found;
	return found != NULL;
}

int netlink_sources(struct netlink *n, int ifindex, const struct addr to[2], struct addr out[2])
{
	int found = 0;

	for (int i = 0; i < 2; i++) {
		int err = netlink_source(n, ifindex, &to[i], &out[found]);

		if (err < 0)
			return err;
		found += err;
	}
	return found;
}

int netlink_is_held(struct netlink *n, const struct addr *a)
{
	struct address_list list = {.wanted = a, .unwanted = IFA_F_TENTATIVE | IFA_F_DADFAILED};
	int err = netlink_list_addresses(n, &list);
	struct netlink_link link;

	if (err < 0 || !list.on)
		return err < 0 ? err : 0;
	err = netlink_link_at(n, list.on, &link);
	return err == -ENODEV ? 0 : err ?: link.holds;
}

int netlink_host_addresses(struct netlink *n, struct addr *out, size_t max)
{
	return netlink_list_addresses(n, &(struct address_list){.out = out, .max = max});
}

/* ---- clsact -------------------------------------------------------------------- */

static int count_filter(const struct nlmsghdr *nlh, void *ctx)
{
	++*(unsigned *)ctx;
	return MNL_CB_OK;
}

static struct tcmsg *begin_tc(struct netlink_request *r, uint16_t type, uint16_t flags, int ifindex, uint32_t parent)
{
	struct tcmsg *tc = netlink_begin(r, type, flags, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	return tc;
}

int netlink_clsact_tidy(struct netlink *n, int ifindex)
{
	static const uint32_t sides[] = {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS};
	struct netlink_request r;
	unsigned filters = 0;

	for (unsigned i = 0; i < 2; i++) {
		int err;

		begin_tc(&r, RTM_GETTFILTER, NLM_F_DUMP, ifindex, TC_H_MAKE(TC_H_CLSACT, sides[i]));
		err = netlink_ask_anew(n, &r, count_filter, &filters, NULL); /* counted twice is not none, either */
		if (err)
			return err;
	}
	if (filters)
		return 0;
	begin_tc(&r, RTM_DELQDISC, 0, ifindex, TC_H_CLSACT)->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(r.nlh, TCA_KIND, "clsact");
	return netlink_ask(n, &r, NULL, NULL);
}
