/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "bpf/contract.h"
#include "gro.h"
#include "csum.h"
#include "tap.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#define PAYLOAD_MAX 65535u /* of an IPv4 total length */

void gro_init(struct gro *c, bool gso, bool uso, gro_emit *emit, void *context)
{
	memset(c, 0, sizeof(*c));
	c->gso = gso;
	c->uso = uso;
	c->emit = emit;
	c->context = context;
}

static struct ethhdr frame_header(const struct gro *c, const struct packet *p, uint32_t client)
{
	struct ethhdr eth = c->eth;

	tap_mac_put(eth.h_source, TAP_CLIENT, client);
	eth.h_proto = htons(p->v6 ? ETH_P_IPV6 : ETH_P_IP);
	return eth;
}

static void emit_single(struct gro *c, const struct packet *p, uint32_t client)
{
	struct virtio_net_hdr vnet = {0};
	struct ethhdr eth = frame_header(c, p, client);
	struct iovec iov[] = {{&vnet, sizeof(vnet)}, {&eth, sizeof(eth)}, {p->data, p->len}};

	c->emit(c->context, iov, 3);
}

static uint64_t gro_pseudo(const struct packet *p, uint32_t len)
{
	const uint8_t *src = p->data + (p->v6 ? offsetof(struct ip6_hdr, ip6_src) : offsetof(struct iphdr, saddr));
	size_t size = p->v6 ? 16 : 4;

	return csum_pseudo(src, src + size, size, p->proto, len);
}

/* Lengths and checksums of the header at @ip, which is to stand for @len bytes. */
static void stretch(uint8_t *ip, const struct packet *p, uint32_t len)
{
	uint16_t partial = csum_fold(gro_pseudo(p, len - p->l4));
	__be16 part = htons((uint16_t)(len - p->l4));

	if (p->v6) {
		memcpy(ip + offsetof(struct ip6_hdr, ip6_plen), &part, 2);
	} else {
		struct iphdr h;

		memcpy(&h, ip, sizeof(h));
		h.tot_len = htons((uint16_t)len);
		h.check = 0;
		h.check = csum_finish(csum_add(0, &h, sizeof(h)));
		memcpy(ip, &h, sizeof(h));
	}
	if (p->proto == IPPROTO_TCP) {
		memcpy(ip + p->l4 + offsetof(struct tcphdr, check), &partial, 2);
	} else {
		memcpy(ip + p->l4 + offsetof(struct udphdr, len), &part, 2);
		memcpy(ip + p->l4 + offsetof(struct udphdr, check), &partial, 2);
	}
}

static uint8_t gso_type(const struct packet *p)
{
	if (p->proto == IPPROTO_UDP)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return p->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

static void emit_slot(struct gro *c, struct gro_slot *s)
{
	const struct packet *p = &s->first;
	struct {
		struct virtio_net_hdr vnet;
		struct ethhdr eth;
		uint8_t headers[GRO_HEADERS];
	} __attribute__((packed)) head;
	struct iovec iov[1 + 1 + GRO_SEGMENTS];

	s->used = false;
	if (s->n == 1) {
		emit_single(c, p, s->client);
		return;
	}
	head.vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type(p),
		.hdr_len = (uint16_t)(sizeof(head.eth) + s->header),
		.gso_size = s->segment,
		.csum_start = (uint16_t)(sizeof(head.eth) + p->l4),
		.csum_offset =
			p->proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check),
	};
	head.eth = frame_header(c, p, s->client);
	memcpy(head.headers, p->data, s->header);
	stretch(head.headers, p, s->len);
	if (p->proto == IPPROTO_TCP && s->closed) { /* only the last segment can have pushed */
		const struct iovec *last = &s->payload[s->n - 1];

		head.headers[p->l4 + 13] |= ((uint8_t *)last->iov_base - s->header)[p->l4 + 13] & TH_PUSH;
	}
	iov[0] = (struct iovec){&head.vnet, sizeof(head.vnet)};
	iov[1] = (struct iovec){&head.eth, sizeof(head.eth) + s->header};
	memcpy(iov + 2, s->payload, s->n * sizeof(s->payload[0]));
	c->emit(c->context, iov, 2u + s->n);
}

static uint32_t flow_hash(const struct packet *p, uint32_t client)
{
	uint32_t ports, h = client;

	memcpy(&ports, p->data + p->l4, sizeof(ports));
	for (int i = 0; i < 4; i++)
		h = (h ^ p->src.w[i] ^ (p->dst.w[i] << 7 | p->dst.w[i] >> 25)) * 0x9e3779b1u;
	h = (h ^ ports ^ p->proto) * 0x9e3779b1u;
	return h ^ h >> 15;
}

static bool same_flow(const struct gro_slot *s, const struct packet *p, uint32_t client, uint32_t hash)
{
	return s->hash == hash && s->client == client && s->first.proto == p->proto && s->first.v6 == p->v6 &&
	       !memcmp(&s->first.src, &p->src, sizeof(p->src)) && !memcmp(&s->first.dst, &p->dst, sizeof(p->dst)) &&
	       !memcmp(s->first.data + s->first.l4, p->data + p->l4, 4);
}

/* The transport header's length when the packet is of a kind that merges, else 0. */
static unsigned mergeable(const struct gro *c, const struct packet *p)
{
	const uint8_t *l4 = p->data + p->l4;

	if (!p->v6 && p->l4 != sizeof(struct iphdr))
		return 0;
	if (p->proto == IPPROTO_TCP && c->gso && p->len >= p->l4 + sizeof(struct tcphdr)) {
		unsigned len = (l4[12] >> 4) * 4u;

		if (len >= sizeof(struct tcphdr) && p->len > p->l4 + len && (l4[13] & ~TH_PUSH) == TH_ACK)
			return len;
	}
	if (p->proto == IPPROTO_UDP && c->uso && p->len > p->l4 + sizeof(struct udphdr)) {
		struct udphdr udp;

		memcpy(&udp, l4, sizeof(udp));
		if (udp.check && ntohs(udp.len) == p->len - p->l4)
			return sizeof(udp);
	}
	return 0;
}

static bool checksum_valid(const struct packet *p)
{
	uint32_t len = p->len - p->l4;

	return csum_fold(csum_add(gro_pseudo(p, len), p->data + p->l4, len)) == 0xffff;
}

static uint32_t sequence(const struct packet *p)
{
	__be32 seq;

	memcpy(&seq, p->data + p->l4 + 4, sizeof(seq));
	return ntohl(seq);
}

/* Everything in the IP header that the segments share: not length, id and checksum. */
static bool same_ip(const struct packet *a, const struct packet *b)
{
	if (a->v6)
		return !memcmp(a->data, b->data, 4) && a->data[7] == b->data[7];
	return a->data[1] == b->data[1] && a->data[6] == b->data[6] && a->data[8] == b->data[8];
}

/* Acknowledgment, window, urgent pointer and options: all but ports, sequence number, flags and checksum. */
static bool same_tcp(const struct packet *a, const struct packet *b, unsigned len)
{
	const uint8_t *x = a->data + a->l4, *y = b->data + b->l4;

	return !memcmp(x + 8, y + 8, 5) && !memcmp(x + 14, y + 14, 2) && !memcmp(x + 18, y + 18, len - 18);
}

static bool follows(const struct gro_slot *s, const struct packet *p, unsigned l4_len)
{
	unsigned payload = p->len - p->l4 - l4_len;

	if (s->closed || s->n == GRO_SEGMENTS || payload > s->segment || s->len + payload > PAYLOAD_MAX ||
	    s->header != p->l4 + l4_len || !same_ip(&s->first, p))
		return false;
	return p->proto == IPPROTO_UDP || (sequence(p) == s->next_seq && same_tcp(&s->first, p, l4_len));
}

static void gro_append(struct gro_slot *s, const struct packet *p, unsigned l4_len)
{
	unsigned payload = p->len - p->l4 - l4_len;

	s->payload[s->n++] = (struct iovec){p->data + p->l4 + l4_len, payload};
	s->len += payload;
	s->closed = payload < s->segment;
	if (p->proto == IPPROTO_TCP) {
		s->next_seq = sequence(p) + payload;
		s->closed |= p->data[p->l4 + 13] & TH_PUSH;
	}
}

static void gro_begin(struct gro *c, struct gro_slot *s, const struct packet *p, uint32_t client, uint32_t hash,
		      unsigned l4_len)
{
	s->used = true;
	s->client = client;
	s->hash = hash;
	s->first = *p;
	s->header = (uint16_t)(p->l4 + l4_len);
	s->segment = (uint16_t)(p->len - s->header);
	s->len = s->header;
	s->n = 0;
	gro_append(s, p, l4_len);
	c->used[c->n_used++] = (uint8_t)(s - c->slot);
}

static void gro_release(struct gro *c, struct gro_slot *s)
{
	uint8_t index = (uint8_t)(s - c->slot);
	unsigned i = 0;

	emit_slot(c, s);
	while (c->used[i] != index)
		i++;
	memmove(c->used + i, c->used + i + 1, --c->n_used - i);
}

void gro_add(struct gro *c, const struct packet *p, uint32_t client)
{
	bool ports = (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && p->len >= p->l4 + 4;
	struct gro_slot *s;
	unsigned l4_len;
	uint32_t hash;

	if (!ports) {
		emit_single(c, p, client);
		return;
	}
	hash = flow_hash(p, client);
	s = &c->slot[hash % GRO_FLOWS];
	l4_len = mergeable(c, p);
	if (l4_len && !checksum_valid(p))
		l4_len = 0;
	if (s->used && l4_len && same_flow(s, p, client, hash) && follows(s, p, l4_len)) {
		gro_append(s, p, l4_len);
		return;
	}
	if (s->used)
		gro_release(c, s);
	if (l4_len)
		gro_begin(c, s, p, client, hash, l4_len);
	else
		emit_single(c, p, client);
}

void gro_flush(struct gro *c)
{
	for (unsigned i = 0; i < c->n_used; i++)
		emit_slot(c, &c->slot[c->used[i]]);
	c->n_used = 0;
}
