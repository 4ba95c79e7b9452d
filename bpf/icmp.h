/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_ICMP_H
#define SLUICE_ICMP_H

/*
 * ICMP errors (RFC 5508 REQ-3 to 5). An error quotes the packet it is about as it was
 * on the other side of the translation; the quote names the flow, and gets back the
 * endpoint that its first sender knows, in the address, the port and whatever
 * checksums are in it. It neither refreshes nor ends the flow.
 */
#include "flow.h"
#include "rewrite.h"

struct quote {
	struct packet p; /* the quoted packet */
	__u32 end;	 /* of what is there of it */
	__u32 check;	 /* of the ICMP message, where */
	__u32 slot;	 /* of the flow that it names */
};

/*
 * Reads what the error at *p quotes into *q. False: it is too short, or the error does not
 * go to who sent that: somebody's trick to get by the policy, or to be believed.
 */
static __always_inline bool quote_read(struct __sk_buff *skb, const struct packet *p, struct quote *q)
{
	if (parse(skb, &q->p, p->payload, p->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP), QUOTED))
		return false;
	q->check = p->l4 + offsetof(struct icmphdr, checksum);
	q->end = p->l3 + p->len;
	return q->p.l4 + 8 <= q->end && addr_equal(&q->p.t.src, &p->t.dst);
}

/* What would answer the quoted packet, as it arrives on @side. */
static __always_inline void quote_answer(struct tuple *t, const struct quote *q, __u8 side)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->src = q->p.t.dst;
	t->dst = q->p.t.src;
	t->sport = q->p.t.dport;
	t->dport = q->p.t.sport;
	t->proto = q->p.t.proto;
	t->side = side;
}

/* Finds the flow that *q is about. @side: on which the error arrived. NULL: there is none. */
static __always_inline struct flow *icmp_flow(struct quote *q, __u8 side, __u64 now)
{
	struct flow *f;
	struct tuple t;

	if (q->p.kind != KIND_TCP && q->p.kind != KIND_UDP &&
	    q->p.kind != (side == SIDE_CLIENT ? KIND_ECHO_REPLY : KIND_ECHO))
		return NULL;
	quote_answer(&t, q, side);
	if (side == SIDE_REMOTE) {
		q->slot = flow_of_remote(&t, now);
		return flow_at(q->slot);
	}
	f = flow_find(&t, &q->slot);
	return f && flow_lives(f, now) ? f : NULL;
}

/* Two bytes of the message, with its checksum. */
static __always_inline long quote_store16(struct __sk_buff *skb, const struct quote *q, __u32 off, __u16 old, __u16 new)
{
	long err = bpf_l4_csum_replace(skb, q->check, old, new, sizeof(new));

	return err ?: bpf_skb_store_bytes(skb, off, &new, sizeof(new), 0);
}

static __always_inline long quote_store_addr(struct __sk_buff *skb, const struct quote *q, const struct addr *new,
					     __s64 diff, bool dst)
{
	long err = bpf_l4_csum_replace(skb, q->check, 0, diff, 0);
	__u32 off = q->p.l3;
	__u16 check;

	if (err)
		return err;
	if (q->p.v6) {
		off += dst ? offsetof(struct ipv6hdr, daddr) : offsetof(struct ipv6hdr, saddr);
		return bpf_skb_store_bytes(skb, off, new, sizeof(*new), 0);
	}
	off += dst ? offsetof(struct iphdr, daddr) : offsetof(struct iphdr, saddr);
	err = bpf_skb_store_bytes(skb, off, &new->w[3], sizeof(new->w[3]), 0);
	check = ~sum_fold((__u64)(__u16)~q->p.check + (__u32)diff);
	return err ?: quote_store16(skb, q, q->p.l3 + offsetof(struct iphdr, check), q->p.check, check);
}

/* The quoted transport's own checksum, when the quote reaches that far. @sum: what has changed under it. */
static __always_inline long quote_store_check(struct __sk_buff *skb, const struct quote *q, __u64 sum)
{
	__u32 off = q->p.l4 + checksum_at(q->p.t.proto);
	__u16 old, new;

	if (off + sizeof(old) > q->end)
		return 0;
	if (bpf_skb_load_bytes(skb, off, &old, sizeof(old)))
		return 0;
	if (q->p.t.proto == IPPROTO_UDP && !old) /* none */
		return 0;
	new = ~sum_fold((__u64)(__u16)~old + sum);
	if (q->p.t.proto == IPPROTO_UDP && !new)
		new = 0xffff;
	return quote_store16(skb, q, off, old, new);
}

/*
 * Puts @to into the quote, on its source (@dst false) or destination, and into the
 * message's outer header on the opposite end.
 */
CHECKED_ALONE long icmp_translate(struct __sk_buff *skb, const struct packet *p, const struct quote *q,
				  const struct endpoint *to, bool dst)
{
	struct endpoint outer = {}; /* the message itself has no port */
	__be16 port;
	__s64 diff;
	__u64 sum;
	long err;

	if (!p || !q || !to)
		return -1;
	port = dst ? q->p.t.dport : q->p.t.sport;
	outer.addr = to->addr;
	diff = addr_diff(dst ? &q->p.t.dst : &q->p.t.src, &to->addr);
	sum = (__u16)~port + (__u64)to->port;
	if (q->p.t.proto != IPPROTO_ICMP) /* has no pseudo header */
		sum += (__u32)diff;
	err = quote_store_addr(skb, q, &to->addr, diff, dst);
	if (!err)
		err = quote_store16(skb, q, q->p.l4 + port_at(q->p.t.proto, dst), port, to->port);
	if (!err)
		err = quote_store_check(skb, q, sum);
	return err ?: rewrite(skb, p, &outer, !dst);
}

/*
 * Behind icmp_translate() of an error to @client: says that the quoted packet's destination
 * sent it (hides_router(), in.h).
 */
static __always_inline long icmp_from_service(struct __sk_buff *skb, const struct packet *p, const struct quote *q,
					      const struct addr *client)
{
	struct tuple t = {.src = q->p.t.dst, .dst = *client};
	long err = 0;

	if (!p->v6)
		return store_v4(skb, p, &t);
	err = bpf_l4_csum_replace(skb, q->check, 0, addr_diff(&p->t.src, &t.src), BPF_F_PSEUDO_HDR);
	return err ?: store_v6(skb, p, &t);
}

#endif
