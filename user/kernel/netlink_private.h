/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NETLINK_PRIVATE_H
#define SLUICE_NETLINK_PRIVATE_H

#include "netlink.h" /* first: <net/if.h> must come before <linux/if.h> */

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* One request and its answers, for netlink.c, netlink_routes.c and tap_link.c. */
struct netlink_request {
	struct nlmsghdr *nlh;
	char buf[1024];
};

/* Begins a message of @type; returns its header of @payload bytes, zeroed. */
void *netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, size_t payload);

/* Asks until there is an answer, a few times. @anew (NULL: nothing to do) empties what @each has gathered. */
int netlink_ask_anew(struct netlink *n, struct netlink_request *r, mnl_cb_t each, void *ctx, void (*anew)(void *ctx));
/* The same for what is no list: it has one answer, which a second one replaces. */
int netlink_ask(struct netlink *n, struct netlink_request *r, mnl_cb_t each, void *ctx);

/* What the kernel would take as the source to @to by @oif; false: it leads nowhere. */
bool netlink_prefsrc(struct netlink *n, const struct addr *to, int oif, struct addr *out);

int netlink_family(const struct addr *a); /* AF_INET, AF_INET6 */
void netlink_put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a);
bool netlink_get_addr(const struct nlattr *attr, struct addr *out);

#endif
