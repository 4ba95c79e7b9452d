/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_TCP_H
#define SLUICE_TCP_H

/*
 * TCP as a translator follows it: RFC 6146 3.5.2.2, named as in contract.h.
 *
 *   NEW          a SYN went out (or, after a FIN or a reset, another one)
 *   ESTABLISHED  the remote answered with a SYN, and the client with an ACK;
 *                also after a reset, when the client goes on talking: were the remote's
 *                word enough, resets and data in turn would keep a flow for ever
 *   CLOSING      a FIN from one side: the other may go on for as long as it likes;
 *                from both: the transitory time, which nothing refreshes
 *   RESET        a reset in sequence: the transitory time, which nothing refreshes
 *
 * A reset in sequence is the very next byte that its receiver awaits, or lies between
 * that and what its sender has sent (RFC 7857 2.2, 5961 3.2). Others are passed on (the
 * ends know better) and change nothing here.
 *
 * A client that lost its state may open anew on what the gateway still holds for
 * established: that stays so (RFC 6146 3.5.2.2), only the numbers begin again.
 */
#include "flow.h"

#define TCPOPT_EOL  0
#define TCPOPT_NOP  1
#define TCPOPT_MSS  2
#define TCPOLEN_MSS 4

static __always_inline bool seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static __always_inline bool tcp_opens(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline bool tcp_answers(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == (TCP_SYN | TCP_ACK);
}

static __always_inline bool tcp_in_sequence(__u32 seq, __u32 acknowledged, __u32 end)
{
	return seq == acknowledged || (!seq_before(seq, acknowledged) && !seq_before(end, seq));
}

static __always_inline bool tcp_both_closed(const struct flow *f)
{
	return (f->flags & (FLOW_FIN_OUT | FLOW_FIN_IN)) == (FLOW_FIN_OUT | FLOW_FIN_IN);
}

/* Between live states only, so that whoever ends the flow wins. */
static __always_inline void tcp_become(struct flow *f, __u32 state)
{
	__u64 life = flow_life(f);

	if (LIFE_STATE(life) != state && flow_is_live(LIFE_STATE(life)))
		flow_become(f, life, state);
}

/* Notes how far @p's sender has come. @first: nothing is known of it yet. */
static __always_inline void tcp_track(__u32 *end, __u32 *ack, const struct packet *p, bool first)
{
	__u32 reach = p->seq + (p->l3 + p->len - p->payload) + !!(p->tcp_flags & TCP_SYN) + !!(p->tcp_flags & TCP_FIN);

	if (first || seq_before(*end, reach))
		*end = reach;
	if (p->tcp_flags & TCP_ACK && (first || !*ack || seq_before(*ack, p->ack)))
		*ack = p->ack;
}

static __always_inline void tcp_fin(struct flow *f, __u32 slot, const struct settings *s, __u8 flag, __u64 now)
{
	if (f->flags & flag)
		return;
	f->flags |= flag;
	if (flow_state(f) != FLOW_RESET) /* or a SYN of the client's would not be a new connection's any more */
		tcp_become(f, FLOW_CLOSING);
	if (tcp_both_closed(f))
		flow_keep(slot, now + s->tcp_transitory_ns);
}

static __always_inline void tcp_reset(struct flow *f, __u32 slot, const struct settings *s, __u64 now)
{
	if (flow_state(f) == FLOW_RESET)
		return;
	tcp_become(f, FLOW_RESET);
	flow_keep(slot, now + s->tcp_transitory_ns);
}

/* The same client port once more: the old connection is over for both ends. */
static __always_inline void tcp_reopen(struct flow *f, __u32 slot, const struct settings *s, __u64 now)
{
	f->flags = 0;
	tcp_become(f, FLOW_NEW);
	flow_keep(slot, now + s->tcp_transitory_ns);
}

/* A segment from the client, on a live flow. */
static __always_inline void tcp_out(struct flow *f, __u32 slot, const struct packet *p, const struct settings *s,
				    __u64 now)
{
	bool reopened = tcp_opens(p) && (flow_state(f) == FLOW_RESET || flow_state(f) == FLOW_CLOSING);

	if (p->tcp_flags & TCP_RST) {
		if (tcp_in_sequence(p->seq, f->ack_in ?: p->seq, f->end_out))
			tcp_reset(f, slot, s, now);
		return;
	}
	if (reopened)
		tcp_reopen(f, slot, s, now);
	if (tcp_opens(p))
		f->ack_out = f->ack_in = 0;
	tcp_track(&f->end_out, &f->ack_out, p, tcp_opens(p) || !f->packets_out);
	if (flow_state(f) == FLOW_NEW && f->flags & FLOW_REPLIED && p->tcp_flags & TCP_ACK)
		tcp_become(f, FLOW_ESTABLISHED);
	if (flow_state(f) == FLOW_RESET)
		tcp_become(f, FLOW_ESTABLISHED);
	if (!tcp_both_closed(f))
		flow_refresh(f, slot, s, now);
	if (p->tcp_flags & TCP_FIN)
		tcp_fin(f, slot, s, FLOW_FIN_OUT, now);
}

/* A segment from the remote, on a live flow. It never refreshes. */
static __always_inline void tcp_in(struct flow *f, __u32 slot, const struct packet *p, const struct settings *s,
				   __u64 now)
{
	if (p->tcp_flags & TCP_RST) {
		/* Before the remote has spoken only what it acknowledges tells that it heard us. */
		bool valid = f->flags & FLOW_REPLIED ? tcp_in_sequence(p->seq, f->ack_out ?: f->end_in, f->end_in)
						     : p->tcp_flags & TCP_ACK && p->ack == f->end_out;

		if (valid)
			tcp_reset(f, slot, s, now);
		return;
	}
	/* What acknowledges just the client's SYN is the answer to it: nobody else knows that number. */
	tcp_track(&f->end_in, &f->ack_in, p, !(f->flags & FLOW_REPLIED) || (tcp_answers(p) && p->ack == f->end_out));
	if (p->tcp_flags & TCP_SYN)
		f->flags |= FLOW_REPLIED;
	if (p->tcp_flags & TCP_FIN)
		tcp_fin(f, slot, s, FLOW_FIN_IN, now);
}

/* ---- the clamp -------------------------------------------------------------------- */

/* Lowers the MSS at @off to @mss. At an odd offset the checksum sees its bytes swapped. */
static __always_inline long mss_lower(struct __sk_buff *skb, const struct packet *p, __u32 off, __u16 mss)
{
	__be16 old, new = bpf_htons(mss);
	bool odd = (off - p->l4) & 1;
	long err;

	if (bpf_skb_load_bytes(skb, off, &old, sizeof(old)) || bpf_ntohs(old) <= mss)
		return 0;
	err = bpf_l4_csum_replace(skb, p->l4 + offsetof(struct tcphdr, check), odd ? __builtin_bswap16(old) : old,
				  odd ? __builtin_bswap16(new) : new, sizeof(new));
	return err ?: bpf_skb_store_bytes(skb, off, &new, sizeof(new), 0);
}

/*
 * A SYN whose MSS would not fit the tunnel gets one that does. Options that do not
 * add up are the receiver's problem: the walk just ends. Returns nonzero when the
 * kernel refused the change.
 */
CHECKED_ALONE long mss_clamp(struct __sk_buff *skb, const struct packet *p, __u16 mss)
{
	__u8 option[2];
	__u32 off;

	if (!p || !mss)
		return 0;
	off = p->l4 + sizeof(struct tcphdr);
	for (int i = 0; i < 40 && off < p->payload; i++) {
		if (bpf_skb_load_bytes(skb, off, option, 1) || option[0] == TCPOPT_EOL)
			return 0;
		if (option[0] == TCPOPT_NOP) {
			off++;
			continue;
		}
		if (bpf_skb_load_bytes(skb, off, option, 2) || option[1] < 2 || off + option[1] > p->payload)
			return 0;
		if (option[0] == TCPOPT_MSS && option[1] == TCPOLEN_MSS)
			return mss_lower(skb, p, off + 2, mss);
		off += option[1];
	}
	return 0;
}

static __always_inline long tcp_clamp(struct __sk_buff *skb, const struct packet *p, const struct settings *s)
{
	if (p->kind != KIND_TCP || !(p->tcp_flags & TCP_SYN))
		return 0;
	return mss_clamp(skb, p, p->v6 ? s->mss6 : s->mss4);
}

#endif
