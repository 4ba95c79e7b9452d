/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TUNNEL_H
#define SLUICE_TUNNEL_H

#include "site.h"

/* The tunnel interface. */
struct tunnel {
	uint32_t mtu;
	bool ipv6_off;	     /* the host has IPv6 switched off, on this interface at least: that family is left out */
	bool routes_missing; /* it is on again, and the clients' routes of that family are not there */
};

enum tunnel_kept { TUNNEL_WHOLE, TUNNEL_RAISED, TUNNEL_ANEW };

/* The MTU: as configured, or what the underlay leaves. Before the device is made. */
void tunnel_measure(struct tunnel *t, const struct site *s);
/*
 * After a change of the host's links or routes: an underlay of another MTU gives the tunnel another. True: the
 * host's IPv6 is on again, and the clients' routes of that family are missing.
 */
bool tunnel_follow(struct tunnel *t, const struct site *s);
/* Up, fenced, with its addresses. False with one line in @error. */
bool tunnel_open(struct tunnel *t, const struct site *s, char *error, size_t size);
/* What the programs are told of interface and configuration. 0 or -errno. */
int tunnel_tell(const struct tunnel *t, const struct site *s);
/* The tunnel's addresses are others than those of @old: on the TAP, in the programs' settings. */
void tunnel_readdress(struct tunnel *t, const struct site *s, const struct config *old);
/* Our address of this family inside it; NULL: it has none. */
const struct addr *tunnel_address(const struct site *s, bool v4);
/*
 * There and up again; @changed: something of the host's has. It lost the routes by it where it was raised (somebody
 * took it down), or made anew (somebody deleted it).
 */
enum tunnel_kept tunnel_keep(struct tunnel *t, const struct site *s, bool changed);

#endif
