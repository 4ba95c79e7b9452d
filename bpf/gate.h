/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_BPF_GATE_H
#define SLUICE_BPF_GATE_H

/*
 * Whether an initiation was made for this gateway (mac1), and whether its sender was sent a
 * cookie of ours (mac2; WireGuard 5.4.4, 5.4.7). A worker asks both again, and the rest
 * (user/wireguard/gate.h). Neither is free: two blocks of BLAKE2s for a mac1, five for a
 * mac2, half a microsecond each.
 */
#include "blake2s.h"
#include "front.h"

#define WG_MAC	    16
#define WG_MAC1_AT  (WG_INITIATION_SIZE - 2 * WG_MAC)
#define WG_MAC2_AT  (WG_INITIATION_SIZE - WG_MAC)
#define WG_KEY_SIZE 32

/* Where a message lies, and where it came from. */
struct gate_message {
	__u32 off;
	__u16 port; /* host order */
	struct addr from;
};

static __always_inline bool gate_load(void *ctx, bool xdp, const struct gate_message *m, __u32 at, void *to, __u32 len)
{
	if (xdp)
		return !bpf_xdp_load_bytes(ctx, m->off + at, to, len);
	return !bpf_skb_load_bytes(ctx, m->off + at, to, len);
}

/* What a hash is made in; one for all, for the stack is small. */
struct gate_hash {
	struct blake2s s;
	struct blake2s_block b;
};

/* Is the hash the 16 bytes at @at? */
static __always_inline bool gate_is_at(void *ctx, bool xdp, const struct gate_message *m, const struct gate_hash *h,
				       __u32 at)
{
	__u32 mac[WG_MAC / 4];

	return gate_load(ctx, xdp, m, at, mac, sizeof(mac)) &&
	       !((h->s.h[0] ^ mac[0]) | (h->s.h[1] ^ mac[1]) | (h->s.h[2] ^ mac[2]) | (h->s.h[3] ^ mac[3]));
}

/* Takes in @len bytes of the message from @at, which are at most a block. */
static __always_inline bool gate_absorb(void *ctx, bool xdp, const struct gate_message *m, struct gate_hash *h,
					__u32 at, __u32 len, bool last)
{
	if (len < BLAKE2S_BLOCK)
		__builtin_memset(&h->b, 0, sizeof(h->b));
	if (!gate_load(ctx, xdp, m, at, &h->b, len))
		return false;
	blake2s_compress(&h->s, &h->b, BLAKE2S_BLOCK + at + len, last); /* the key's block was the first */
	return true;
}

static __always_inline bool gate_mac1(void *ctx, bool xdp, const struct gate_message *m, const struct gate *g)
{
	struct gate_hash h = {.s = g->mac1};

	return gate_absorb(ctx, xdp, m, &h, 0, BLAKE2S_BLOCK, false) &&
	       gate_absorb(ctx, xdp, m, &h, BLAKE2S_BLOCK, WG_MAC1_AT - BLAKE2S_BLOCK, true) &&
	       gate_is_at(ctx, xdp, m, &h, WG_MAC1_AT);
}

/* By who was sent a cookie made with @secret. */
static __always_inline bool gate_mac2(void *ctx, bool xdp, const struct gate_message *m, const struct blake2s *secret)
{
	struct gate_hash h = {.s = *secret};

	__builtin_memcpy(h.b.b, &m->from, sizeof(m->from));
	h.b.b[16] = m->port >> 8;
	h.b.b[17] = (__u8)m->port;
	blake2s_compress(&h.s, &h.b, BLAKE2S_BLOCK + 18, true);
	__builtin_memset(&h.b, 0, sizeof(h.b));
	__builtin_memcpy(h.b.b, h.s.h, WG_MAC);
	blake2s_begin(&h.s, WG_MAC, WG_MAC);
	blake2s_compress(&h.s, &h.b, BLAKE2S_BLOCK, false);
	return gate_absorb(ctx, xdp, m, &h, 0, BLAKE2S_BLOCK, false) &&
	       gate_absorb(ctx, xdp, m, &h, BLAKE2S_BLOCK, BLAKE2S_BLOCK, false) &&
	       gate_absorb(ctx, xdp, m, &h, 2 * BLAKE2S_BLOCK, WG_MAC2_AT - 2 * BLAKE2S_BLOCK, true) &&
	       gate_is_at(ctx, xdp, m, &h, WG_MAC2_AT);
}

/* With any of the secrets in use. */
static __always_inline bool gate_is_proven(void *ctx, bool xdp, const struct gate_message *m, const struct gate *g)
{
	for (__u32 i = 0; i < 2 && i < g->n_cookies; i++)
		if (gate_mac2(ctx, xdp, m, &g->cookies[i]))
			return true;
	return false;
}

#endif
