/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_OUT_H
#define SLUICE_OUT_H

/*
 * From a client towards a service: what comes in by the TAP.
 *
 *   parse -> flow? -> decided under this policy? -> rewrite -> NIC
 *              `-> for the host? -> the kernel, unchanged (hairpin.h: unless a client is behind it)
 *              `-> decide -> create -> as above
 */
#include "hairpin.h"
#include "host.h"
#include "icmp.h"
#include "rewrite.h"

struct outbound {
	struct packet p;
	struct creation c; /* also who, when, under which policy */
	__u32 ifindex;	   /* to leave by, once it may */
	__u16 fragments;   /* how large those were that it came in; 0: it came whole */
	__u16 cut;	   /* into pieces of so many bytes; 0: it leaves whole */
	bool lost;	   /* a segment of a connection that there is not: its client hears of it */
	struct quote q;	   /* of an ICMP error */
};

/* Too large for the stack that a chain of calls shares. Nothing interrupts the program on its CPU to run it again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct outbound);
} outbound_work SEC(".maps");

/* The largest packet of a (super-)packet. */
static __always_inline __u32 largest(const struct __sk_buff *skb, const struct packet *p)
{
	return skb->gso_size ? p->payload - p->l3 - p->cut_off + skb->gso_size : p->len;
}

/* The kernel would drop it as somebody else's frame: hand it over. */
static __always_inline int to_host(struct __sk_buff *skb, const struct outbound *o)
{
	int reason = host_quota(skb, &o->p, o->c.client, o->c.word, WAY_OUT);

	if (reason)
		return drop(reason);
	bpf_skb_change_type(skb, PACKET_HOST);
	count_total(TOTAL_HOST_IN, segments(skb), o->p.len);
	return TC_ACT_OK;
}

/* One event for as long as the table stays full. */
static __always_inline void notice_table_full(struct __sk_buff *skb, const struct packet *p, __u32 client)
{
	struct flow_table *table = element(&flow_table, 0);
	struct answer a = {.kind = NOTICE_FULL, .reason = DROP_FLOWS_FULL, .client = client};

	if (table && __sync_fetch_and_add(&table->refused, 1) == 0)
		notify(skb, p, &a);
}

/* Refuses a new flow, or one that another policy had allowed, and has the client told. */
static __always_inline int refuse(struct __sk_buff *skb, struct outbound *o, int reason)
{
	struct answer a = {.reason = reason, .client = o->c.client, .rule = o->c.decision.rule};

	count_refused(a.client, a.rule);
	o->lost = reset_fits(&o->p);
	if (!o->lost)
		answer_refused(skb, &o->p, &a);
	if (is_quota(reason))
		quota_notice(skb, &o->p, a.client, reason);
	else if (reason == DROP_FLOWS_FULL)
		notice_table_full(skb, &o->p, a.client);
	return reason;
}

/* The end of a packet that does not pass. */
static __always_inline int drop_out(struct __sk_buff *skb, struct outbound *o, int reason)
{
	return o->lost ? reset_client(skb, &o->p, o->c.client, reason) : drop(reason);
}

/* A SYN; where mappings are for every remote, the answer to one that came in, too (RFC 5382 REQ-3). */
static __always_inline bool tcp_begins(const struct packet *p, const struct settings *s)
{
	return tcp_opens(p) || (s->tcp_endpoint_independent && tcp_answers(p));
}

/* May the packet begin a flow, as it is? A refusal by policy comes first: it is answered. */
static __always_inline int may_open(const struct packet *p)
{
	switch (p->kind) {
	case KIND_TCP: /* tcp_begins() */
	case KIND_UDP:
	case KIND_ECHO:
		return DROP_NONE;
	case KIND_ECHO_REPLY:
		return DROP_NO_FLOW;
	}
	return DROP_PROTOCOL;
}

/* What the packet must satisfy on its way, flow or not. */
CHECKED_ALONE int check_way(struct __sk_buff *skb, struct outbound *o)
{
	const struct egress *e;
	__u32 mtu;

	if (!o)
		return DROP_NO_EGRESS;
	e = element(&egresses, o->c.egress);
	if (!e || e->state != EGRESS_HERE)
		return DROP_NO_EGRESS;
	o->ifindex = e->ifindex;
	if (o->p.ttl <= 1 + !!(o->c.decision.traits & FLOW_HAIRPIN)) { /* which is on its way in next */
		answer_ttl(skb, &o->p, o->c.client, false);
		return DROP_TTL;
	}
	mtu = o->fragments && o->fragments < e->mtu ? o->fragments : e->mtu;
	if (!mtu || largest(skb, &o->p) <= mtu)
		return DROP_NONE;
	if (o->p.df && !o->fragments) {
		answer_too_big(skb, &o->p, o->c.client, mtu, false);
		return DROP_TOO_BIG;
	}
	o->cut = mtu;
	return DROP_NONE;
}

/* A packet without a flow and not for the host. Returns DROP_NONE with o->c.slot. */
static __always_inline int open_flow(struct __sk_buff *skb, struct outbound *o, const struct settings *s)
{
	int reason;

	if (o->p.kind == KIND_TCP && !tcp_begins(&o->p, s)) { /* whatever the rules say; cheap */
		o->lost = reset_fits(&o->p);
		return DROP_NO_FLOW;
	}
	reason = decide(o->c.word, o->c.client, &o->p.t, &o->c.decision);
	if (!reason)
		reason = may_open(&o->p);
	if (!reason) {
		o->c.egress = egress_of(o->c.decision.pool, o->c.client, o->p.v6);
		reason = o->c.egress ? DROP_NONE : DROP_NO_EGRESS;
	}
	if (reason)
		return refuse(skb, o, reason);
	reason = check_way(skb, o);
	if (reason)
		return reason;
	reason = quota_open(o->c.client, o->c.word, o->c.now);
	if (!reason && is_endpoint_independent(s, o->p.t.proto))
		reason = mapping_get(skb, &o->p, &o->c);
	if (!reason)
		reason = flow_create(skb, &o->p, &o->c);
	return reason ? refuse(skb, o, reason) : DROP_NONE;
}

/*
 * A known flow: is it still one? One that has expired, whose address is gone or
 * whose client's address has a new owner ends here, and the packet may open another.
 */
static __always_inline struct flow *usable_flow(struct outbound *o)
{
	struct egress *e;
	struct flow *f;

	/* Without ports of their own other kinds would meet the echo whose identifier is 0. */
	if (o->p.kind != KIND_TCP && o->p.kind != KIND_UDP && o->p.kind != KIND_ECHO)
		return NULL;
	f = flow_find(&o->p.t, &o->c.slot);
	if (!f)
		return NULL;
	e = element(&egresses, f->egress);
	if (e && e->state != EGRESS_GONE && f->client == o->c.client && flow_lives(f, o->c.now))
		return f;
	flow_end(o->c.slot, o->c.now);
	return NULL;
}

/* A flow that another policy allowed: this one must, too. */
CHECKED_ALONE int decide_again(__u32 slot, __u64 word, __u64 now, struct decision *d)
{
	struct flow *f = flow_at(slot);
	int reason;

	if (!f || !d)
		return DROP_NO_FLOW;
	if (f->generation == POLICY_GENERATION(word))
		return DROP_NONE;
	reason = decide(word, f->client, &f->out, d);
	if (reason) {
		flow_end(slot, now);
		return reason;
	}
	f->rule = d->rule;
	f->route = d->route; /* the same one may have another number now */
	f->traits = d->traits;
	f->generation = POLICY_GENERATION(word);
	return DROP_NONE;
}

/*
 * Translated: by the NIC, or first to be cut, or round. A frame that turns round keeps its
 * source: should no mapping take it, it is somebody else's to the kernel, too.
 */
static __always_inline int leave(struct __sk_buff *skb, const struct outbound *o, const struct settings *s)
{
	if (o->c.decision.traits & FLOW_HAIRPIN)
		return to_ingress(skb, o->ifindex, ROUND_TURNED | (o->fragments ? ROUND_CUT : 0));
	if (o->cut)
		return cut_out(skb, s, o->c.client, o->c.egress, o->cut);
	return bpf_redirect_neigh(o->ifindex, NULL, 0, 0);
}

static __always_inline int send_out(struct __sk_buff *skb, struct outbound *o, struct flow *f, const struct settings *s)
{
	struct endpoint to = {f->back.dst, f->back.dport};

	if (o->p.kind == KIND_TCP)
		tcp_out(f, o->c.slot, &o->p, s, o->c.now);
	else
		flow_refresh(f, o->c.slot, s, o->c.now);
	flow_count_out(f, skb, &o->p, o->c.now);
	if (tcp_clamp(skb, &o->p, s) || rewrite(skb, &o->p, &to, false))
		return drop(DROP_REWRITE);
	return leave(skb, o, s);
}

/*
 * An error about what the host sent to this very client. The kernel would believe any
 * other, and cut the host's path to somebody else, another client's tunnel for one.
 */
static __always_inline bool host_sent_it(const struct outbound *o)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128, .addr = o->q.p.t.dst};
	struct client_ref *to = bpf_map_lookup_elem(&clients, &key);

	return to && to->client == o->c.client && kind_is_host(reserved_kind(&o->p.t.dst));
}

/* For the gateway itself: what opens something needs a rule. */
static __always_inline int host_packet(struct __sk_buff *skb, struct outbound *o)
{
	int reason;

	if (host_knows(skb, &o->p))
		return to_host(skb, o);
	reason = decide(o->c.word, o->c.client, &o->p.t, &o->c.decision);
	if (!reason && o->p.kind == KIND_TCP && tcp_opens(&o->p))
		reason = quota_open(o->c.client, o->c.word, o->c.now);
	return reason ? drop_out(skb, o, refuse(skb, o, reason)) : to_host(skb, o);
}

/* The client's external endpoint, for an error about what came in by one of its flows. */
static __always_inline int by_flow(struct outbound *o, const struct flow *f, struct endpoint *to)
{
	int reason = decide_again(o->q.slot, o->c.word, o->c.now, &o->c.decision);

	o->c.egress = f->egress;
	o->c.decision.traits = f->traits;
	to->addr = f->back.dst;
	to->port = f->back.dport;
	return reason;
}

/*
 * The same for what came in past all flows: @t is the client's side of it. mapping_in() asks
 * for nothing else than a mapping and the policy's word.
 */
static __always_inline int by_mapping(struct outbound *o, const struct tuple *t, const struct settings *s,
				      struct endpoint *to)
{
	struct tuple out;
	struct flow *m;
	__u32 slot;

	if (!is_endpoint_independent(s, t->proto))
		return DROP_NO_FLOW;
	if (decide(o->c.word, o->c.client, t, &o->c.decision)) /* then nothing came in either */
		return DROP_NO_FLOW;
	o->c.egress = egress_of(o->c.decision.pool, o->c.client, o->p.v6);
	mapping_tuple(&out, t, o->c.egress);
	m = mapping_find(&out, o->c.client, o->c.now, &slot);
	if (!m)
		return DROP_NO_FLOW;
	to->addr = m->back.dst;
	to->port = m->back.dport;
	return DROP_NONE;
}

/* Sends on, as @to, what belongs to no flow of its own; unless there is a @reason not to. */
static __always_inline int send_past_flows(struct __sk_buff *skb, struct outbound *o, const struct settings *s,
					   const struct endpoint *to, int reason)
{
	long err;

	if (!reason)
		reason = check_way(skb, o);
	if (!reason && o->c.decision.traits & FLOW_LIMITED)
		reason = quota_pass(skb, &o->p, o->c.client, o->c.word, WAY_OUT);
	if (reason)
		return drop(reason);
	if (o->p.kind == KIND_ICMP_ERROR)
		err = icmp_translate(skb, &o->p, &o->q, to, true);
	else
		err = rewrite(skb, &o->p, to, false);
	if (err)
		return drop(DROP_REWRITE);
	count_total(TOTAL_OUT, 1, o->p.len);
	return leave(skb, o, s);
}

/* An error about something that a service sent: it goes to that service. */
static __always_inline int icmp_error_out(struct __sk_buff *skb, struct outbound *o, const struct settings *s)
{
	struct endpoint to = {};
	struct tuple t;
	struct flow *f;
	int reason;

	if (!quote_read(skb, &o->p, &o->q))
		return drop(DROP_NO_FLOW);
	f = icmp_flow(&o->q, SIDE_CLIENT, o->c.now);
	if (f && f->client == o->c.client) {
		reason = by_flow(o, f, &to);
	} else if (host_sent_it(o)) {
		return to_host(skb, o);
	} else {
		quote_answer(&t, &o->q, SIDE_CLIENT);
		reason = by_mapping(o, &t, s, &to);
	}
	return send_past_flows(skb, o, s, &to, reason);
}

/*
 * A reset of no flow: it may answer a SYN that came in by the client's mapping (RFC 5382
 * REQ-3), whose sender would go on knocking. It makes no flow, nor keeps the mapping.
 */
static __always_inline int reset_out(struct __sk_buff *skb, struct outbound *o, const struct settings *s)
{
	struct endpoint to = {};

	return send_past_flows(skb, o, s, &to, by_mapping(o, &o->p.t, s, &to));
}

/* What there is of the packet, and of the moment. */
static __always_inline int outbound_read(struct __sk_buff *skb, struct outbound *o)
{
	__u32 id = client_frame(skb);
	int reason;

	__builtin_memset(o, 0, sizeof(*o));
	o->c.client = FRAME_CLIENT(id);
	o->fragments = FRAME_FRAGMENTS(id);
	if (!o->c.client)
		return DROP_CLIENT;
	reason = parse(skb, &o->p, sizeof(struct ethhdr), skb->protocol, WHOLE_PACKET);
	o->p.t.side = SIDE_CLIENT;
	o->c.word = policy_word();
	o->c.now = bpf_ktime_get_ns();
	return reason;
}

static __always_inline int outbound(struct __sk_buff *skb)
{
	struct outbound *o = element(&outbound_work, 0);
	struct settings *s = element(&settings, 0);
	struct flow *f;
	int reason;

	if (!s || !o)
		return drop(DROP_CLIENT);
	reason = outbound_read(skb, o);
	if (reason)
		return o->c.client ? drop(reason) : from_daemon(skb);
	f = usable_flow(o);
	if (f) {
		reason = decide_again(o->c.slot, o->c.word, o->c.now, &o->c.decision);
		if (reason)
			return drop_out(skb, o, refuse(skb, o, reason));
		o->c.egress = f->egress;
		o->c.decision.traits = f->traits;
		reason = check_way(skb, o);
	} else {
		if (o->p.kind == KIND_ICMP_ERROR)
			return icmp_error_out(skb, o, s);
		if (kind_is_host(reserved_kind(&o->p.t.dst)) && !mapping_at(s, &o->p, o->c.now, &o->c.slot))
			return host_packet(skb, o);
		if (o->p.kind == KIND_TCP && o->p.tcp_flags & TCP_RST)
			return reset_out(skb, o, s);
		reason = open_flow(skb, o, s);
		f = flow_at(o->c.slot);
	}
	if (!reason && f && f->traits & FLOW_LIMITED)
		reason = quota_pass(skb, &o->p, o->c.client, o->c.word, WAY_OUT);
	if (reason)
		return drop_out(skb, o, reason);
	return f ? send_out(skb, o, f, s) : drop(DROP_NO_FLOW);
}

#endif
