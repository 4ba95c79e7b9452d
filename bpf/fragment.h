/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_FRAGMENT_H
#define SLUICE_FRAGMENT_H

/*
 * Fragments need memory, which is the daemon's. A worker puts a client's together
 * before they come here. What a service sends in fragments makes a detour:
 *
 *   NIC -> nic_in -(TAP)-> worker, which waits for all -(TAP)-> tap_in -> ingress of the NIC
 *
 * where the whole packet meets nic_in again, and goes on to the host if no flow is its.
 * A packet that may leave in fragments, and must, is cut behind its translation:
 *
 *   tap_in -(TAP)-> worker, which cuts -(TAP)-> tap_in -> NIC
 *
 * Only fragments to an egress address are taken, and only while the daemon says that
 * it lives. What is taken a second is bounded, for each source and for all of them, so
 * that a flood costs the rest nothing but these few instructions.
 */
#include "guard.h"

#define FRAGMENT_WINDOW_BITS 27 /* of the clock: 134 ms */
#define FRAGMENTS_A_WINDOW   4096
#define FRAGMENTS_OF_SOURCE  1024 /* sources with the same remainder share it */
#define FRAGMENT_SOURCES     64

struct fragment_budget {
	__u64 window;
	__u32 all;
	__u32 of[FRAGMENT_SOURCES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fragment_budget);
} fragment_budget SEC(".maps");

static __always_inline int drop(__u32 reason)
{
	count_drop(reason);
	return TC_ACT_SHOT;
}

/* The Ethernet source as the daemon writes it; false: it is another's. */
static __always_inline bool tap_mac_of(struct __sk_buff *skb, struct tap_mac *mac)
{
	return !bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), mac, sizeof(*mac)) &&
	       mac->local == TAP_MAC_0;
}

static __always_inline __u32 mac_client(const struct tap_mac *mac)
{
	__be32 id;

	__builtin_memcpy(&id, mac->id, sizeof(id));
	return bpf_ntohl(id);
}

/* Of a frame whose sender the daemon authenticated, the id: client and fragments. 0: of another. */
static __always_inline __u32 client_frame(struct __sk_buff *skb)
{
	struct tap_mac mac;

	return tap_mac_of(skb, &mac) && mac.kind == TAP_CLIENT ? mac_client(&mac) : 0;
}

/* Hands the frame to the ingress of a NIC. @round: what it is there (ROUND_TURNED, ...). */
static __always_inline int to_ingress(struct __sk_buff *skb, __u32 ifindex, __u32 round)
{
	skb->mark = ROUND_MARK | round;
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/* At a NIC: what tap_in says of the frame, which nobody further on is to see; 0: it comes from outside. */
static __always_inline __u32 round_of(struct __sk_buff *skb)
{
	__u32 mark = skb->mark;

	if ((mark & ~0xffffu) != ROUND_MARK)
		return 0;
	skb->mark = 0;
	return mark & 0xffff;
}

/* Hands the frame to @worker, with @type and a source of @kind and @id. */
static __always_inline int to_daemon(struct __sk_buff *skb, const struct settings *s, __u16 type, __u8 kind, __u32 id,
				     __u32 worker)
{
	struct {
		struct tap_mac mac;
		__be16 type;
	} head = {.mac = {.local = TAP_MAC_0, .kind = kind}, .type = bpf_htons(type)};

	id = bpf_htonl(id);
	__builtin_memcpy(head.mac.id, &id, sizeof(id));
	if (bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), &head, sizeof(head), 0))
		return drop(DROP_REWRITE);
	skb->mark = TAP_MARK | worker;
	return bpf_redirect(s->tap_ifindex, 0);
}

/* ---- in ---------------------------------------------------------------------------- */

/* These bits depend on all of the address. */
static __always_inline __u32 addr_hash(const struct addr *a)
{
	return ((a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]) * 0x9e3779b1) >> 24;
}

static __always_inline bool within_budget(__u32 source, __u64 now)
{
	struct fragment_budget *b = element(&fragment_budget, 0);
	__u64 window = now >> FRAGMENT_WINDOW_BITS;

	if (!b)
		return false;
	if (b->window != window) {
		__builtin_memset(b, 0, sizeof(*b));
		b->window = window;
	}
	return b->of[INDEX(b->of, source)]++ < FRAGMENTS_OF_SOURCE && b->all++ < FRAGMENTS_A_WINDOW;
}

/*
 * A fragment at a NIC; all of a packet meet at one worker. TC_ACT_UNSPEC: the host's. What
 * was put together (@joined) and is one still would go round once for each of its many
 * headers: it dies, as it does in the kernel.
 */
static __always_inline int fragment_in(struct __sk_buff *skb, const struct packet *p, const struct settings *s,
				       __u64 now, bool joined)
{
	__u64 *until = bpf_map_lookup_elem(&reassembled, &p->t.dst);
	__u32 hash = addr_hash(&p->t.src);

	if (!until || *until <= now || !s->tap_ifindex)
		return TC_ACT_UNSPEC;
	if (!within_budget(hash, now))
		return drop(DROP_FRAGMENT_RATE);
	if (joined)
		return drop(DROP_FRAGMENT);
	return to_daemon(skb, s, ETH_P_REASSEMBLE, TAP_RETURN, skb->ifindex, s->workers ? hash % s->workers : 0);
}

/* ---- out --------------------------------------------------------------------------- */

/* A translated packet of @client, to be cut into pieces of at most @mtu. */
static __always_inline int cut_out(struct __sk_buff *skb, const struct settings *s, __u32 client, __u32 egress,
				   __u32 mtu)
{
	__u32 *worker = element(&client_worker, client);

	return to_daemon(skb, s, ETH_P_CUT, TAP_PIECE, egress << 16 | mtu, worker ? *worker : 0);
}

/* It leaves, if it still has the external address that it got. */
static __always_inline int piece_out(struct __sk_buff *skb, __u32 id)
{
	struct egress *e = element(&egresses, id >> 16);
	struct addr src, dst;

	if (!e || e->state != EGRESS_HERE)
		return drop(DROP_NO_EGRESS);
	if (!guard_addresses(skb, &src, &dst) || !addr_equal(&src, &e->addr))
		return drop(DROP_GUARD);
	return bpf_redirect_neigh(e->ifindex, NULL, 0, 0);
}

/* What a worker gives back. */
static __always_inline int from_daemon(struct __sk_buff *skb)
{
	struct tap_mac mac;

	if (!tap_mac_of(skb, &mac))
		return drop(DROP_CLIENT);
	if (mac.kind == TAP_PIECE)
		return piece_out(skb, mac_client(&mac));
	if (mac.kind == TAP_RETURN)
		return to_ingress(skb, mac_client(&mac), ROUND_JOINED | ROUND_CUT);
	return drop(DROP_CLIENT);
}

#endif
