/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_HAIRPIN_H
#define SLUICE_HAIRPIN_H

/*
 * From one client to another by its external endpoint (RFC 4787 REQ-9, RFC 5382 REQ-8,
 * RFC 5508 REQ-7). The packet is translated on its way out as any other, so it comes
 * from its sender's external endpoint; but at the NIC it turns round and comes in as if
 * a remote had sent it, with the filter, the policy and the counters of the way in:
 *
 *   TAP -> tap_in: source becomes 198.51.100.1:5001 -> NIC's ingress
 *                                                        |
 *   TAP <- nic_in: destination becomes 100.64.0.6:777 <--'
 *
 * Only mappings have external endpoints: UDP, and TCP where it is endpoint-independent.
 * What goes to an address of the host's and to no mapping there is for the host.
 */
#include "create.h"
#include "reset.h"

/* The mapping at an external endpoint, which @p is for; NULL: none. */
static __always_inline struct flow *mapping_at(const struct settings *s, const struct packet *p, __u64 now, __u32 *slot)
{
	struct tuple t = {.dst = p->t.dst, .dport = p->t.dport, .proto = p->t.proto, .side = SIDE_REMOTE};
	struct flow *m;

	if ((p->kind != KIND_UDP && p->kind != KIND_TCP) || !is_endpoint_independent(s, p->t.proto))
		return NULL;
	m = flow_find(&t, slot);
	return m && flow_state(m) == FLOW_MAPPING && m->expires > now ? m : NULL;
}

#endif
