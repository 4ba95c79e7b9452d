/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NETMAP_CONFIG_H
#define SLUICE_NETMAP_CONFIG_H

#include "user/config/config.h"
#include "user/tailnet/netmap/netmap.h"

/*
 * A netmap in the words of the configuration: peers as clients, our node's addresses
 * as the tunnel's, its tags as the gateway's, the server's rules and the routes that
 * it has us serve beside them. All that follows (clients.c, the policy, reports)
 * need not know where they came from. Pure.
 *
 * The server may say what it likes: a peer's addresses count where they lie in the
 * tailnet's ranges, are not ours, and are not an earlier peer's; a peer without any
 * is left out, as is what is beyond MAX_CLIENTS.
 */

/* Overwrites those parts of @cfg, of a configuration with tailnet. What it had is the caller's to free. */
void netmap_config(struct config *cfg, const struct netmap *m);
void netmap_config_free(struct config *cfg);
/* Whether two configurations have the same from a netmap. */
bool netmap_config_same(const struct config *a, const struct config *b);

/*
 * The node whose route @route is now: of all that serve it, clients send to this one. Ours where the server says so of
 * us and of nobody else: headscale (0.28, 0.29) says of peers when it changes, of ourselves not. NULL: of none that we
 * are told of; it tells nobody whom its rules do not let in there, also not the primary itself.
 */
const struct tailnet_node *netmap_config_primary(const struct netmap *m, const struct prefix *route);

#endif
