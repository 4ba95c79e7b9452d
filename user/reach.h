/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REACH_H
#define SLUICE_REACH_H

#include "policy/filter.h"
#include "user/config.h"

/*
 * What a client may reach: the gateway's routes as far as some rule accepts
 * anything there, for the AllowedIPs of its configuration. A list without an
 * entry that another one covers, in order of addresses. Pure.
 */
struct reach {
	struct prefix *v;
	size_t n;
};

/* @filter NULL: no policy is at hand, so all routes. Denials are not taken off: a
 * client may well be told of an address that refuses it. */
void reach_of(const struct config *cfg, const struct config_client *client, const struct filter *filter,
	      struct reach *out);
void reach_free(struct reach *r);

#endif
