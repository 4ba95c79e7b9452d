/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "csum.h"
#include "gso.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define UDP_ZERO 0xffff /* a sum of zero, where zero says that there is none (RFC 768) */

/* One packet whose transport checksum covers csum_start to its end; the field holds the pseudo header's sum. */
static bool complete_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *vnet)
{
	size_t field = (size_t)vnet->csum_start + vnet->csum_offset;
	uint16_t sum;

	if (field + 2 > len)
		return false;
	sum = csum_finish(csum_add(0, frame + vnet->csum_start, len - vnet->csum_start));
	if (!sum && vnet->csum_offset == offsetof(struct udphdr, check))
		sum = UDP_ZERO;
	memcpy(frame + field, &sum, sizeof(sum));
	return true;
}

/* The transport header's length for this kind of segmentation, 0 when it does not fit the packet. */
static unsigned transport_header(const struct packet *p, uint8_t gso_type, size_t len)
{
	unsigned l4;

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (p->proto != IPPROTO_TCP || len < p->l4 + sizeof(struct tcphdr))
			return 0;
		l4 = (p->data[p->l4 + 12] >> 4) * 4u;
		return l4 >= sizeof(struct tcphdr) ? l4 : 0;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return p->proto == IPPROTO_UDP ? sizeof(struct udphdr) : 0;
	default:
		return 0;
	}
}

bool gso_begin(struct gso *s, uint8_t *frame, size_t len)
{
	struct virtio_net_hdr vnet;
	unsigned l4;

	if (len < sizeof(vnet) + ETH_HLEN)
		return false;
	memcpy(&vnet, frame, sizeof(vnet));
	frame += sizeof(vnet);
	len -= sizeof(vnet);
	if (!packet_parse(frame + ETH_HLEN, len - ETH_HLEN, &s->whole))
		return false;
	s->count = 0;
	s->done = 0;
	s->segment = 0;
	s->next = s->whole.data;
	s->end = s->whole.data + s->whole.len;
	if (vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return !(vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
		       complete_checksum(frame, ETH_HLEN + s->whole.len, &vnet);

	l4 = transport_header(&s->whole, vnet.gso_type, s->whole.len);
	s->header = (uint16_t)(s->whole.l4 + l4);
	if (!l4 || s->header > GSO_HEADERS || s->whole.len <= s->header || !vnet.gso_size)
		return false;
	s->segment = vnet.gso_size;
	s->next += s->header;
	memcpy(s->headers, s->whole.data, s->header);
	return true;
}

static void patch_ip(uint8_t *ip, const struct gso *s, uint16_t len)
{
	if (s->whole.v6) {
		__be16 part = htons((uint16_t)(len - sizeof(struct ip6_hdr)));

		memcpy(ip + offsetof(struct ip6_hdr, ip6_plen), &part, sizeof(part));
	} else {
		struct iphdr h;

		memcpy(&h, ip, sizeof(h));
		h.tot_len = htons(len);
		h.id = htons((uint16_t)(ntohs(h.id) + s->count));
		memcpy(ip, &h, sizeof(h));
		h.check = 0;
		memcpy(ip + offsetof(struct iphdr, check), &h.check, sizeof(h.check));
		h.check = csum_finish(csum_add(0, ip, s->whole.l4));
		memcpy(ip + offsetof(struct iphdr, check), &h.check, sizeof(h.check));
	}
}

static size_t patch_tcp(uint8_t *tcp, const struct gso *s, bool last)
{
	__be32 seq;

	memcpy(&seq, tcp + 4, sizeof(seq));
	seq = htonl(ntohl(seq) + s->done);
	memcpy(tcp + 4, &seq, sizeof(seq));
	if (!last)
		tcp[13] &= (uint8_t)~(TH_FIN | TH_PUSH);
	if (s->count)
		tcp[13] &= 0x7f; /* CWR is said once (RFC 3168 section 6.1.2) */
	return offsetof(struct tcphdr, check);
}

static size_t patch_udp(uint8_t *udp, uint16_t len)
{
	__be16 part = htons(len);

	memcpy(udp + offsetof(struct udphdr, len), &part, sizeof(part));
	return offsetof(struct udphdr, check);
}

static void patch_checksum(uint8_t *packet, const struct packet *p, uint16_t len, size_t field)
{
	uint8_t *l4 = packet + p->l4;
	const uint8_t *src = packet + (p->v6 ? offsetof(struct ip6_hdr, ip6_src) : offsetof(struct iphdr, saddr));
	size_t size = p->v6 ? 16 : 4;
	uint16_t check = 0;

	memcpy(l4 + field, &check, sizeof(check));
	check = csum_finish(csum_add(csum_pseudo(src, src + size, size, p->proto, len - p->l4), l4, len - p->l4));
	if (!check && p->proto == IPPROTO_UDP)
		check = UDP_ZERO;
	memcpy(l4 + field, &check, sizeof(check));
}

uint8_t *gso_next(struct gso *s, size_t *len)
{
	size_t left = (size_t)(s->end - s->next);
	size_t payload = left < s->segment ? left : s->segment;
	uint8_t *packet;
	uint16_t total;
	size_t field;

	if (!left)
		return NULL;
	if (!s->segment) {
		s->next = s->end;
		s->count++;
		*len = left;
		return s->whole.data;
	}
	packet = s->next - s->header;
	total = (uint16_t)(s->header + payload);
	memcpy(packet, s->headers, s->header);
	patch_ip(packet, s, total);
	if (s->whole.proto == IPPROTO_TCP)
		field = patch_tcp(packet + s->whole.l4, s, left == payload);
	else
		field = patch_udp(packet + s->whole.l4, (uint16_t)(total - s->whole.l4));
	patch_checksum(packet, &s->whole, total, field);
	s->next += payload;
	s->done += (uint32_t)payload;
	s->count++;
	*len = total;
	return packet;
}
