/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "csum.h"
#include "reset.h"
#include "tap.h"

#define FRAME_HEAD (sizeof(struct virtio_net_hdr) + sizeof(struct ethhdr))

size_t reset_of(const struct packet *p, uint8_t out[SEGMENT_MAX])
{
	struct segment reset = {.src = p->dst, .dst = p->src, .flags = TH_RST};
	struct tcphdr tcp;
	size_t head;

	if (p->proto != IPPROTO_TCP || p->len < p->l4 + sizeof(tcp))
		return 0;
	memcpy(&tcp, p->data + p->l4, sizeof(tcp));
	head = p->l4 + tcp.doff * 4u;
	if (tcp.rst || head < p->l4 + sizeof(tcp) || head > p->len)
		return 0;
	reset.sport = ntohs(tcp.dest);
	reset.dport = ntohs(tcp.source);
	if (tcp.ack) {
		reset.seq = ntohl(tcp.ack_seq);
	} else {
		reset.flags |= TH_ACK;
		reset.ack = ntohl(tcp.seq) + (uint32_t)(p->len - head) + tcp.syn + tcp.fin;
	}
	return segment_put(&reset, out);
}

/* A broken segment would have its sender lose a connection for a flipped bit. A super-packet was looked at before. */
static bool reset_is_sound(const struct packet *p, const struct virtio_net_hdr *vnet)
{
	size_t size = p->v6 ? 16 : 4, len = p->len - p->l4;
	bool is_checked = vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
	const uint8_t *src = p->v6 ? p->src.b : &p->src.b[12], *dst = p->v6 ? p->dst.b : &p->dst.b[12];

	if (is_checked || vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return true;
	return !csum_finish(csum_add(csum_pseudo(src, dst, size, p->proto, (uint32_t)len), p->data + p->l4, len));
}

/* The frame of @packet, as the TAP gives one that is whole. */
static size_t reset_refill(struct worker *w, const uint8_t *packet, size_t len)
{
	memset(w->frame, 0, sizeof(struct virtio_net_hdr));
	memcpy(w->frame + FRAME_HEAD, packet, len);
	return FRAME_HEAD + len;
}

size_t reset_frame(struct worker *w, size_t len)
{
	struct virtio_net_hdr vnet;
	uint8_t packet[SEGMENT_MAX];
	struct packet p;
	struct ethhdr eth;
	size_t n = 0;

	if (len < FRAME_HEAD)
		return len;
	memcpy(&vnet, w->frame, sizeof(vnet));
	memcpy(&eth, w->frame + sizeof(vnet), sizeof(eth));
	if (eth.h_proto != htons(ETH_P_RESET))
		return len;
	if (packet_parse(w->frame + FRAME_HEAD, len - FRAME_HEAD, &p) && p.len >= p.l4 && reset_is_sound(&p, &vnet))
		n = reset_of(&p, packet);
	if (!n)
		worker_drop(w, DROP_MALFORMED, 1);
	else if (eth.h_source[offsetof(struct tap_mac, kind)] == TAP_CLIENT)
		return reset_refill(w, packet, n);
	else if (tap_write(w->tap_fd, w->gro.eth.h_dest, eth.h_source, packet, n))
		worker_drop(w, DROP_TAP, 1);
	return 0;
}
