/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_NOTICE_H
#define SLUICE_NOTICE_H

/*
 * What the daemon is told, and asked: ICMP errors need a packet of their own, which the
 * daemon makes. How often is limited here, for each client, so that one who floods
 * neither fills the ring for the others nor keeps the daemon busy. When the ring is
 * full a notice is lost, never a packet that would have passed.
 */
#include "bucket.h"
#include "count.h"
#include "parse.h"

struct answer {	      /* what is said about a packet */
	__u32 reason; /* enum drop_reason */
	__u32 client, rule;
	__u8 kind; /* enum notice_kind */
	__u8 type, code;
	__u8 to_remote;
	__u16 mtu;
	__u16 egress;
};

static __always_inline bool may_notify(const struct answer *a)
{
	struct client_state *state = element(&client_state, a->to_remote ? 0 : a->client);

	return state && bucket_take(&state->full_at[BUCKET_NOTICES], SECOND / NOTICES_A_SECOND, bpf_ktime_get_ns());
}

/* False: the ring is full, or it would be one too many. An event is never that: who sends one limits it. */
CHECKED_ALONE bool notify(struct __sk_buff *skb, const struct packet *p, const struct answer *a)
{
	struct notice *n;
	__u64 len;

	if (!p || !a || (a->kind != NOTICE_FULL && !may_notify(a)))
		return false;
	n = bpf_ringbuf_reserve(&notices, sizeof(*n), 0);
	if (!n)
		return false;
	len = p->len;
	__builtin_memset(n, 0, offsetof(struct notice, bytes));
	n->kind = a->kind;
	n->reason = a->reason;
	n->icmp_type = a->type;
	n->icmp_code = a->code;
	n->to_remote = a->to_remote;
	n->mtu = a->mtu;
	n->egress = a->egress;
	n->client = a->client;
	n->rule = a->rule;
	n->tuple = p->t;
	if (p->l3 + len > skb->len)
		len = skb->len - p->l3;
	if (len >= sizeof(struct iphdr)) {
		len = FORGOTTEN(len);
		if (len > NOTICE_BYTES)
			len = NOTICE_BYTES;
		if (!bpf_skb_load_bytes(skb, p->l3, n->bytes, len))
			n->len = len;
	}
	bpf_ringbuf_submit(n, 0);
	return true;
}

/* Errors are never answered with an error (RFC 1122 3.2.2, RFC 4443 2.4). */
static __always_inline bool may_answer(const struct packet *p)
{
	return p->kind != KIND_ICMP_ERROR && p->kind != KIND_ICMP && p->kind != KIND_ECHO_REPLY;
}

static __always_inline void answer_ttl(struct __sk_buff *skb, const struct packet *p, __u32 client, bool to_remote)
{
	struct answer a = {
		.kind = NOTICE_ICMP,
		.reason = DROP_TTL,
		.type = p->v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED,
		.client = client,
		.to_remote = to_remote,
	};

	if (may_answer(p))
		notify(skb, p, &a);
}

static __always_inline void answer_too_big(struct __sk_buff *skb, const struct packet *p, __u32 client, __u16 mtu,
					   bool to_remote)
{
	struct answer a = {
		.kind = NOTICE_ICMP,
		.reason = DROP_TOO_BIG,
		.type = p->v6 ? 2 : 3,
		.code = p->v6 ? 0 : 4,
		.mtu = mtu,
		.client = client,
		.to_remote = to_remote,
	};

	if (may_answer(p))
		notify(skb, p, &a);
}

/* A new flow was refused: the client hears of it at once instead of waiting (RFC 5508 REQ-8). */
static __always_inline void answer_refused(struct __sk_buff *skb, const struct packet *p, struct answer *a)
{
	a->kind = NOTICE_ICMP;
	a->type = p->v6 ? 1 : 3;
	a->code = p->v6 ? 1 : 13;
	if (a->reason == DROP_MULTICAST || a->reason == DROP_LINK_LOCAL || !may_answer(p))
		a->kind = NOTICE_DENIED;
	notify(skb, p, a);
}

#endif
