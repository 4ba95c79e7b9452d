/* SPDX-License-Identifier: BSD-2-Clause */
/* The login at a relay is sealed here, in the gateway: the network process never has the node's secret. */
#include "relay_box.h"

#include <assert.h>
#include <sodium.h>

#include "user/base/bytes.h"

static const char info[] = "{\"version\":2,\"CanAckPings\":true}";

size_t relay_box_seal(uint8_t *out, size_t size, const uint8_t node_secret[KEY_LEN], const uint8_t server_key[KEY_LEN],
		      const uint8_t nonce[RELAY_BOX_NONCE_LEN])
{
	struct writer w = writer_to(out, size);
	uint8_t public[KEY_LEN], *box;

	static_assert(RELAY_BOX_NONCE_LEN == crypto_box_NONCEBYTES, "NaCl box");
	crypto_scalarmult_base(public, node_secret);
	write_bytes(&w, public, KEY_LEN);
	write_bytes(&w, nonce, RELAY_BOX_NONCE_LEN);
	box = write_room(&w, sizeof(info) - 1 + crypto_box_MACBYTES);
	if (!box || crypto_box_easy(box, (const uint8_t *)info, sizeof(info) - 1, nonce, server_key, node_secret) != 0)
		return 0;
	return writer_len(&w);
}
