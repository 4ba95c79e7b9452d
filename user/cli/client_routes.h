/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CLIENT_ROUTES_H
#define SLUICE_CLIENT_ROUTES_H

#include "policy/filter.h"
#include "user/config/config.h"

/*
 * What a client may reach: the gateway's routes as far as some rule accepts
 * anything there, for the AllowedIPs of its configuration. A list without an
 * entry that another one covers, in order of addresses. Pure.
 */
struct client_routes {
	struct prefix *v;
	size_t n;
};

/* @filter NULL: there is no policy, so nothing. Denials are not taken off: a
 * client may well be told of an address that refuses it. */
void client_routes_of(const struct config *cfg, const struct config_client *client, const struct filter *filter,
		      struct client_routes *out);
void client_routes_free(struct client_routes *r);

#endif
