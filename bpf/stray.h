/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_STRAY_H
#define SLUICE_STRAY_H

/*
 * What comes in by a NIC and belongs to no flow is the host's and goes on unchanged,
 * but for what the host must not answer:
 *
 *   - anything to an exclusive address, but for WireGuard, neighbour discovery and DHCP;
 *   - a SYN to a port that is translation's and that no socket of the host has: the
 *     reset would end a simultaneous open (RFC 5382 REQ-4).
 */
#include "hairpin.h"

#define NDP_FIRST   133 /* ICMPv6: router solicitation ... */
#define NDP_LAST    137 /* ... redirect */
#define DHCP_CLIENT 68

/* The external address that is @a; NULL: none, or it is not there now. */
static __always_inline struct egress *egress_at(const struct addr *a)
{
	struct addr key = *a;
	__u32 *id = bpf_map_lookup_elem(&egress_ids, &key);
	struct egress *e = id ? element(&egresses, *id) : NULL;

	return e && e->state == EGRESS_HERE ? e : NULL;
}

static __always_inline bool port_is_ours(const struct egress *e, __be16 port)
{
	__u16 n = bpf_ntohs(port);

	for (int r = 0; r < MAX_PORT_RANGES; r++)
		if (n >= e->range[r].first && n - e->range[r].first < e->range[r].count)
			return true;
	return false;
}

/*
 * What keeps the tunnel and the link alive, be the address exclusive or not; a lease that
 * cannot be renewed would take the address away. @quoted: by an ICMP error.
 */
static __always_inline bool is_vital(struct __sk_buff *skb, const struct packet *p, const struct packet *quoted,
				     __be16 wg_port)
{
	if (p->kind == KIND_ICMP)
		return p->v6 && p->icmp_type >= NDP_FIRST && p->icmp_type <= NDP_LAST;
	if (p->kind == KIND_ICMP_ERROR)
		return quoted->kind == KIND_UDP && quoted->t.sport == wg_port;
	if (p->kind != KIND_UDP)
		return false;
	return p->t.dport == wg_port || (p->t.dport == bpf_htons(DHCP_CLIENT) && port_is_hosts(skb, &p->t));
}

/* Why the host must not see a packet that belongs to no flow; DROP_NONE: it is the host's. */
CHECKED_ALONE int stray(struct __sk_buff *skb, const struct packet *p, const struct packet *quoted)
{
	struct settings *s = element(&settings, 0);
	struct egress *e;

	if (!s || !p || !quoted)
		return DROP_NONE;
	e = egress_at(&p->t.dst);
	if (!e)
		return DROP_NONE;
	if (e->exclusive)
		return is_vital(skb, p, quoted, bpf_htons(s->wg_port)) ? DROP_NONE : DROP_EXCLUSIVE;
	if (p->kind == KIND_TCP && tcp_opens(p) && port_is_ours(e, p->t.dport) && !port_is_hosts(skb, &p->t))
		return DROP_UNSOLICITED;
	return DROP_NONE;
}

#endif
