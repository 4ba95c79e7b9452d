/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NETLINK_H
#define SLUICE_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"
#include "owner.h"

/*
 * What the gateway asks of and hears from the kernel's routing (rtnetlink by
 * libmnl). Requests are synchronous; each returns 0 or -errno. Adding what is
 * there and removing what is not are no errors. A question that the kernel could not answer is asked again a few
 * times; its error never means "none".
 */
struct mnl_socket;

#define NETLINK_ANSWER 32768 /* of one recv: what the kernel fills a dump with at most */

struct netlink {
	struct mnl_socket *socket;
	uint32_t seq;
	uint32_t mark; /* owner_mark() of the gateway whose routes it makes and removes; set by its owner */
	_Alignas(uint32_t) char answer[NETLINK_ANSWER];
};

int netlink_open(struct netlink *n);
void netlink_close(struct netlink *n);

struct netlink_link {
	int ifindex;
	char name[IFNAMSIZ];
	uint32_t mtu;
	bool up;
	bool ethernet; /* its frames have an Ethernet header */
	bool holds;    /* lo or a dummy: it holds addresses, and nothing arrives by it */
	bool tun;      /* a TUN or TAP device: whoever made it sends by it */
	int master;    /* 0: none */
	bool port;     /* of a bridge, a bond or the like, which has what arrives by it; not of a VRF */
	bool vrf;      /* what arrives by its ports is for its addresses, too */
};

#define NETLINK_NO_ETHERNET                                                                                        \
	"egress interface %s carries no Ethernet frames, as tunnels and modems do not: expected one that does (a " \
	"NIC, "                                                                                                    \
	"bond, bridge, VLAN)"

int netlink_link(struct netlink *n, const char *name, struct netlink_link *out); /* -ENODEV: no such */
int netlink_link_at(struct netlink *n, int ifindex, struct netlink_link *out);	 /* the same */
/* Without ARP, without addresses of the kernel's own making; @up: and up. */
int netlink_link_setup(struct netlink *n, int ifindex, uint32_t mtu, bool up);
int netlink_link_delete(struct netlink *n, int ifindex);

/* The address alone (/32, /128), no duplicate address detection. */
int netlink_address_add(struct netlink *n, int ifindex, const struct addr *a);
int netlink_address_delete(struct netlink *n, int ifindex, const struct addr *a);

/* Addresses of an interface that others can reach, also secondary, deprecated and temporary
 * ones: no IPv6 link-local, no tentative ones. Returns the number, or -errno; -EOVERFLOW: there are more than @max. */
int netlink_addresses(struct netlink *n, int ifindex, struct addr *out, size_t max);
#define NETLINK_ADDRESSES 512 /* of one interface; with more, what follows is -EOVERFLOW */
/*
 * The addresses of an interface that the kernel itself takes as the source of what leaves by it
 * for these two, one of each family; of IPv6 never a temporary one. Where no route says, the
 * first that is neither secondary nor deprecated. Returns the number, or -errno.
 */
int netlink_sources(struct netlink *n, int ifindex, const struct addr to[2], struct addr out[2]);
/* 1 where a loopback or dummy device holds @a for all interfaces, 0 where none does, or -errno. */
int netlink_is_held(struct netlink *n, const struct addr *a);
/* All addresses of the host, with loopback and link-local ones. Their number, which may be more than @max, or -errno.
 */
int netlink_host_addresses(struct netlink *n, struct addr *out, size_t max);

/* Index of the interface of the default route with the lowest metric; 0: none; or -errno. IPv4 first. */
int netlink_default_interface(struct netlink *n);

enum netlink_route { NETLINK_ROUTE_DEVICE, NETLINK_ROUTE_UNREACHABLE };

/*
 * Every route of a gateway carries this protocol number. Whose it is, its device tells, or its metric where it has
 * none: the mark is added to the metric of the kernel's own null routes, behind every other.
 */
#define NETLINK_PROTOCOL	   83 /* 'S' */
#define NETLINK_METRIC_UNREACHABLE (4278198272u - (1u << OWNER_MARK_BITS))

/* Nobody else's is replaced: -EEXIST where the same route leads by another device. */
int netlink_route_add(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex);
int netlink_route_delete(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex);

struct netlink_own_route {
	struct prefix prefix;
	enum netlink_route kind;
	int ifindex;
};

/*
 * All routes of this gateway in the main table: those by its TAP (@ifindex; 0: there is none), and those without a
 * device that carry its mark. *out is to be freed, in any case.
 */
int netlink_own_routes(struct netlink *n, int ifindex, struct netlink_own_route **out, size_t *len);

struct nlmsghdr;
/* Pure: does the message tell that somebody else deleted a route of this gateway? */
bool netlink_own_route_lost(const struct netlink *n, const struct nlmsghdr *nlh, int ifindex);

/*
 * Where the kernel would send: interface and next hop (all zero: on link). -ENETUNREACH and the like: nowhere.
 * @from (NULL: any) must be the host's; @oif (0: any) asks for a way by that interface.
 */
int netlink_route_get(struct netlink *n, const struct addr *to, const struct addr *from, int oif, int *ifindex,
		      struct addr *next_hop);

#define LOOPBACK_IFINDEX 1

/* "iif NAME blackhole", both families, right behind the local table. */
int netlink_guard_rule(struct netlink *n, const char *iif, bool add);

/* Removes the clsact qdisc of an interface when no filter is left on it. */
int netlink_clsact_tidy(struct netlink *n, int ifindex);

/* ---- changes --------------------------------------------------------------- */

enum netlink_change {
	NETLINK_LINK = 1,
	NETLINK_ADDRESS = 2,
	NETLINK_ROUTES = 4,
	NETLINK_RULES = 8,
	NETLINK_OWN_ROUTES = 16, /* somebody deleted some of this gateway's */
};

/* Routes of routing daemons change unheard, default routes excepted: ask where they lead once in so many seconds. */
#define NETLINK_ROUTES_AGAIN 10

/* A socket that becomes readable when links, addresses, other routes or rules change. fd or -errno. */
int netlink_monitor_open(void);
/* Reads everything that waits; what it was about, as bits of enum netlink_change
 * (all of them when the kernel had to drop some). @n, @ifindex: as netlink_own_route_lost() has them. */
unsigned netlink_monitor_read(int fd, const struct netlink *n, int ifindex);

#endif
