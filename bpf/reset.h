/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_RESET_H
#define SLUICE_RESET_H

/*
 * A TCP segment of a connection that the gateway does not know, or not any more, is
 * answered with a reset, or its sender would try again for a quarter of an hour. A worker
 * makes the reset of the whole segment (user/datapath/reset.h), as it makes pieces of a
 * packet; where the segment came from decides what becomes of it:
 *
 *   tap_in -(TAP)-> worker -> the client
 *   nic_in -(TAP)-> worker -(TAP)-> tap_in -> NIC
 *
 * When a segment gets one, the table in stray.h says. A reset is never answered; and a
 * reset is no longer than the shortest segment, so nobody gets more by them than he sent.
 */
#include "fragment.h"

#define RESETS_A_SECOND 1000 /* for one client; for sources outside with the same remainder */
#define RESETS_OUTSIDE	4000 /* for all sources outside together */
#define RESET_SOURCES	64

struct { /* buckets: when each is full again; by client id, 0: all of outside; behind them the sources outside */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CLIENTS + RESET_SOURCES);
	__type(key, __u32);
	__type(value, __u64);
} resets SEC(".maps");

static __always_inline bool reset_take(__u32 bucket, __u32 rate, __u64 now)
{
	__u64 *full_at = element(&resets, bucket);

	return full_at && bucket_take(full_at, SECOND / rate, now);
}

/* May the sender of this segment hear of it? Not who is nobody, or many. */
static __always_inline bool reset_may(const struct packet *p, const struct settings *s)
{
	return s->resets && s->tap_ifindex && p->kind == KIND_TCP && !(p->tcp_flags & TCP_RST) &&
	       !addr_is_multicast(&p->t.src) && !addr_is_multicast(&p->t.dst);
}

/* A segment from @client that opens nothing: a refused SYN is answered by an ICMP error (notice.h). */
static __always_inline bool reset_fits(const struct packet *p)
{
	struct settings *s = element(&settings, 0);

	return s && !tcp_opens(p) && reset_may(p, s);
}

/* Drops a segment from @client, which hears of it. */
CHECKED_ALONE int reset_client(struct __sk_buff *skb, const struct packet *p, __u32 client, __u32 reason)
{
	struct settings *s = element(&settings, 0);
	__u32 *worker;

	count_drop(reason);
	if (!s || !p || !client || !reset_may(p, s) || !reset_take(client, RESETS_A_SECOND, bpf_ktime_get_ns()))
		return TC_ACT_SHOT;
	count_total(TOTAL_RESET_OUT, 1, p->len);
	worker = element(&client_worker, client);
	return to_daemon(skb, s, ETH_P_RESET, TAP_CLIENT, client, worker ? *worker : 0);
}

/* Drops a segment that came in by a NIC; its sender hears of it, unless it is an unsolicited SYN (RFC 5382 REQ-4). */
CHECKED_ALONE int reset_remote(struct __sk_buff *skb, const struct packet *p, __u32 reason)
{
	struct settings *s = element(&settings, 0);
	__u64 now = bpf_ktime_get_ns();
	__u32 hash, *id;
	struct addr own;

	count_drop(reason);
	if (!s || !p || !reset_may(p, s) || (p->tcp_flags & TCP_SYN && !(p->tcp_flags & TCP_ACK)))
		return TC_ACT_SHOT;
	if (reserved_kind(&p->t.src) || skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_MULTICAST)
		return TC_ACT_SHOT; /* what several machines hear, several would answer */
	own = p->t.dst;
	id = bpf_map_lookup_elem(&egress_ids, &own);
	hash = addr_hash(&p->t.src);
	if (!id || !reset_take(MAX_CLIENTS + hash % RESET_SOURCES, RESETS_A_SECOND, now) ||
	    !reset_take(0, RESETS_OUTSIDE, now))
		return TC_ACT_SHOT;
	count_total(TOTAL_RESET_IN, 1, p->len);
	return to_daemon(skb, s, ETH_P_RESET, TAP_PIECE, *id << 16, s->workers ? hash % s->workers : 0);
}

#endif
