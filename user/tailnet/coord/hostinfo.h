/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_HOSTINFO_H
#define SLUICE_TAILNET_HOSTINFO_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/* What we tell the coordination server about this machine, and how it is connected. */
struct hostinfo {
	const char *hostname;
	const char *version;	/* Sluice's */
	const char *os_version; /* the kernel's release */
	const char *log_id;	/* 64 hex digits; servers want one to be there */
	const struct prefix *routes;
	size_t n_routes;
	uint16_t region; /* home relay; 0: not known yet */
	bool udp, ipv6;	 /* a STUN server answered; over IPv6 */
};

json_t *hostinfo_json(const struct hostinfo *h);

/* "addr/len" in its family's own length, always with the length. Returns @buf. */
const char *prefix_cidr(const struct prefix *p, char buf[ADDR_STRLEN]);

#endif
