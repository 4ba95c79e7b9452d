/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between gateway and network process, both directions, then the
 * roster: a network process that was taken over may say anything. What is
 * accepted has one encoding.
 */
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/ipc/netmap_copy.h"
#include "user/tailnet/ipc/wire.h"

static uint8_t again[WIRE_MAX];

static void try(struct netmap_copy *r, const uint8_t *bytes, size_t len, enum wire_direction direction)
{
	struct wire_message m;

	if (!wire_decode(bytes, len, direction, &m))
		return;
	if (wire_encode(&m, again, sizeof(again)) != len || memcmp(bytes, again, len) != 0)
		abort();
	if (direction == WIRE_TO_GATEWAY && netmap_copy_take(r, &m) == NETMAP_COPY_CHANGED)
		netmap_settle(&r->map);
	wire_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* BE16 length and message, again and again; the whole also as a file that was kept. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap_copy r = {0}, kept = {0};

	for (size_t at = 0; at + 2 <= size;) {
		size_t len = (size_t)(data[at] << 8 | data[at + 1]);

		at += 2;
		len = len < size - at ? len : size - at;
		try(&r, data + at, len, WIRE_TO_GATEWAY);
		try(&r, data + at, len, WIRE_TO_NETWORK);
		at += len;
	}
	netmap_copy_load(&kept, data, size);
	netmap_copy_free(&r);
	netmap_copy_free(&kept);
	return 0;
}
