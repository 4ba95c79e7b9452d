/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONFIG_PRIVATE_H
#define SLUICE_CONFIG_PRIVATE_H

#include "config.h"

/*
 * Addresses that nobody out there can answer to or connect to: behind a cloud's 1:1 NAT the interface has one, and
 * services and clients know another. Pure.
 */
bool config_is_private(const struct addr *a);

/* For a printf: the key, twice the address; the pool's `public` says otherwise. */
#define CONFIG_PRIVATE                                                                                             \
	"%s: %s is a private address, so services see another one and clients cannot connect to it: put what the " \
	"world sees into %s (%s itself, if services do see that one; sluice doctor --cloud asks the cloud)"

/* The keys of a pool as messages name them: "egress.addresses", "egress.pools.bank.public". */
const char *config_pool_key(const struct config_pool *pool, const char *key, char buf[128]);

/* Says so of every configured address of a pool for which nothing public is named. */
void config_warn_private(const struct config *cfg, struct diags *d);

#endif
