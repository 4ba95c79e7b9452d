/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RELAY_BOX_H
#define SLUICE_TAILNET_RELAY_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "user/base/key.h"

#define RELAY_BOX_NONCE_LEN 24

/* The body of ClientInfo: our node key, a nonce, and a box from it to the relay's key, so that
 * only the key's owner gets its packets. Returns its length, 0: the relay's key is no key, or
 * @size is too small. */
size_t relay_box_seal(uint8_t *out, size_t size, const uint8_t node_secret[KEY_LEN], const uint8_t server_key[KEY_LEN],
		      const uint8_t nonce[RELAY_BOX_NONCE_LEN]);

#endif
