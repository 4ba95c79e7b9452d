/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ECN_H
#define SLUICE_ECN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Congestion marks on the way in and out of the tunnel (RFC 6040), normal mode.
 */

/* Type of service (IPv4) or traffic class (IPv6) of an IP packet. */
uint8_t ecn_tos(const uint8_t *packet);

/* The outer TOS for a packet whose inner one is @inner: its ECN bits alone, the
 * differentiated services stay inside (section 4.1). */
uint8_t ecn_encapsulate(uint8_t inner);

/* Takes over what the outer TOS says about congestion into a whole IP packet,
 * header checksum included (section 4.2). False: drop it, for the outer packet
 * is marked and the inner one cannot be. */
bool ecn_decapsulate(uint8_t *packet, uint8_t outer);

#endif
