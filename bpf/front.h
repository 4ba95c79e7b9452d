/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_FRONT_H
#define SLUICE_FRONT_H

/*
 * The front of the WireGuard port: what cannot be a message for this gateway dies
 * before anything is spent on it. One check, in two places: XDP, and on the socket,
 * where it is always on and sees GRO's super-packets.
 *
 * Messages (WireGuard 5.4): initiation 148 bytes, response 92, cookie 64, data from
 * 32; type and three zero bytes, then the receiver's index, in a response after the
 * sender's. Only one that we gave out can come back.
 */
#include "count.h"
#include "parse.h"

#define WG_INITIATION 1
#define WG_RESPONSE   2
#define WG_COOKIE     3
#define WG_DATA	      4

#define WG_INITIATION_SIZE 148
#define WG_RESPONSE_SIZE   92
#define WG_COOKIE_SIZE	   64
#define WG_DATA_MIN	   32

#define STUN_COOKIE 0x2112a442 /* RFC 8489 section 5 */
#define STUN_MIN    20
#define DISCO_MIN   (6 + 32 + 24) /* magic, key, nonce: the sealed message follows */

struct wg_head {
	__u8 type;
	__u8 reserved[3];
	__le32 first, second;
};

static __always_inline bool is_disco(const struct wg_head *h, __u32 len)
{
	const __u8 *b = (const __u8 *)h;

	return len >= DISCO_MIN && b[0] == 0x54 && b[1] == 0x53 && b[2] == 0xf0 && b[3] == 0x9f && b[4] == 0x92 &&
	       b[5] == 0xac;
}

/* The second byte is the method's, which is never 0 there (binding: 1); of WireGuard it is reserved, and 0. */
static __always_inline bool is_stun(const struct wg_head *h, __u32 len)
{
	return len >= STUN_MIN && !(h->type & 0xc0) && h->reserved[0] && h->first == bpf_htonl(STUN_COOKIE);
}

static __always_inline int wg_length(__u8 type, __u32 len)
{
	switch (type) {
	case WG_INITIATION:
		return len == WG_INITIATION_SIZE ? DROP_NONE : DROP_WG_LENGTH;
	case WG_RESPONSE:
		return len == WG_RESPONSE_SIZE ? DROP_NONE : DROP_WG_LENGTH;
	case WG_COOKIE:
		return len == WG_COOKIE_SIZE ? DROP_NONE : DROP_WG_LENGTH;
	case WG_DATA:
		return len >= WG_DATA_MIN ? DROP_NONE : DROP_WG_LENGTH;
	}
	return DROP_WG_TYPE;
}

/* @len: of the UDP payload. Returns DROP_NONE or why it is no message for us. */
CHECKED_ALONE int wg_check(const struct settings *s, const struct wg_head *h, __u32 len)
{
	__le32 receiver;
	int reason;

	if (!s || !h)
		return DROP_NONE;
	if ((s->front_stun && is_stun(h, len)) || (s->front_disco && is_disco(h, len)))
		return DROP_NONE;
	reason = wg_length(h->type, len);
	if (reason)
		return reason;
	if (h->reserved[0] | h->reserved[1] | h->reserved[2])
		return DROP_WG_RESERVED;
	if (h->type == WG_INITIATION)
		return DROP_NONE;
	receiver = h->type == WG_RESPONSE ? h->second : h->first;
	return bpf_map_lookup_elem(&sessions, &receiver) ? DROP_NONE : DROP_WG_INDEX;
}

/*
 * Reads at most a message's head behind the UDP header at @off; a shorter message is
 * padded with zeros, so that its type and length can be judged. @payload: its length.
 */
static __always_inline bool front_head(void *ctx, bool xdp, __u32 off, struct wg_head *h, __u32 payload)
{
	__u32 len = payload >= sizeof(*h) ? sizeof(*h) : sizeof(h->type);

	if (!payload)
		return true;
	if (xdp)
		return !bpf_xdp_load_bytes(ctx, off, h, len);
	return !bpf_skb_load_bytes(ctx, off, h, len);
}

/* ---- finding the message in a frame: XDP ------------------------------------------- */

/*
 * Offset of the UDP header, 0: no whole or first fragment of UDP, or it is of a VLAN, whose own
 * interface is the one to judge it. A tag that the NIC took off is not seen here. @from: who sent it.
 */
static __always_inline __u32 front_udp(struct xdp_md *ctx, struct addr *from)
{
	__u32 off = sizeof(struct ethhdr);
	struct ipv6hdr ip6;
	struct iphdr ip;
	__be16 type, tag[2];

	if (bpf_xdp_load_bytes(ctx, offsetof(struct ethhdr, h_proto), &type, sizeof(type)))
		return 0;
	if (type == bpf_htons(ETH_P_8021Q)) { /* without a number it has just a priority */
		if (bpf_xdp_load_bytes(ctx, off, tag, sizeof(tag)) || tag[0] & bpf_htons(VLAN_NUMBER))
			return 0;
		type = tag[1];
		off += sizeof(tag);
	}
	if (type == bpf_htons(ETH_P_IP)) {
		if (bpf_xdp_load_bytes(ctx, off, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return 0;
		if (ip.protocol != IPPROTO_UDP || ip.frag_off & bpf_htons(IP_OFFSET))
			return 0;
		addr_v4(from, ip.saddr);
		return off + ip.ihl * 4;
	}
	if (type != bpf_htons(ETH_P_IPV6) || bpf_xdp_load_bytes(ctx, off, &ip6, sizeof(ip6)))
		return 0;
	__builtin_memcpy(from, &ip6.saddr, sizeof(*from));
	return ip6.nexthdr == IPPROTO_UDP ? off + sizeof(ip6) : 0;
}

#endif
