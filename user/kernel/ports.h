/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PORTS_H
#define SLUICE_PORTS_H

#include <stddef.h>

#include "maps.h"

/*
 * The ports that the host keeps for itself, since it shares the egress address:
 * its ephemeral range and net.ipv4.ip_local_reserved_ports. Ports that do not fit
 * into @max ranges is merged into the last one, so nothing kept is given away.
 * Returns the number of ranges.
 */
size_t ports_of_host(struct maps_ports *kept, size_t max);

#endif
