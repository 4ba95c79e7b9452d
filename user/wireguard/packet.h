/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PACKET_H
#define SLUICE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * An inner packet as the worker needs to see it: enough to merge it with its
 * neighbours and to cut a super-packet. The programs in the kernel look closer.
 */
struct packet {
	uint8_t *data; /* the IP header */
	uint16_t len;  /* as the IP header says: the tunnel's padding is not part of it */
	bool v6;
	uint8_t proto; /* of the transport header; 0 for a fragment and where extensions are in between */
	uint8_t l4;    /* offset of the transport header */
	struct addr src, dst;
};

/*
 * Reads the IP header of @len bytes at @data (may be longer than the packet:
 * WireGuard pads). False: not a whole IP packet.
 */
bool packet_parse(uint8_t *data, size_t len, struct packet *out);

#endif
