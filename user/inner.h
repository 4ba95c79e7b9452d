/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_INNER_H
#define SLUICE_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../policy/addr.h"

/*
 * The IP packet inside a data message: where it ends, whose it is, and its
 * congestion marks on the way in and out of the tunnel (RFC 6040).
 */
struct inner {
	struct addr src, dst;
	uint16_t len;  /* of the packet by its own header, without the padding */
	uint8_t tos;   /* IPv4 type of service or IPv6 traffic class */
	uint8_t proto; /* IPv4 protocol or IPv6 next header */
};

/* False: not a whole IPv4 or IPv6 header, or a length that is not within @len. */
bool inner_parse(const uint8_t *packet, size_t len, struct inner *out);

/* The outer TOS of a packet whose inner one is @inner: its ECN bits alone, the
 * differentiated services stay inside (normal mode, RFC 6040 section 4.1). */
uint8_t ecn_encapsulate(uint8_t inner);
/* Takes over what the outer TOS says about congestion into an inner packet that
 * inner_parse() accepted, IPv4 checksum included (section 4.2). False: drop it,
 * the outer packet is marked and the inner one cannot be. */
bool ecn_decapsulate(uint8_t *packet, uint8_t outer);

#endif
