/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes and rules over rtnetlink (netlink.h). */
#include "netlink_private.h"

#include <linux/fib_rules.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"

#define GUARD_PRIORITY 1 /* the local table is asked at 0, so what is for the host arrives */

static uint8_t family_bits(const struct prefix *p)
{
	return (uint8_t)(prefix_is_v4(p) ? p->len - ADDR_V4_BITS : p->len);
}

/* ---- routes ------------------------------------------------------------------ */

struct route_info {
	struct prefix dst;
	struct addr gateway, source;
	bool has_gateway, has_source;
	int oif;
	uint32_t metric, table;
};

static void netlink_routes_read_route(const struct nlmsghdr *nlh, struct route_info *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	unsigned base = rtm->rtm_family == AF_INET ? ADDR_V4_BITS : 0;

	*out = (struct route_info){.table = rtm->rtm_table, .dst.len = base + rtm->rtm_dst_len};
	if (base)
		out->dst.addr = addr_from_v4(0);
	mnl_attr_for_each (attr, nlh, sizeof(*rtm)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			netlink_get_addr(attr, &out->dst.addr);
			break;
		case RTA_OIF:
			out->oif = (int)mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			out->has_gateway = netlink_get_addr(attr, &out->gateway);
			break;
		case RTA_PREFSRC:
			out->has_source = netlink_get_addr(attr, &out->source);
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
	netlink_routes_read_route(nlh, &info);
	if (info.table != RT_TABLE_MAIN || !info.oif || (best->oif && info.metric >= best->metric))
		return MNL_CB_OK;
	*best = (struct default_search){info.oif, info.metric};
	return MNL_CB_OK;
}

static void forget_default(void *ctx)
{
	*(struct default_search *)ctx = (struct default_search){0};
}

/* A list of the main table's routes of one family: all, or those of one protocol. 0 or -errno. */
static int netlink_list_routes(struct netlink *n, int family, uint8_t protocol, mnl_cb_t each, void *ctx,
			       void (*anew)(void *ctx))
{
	struct netlink_request r;
	struct rtmsg *rtm = netlink_begin(&r, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm));
	int err;

	rtm->rtm_family = (uint8_t)family;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = protocol;
	err = netlink_ask_anew(n, &r, each, ctx, anew);
	return err == -ENOENT ? 0 : err; /* the table is made with its first route */
}

int netlink_default_interface(struct netlink *n)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct default_search best = {0};
	int err = 0;

	for (unsigned i = 0; i < 2 && !best.oif && !err; i++)
		err = netlink_list_routes(n, families[i], 0, take_default, &best, forget_default);
	return err ?: best.oif;
}

static void put_route(const struct netlink *n, struct netlink_request *r, struct rtmsg *rtm, const struct prefix *p,
		      enum netlink_route kind, int ifindex)
{
	rtm->rtm_family = prefix_is_v4(p) ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = family_bits(p);
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = NETLINK_PROTOCOL;
	rtm->rtm_scope = rtm->rtm_family == AF_INET && kind == NETLINK_ROUTE_DEVICE ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = kind == NETLINK_ROUTE_DEVICE ? RTN_UNICAST : RTN_UNREACHABLE;
	netlink_put_addr(r->nlh, RTA_DST, &p->addr);
	if (kind == NETLINK_ROUTE_DEVICE)
		mnl_attr_put_u32(r->nlh, RTA_OIF, (uint32_t)ifindex);
	else
		mnl_attr_put_u32(r->nlh, RTA_PRIORITY, NETLINK_METRIC_UNREACHABLE + n->mark);
}

static int ask_route(struct netlink *n, const struct addr *to, const struct addr *from, int oif, unsigned flags,
		     struct route_info *info);

int netlink_route_add(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	struct netlink_request r;
	struct rtmsg *rtm = netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*rtm));
	struct route_info there;
	int err;

	put_route(n, &r, rtm, p, kind, ifindex);
	err = netlink_ask(n, &r, NULL, NULL);
	if (err != -EEXIST || kind == NETLINK_ROUTE_UNREACHABLE) /* its metric is this gateway's */
		return err == -EEXIST ? 0 : err;
	err = ask_route(n, &p->addr, NULL, 0, RTM_F_FIB_MATCH, &there);
	return err ? err : there.oif == ifindex ? 0 : -EEXIST;
}

int netlink_route_delete(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex)
{
	struct netlink_request r;
	struct rtmsg *rtm = netlink_begin(&r, RTM_DELROUTE, 0, sizeof(*rtm));
	int err;

	put_route(n, &r, rtm, p, kind, ifindex);
	err = netlink_ask(n, &r, NULL, NULL);
	return err == -ESRCH || err == -ENOENT || err == -ENODEV ? 0 : err;
}

struct route_list {
	const struct netlink *n;
	struct netlink_own_route *v;
	size_t len, before; /* of these, how many are of the family before */
	int ifindex;
};

/* Is a route that carries our protocol number this gateway's? */
static bool is_own_route(const struct netlink *n, const struct nlmsghdr *nlh, int ifindex, struct route_info *info)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	if (rtm->rtm_protocol != NETLINK_PROTOCOL)
		return false;
	netlink_routes_read_route(nlh, info);
	if (info->table != RT_TABLE_MAIN)
		return false;
	return rtm->rtm_type == RTN_UNICAST ? ifindex && info->oif == ifindex
					    : info->metric == NETLINK_METRIC_UNREACHABLE + n->mark;
}

static int take_own_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct route_list *list = ctx;
	struct route_info info;

	if (!is_own_route(list->n, nlh, list->ifindex, &info))
		return MNL_CB_OK;
	list->v = mem_grow(list->v, list->len, sizeof(*list->v));
	list->v[list->len++] = (struct netlink_own_route){
		.prefix = info.dst,
		.kind = rtm->rtm_type == RTN_UNICAST ? NETLINK_ROUTE_DEVICE : NETLINK_ROUTE_UNREACHABLE,
		.ifindex = info.oif,
	};
	return MNL_CB_OK;
}

static void forget_routes(void *ctx)
{
	struct route_list *list = ctx;

	list->len = list->before;
}

int netlink_own_routes(struct netlink *n, int ifindex, struct netlink_own_route **out, size_t *len)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct route_list list = {.n = n, .ifindex = ifindex};
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		list.before = list.len;
		err = netlink_list_routes(n, families[i], NETLINK_PROTOCOL, take_own_route, &list, forget_routes);
	}
	*out = list.v;
	*len = list.len;
	return err;
}

bool netlink_own_route_lost(const struct netlink *n, const struct nlmsghdr *nlh, int ifindex)
{
	struct route_info info;

	return nlh->nlmsg_type == RTM_DELROUTE && nlh->nlmsg_pid != mnl_socket_get_portid(n->socket) &&
	       is_own_route(n, nlh, ifindex, &info);
}

static int take_route(const struct nlmsghdr *nlh, void *ctx)
{
	netlink_routes_read_route(nlh, ctx);
	return MNL_CB_OK;
}

static int ask_route(struct netlink *n, const struct addr *to, const struct addr *from, int oif, unsigned flags,
		     struct route_info *info)
{
	struct netlink_request r;
	struct rtmsg *rtm = netlink_begin(&r, RTM_GETROUTE, 0, sizeof(*rtm));

	*info = (struct route_info){0};
	rtm->rtm_flags = flags;
	rtm->rtm_family = (uint8_t)netlink_family(to);
	rtm->rtm_dst_len = addr_is_v4(to) ? 32 : 128;
	netlink_put_addr(r.nlh, RTA_DST, to);
	if (from) {
		rtm->rtm_src_len = rtm->rtm_dst_len;
		netlink_put_addr(r.nlh, RTA_SRC, from);
	}
	if (oif)
		mnl_attr_put_u32(r.nlh, RTA_OIF, (uint32_t)oif);
	return netlink_ask(n, &r, take_route, info);
}

bool netlink_prefsrc(struct netlink *n, const struct addr *to, int oif, struct addr *out)
{
	struct route_info info;

	if (ask_route(n, to, NULL, oif, 0, &info) || !info.has_source)
		return false;
	*out = info.source;
	return true;
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
	struct netlink_request r;
	struct fib_rule_hdr *rule =
		netlink_begin(&r, add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(*rule));
	int err;

	rule->family = (uint8_t)family;
	rule->action = FR_ACT_BLACKHOLE;
	mnl_attr_put_u32(r.nlh, FRA_PRIORITY, GUARD_PRIORITY);
	mnl_attr_put_strz(r.nlh, FRA_IIFNAME, iif);
	err = netlink_ask(n, &r, NULL, NULL);
	if (err == -EEXIST || err == -ENOENT || (family == AF_INET6 && err == -EAFNOSUPPORT))
		return 0;
	return err;
}

int netlink_guard_rule(struct netlink *n, const char *iif, bool add)
{
	return guard_rule(n, AF_INET, iif, add) ?: guard_rule(n, AF_INET6, iif, add);
}
