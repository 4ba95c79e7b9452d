/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PORTS_H
#define SLUICE_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/contract.h"

/*
 * Which ports of an egress address the NAT may use: 1024-65535 less what the
 * host keeps for itself (net.ipv4.ip_local_port_range, the WireGuard port), since
 * it shares the address. Pure but for ports_of_host().
 */
struct ports_kept { /* inclusive, host order */
	uint16_t first, last;
};

#define PORTS_FIRST 1024
#define PORTS_KEPT_MAX (MAX_PORT_RANGES - 1)

/* Fills range[], ports and prime of @e. False: nothing is left, or it is in too many pieces. */
bool ports_choose(const struct ports_kept *kept, unsigned n, struct egress *e);

/* What this host keeps: its ephemeral range and reserved ports. Returns the number, at most PORTS_KEPT_MAX. */
unsigned ports_of_host(struct ports_kept kept[PORTS_KEPT_MAX]);

#endif
