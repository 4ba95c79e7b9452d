/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_ADMIT_H
#define SLUICE_ADMIT_H

/*
 * What strangers may put into a worker's socket. Data share its queue, so what a worker
 * would not answer dies in front of it. Nobody has proved anything here: there is one
 * budget for all of a kind, for by one for each source a spoofer would empty another's.
 * Initiations that carry a cookie have a budget of their own, so that a flood without
 * them does not stand in the way of who was given one; whether it is a true one the
 * worker finds out (user/wireguard/gate.h). What names an index of ours needs none.
 *
 * XDP is the place for this on a NIC: it may take from the same budgets, and then the
 * socket must not.
 */
#include "bucket.h"
#include "front.h"

#define ADMIT_PER_SECOND 20000
#define ADMIT_DEPTH	 (SECOND / 10)

static __always_inline bool admit_take(__u32 kind, __u32 n)
{
	__u64 *full_at = element(&admissions, kind), now = bpf_ktime_get_ns(), from, cost;

	if (!full_at)
		return true;
	from = *full_at > now ? *full_at : now;
	cost = bucket_cost(n, ADMIT_PER_SECOND);
	if (from + cost > now + ADMIT_DEPTH)
		return false;
	bucket_pay(full_at, cost, now);
	return true;
}

/* Is there a mac2 at all? Of a super-packet, its first message's. */
static __always_inline bool has_cookie(struct __sk_buff *skb)
{
	__u64 mac2[2];

	if (bpf_skb_load_bytes(skb, sizeof(struct udphdr) + WG_INITIATION_SIZE - sizeof(mac2), mac2, sizeof(mac2)))
		return false;
	return mac2[0] | mac2[1];
}

/* Of a message that has passed wg_check(). DROP_NONE or DROP_WG_RATE. */
static __always_inline int admit_check(struct __sk_buff *skb, const struct wg_head *h)
{
	__u32 kind = ADMIT_OTHERS;

	if (h->type == WG_INITIATION && !(h->reserved[0] | h->reserved[1] | h->reserved[2]))
		kind = has_cookie(skb) ? ADMIT_COOKIES : ADMIT_STRANGERS;
	else if (h->type <= WG_DATA && !(h->reserved[0] | h->reserved[1] | h->reserved[2]))
		return DROP_NONE;
	return admit_take(kind, skb->gso_size && skb->gso_segs ? skb->gso_segs : 1) ? DROP_NONE : DROP_WG_RATE;
}

/* On the socket: the data begin with the UDP header. Returns how much to keep: all or nothing. */
static __always_inline int front_socket_check(struct __sk_buff *skb)
{
	struct settings *s = element(&settings, 0);
	__u32 len = skb->len - sizeof(struct udphdr);
	struct wg_head h = {};
	int reason;

	if (!s || skb->len < sizeof(struct udphdr))
		return skb->len;
	if (skb->gso_size)
		len = skb->gso_size;
	if (!front_head(skb, false, sizeof(struct udphdr), &h, len))
		return skb->len;
	reason = wg_check(s, &h, len) ?: admit_check(skb, &h);
	if (!reason)
		return skb->len;
	count_drop(reason);
	return 0;
}

#endif
