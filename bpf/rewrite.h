/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_REWRITE_H
#define SLUICE_REWRITE_H

/*
 * Changes one endpoint of a packet and its time to live. Checksums are adjusted, not
 * computed (RFC 1624): the transport's by bpf_l4_csum_replace(), which knows whether
 * the field holds a whole checksum or, with offload (CHECKSUM_PARTIAL), just the
 * pseudo header's sum; the IPv4 header's here.
 */
#include "parse.h"

struct endpoint { /* what is put in */
	struct addr addr;
	__be16 port;
};

/* Where a transport's checksum stands, behind its header's start; 0: it has none. */
static __always_inline __u32 checksum_at(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return offsetof(struct udphdr, check);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return offsetof(struct icmphdr, checksum);
	}
	return 0;
}

/* Where the port, or what stands for it, stands behind the transport's start. */
static __always_inline __u32 port_at(__u8 proto, bool dst)
{
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		return dst ? offsetof(struct tcphdr, dest) : offsetof(struct tcphdr, source);
	return offsetof(struct icmphdr, un.echo.id);
}

static __always_inline __u16 sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

/* Difference of two addresses as a sum; one path: the mapped prefix of IPv4 cancels out. */
static __always_inline __s64 addr_diff(const struct addr *from, const struct addr *to)
{
	return bpf_csum_diff((__be32 *)from->w, sizeof(*from), (__be32 *)to->w, sizeof(*to), 0);
}

struct v4_tail { /* of the header, from the time to live on */
	__u8 ttl, proto;
	__sum16 check;
	__be32 src, dst;
};

static __always_inline long store_v4(struct __sk_buff *skb, const struct packet *p, const struct tuple *t)
{
	struct v4_tail old = {p->ttl, p->t.proto, 0, p->t.src.w[3], p->t.dst.w[3]};
	struct v4_tail new = {p->ttl - 1, p->t.proto, 0, t->src.w[3], t->dst.w[3]};
	__s64 sum = bpf_csum_diff((__be32 *)&old, sizeof(old), (__be32 *)&new, sizeof(new), (__u16)~p->check);

	new.check = ~sum_fold((__u32)sum);
	return bpf_skb_store_bytes(skb, p->l3 + offsetof(struct iphdr, ttl), &new, sizeof(new), 0);
}

static __always_inline long store_v6(struct __sk_buff *skb, const struct packet *p, const struct tuple *t)
{
	struct { /* the hop limit right before the addresses, as in the header */
		__u8 pad[7], hop_limit;
		struct addr src, dst;
	} new = {.hop_limit = p->ttl - 1, .src = t->src, .dst = t->dst};

	return bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, hop_limit), &new.hop_limit,
				   sizeof(new) - sizeof(new.pad), 0);
}

/* The transport's checksum and port. */
static __always_inline long store_transport(struct __sk_buff *skb, const struct packet *p, __s64 diff, __be16 old_port,
					    __be16 port, bool dst)
{
	__u64 mangled = p->t.proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 check = p->l4 + checksum_at(p->t.proto);
	long err = 0;

	if (p->t.proto != IPPROTO_ICMP) /* has no pseudo header */
		err = bpf_l4_csum_replace(skb, check, 0, diff, BPF_F_PSEUDO_HDR | mangled);
	if (err || old_port == port)
		return err;
	err = bpf_l4_csum_replace(skb, check, old_port, port, mangled | sizeof(port));
	return err ?: bpf_skb_store_bytes(skb, p->l4 + port_at(p->t.proto, dst), &port, sizeof(port), 0);
}

/*
 * Puts @to in the place of the source (@dst false) or the destination, and takes one from
 * the time to live. *p keeps what the packet was. On failure the packet must be dropped:
 * some of it may have changed.
 */
CHECKED_ALONE long rewrite(struct __sk_buff *skb, const struct packet *p, const struct endpoint *to, bool dst)
{
	__be16 old_port;
	struct tuple t;
	long err;

	if (!p || !to)
		return -1;
	old_port = dst ? p->t.dport : p->t.sport;
	t = p->t;
	err = store_transport(skb, p, addr_diff(dst ? &t.dst : &t.src, &to->addr), old_port, to->port, dst);
	if (err)
		return err;
	if (dst)
		t.dst = to->addr;
	else
		t.src = to->addr;
	return p->v6 ? store_v6(skb, p, &t) : store_v4(skb, p, &t);
}

#endif
