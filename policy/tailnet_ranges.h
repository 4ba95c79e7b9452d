/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RANGES_H
#define SLUICE_TAILNET_RANGES_H

#include <stdbool.h>

#include "addr.h"

/*
 * What the nodes of a Tailscale tailnet have their addresses from, and what of it no node has. A gateway with
 * clients of its own gives them whatever addresses it likes: nothing here is about those.
 */
#define TAILNET_V4	   "100.64.0.0/10" /* RFC 6598 */
#define TAILNET_V6	   "fd7a:115c:a1e0::/48"
#define TAILNET_CHROMEOS   "100.115.92.0/23" /* kept for the virtual machines of ChromeOS */
#define TAILNET_SERVICE_V4 "100.100.100.100" /* tailscaled answers on it itself */
#define TAILNET_SERVICE_V6 "fd7a:115c:a1e0::53"

/* The range that @a would be in; false: no node has that address. */
bool tailnet_range_of(const struct addr *a, struct prefix *out);
/* The same without the range. */
bool tailnet_range_has(const struct addr *a);
bool tailnet_range_covers(const struct prefix *p); /* by the whole ranges */

#endif
