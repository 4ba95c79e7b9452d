/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_ADMIT_H
#define SLUICE_ADMIT_H

/*
 * What strangers may put into a worker's socket. Data share its queue, so what a worker
 * would not answer dies in front of it, by what it costs to say so:
 *
 *	an initiation with a cookie, from who may have been sent one: mac2 -> proven, and
 *	    judged by its own bucket
 *	any other: the bucket of its source, or else the looks of all
 *	    -> mac1 -> (not by its own bucket) the strangers' budget
 *
 * A source that has proved nothing may be anybody's invention. Who floods from one source has
 * emptied that one's bucket, and others have theirs. Who invents all that there are has emptied
 * all of them, who invents just one has taken its bucket from it: then there is what all share.
 * What names an index of ours needs no budget.
 *
 * The same twice, in XDP where that is attached, and on the socket, each with budgets of
 * its own: what has passed the one passes the other.
 */
#include "asked.h"
#include "bucket.h"

#define ADMIT_LOOKED	100000 /* a second; a tenth of a core */
#define ADMIT_STRANGE	10000
#define ADMIT_OTHER	20000
#define ADMIT_A_PEER	500 /* as much as the daemon takes of one (user/tailnet/disco/disco_limit.h) */
#define ADMIT_DEPTH	(SECOND / 10)
#define ADMIT_A_SOURCE	2  /* a second */
#define ADMIT_OF_PROVEN 50 /* the worker is stricter (user/wireguard/ratelimit.h) */

static __always_inline bool admit_take(__u64 *full_at, __u64 cost, __u64 depth)
{
	__u64 now = bpf_ktime_get_ns(), from = *full_at > now ? *full_at : now;

	if (from + cost > now + depth)
		return false;
	bucket_pay(full_at, cost, now);
	return true;
}

static __always_inline bool admit_all(struct admissions *a, enum admit kind, __u32 n, __u64 rate)
{
	return admit_take(&a->kinds[kind], bucket_cost(n, rate), ADMIT_DEPTH);
}

static __always_inline bool admit_one(__u64 *buckets, __u32 source, __u32 n, __u64 rate)
{
	return admit_take(&buckets[source & (ADMIT_SOURCES - 1)], bucket_cost(n, rate), SECOND);
}

/* Of IPv6 a /64 is one source: whoever has one has all of it. */
static __always_inline __u32 admit_source(const struct addr *a, __u64 secret)
{
	return (__u32)((a->d[0] ? a->d[0] : a->d[1]) * secret >> 52);
}

/* @n of them by one sender, where GRO merged them. */
static __always_inline int admit_initiation(void *ctx, bool xdp, const struct gate_message *m, struct admissions *a,
					    __u32 n)
{
	struct gate *g = element(&gate_work, 0);
	struct asked_at at;
	__u64 mac2[2];
	__u32 source;
	bool own;

	if (!gate_load(ctx, xdp, m, WG_MAC2_AT, mac2, sizeof(mac2)))
		return DROP_NONE; /* a fragment: it comes to the socket when it is whole */
	if (!g || !g->known)
		return admit_all(a, ADMIT_STRANGERS, n, ADMIT_STRANGE) ? DROP_NONE : DROP_WG_RATE;
	source = admit_source(&m->from, g->hash);
	at = asked_of(m, g->hash);
	if ((mac2[0] | mac2[1]) && asked_before(&at)) {
		if (!gate_is_proven(ctx, xdp, m, g))
			asked_forget(&at);
		else if (admit_one(a->proven, source, n, ADMIT_OF_PROVEN))
			return DROP_NONE;
	}
	own = admit_one(a->strangers, source, n, ADMIT_A_SOURCE);
	if (!own && !admit_all(a, ADMIT_LOOKS, n, ADMIT_LOOKED))
		return DROP_WG_RATE;
	if (!gate_mac1(ctx, xdp, m, g))
		return DROP_WG_MAC1;
	if (!own && !admit_all(a, ADMIT_STRANGERS, n, ADMIT_STRANGE))
		return DROP_WG_RATE;
	asked_mark(&at);
	return DROP_NONE;
}

/* Disco, STUN: a peer where it has answered us has a bucket of its own, all others share one. */
static __always_inline int admit_other(const struct gate_message *m, struct admissions *a, __u32 n)
{
	struct known_at key = {.addr = m->from, .port = bpf_htons(m->port)};
	__u64 *known = bpf_map_lookup_elem(&known_work, &key);

	if (known && admit_take(known, bucket_cost(n, ADMIT_A_PEER), SECOND))
		return DROP_NONE;
	return admit_all(a, ADMIT_OTHERS, n, ADMIT_OTHER) ? DROP_NONE : DROP_WG_RATE;
}

/* A message that has passed wg_check(). DROP_NONE, or why it stays outside. */
static __always_inline int admit_check(void *ctx, bool xdp, const struct gate_message *m, const struct wg_head *h,
				       __u32 n)
{
	struct admissions *a = element(&admissions, xdp ? ADMIT_AT_XDP : ADMIT_AT_SOCKET);

	if (!a)
		return DROP_NONE;
	if (h->type > WG_DATA || h->reserved[0] | h->reserved[1] | h->reserved[2])
		return admit_other(m, a, n);
	return h->type == WG_INITIATION ? admit_initiation(ctx, xdp, m, a, n) : DROP_NONE;
}

/* ---- the front's two places ----------------------------------------------------------- */

/* Which packets XDP looks at; DROP_NONE: passes, the front's business or not. */
static __always_inline int front_check(struct xdp_md *ctx)
{
	struct settings *s = element(&settings, 0);
	struct gate_message m = {};
	struct wg_head h = {};
	struct udphdr udp;
	__u32 off, len;
	int reason;

	if (!s || !s->front_armed)
		return DROP_NONE;
	off = front_udp(ctx, &m.from);
	if (!off || bpf_xdp_load_bytes(ctx, off, &udp, sizeof(udp)) || udp.dest != bpf_htons(s->wg_port))
		return DROP_NONE;
	len = bpf_ntohs(udp.len);
	if (len < sizeof(udp))
		return DROP_NONE; /* the stack counts and drops it */
	len -= sizeof(udp);
	m.off = off + sizeof(udp);
	m.port = bpf_ntohs(udp.source);
	if (!front_head(ctx, true, m.off, &h, len))
		return DROP_NONE;
	reason = wg_check(s, &h, len);
	if (!reason)
		reason = admit_check(ctx, true, &m, &h, 1);
	if (reason)
		count_drop(reason);
	else
		count_total(TOTAL_FRONT_PASS, 1, len);
	return reason;
}

/* On the socket the data begin with the UDP header. Who sent it is in front of that. */
static __always_inline bool admit_sender(struct __sk_buff *skb, struct gate_message *m)
{
	__be16 port;
	__be32 v4;

	if (bpf_skb_load_bytes(skb, 0, &port, sizeof(port)))
		return false;
	m->off = sizeof(struct udphdr);
	m->port = bpf_ntohs(port);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return !bpf_skb_load_bytes_relative(skb, offsetof(struct ipv6hdr, saddr), &m->from, sizeof(m->from),
						    BPF_HDR_START_NET);
	if (bpf_skb_load_bytes_relative(skb, offsetof(struct iphdr, saddr), &v4, sizeof(v4), BPF_HDR_START_NET))
		return false;
	addr_v4(&m->from, v4);
	return true;
}

/* Returns how much to keep: all or nothing. */
static __always_inline int front_socket_check(struct __sk_buff *skb)
{
	struct settings *s = element(&settings, 0);
	__u32 len = skb->len - sizeof(struct udphdr);
	struct gate_message m = {};
	struct wg_head h = {};
	int reason;

	if (!s || skb->len < sizeof(struct udphdr))
		return skb->len;
	if (skb->gso_size)
		len = skb->gso_size;
	if (!front_head(skb, false, sizeof(struct udphdr), &h, len))
		return skb->len;
	reason = wg_check(s, &h, len);
	if (!reason && admit_sender(skb, &m))
		reason = admit_check(skb, false, &m, &h, skb->gso_size && skb->gso_segs ? skb->gso_segs : 1);
	if (!reason)
		return skb->len;
	count_drop(reason);
	return 0;
}

#endif
