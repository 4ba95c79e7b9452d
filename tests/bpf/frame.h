/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_FRAME_H
#define TESTS_BPF_FRAME_H

/*
 * Frames by description: a struct shape says what a packet is, frame_build() makes it
 * whole and right, checksums included; a test then spoils what it wants spoiled.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/contract.h"
#include "policy/addr.h"
#include "user/datapath/csum.h"

struct frame {
	uint8_t b[4096];
	size_t len, l3, l4, payload;
	bool v6;
	uint8_t proto;
};

struct shape {
	bool v6;
	uint8_t proto; /* IPPROTO_ICMP stands for ICMPv6, too */
	struct addr src, dst;
	uint16_t sport, dport; /* echo: sport is the identifier; host order */
	uint8_t flags;	       /* TCP: TH_SYN ... */
	uint8_t type, code;    /* ICMP, as of IPv4 or IPv6; 0 with proto ICMP and no @quote: an echo request */
	bool reply;	       /* ICMP: an echo reply; identifier in dport */
	uint32_t seq, ack;
	uint8_t ttl; /* 0: 64 */
	size_t payload;
	const uint8_t *options; /* of IPv4, or IPv6 extension headers, which name what follows them */
	size_t n_options;
	uint8_t first_extension; /* with options on IPv6: what the first one is */
	const uint8_t *tcp_options;
	size_t n_tcp_options;
	const uint8_t *quote; /* ICMP error: what is behind its 8 bytes */
	size_t n_quote;
	bool no_checksum; /* UDP over IPv4 */
};

static inline struct addr addr_of(const char *text)
{
	struct addr a;

	assert(addr_parse(text, strlen(text), &a));
	return a;
}

static inline struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert(prefix_parse(text, strlen(text), &p, NULL));
	return p;
}

static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* Offset of the transport's checksum, 0: none. */
static inline size_t check_at(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	}
	return 0;
}

static inline uint64_t pseudo_sum(const struct frame *f, size_t len)
{
	const uint8_t *ip = f->b + f->l3;

	if (f->proto == IPPROTO_ICMP)
		return 0;
	return f->v6 ? csum_pseudo(ip + 8, ip + 24, 16, f->proto, (uint32_t)len)
		     : csum_pseudo(ip + 12, ip + 16, 4, f->proto, (uint32_t)len);
}

/* Sums the IPv4 header and the transport anew. */
static inline void frame_checksum(struct frame *f)
{
	size_t at = check_at(f->proto), len = f->len - f->l4;
	uint16_t c;

	if (!f->v6) {
		memset(f->b + f->l3 + 10, 0, 2);
		c = csum_finish(csum_add(0, f->b + f->l3, (f->b[f->l3] & 15) * 4u));
		memcpy(f->b + f->l3 + 10, &c, 2);
	}
	if (!at || f->l4 + at + 2 > f->len)
		return;
	memset(f->b + f->l4 + at, 0, 2);
	c = csum_finish(csum_add(pseudo_sum(f, len), f->b + f->l4, len));
	if (f->proto == IPPROTO_UDP && !c)
		c = 0xffff;
	memcpy(f->b + f->l4 + at, &c, 2);
}

/* Both checksums hold (a UDP checksum of zero over IPv4 does, too). */
static inline bool frame_checks(const struct frame *f)
{
	size_t at = check_at(f->proto), len = f->len - f->l4;
	uint16_t zero = 0;

	if (!f->v6 && csum_finish(csum_add(0, f->b + f->l3, (f->b[f->l3] & 15) * 4u)))
		return false;
	if (!at || (f->proto == IPPROTO_UDP && !f->v6 && !memcmp(f->b + f->l4 + at, &zero, 2)))
		return true;
	return csum_finish(csum_add(pseudo_sum(f, len), f->b + f->l4, len)) == 0;
}

static inline size_t put_transport(struct frame *f, const struct shape *s)
{
	uint8_t *p = f->b + f->l4;

	switch (f->proto) {
	case IPPROTO_TCP:
		put16(p, s->sport);
		put16(p + 2, s->dport);
		put32(p + 4, s->seq);
		put32(p + 8, s->ack);
		p[12] = (uint8_t)((20 + s->n_tcp_options) / 4 << 4);
		p[13] = s->flags;
		put16(p + 14, 65535);
		if (s->n_tcp_options)
			memcpy(p + 20, s->tcp_options, s->n_tcp_options);
		return 20 + s->n_tcp_options;
	case IPPROTO_UDP:
		put16(p, s->sport);
		put16(p + 2, s->dport);
		put16(p + 4, (uint16_t)(8 + s->payload));
		return 8;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		p[0] = s->type;
		p[1] = s->code;
		if (!s->type && !s->quote)
			p[0] = s->v6 ? (s->reply ? 129 : 128) : (s->reply ? 0 : 8);
		put16(p + 4, s->reply ? s->dport : s->sport);
		if (s->quote) {
			memset(p + 4, 0, 4);
			memcpy(p + 8, s->quote, s->n_quote);
		}
		return 8 + s->n_quote;
	}
	return 0;
}

static inline void put_ip(struct frame *f, const struct shape *s)
{
	uint8_t *ip = f->b + f->l3, next = f->proto;
	uint16_t total = (uint16_t)(f->len - f->l3);

	if (f->v6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)(total - 40));
		ip[6] = s->n_options ? s->first_extension : next;
		ip[7] = s->ttl ? s->ttl : 64;
		memcpy(ip + 8, &s->src, 16);
		memcpy(ip + 24, &s->dst, 16);
		return;
	}
	ip[0] = (uint8_t)(0x40 | (20 + s->n_options) / 4);
	put16(ip + 2, total);
	put16(ip + 6, 0x4000);
	ip[8] = s->ttl ? s->ttl : 64;
	ip[9] = next;
	memcpy(ip + 12, &s->src.b[12], 4);
	memcpy(ip + 16, &s->dst.b[12], 4);
}

/* A whole frame; the Ethernet addresses are zero. */
static inline void frame_build(struct frame *f, const struct shape *s)
{
	memset(f, 0, sizeof(*f));
	f->v6 = s->v6;
	f->proto = s->v6 && s->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : s->proto;
	f->l3 = ETH_HLEN;
	f->l4 = f->l3 + (s->v6 ? 40 : 20) + s->n_options;
	put16(f->b + 12, s->v6 ? 0x86dd : 0x0800);
	if (s->n_options)
		memcpy(f->b + f->l3 + (s->v6 ? 40 : 20), s->options, s->n_options);
	f->payload = f->l4 + put_transport(f, s);
	f->len = f->payload + s->payload;
	for (size_t i = f->payload; i < f->len; i++)
		f->b[i] = (uint8_t)(i * 7);
	put_ip(f, s);
	frame_checksum(f);
	if (s->no_checksum)
		memset(f->b + f->l4 + 6, 0, 2);
}

/* Finds the layers of a frame that came out of a program: as it went in. */
static inline void frame_like(struct frame *f, const struct frame *in)
{
	f->l3 = in->l3;
	f->l4 = in->l4;
	f->payload = in->payload;
	f->v6 = in->v6;
	f->proto = in->proto;
}

static inline struct addr frame_src(const struct frame *f)
{
	struct addr a = {};

	if (!f->v6) {
		__be32 v4;

		memcpy(&v4, f->b + f->l3 + 12, 4);
		return addr_from_v4(v4);
	}
	memcpy(&a, f->b + f->l3 + 8, 16);
	return a;
}

static inline struct addr frame_dst(const struct frame *f)
{
	struct addr a = {};

	if (!f->v6) {
		__be32 v4;

		memcpy(&v4, f->b + f->l3 + 16, 4);
		return addr_from_v4(v4);
	}
	memcpy(&a, f->b + f->l3 + 24, 16);
	return a;
}

static inline uint8_t frame_ttl(const struct frame *f)
{
	return f->b[f->l3 + (f->v6 ? 7 : 8)];
}

/* As the shapes count: the identifier of an echo stands for the port. */
static inline uint16_t frame_sport(const struct frame *f)
{
	bool icmp = f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6;

	return get16(f->b + f->l4 + (icmp ? 4 : 0));
}

static inline uint16_t frame_dport(const struct frame *f)
{
	bool icmp = f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6;

	return get16(f->b + f->l4 + (icmp ? 4 : 2));
}

/* Puts a VLAN tag behind the Ethernet addresses. */
static inline void frame_tag(struct frame *f, uint16_t type, uint16_t number)
{
	memmove(f->b + 16, f->b + 12, f->len - 12);
	put16(f->b + 12, type);
	put16(f->b + 14, number);
	f->len += 4;
}

#endif
