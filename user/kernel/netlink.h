/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NETLINK_H
#define SLUICE_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * What the gateway asks of and hears from the kernel's routing (rtnetlink by
 * libmnl). Requests are synchronous; each returns 0 or -errno. Adding what is
 * there and removing what is not are no errors.
 */
struct mnl_socket;

#define NETLINK_ANSWER 32768 /* of one recv: what the kernel fills a dump with at most */

struct netlink {
	struct mnl_socket *socket;
	uint32_t seq;
	_Alignas(uint32_t) char answer[NETLINK_ANSWER];
};

int netlink_open(struct netlink *n);
void netlink_close(struct netlink *n);

struct netlink_link {
	int ifindex;
	char name[IFNAMSIZ];
	uint32_t mtu;
	bool up;
	bool ethernet;
};

int netlink_link(struct netlink *n, const char *name, struct netlink_link *out); /* -ENODEV: no such */
/* Without ARP, without addresses of the kernel's own making; @up: and up. */
int netlink_link_setup(struct netlink *n, int ifindex, uint32_t mtu, bool up);
int netlink_link_delete(struct netlink *n, int ifindex);

/* The address alone (/32, /128), no duplicate address detection. */
int netlink_address_add(struct netlink *n, int ifindex, const struct addr *a);
int netlink_address_delete(struct netlink *n, int ifindex, const struct addr *a);

/* Addresses of an interface that others can reach: no link-local, no temporary,
 * no tentative ones. Returns the number, at most @max, or -errno. */
int netlink_addresses(struct netlink *n, int ifindex, struct addr *out, size_t max);
/* All addresses of the host, with loopback and link-local ones. */
int netlink_host_addresses(struct netlink *n, struct addr *out, size_t max);

/* Index of the interface of the default route with the lowest metric; 0: none. IPv4 first. */
int netlink_default_interface(struct netlink *n);

enum netlink_route { NETLINK_ROUTE_DEVICE, NETLINK_ROUTE_UNREACHABLE };

/* Every route of ours carries this protocol number, by which leftovers are found. */
#define NETLINK_PROTOCOL 83 /* 'S' */
#define NETLINK_METRIC_UNREACHABLE 4278198272u /* behind every other: the metric of the kernel's own null routes */

int netlink_route_add(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex);
int netlink_route_delete(struct netlink *n, const struct prefix *p, enum netlink_route kind, int ifindex);

/* All routes of ours in the main table. @each must not call netlink. Returns 0 or -errno. */
int netlink_each_route(struct netlink *n,
		       void (*each)(void *ctx, const struct prefix *p, enum netlink_route kind, int ifindex),
		       void *ctx);

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

enum netlink_change { NETLINK_LINK = 1, NETLINK_ADDRESS = 2, NETLINK_ROUTES = 4, NETLINK_RULES = 8 };

/* A socket that becomes readable when links, addresses, routes or rules change. fd or -errno. */
int netlink_monitor_open(void);
/* Reads everything that waits; what it was about, as bits of enum netlink_change
 * (all of them when the kernel had to drop some). */
unsigned netlink_monitor_read(int fd);

#endif
