/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_KEPT_NETMAP_H
#define SLUICE_TAILNET_KEPT_NETMAP_H

#include "user/tailnet/ipc/netmap_copy.h"

/*
 * The last netmap, kept in the tailnet's folder of the state: with it a gateway that starts
 * while the server is away forwards at once. It is of the one server that it came from,
 * however that is spelled. A damaged one is none, and where the newest cannot be written no older one
 * is left: it may hold nodes that are out by now. What goes wrong is logged: the server has it all, too.
 */
void kept_netmap_save(const char *folder, const char *server, const struct netmap_copy *r);
/* False: there is none, or none of that server's; the roster is as before. */
bool kept_netmap_load(const char *folder, const char *server, struct netmap_copy *r);
void kept_netmap_drop(const char *folder);

#endif
