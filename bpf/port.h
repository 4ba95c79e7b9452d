/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_PORT_H
#define SLUICE_PORT_H

/*
 * Allocation of external ports. The range of an egress address is walked from a
 * random start by a random stride modulo a prime, so every port is tried once, in an
 * order nobody can predict (RFC 6056, RFC 7857 section 9), and one that is free is
 * found: about 30 us when 99% are taken, where a linear search takes milliseconds.
 * Inserting the remote's tuple is the reservation. A pair that is full is refused
 * by its count, before anything is searched.
 */
#include "flow.h"
#include "quota.h"

struct port_search {
	struct __sk_buff *skb;
	__u32 slot, egress;
	__u32 at, stride;
	bool found;
};

/* The @i-th port of the egress address' ranges, 0 past the end. */
static __always_inline __u16 port_of(const struct egress *e, __u32 i)
{
	for (int r = 0; r < MAX_PORT_RANGES; r++) {
		if (i < e->range[r].count)
			return e->range[r].first + i;
		i -= e->range[r].count;
	}
	return 0;
}

/* What the kernel's socket lookups take, of a packet that arrives; returns its size. @s: zeroed. */
static __always_inline __u32 sock_tuple(struct bpf_sock_tuple *s, const struct tuple *t)
{
	if (is_v4_mapped(&t->dst)) {
		s->ipv4.saddr = t->src.w[3];
		s->ipv4.daddr = t->dst.w[3];
		s->ipv4.sport = t->sport;
		s->ipv4.dport = t->dport;
		return sizeof(s->ipv4);
	}
	__builtin_memcpy(s->ipv6.saddr, &t->src, sizeof(s->ipv6.saddr));
	__builtin_memcpy(s->ipv6.daddr, &t->dst, sizeof(s->ipv6.daddr));
	s->ipv6.sport = t->sport;
	s->ipv6.dport = t->dport;
	return sizeof(s->ipv6);
}

/* The host's own connections and listeners keep their ports; an answer would not reach them. */
static __always_inline bool port_is_hosts(struct __sk_buff *skb, const struct tuple *back)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size;

	if (back->proto != IPPROTO_TCP && back->proto != IPPROTO_UDP)
		return false;
	size = sock_tuple(&t, back);
	if (back->proto == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(skb, &t, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* The tunnel's own, also on an exclusive address. */
static __always_inline bool port_is_wireguards(const struct tuple *back)
{
	struct settings *s = element(&settings, 0);

	return s && back->proto == IPPROTO_UDP && back->dport == bpf_htons(s->wg_port);
}

/* One port of the walk; 1 ends it. */
static long port_try(__u32 i, struct port_search *search)
{
	struct egress *e = element(&egresses, search->egress);
	struct flow *f = flow_at(search->slot);
	__u16 port;

	if (!e || !f || !e->prime)
		return loop_end();
	search->at = (search->at + search->stride) % e->prime;
	port = port_of(e, search->at);
	if (!port)
		return loop_on();
	f->back.dport = bpf_htons(port);
	if (flow_link(&f->back, search->slot, flow_serial(f)))
		return loop_on();
	if (port_is_wireguards(&f->back) || (!e->exclusive && port_is_hosts(search->skb, &f->back))) {
		flow_unlink(&f->back, search->slot, flow_serial(f));
		return loop_on();
	}
	search->found = true;
	return loop_end();
}

static __always_inline void notice_full(struct __sk_buff *skb, const struct packet *p, struct pair_use *use,
					const struct flow *f)
{
	struct answer a = {.kind = NOTICE_FULL, .reason = DROP_PORTS_FULL, .client = f->client, .egress = f->egress};

	if (__sync_fetch_and_add(&use->refused, 1) == 0)
		notify(skb, p, &a);
}

/*
 * Gives @slot, filled but for back.dport, a port and links its remote side. Returns
 * DROP_NONE, or why not (nothing is taken then).
 */
CHECKED_ALONE int port_take(struct __sk_buff *skb, const struct packet *p, __u32 slot)
{
	struct port_search search = {.skb = skb, .slot = slot};
	struct flow *f = flow_at(slot);
	struct pair_use *use;
	struct egress *e;
	struct pair key;

	if (!f || !p)
		return DROP_FLOWS_FULL;
	search.egress = f->egress;
	e = element(&egresses, f->egress);
	if (!e)
		return DROP_PORTS_FULL;
	pair_key(&key, f);
	use = pair_get(&key);
	if (!use)
		return DROP_FLOWS_FULL;
	if (quota_keeps_port(f->client, use, e)) {
		pair_unuse(&key, use);
		return DROP_QUOTA_PORTS;
	}
	if (use->used <= e->ports && use->full_until <= f->created && e->prime > 1) {
		search.at = bpf_get_prandom_u32() % e->prime;
		search.stride = 1 + bpf_get_prandom_u32() % (e->prime - 1);
		bpf_loop(e->prime, port_try, &search, 0);
		if (search.found)
			return DROP_NONE;
		use->full_until = f->created + SECOND;
	}
	notice_full(skb, p, use, f);
	pair_unuse(&key, use);
	return DROP_PORTS_FULL;
}

/* The client's own address of the pool (RFC 4787 REQ-2), or the next that is there. 0: none. */
static __always_inline __u32 egress_of(__u32 pool, __u32 client, bool v6)
{
	struct pool *list = element(&pools, pool);
	__u32 n = list ? (v6 ? list->n6 : list->n4) : 0;

	for (__u32 i = 0; i < POOL_ADDRESSES && i < n; i++) {
		__u64 at = INDEX(list->v4, (client + i) % n);
		__u32 id = v6 ? list->v6[at] : list->v4[at];
		struct egress *e;

		e = element(&egresses, id);
		if (id && e && e->state == EGRESS_HERE)
			return id;
	}
	return 0;
}

#endif
