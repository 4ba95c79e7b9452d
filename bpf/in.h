/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_IN_H
#define SLUICE_IN_H

/*
 * From a service back to a client: what comes in by a NIC. A packet that belongs to
 * no flow is the host's and is not touched.
 */
#include "out.h"
#include "stray.h"

struct inbound {
	struct packet p;
	__u64 word, now;
	__u32 slot;
	__u32 round;	/* ROUND_TURNED, ...; 0: it comes from outside */
	struct quote q; /* of an ICMP error */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct inbound);
} inbound_work SEC(".maps");

/* Goes on to whoever is next on the interface, then to the host. */
#define NOT_OURS TC_ACT_UNSPEC

/* By an interface by which answers to this address come? What goes round did, or was never outside. */
static __always_inline bool comes_by(struct __sk_buff *skb, const struct inbound *in, const struct egress *e)
{
	if (in->round)
		return true;
	for (int i = 0; i < MAX_ANSWERS && e->answers[i]; i++)
		if (e->answers[i] == skb->ifindex)
			return true;
	return false;
}

/* To a port that clients' flows have, by an interface that their answers come by. */
static __always_inline bool is_clients(struct __sk_buff *skb, const struct inbound *in)
{
	struct egress *e = egress_at(&in->p.t.dst);

	return e && in->p.kind == KIND_TCP && port_is_ours(e, in->p.t.dport) && comes_by(skb, in, e);
}

/* Of no flow. What turned round (hairpin.h) found no mapping any more. */
static __always_inline int no_flow(struct __sk_buff *skb, const struct inbound *in)
{
	int reason = in->round & ROUND_TURNED ? DROP_NO_FLOW : stray(skb, &in->p, &in->q.p);

	if (!reason)
		return NOT_OURS;
	return reason == DROP_EXCLUSIVE && is_clients(skb, in) ? reset_remote(skb, &in->p, reason) : drop(reason);
}

/* A packet of what the gateway does not know any more: who sent it by way of the outside, hears of it. */
static __always_inline int lost_in(struct __sk_buff *skb, const struct inbound *in, int reason)
{
	return in->p.kind == KIND_TCP && !(in->round & ROUND_TURNED) ? reset_remote(skb, &in->p, reason) : drop(reason);
}

/* Marks the packet with its client's worker, for steer_tap, and hands it to the TAP. */
static __always_inline int to_client(struct __sk_buff *skb, const struct settings *s, __u32 client)
{
	__u32 *worker = element(&client_worker, client);

	skb->mark = TAP_MARK | (worker ? *worker : 0);
	return bpf_redirect(s->tap_ifindex, 0);
}

/* What a packet must satisfy on its way into the tunnel. @traits: of its flow, or of the one it would be of. */
CHECKED_ALONE int check_way_in(struct __sk_buff *skb, const struct inbound *in, __u32 client, __u8 traits)
{
	struct settings *s = element(&settings, 0);
	const struct packet *p;

	if (!s || !in || !s->tap_ifindex)
		return DROP_NO_TAP;
	if (traits & FLOW_HAIRPIN && !(in->round & ROUND_TURNED)) /* another client's, which none can be from outside */
		return DROP_FORGED;
	p = &in->p;
	if (p->ttl <= 1) {
		answer_ttl(skb, p, client, true);
		return DROP_TTL;
	}
	if (s->mtu && largest(skb, p) > s->mtu && p->df && !(in->round & ROUND_CUT)) { /* else the worker cuts it */
		answer_too_big(skb, p, client, s->mtu, true);
		return DROP_TOO_BIG;
	}
	return traits & FLOW_LIMITED ? quota_pass(skb, p, client, in->word, WAY_IN) : DROP_NONE;
}

static __always_inline int send_in(struct __sk_buff *skb, const struct packet *p, const struct settings *s,
				   const struct flow *f)
{
	struct endpoint to = {f->out.src, f->out.sport};

	if (tcp_clamp(skb, p, s) || rewrite(skb, p, &to, true))
		return drop(DROP_REWRITE);
	return to_client(skb, s, f->client);
}

/* An answer of a flow. */
static __always_inline int flow_in(struct __sk_buff *skb, struct inbound *in, const struct settings *s, struct flow *f)
{
	struct egress *e = element(&egresses, f->egress);
	struct decision d;
	int reason;

	if (!e || e->state != EGRESS_HERE) {
		if (!e || e->state == EGRESS_GONE)
			flow_end(in->slot, in->now);
		return drop(DROP_NO_EGRESS);
	}
	if (!comes_by(skb, in, e))
		return drop(DROP_WRONG_WAY);
	reason = decide_again(in->slot, in->word, in->now, &d);
	if (reason)
		return lost_in(skb, in, reason);
	reason = check_way_in(skb, in, f->client, f->traits);
	if (reason)
		return drop(reason);
	if (in->p.kind == KIND_TCP)
		tcp_in(f, in->slot, &in->p, s, in->now);
	flow_count_in(f, skb, &in->p);
	return send_in(skb, &in->p, s, f);
}

/* May this remote send to the mapping (RFC 4787 REQ-8)? */
static __always_inline bool may_enter(const struct packet *p, const struct flow *m, const struct settings *s, __u64 now)
{
	struct flow *first;
	struct tuple key;
	__u32 at = 0;

	if (s->filtering == FILTER_ENDPOINT_INDEPENDENT)
		return true;
	if (s->filtering == FILTER_ADDRESS_AND_PORT && !p->t.sport) /* where it was otherwise, port 0 stood for any */
		return false;
	permission_key(&key, &p->t, s);
	first = flow_find(&key, &at);
	if (!first || !first->mapping || !same_client_endpoint(first, m))
		return false;
	if (!flow_lives(first, now)) /* and may have been the last */
		flow_end(at, now);
	return is_shared(first);
}

/*
 * What a mapping does not let in. The host may have opened a socket on the port since the
 * mapping took it: that is whom it is for.
 */
static __always_inline int keep_out(struct __sk_buff *skb, const struct inbound *in, const struct egress *e, int reason)
{
	if (!e->exclusive && !(in->round & ROUND_TURNED) && port_is_hosts(skb, &in->p.t))
		return NOT_OURS;
	return reason == DROP_WRONG_WAY ? drop(reason) : lost_in(skb, in, reason);
}

/*
 * To a mapping, from an endpoint it has no flow with: within the filter, and only
 * where the policy lets the client talk to that endpoint. It makes no state, so
 * nobody outside can fill the table or keep a mapping alive.
 */
static __always_inline int mapping_in(struct __sk_buff *skb, struct inbound *in, const struct settings *s)
{
	struct flow *m = mapping_at(s, &in->p, in->now, &in->slot);
	struct tuple t = {.proto = in->p.t.proto, .side = SIDE_REMOTE};
	struct decision d;
	struct egress *e;
	int reason;

	if (!m)
		return no_flow(skb, in);
	e = element(&egresses, m->egress);
	if (!e || e->state != EGRESS_HERE)
		return no_flow(skb, in);
	if (!comes_by(skb, in, e))
		return keep_out(skb, in, e, DROP_WRONG_WAY);
	if (!may_enter(&in->p, m, s, in->now))
		return keep_out(skb, in, e, DROP_FILTERED);
	t.src = m->out.src;
	t.dst = in->p.t.src;
	t.sport = m->out.sport;
	t.dport = in->p.t.sport;
	reason = decide(in->word, m->client, &t, &d);
	if (reason)
		return keep_out(skb, in, e, reason);
	reason = check_way_in(skb, in, m->client, d.traits);
	if (reason)
		return drop(reason);
	flow_count_in(m, skb, &in->p);
	return send_in(skb, &in->p, s, m);
}

/*
 * RFC 5508 REQ-4 leaves the source of an error alone. But a client's tunnel may take packets
 * from nobody but the services: what the sender must hear, the MTU or that there is no way,
 * the service says in the place of a router that no route holds. A time exceeded names the
 * router, for which traceroute asks: a client whose tunnel takes nothing from it sees a star,
 * which is better than a wrong address. The gateway itself takes everything (`probe`).
 */
static __always_inline bool hides_router(const struct inbound *in, const struct settings *s, __u32 client)
{
	if (client == CLIENT_GATEWAY || route_of(in->word, &in->p.t.src))
		return false;
	return s->hide_routers || in->p.icmp_type != (in->p.v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED);
}

/* An error about something that a client sent. */
static __always_inline int icmp_error_in(struct __sk_buff *skb, struct inbound *in, const struct settings *s)
{
	struct decision d;
	struct endpoint to;
	struct egress *e;
	struct flow *f;
	int reason;

	f = quote_read(skb, &in->p, &in->q) ? icmp_flow(&in->q, SIDE_REMOTE, in->now) : NULL;
	if (!f)
		return no_flow(skb, in);
	e = element(&egresses, f->egress);
	if (!e || e->state != EGRESS_HERE)
		return drop(DROP_NO_EGRESS);
	if (!comes_by(skb, in, e))
		return drop(DROP_WRONG_WAY);
	reason = decide_again(in->q.slot, in->word, in->now, &d);
	if (!reason)
		reason = check_way_in(skb, in, f->client, f->traits);
	if (reason)
		return drop(reason);
	to.addr = f->out.src;
	to.port = f->out.sport;
	if (icmp_translate(skb, &in->p, &in->q, &to, false))
		return drop(DROP_REWRITE);
	if (hides_router(in, s, f->client) && icmp_from_service(skb, &in->p, &in->q, &to.addr))
		return drop(DROP_REWRITE);
	count_total(TOTAL_IN, 1, in->p.len);
	return to_client(skb, s, f->client);
}

/* A fragment, or nothing that we understand. */
static __always_inline int not_whole(struct __sk_buff *skb, const struct inbound *in, const struct settings *s,
				     int reason)
{
	struct egress *e = egress_at(&in->p.t.dst);
	int verdict = guard_in(skb);

	if (verdict != NOT_OURS)
		return verdict;
	if (reason == DROP_FRAGMENT && e && comes_by(skb, in, e))
		verdict = fragment_in(skb, &in->p, s, bpf_ktime_get_ns(), in->round & ROUND_JOINED);
	return verdict == NOT_OURS && e && e->exclusive ? drop(reason) : verdict;
}

static __always_inline int inbound(struct __sk_buff *skb)
{
	struct inbound *in = element(&inbound_work, 0);
	struct settings *s = element(&settings, 0);
	struct flow *f;
	int reason;

	if (!s || !in)
		return NOT_OURS;
	__builtin_memset(in, 0, sizeof(*in));
	in->round = round_of(skb);
	if (!in->round && is_for_another(skb))
		return NOT_OURS;
	if (skb->vlan_present) /* a priority, which the TAP would hand on as bytes in the frame */
		bpf_skb_vlan_pop(skb);
	reason = parse(skb, &in->p, sizeof(struct ethhdr), skb->protocol, WHOLE_PACKET);
	if (reason)
		return not_whole(skb, in, s, reason);
	if (in_tunnel(s, &in->p.t.src))
		return drop(DROP_FORGED);
	if (in->p.kind == KIND_UDP && in->p.t.dport == bpf_htons(s->wg_port)) /* our own: no flow has this port */
		return in->round & ROUND_TURNED ? no_flow(skb, in) : NOT_OURS;
	in->p.t.side = SIDE_REMOTE;
	in->now = bpf_ktime_get_ns();
	in->word = policy_word();

	if (in->p.kind == KIND_ICMP_ERROR)
		return icmp_error_in(skb, in, s);
	if (in->p.kind != KIND_TCP && in->p.kind != KIND_UDP && in->p.kind != KIND_ECHO_REPLY)
		return no_flow(skb, in);
	in->slot = flow_of_remote(&in->p.t, in->now);
	f = flow_at(in->slot);
	if (f)
		return flow_in(skb, in, s, f);
	return is_endpoint_independent(s, in->p.t.proto) ? mapping_in(skb, in, s) : no_flow(skb, in);
}

#endif
