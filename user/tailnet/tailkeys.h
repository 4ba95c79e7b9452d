/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_TAILKEYS_H
#define SLUICE_TAILNET_TAILKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/key.h"

/*
 * Our secret keys in a tailnet, files of mode 0600 in one folder:
 *
 *   machine.key   the machine, towards the coordination server; for ever
 *   node.key      WireGuard and relays; a new one with every login
 *   old-node.key  the one before, until the server has taken the new one
 *   disco.key     path finding; kept, so that peers need not learn a new one
 */
struct tailkeys {
	uint8_t machine[KEY_LEN], node[KEY_LEN], old_node[KEY_LEN], disco[KEY_LEN]; /* old_node all zero: none */
};

/* Reads them, makes what is absent. False: @error says why, @k is wiped. */
bool tailkeys_load(const char *folder, struct tailkeys *k, char *error, size_t size);
/* A new node key; the present one becomes the old one. False: nothing has changed. */
bool tailkeys_rotate(const char *folder, struct tailkeys *k, char *error, size_t size);
/*
 * By the server our node's (public) key is @told. True: that is the new one, and the old one, of no use any
 * more, is gone. False: nothing has changed.
 */
bool tailkeys_settle(const char *folder, struct tailkeys *k, const uint8_t told[KEY_LEN]);
/* The server has refused it: back to the old one. False: nothing has changed. */
bool tailkeys_revert(const char *folder, struct tailkeys *k, char *error, size_t size);
/* The node key that others know us by. */
const uint8_t *tailkeys_in_force(const struct tailkeys *k);

#endif
