/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_STRAY_H
#define SLUICE_STRAY_H

/*
 * What is done with a packet that belongs to no flow, or whose flow ends at it. "Clients'
 * ports" are those that translation may take (port_is_ours()); sluice(8) has this table, too.
 *
 *   from a service, or anybody outside  | exclusive address     | shared address
 *   ------------------------------------+-----------------------+-------------------------------
 *   TCP to clients' ports:        SYN   | dropped               | dropped (no socket has the port)
 *                                 RST   | dropped               | to the host
 *                                 other | RST                   | to the host, which sends a RST
 *   TCP to other ports                  | dropped               | to the host
 *   UDP, ping, other protocols          | dropped               | to the host
 *   WireGuard, neighbour discovery,     | to the host           | to the host
 *     DHCP that a socket waits for      |                       |
 *   ICMP error about no flow            | dropped               | to the host
 *   fragment                            | put together; as above, once it is whole
 *   TCP, its flow refused now (policy)  | RST                   | RST
 *   TCP, kept out by a mapping's filter | RST, a SYN: dropped   | RST, a SYN: dropped (or a socket's)
 *   UDP, either of these                | dropped               | dropped
 *   by a wrong interface; forged source | dropped               | dropped
 *
 *   from a client                       |
 *   ------------------------------------+------------------------------------------------------
 *   TCP:  SYN that is refused           | ICMP, administratively prohibited
 *         RST                           | dropped, or by its mapping to the service
 *         other                         | RST
 *         its flow refused now (policy) | RST
 *         to the host, refused          | RST; a SYN: ICMP
 *   UDP, ping that are refused          | ICMP, administratively prohibited
 *   echo reply, ICMP error of no flow   | dropped
 *
 * Never a RST: to a RST; to an unsolicited SYN from outside (it would end a simultaneous
 * open, RFC 5382 REQ-4); to or from multicast; past the sender's budget (reset.h); where
 * nat.resets is off. settings.resets is also for a gateway that shares its flows with
 * another: unless it is active and in sync, a flow that it does not know may be alive, so
 * it says nothing. While an egress address is held (EGRESS_HELD) its flows are known, and
 * what belongs to them is dropped in silence.
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
