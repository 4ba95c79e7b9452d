/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

/*
 * What a packet is: one reader for both families, for packets and for the packet
 * that an ICMP error quotes. Everything is read with bpf_skb_load_bytes(), which
 * checks bounds and does not mind how the packet lies in memory; two or three calls
 * of 5 ns for a super-packet.
 */
#include "maps.h"

#define ETH_P_IP     0x0800
#define ETH_P_IPV6   0x86DD
#define ETH_P_8021Q  0x8100
#define ETH_P_8021AD 0x88A8
#define VLAN_NUMBER  0x0fff

#define TC_ACT_UNSPEC	 (-1)
#define TC_ACT_OK	 0
#define TC_ACT_SHOT	 2
#define TC_ACT_REDIRECT	 7
#define PACKET_HOST	 0
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3

#define IPPROTO_HOPOPTS	 0
#define IPPROTO_ROUTING	 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6	 58
#define IPPROTO_DSTOPTS	 60

#define IP_MF	  0x2000
#define IP_OFFSET 0x1fff
#define IP_DF	  0x4000

#define ICMP_TIME_EXCEEDED   11
#define ICMPV6_TIME_EXCEEDED 3

#define IPOPT_END  0
#define IPOPT_NOP  1
#define IPOPT_LSRR 131
#define IPOPT_SSRR 137

#define MAX_OPTIONS    40 /* bytes: each is an option at least */
#define MAX_EXTENSIONS 8
#define JUMBO_HEADER   8 /* hop-by-hop, with the length (RFC 2675) */

enum kind { /* as translation sees it */
	    KIND_OTHER,
	    KIND_TCP,
	    KIND_UDP,
	    KIND_ECHO,
	    KIND_ECHO_REPLY,
	    KIND_ICMP_ERROR,
	    KIND_ICMP, /* any other ICMP */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	struct tuple t;	       /* side is the caller's */
	__u32 l3, l4, payload; /* offsets in the frame */
	__u32 len;	       /* of the IP packet */
	__u32 seq, ack;	       /* TCP */
	__sum16 check;	       /* of the IPv4 header */
	__u8 v6;
	__u8 kind; /* enum kind */
	__u8 ttl;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 df;
	__u8 cut_off; /* bytes of its headers that no segment of it has */
};

/*
 * How strict: a quote is cut off somewhere behind its transport's first 8 bytes, and may
 * be of a packet's first fragment.
 */
enum whole { WHOLE_PACKET, QUOTED };

static __always_inline void addr_v4(struct addr *a, __be32 v4)
{
	a->d[0] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

static __always_inline bool is_v4_mapped(const struct addr *a)
{
	return !a->d[0] && a->w[2] == bpf_htonl(0xffff);
}

/* Packets that a (super-)packet will be on the wire. */
static __always_inline __u32 segments(const struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}

/*
 * A super-packet beyond 64 KiB (BIG TCP, where the interface's gro_max_size was raised): its
 * headers say that it has no length, and IPv6's has a jumbo header behind it.
 */
static __always_inline bool is_big(const struct __sk_buff *skb, const struct packet *p)
{
	return skb->gso_size && skb->len > p->l3 + 0xffff;
}

struct v4_options {
	struct __sk_buff *skb;
	__u32 off, len; /* of those that are still to be looked at */
	int reason;
};

/* Looks at the next option, and goes on behind it. @o->len: 0 where it was the last. */
static __always_inline int parse_v4_option(struct v4_options *o)
{
	__u8 option[2];

	if (bpf_skb_load_bytes(o->skb, o->off, option, 1))
		return DROP_MALFORMED;
	if (option[0] == IPOPT_LSRR || option[0] == IPOPT_SSRR)
		return DROP_SOURCE_ROUTE;
	option[1] = 1;
	if (option[0] == IPOPT_END)
		o->len = 1;
	else if (option[0] != IPOPT_NOP && (bpf_skb_load_bytes(o->skb, o->off, option, 2) || option[1] < 2))
		return DROP_MALFORMED;
	if (option[1] > o->len)
		return DROP_MALFORMED;
	o->off += option[1];
	o->len -= option[1];
	return DROP_NONE;
}

static long parse_v4_next(__u32 i, struct v4_options *o)
{
	o->reason = parse_v4_option(o);
	return o->reason || !o->len ? loop_end() : loop_on();
}

/*
 * Source routes (RFC 7126 3.3, 3.4) in @len bytes of options; also options that do not add up.
 * A loop of the language would be checked anew in each of its rounds, by clang 19 twice as often in each.
 */
static __always_inline int parse_v4_options(struct __sk_buff *skb, __u32 off, __u32 len)
{
	struct v4_options o = {.skb = skb, .off = off, .len = len};

	bpf_loop(MAX_OPTIONS, parse_v4_next, &o, 0);
	return o.reason;
}

static __always_inline int parse_v4(struct __sk_buff *skb, struct packet *p, enum whole whole)
{
	struct iphdr ip;
	__u32 hl;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return DROP_MALFORMED;
	hl = ip.ihl * 4;
	p->len = !ip.tot_len && is_big(skb, p) ? skb->len - p->l3 : bpf_ntohs(ip.tot_len);
	if (ip.version != 4 || hl < sizeof(ip) || p->len < hl)
		return DROP_MALFORMED;
	p->l4 = p->l3 + hl;
	p->t.proto = ip.protocol;
	p->ttl = ip.ttl;
	p->check = ip.check;
	p->df = !!(ip.frag_off & bpf_htons(IP_DF));
	addr_v4(&p->t.src, ip.saddr);
	addr_v4(&p->t.dst, ip.daddr);
	if (hl > sizeof(ip)) {
		int reason = parse_v4_options(skb, p->l3 + sizeof(ip), hl - sizeof(ip));

		if (reason)
			return reason;
	}
	if (ip.frag_off & (whole == QUOTED ? bpf_htons(IP_OFFSET) : bpf_htons(IP_MF | IP_OFFSET)))
		return DROP_FRAGMENT;
	return DROP_NONE;
}

/* The header at @off is of a packet's first fragment. */
static __always_inline bool is_first_fragment(struct __sk_buff *skb, __u32 off)
{
	__be16 place;

	return !bpf_skb_load_bytes(skb, off + 2, &place, sizeof(place)) && !(place & bpf_htons(0xfff8));
}

/* Walks to the transport header: hop-by-hop and destination options may stand before it. */
static __always_inline int parse_extensions(struct __sk_buff *skb, struct packet *p, __u8 next, enum whole whole)
{
	__u32 off = p->l3 + sizeof(struct ipv6hdr);

	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u8 ext[2];

		switch (next) {
		case IPPROTO_ROUTING:
			return DROP_ROUTING_HEADER;
		case IPPROTO_FRAGMENT:
			if (whole != QUOTED || !is_first_fragment(skb, off))
				return DROP_FRAGMENT;
			break; /* its second byte is zero: it is 8 bytes long */
		case IPPROTO_HOPOPTS:
		case IPPROTO_DSTOPTS:
			break;
		default:
			p->l4 = off;
			p->t.proto = next;
			return DROP_NONE;
		}
		if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
			return DROP_MALFORMED;
		next = ext[0];
		off += (ext[1] + 1) * 8;
	}
	return DROP_EXTENSION;
}

static __always_inline int parse_v6(struct __sk_buff *skb, struct packet *p, enum whole whole)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return DROP_MALFORMED;
	if (ip.version != 6)
		return DROP_MALFORMED;
	p->v6 = 1;
	p->df = 1;
	p->ttl = ip.hop_limit;
	p->len = sizeof(ip) + bpf_ntohs(ip.payload_len);
	if (!ip.payload_len && is_big(skb, p)) {
		p->len = skb->len - p->l3;
		p->cut_off = JUMBO_HEADER;
	}
	__builtin_memcpy(&p->t.src, &ip.saddr, sizeof(p->t.src));
	__builtin_memcpy(&p->t.dst, &ip.daddr, sizeof(p->t.dst));
	/* Within the maps these are IPv4 addresses: on the wire they are forgeries (RFC 4942 2.2). */
	if (is_v4_mapped(&p->t.src) || is_v4_mapped(&p->t.dst))
		return DROP_MALFORMED;
	return parse_extensions(skb, p, ip.nexthdr, whole);
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *p, enum whole whole)
{
	struct tcphdr tcp;
	__u32 hl;

	p->kind = KIND_TCP;
	if (whole == QUOTED) {
		if (bpf_skb_load_bytes(skb, p->l4, &tcp, 8))
			return DROP_MALFORMED;
		p->t.sport = tcp.source;
		p->t.dport = tcp.dest;
		return DROP_NONE;
	}
	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return DROP_MALFORMED;
	hl = tcp.doff * 4;
	p->payload = p->l4 + hl;
	if (hl < sizeof(tcp) || p->payload > p->l3 + p->len)
		return DROP_MALFORMED;
	p->t.sport = tcp.source;
	p->t.dport = tcp.dest;
	p->seq = bpf_ntohl(tcp.seq);
	p->ack = bpf_ntohl(tcp.ack_seq);
	p->tcp_flags = tcp.fin * TCP_FIN | tcp.syn * TCP_SYN | tcp.rst * TCP_RST | tcp.ack * TCP_ACK;
	return DROP_NONE;
}

static __always_inline int parse_udp(struct __sk_buff *skb, struct packet *p, enum whole whole)
{
	struct udphdr udp;

	p->kind = KIND_UDP;
	if (bpf_skb_load_bytes(skb, p->l4, &udp, sizeof(udp)))
		return DROP_MALFORMED;
	p->payload = p->l4 + sizeof(udp);
	p->t.sport = udp.source;
	p->t.dport = udp.dest;
	if (whole == WHOLE_PACKET && !skb->gso_size &&
	    (bpf_ntohs(udp.len) < sizeof(udp) || p->l4 + bpf_ntohs(udp.len) > p->l3 + p->len))
		return DROP_MALFORMED;
	return DROP_NONE;
}

/* Not translated, but rules name its ports: who is refused is told why. */
static __always_inline int parse_sctp(struct __sk_buff *skb, struct packet *p)
{
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, p->l4, ports, sizeof(ports)))
		return DROP_MALFORMED;
	p->payload = p->l4 + sizeof(ports);
	p->t.sport = ports[0];
	p->t.dport = ports[1];
	return DROP_NONE;
}

static __always_inline enum kind icmp_kind(bool v6, __u8 type)
{
	if (v6) {
		if (type == 128)
			return KIND_ECHO;
		if (type == 129)
			return KIND_ECHO_REPLY;
		return type >= 1 && type <= 4 ? KIND_ICMP_ERROR : KIND_ICMP;
	}
	if (type == 8)
		return KIND_ECHO;
	if (type == 0)
		return KIND_ECHO_REPLY;
	return type == 3 || type == 11 || type == 12 ? KIND_ICMP_ERROR : KIND_ICMP;
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct packet *p)
{
	struct icmphdr icmp;

	if (bpf_skb_load_bytes(skb, p->l4, &icmp, sizeof(icmp)))
		return DROP_MALFORMED;
	p->payload = p->l4 + sizeof(icmp);
	p->icmp_type = icmp.type;
	p->kind = icmp_kind(p->v6, icmp.type);
	if (p->kind == KIND_ECHO)
		p->t.sport = icmp.un.echo.id;
	else if (p->kind == KIND_ECHO_REPLY)
		p->t.dport = icmp.un.echo.id;
	return DROP_NONE;
}

/*
 * Reads the packet at @l3 into *p (zeroed by the caller). Returns DROP_NONE or why
 * it is not to be forwarded; addresses are known then too, unless it is DROP_MALFORMED
 * or DROP_NOT_IP.
 */
CHECKED_ALONE int parse(struct __sk_buff *skb, struct packet *p, __u32 l3, __be16 ethertype, enum whole whole)
{
	int reason;

	if (!p)
		return DROP_MALFORMED;
	p->l3 = l3;
	if (ethertype == bpf_htons(ETH_P_IP))
		reason = parse_v4(skb, p, whole);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		reason = parse_v6(skb, p, whole);
	else
		return DROP_NOT_IP;
	if (reason)
		return reason;
	if (whole == WHOLE_PACKET && l3 + p->len > skb->len)
		return DROP_MALFORMED;

	if (p->t.proto == IPPROTO_TCP)
		reason = parse_tcp(skb, p, whole);
	else if (p->t.proto == IPPROTO_UDP)
		reason = parse_udp(skb, p, whole);
	else if (p->t.proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		reason = parse_icmp(skb, p);
	else if (p->t.proto == IPPROTO_SCTP)
		reason = parse_sctp(skb, p);
	else
		p->payload = p->l4;
	if (reason)
		return reason;
	/* Headers past the end of the packet would be padding, or the next packet's. */
	if (whole == WHOLE_PACKET && p->payload > l3 + p->len)
		return DROP_MALFORMED;
	return DROP_NONE;
}

#endif
