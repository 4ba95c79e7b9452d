/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_GUARD_H
#define SLUICE_GUARD_H

/*
 * The last look at what leaves by a NIC: no packet with a client's address, or the
 * gateway's own in the tunnel, may. Translation leaves none; this is for the day when
 * a program, a route or the TAP is missing. Everything else costs a few comparisons:
 * the prefixes of the tunnel may be shared with others (100.64.0.0/10 is also what
 * providers use), so only addresses inside them are looked up.
 *
 * And the first look at what comes in by one: a client speaks by the tunnel, where its key
 * says who it is. By a NIC anybody can write its address into a packet, to the host's
 * services or to have the host answer into the tunnel.
 */
#include "decide.h"

#define MAX_TAGS 2 /* in the frame itself; the outermost is beside it */

/* The leading @bits (1..64) of both words are the same. */
static __always_inline bool bits_equal(__u64 a, __u64 b, __u32 bits)
{
	return !(bpf_be64_to_cpu(a ^ b) >> ((64 - bits) & 63));
}

static __always_inline bool prefix_holds(const struct prefix *p, const struct addr *a)
{
	if (p->len <= 64)
		return bits_equal(p->addr.d[0], a->d[0], p->len);
	return p->addr.d[0] == a->d[0] && bits_equal(p->addr.d[1], a->d[1], p->len - 64);
}

static __noinline bool in_tunnel(const struct settings *s, const struct addr *a)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128, .addr = *a};

	for (int i = 0; i < MAX_TUNNEL_ADDR; i++) {
		if (!s->tunnel[i].len || !prefix_holds(&s->tunnel[i], a))
			continue;
		return bpf_map_lookup_elem(&clients, &key) || reserved_kind(a) == RESERVED_TUNNEL;
	}
	return false;
}

/*
 * What comes in by an interface and is another's, which has programs of its own, or is in
 * another namespace where the same addresses are somebody else's: a frame of a VLAN (without a
 * number it has just a priority), or for the link address of a macvlan. Where there is none to
 * take it, the host drops it. What tap_in turned round is for another link address, too.
 */
static __always_inline bool is_for_another(const struct __sk_buff *skb)
{
	return (skb->vlan_present && skb->vlan_tci & VLAN_NUMBER) || skb->pkt_type == PACKET_OTHERHOST;
}

/* Behind the tags that stand in the frame, as those of a VLAN within a VLAN do. @type: what is there. */
static __always_inline __u32 guard_offset(struct __sk_buff *skb, __be16 *type)
{
	__u32 off = sizeof(struct ethhdr);
	__be16 tag[2];

	*type = skb->protocol;
	for (int i = 0; i < MAX_TAGS; i++) {
		if (*type != bpf_htons(ETH_P_8021Q) && *type != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, off, tag, sizeof(tag)))
			break;
		*type = tag[1];
		off += sizeof(tag);
	}
	return off;
}

static __always_inline bool guard_addresses(struct __sk_buff *skb, struct addr *src, struct addr *dst)
{
	__be16 type;
	__u32 off = guard_offset(skb, &type);

	if (type == bpf_htons(ETH_P_IP)) {
		__be32 v4[2];

		if (bpf_skb_load_bytes(skb, off + offsetof(struct iphdr, saddr), v4, sizeof(v4)))
			return false;
		addr_v4(src, v4[0]);
		addr_v4(dst, v4[1]);
		return true;
	}
	if (type != bpf_htons(ETH_P_IPV6))
		return false;
	off += offsetof(struct ipv6hdr, saddr);
	return !bpf_skb_load_bytes(skb, off, src, sizeof(*src)) &&
	       !bpf_skb_load_bytes(skb, off + sizeof(*src), dst, sizeof(*dst));
}

static __always_inline int guard(struct __sk_buff *skb)
{
	struct settings *s = element(&settings, 0);
	struct addr src, dst;

	if (!s || !guard_addresses(skb, &src, &dst))
		return TC_ACT_UNSPEC;
	if (!in_tunnel(s, &src) && !in_tunnel(s, &dst))
		return TC_ACT_UNSPEC;
	count_drop(DROP_GUARD);
	return TC_ACT_SHOT;
}

/* Whatever is behind the addresses, whole or not. */
static __always_inline int guard_in(struct __sk_buff *skb)
{
	struct settings *s = element(&settings, 0);
	struct addr src, dst;

	if (!s || !guard_addresses(skb, &src, &dst) || !in_tunnel(s, &src))
		return TC_ACT_UNSPEC;
	count_drop(DROP_FORGED);
	return TC_ACT_SHOT;
}

#endif
