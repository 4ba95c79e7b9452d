/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_STEER_H
#define SLUICE_STEER_H

/*
 * Which worker gets a packet, and what none gets. From outside, the receiver index of a
 * message names it (a super-packet is judged by its first: all indices of a peer name the
 * same worker).
 * From inside, the mark that nic_in left, or else the client whose address it is.
 */
#include "front.h"
#include "host.h"

static __always_inline __u32 worker_of_message(struct sk_reuseport_md *ctx, const struct settings *s)
{
	__u32 workers = s->workers ? s->workers : 1;
	struct session_ref *session;
	struct wg_head h = {};
	__le32 receiver;

	if (bpf_skb_load_bytes(ctx, sizeof(struct udphdr), &h, sizeof(h)))
		return ctx->hash % workers;
	if (h.type != WG_RESPONSE && h.type != WG_COOKIE && h.type != WG_DATA)
		return ctx->hash % workers;
	receiver = h.type == WG_RESPONSE ? h.second : h.first;
	session = bpf_map_lookup_elem(&sessions, &receiver);
	return session ? session->worker : ctx->hash % workers;
}

/* Where the worker has no socket the kernel takes one of the group by its own hash. */
static __always_inline int steer_message(struct sk_reuseport_md *ctx)
{
	struct settings *s = element(&settings, 0);
	__u32 socket;

	if (!s)
		return SK_PASS;
	socket = worker_of_message(ctx, s);
	if (socket >= MAX_WORKERS)
		return SK_PASS;
	if (ctx->eth_protocol == bpf_htons(ETH_P_IPV6))
		socket += MAX_WORKERS;
	bpf_sk_select_reuseport(ctx, &workers, &socket, 0);
	return SK_PASS;
}

/* Client's address at the destination of a frame; false: not IP. */
static __always_inline bool frame_dst(struct __sk_buff *skb, struct addr *dst)
{
	__u32 off = sizeof(struct ethhdr);
	__be32 v4;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return !bpf_skb_load_bytes(skb, off + offsetof(struct ipv6hdr, daddr), dst, sizeof(*dst));
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, off + offsetof(struct iphdr, daddr), &v4, sizeof(v4)))
		return false;
	addr_v4(dst, v4);
	return true;
}

static __always_inline bool is_handed_over(const struct __sk_buff *skb)
{
	return (skb->mark & ~TAP_MARK_WORKER) == TAP_MARK;
}

static __always_inline int steer_frame(struct __sk_buff *skb)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128};
	struct client_ref *c;
	__u32 *worker;

	if (is_handed_over(skb))
		return skb->mark & TAP_MARK_WORKER;
	if (!frame_dst(skb, &key.addr))
		return 0;
	c = bpf_map_lookup_elem(&clients, &key);
	if (!c)
		return 0;
	worker = element(&client_worker, c->client);
	return worker ? *worker : 0;
}

/*
 * The host has routes to its clients, and may forward for others (Docker, libvirt, a
 * router): then neighbours and containers could send to any client whatever they like,
 * in anybody's name. What came in somewhere and no program hands over stays outside.
 * Returns how much to keep: all or nothing.
 */
static __always_inline int fence_frame(struct __sk_buff *skb)
{
	int reason;

	if (is_handed_over(skb))
		return skb->len;
	reason = skb->ingress_ifindex ? DROP_FORWARDED : host_sends(skb);
	if (!reason)
		return skb->len;
	count_drop(reason);
	return 0;
}

/* A plain device's: all that the host sends into it, and forwards, enters it but what it sent itself. */
static __always_inline int loop_frame(struct __sk_buff *skb)
{
	struct packet p = {};

	if (skb->ingress_ifindex || parse(skb, &p, sizeof(struct ethhdr), skb->protocol, QUOTED) || !is_tunnels_own(&p))
		return skb->len;
	count_drop(DROP_LOOP);
	return 0;
}

#endif
