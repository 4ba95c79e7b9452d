/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_HOST_H
#define SLUICE_HOST_H

/*
 * The host in its own tunnel. What it takes part in already needs no rule, so that it can
 * reach its clients; what that is, only the host's own state can say, never the packet:
 *
 *   TCP, UDP    a socket of the host is connected to just this sender, and no socket serves
 *               on that port: what a service accepted is the policy's, so that a rule that is
 *               taken back ends it (a reset passes: it ends it, too). A listener, or a
 *               connection that has just begun, knows nobody: whoever sent the SYN chose what
 *               it says. Of TCP the SYN is remembered, too, that left by the TAP
 *   echo reply  the host sent the request by the TAP, where fence_tap remembers it
 *
 * All else is for the policy. A client's quotas hold for what it exchanges with the host, too.
 */
#include "port.h"

#define TCP_STATE_LISTEN       10 /* of struct bpf_sock */
#define TCP_STATE_NEW_SYN_RECV 12

#define HOST_ECHOES 4096 /* that are remembered; only the host makes them */
#define HOST_CALLS  16384

struct { /* TCP connections that the host began by the TAP, as the answers come; no longer used, the oldest goes */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HOST_CALLS);
	__type(key, struct tuple);
	__type(value, __u32);
} host_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HOST_ECHOES);
	__type(key, struct host_echo);
	__type(value, __u64); /* until when it may be answered, ns */
} host_echoes SEC(".maps");

/* ---- sockets ------------------------------------------------------------------------ */

/* TCP: a socket of the host is connected to who sent @t, or is about to be, of its own accord. */
static __noinline bool host_is_connected(struct __sk_buff *skb, const struct tuple *t)
{
	struct bpf_sock_tuple key = {};
	__u32 size = sock_tuple(&key, t);
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, &key, size, BPF_F_CURRENT_NETNS, 0);
	bool is;

	if (!sk)
		return false;
	is = sk->state != TCP_STATE_LISTEN && sk->state != TCP_STATE_NEW_SYN_RECV;
	bpf_sk_release(sk);
	return is;
}

/* UDP: a socket of the host waits for just this sender. One that is not connected calls its peer's port 0, too. */
static __noinline bool host_waits(struct __sk_buff *skb, const struct tuple *t)
{
	struct bpf_sock_tuple key = {};
	__u32 size = sock_tuple(&key, t);
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &key, size, BPF_F_CURRENT_NETNS, 0);
	bool is;

	if (!sk)
		return false;
	is = t->sport && sk->dst_port == t->sport;
	bpf_sk_release(sk);
	return is;
}

/* Does a socket of the host take what anybody sends to this port, here from port 0? */
static __noinline bool host_serves(struct __sk_buff *skb, const struct tuple *t)
{
	struct tuple anybody = *t;

	anybody.sport = 0;
	return port_is_hosts(skb, &anybody);
}

/* ---- echoes ------------------------------------------------------------------------- */

static __always_inline void host_echo_key(struct host_echo *key, const struct addr *peer, const struct addr *own,
					  __be16 id)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->peer = *peer;
	key->own = *own;
	key->id = id;
}

static __noinline bool host_asked(const struct tuple *reply)
{
	struct host_echo key;
	__u64 *until;

	host_echo_key(&key, &reply->src, &reply->dst, reply->dport);
	until = bpf_map_lookup_elem(&host_echoes, &key);
	return until && *until > bpf_ktime_get_ns();
}

static __noinline void host_asks(const struct tuple *request)
{
	struct settings *s = element(&settings, 0);
	struct host_echo key;
	__u64 until;

	if (!s)
		return;
	host_echo_key(&key, &request->dst, &request->src, request->sport);
	until = bpf_ktime_get_ns() + s->icmp_ns;
	bpf_map_update_elem(&host_echoes, &key, &until, BPF_ANY);
}

/* ---- calls -------------------------------------------------------------------------- */

/*
 * A socket does not say who began its connection. What a service accepted looks, once the service has stopped
 * listening, like what the host began; so the SYN is remembered that left by the TAP.
 */
static __always_inline struct tuple host_call(const struct addr *peer, __be16 port, const struct addr *own,
					      __be16 own_port)
{
	struct tuple key = {.src = *peer, .dst = *own, .sport = port, .dport = own_port, .proto = IPPROTO_TCP};

	return key;
}

static __noinline void host_calls_out(struct __sk_buff *skb, const struct packet *p)
{
	struct tuple key = host_call(&p->t.dst, p->t.dport, &p->t.src, p->t.sport);
	__u32 one = 1;
	__u8 flags; /* a frame's headers were read as a quote's are: without them */

	if (bpf_skb_load_bytes(skb, p->l4 + 13, &flags, sizeof(flags)))
		return;
	if ((flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
		bpf_map_update_elem(&host_calls, &key, &one, BPF_ANY);
	else
		bpf_map_lookup_elem(&host_calls, &key); /* looked at, it is not the one that was used last */
}

/* Who calls a service uses these ports for a connection of its own. */
static __noinline bool host_called(const struct packet *p, bool serves)
{
	struct tuple key = host_call(&p->t.src, p->t.sport, &p->t.dst, p->t.dport);

	if (serves && p->tcp_flags & TCP_SYN)
		bpf_map_delete_elem(&host_calls, &key);
	return !serves && bpf_map_lookup_elem(&host_calls, &key);
}

/* A reset passes for either's connection: it can only end it. */
static __always_inline bool host_knows_tcp(struct __sk_buff *skb, const struct packet *p)
{
	return (host_called(p, host_serves(skb, &p->t)) || p->tcp_flags & TCP_RST) && host_is_connected(skb, &p->t);
}

/* ---- both ways ---------------------------------------------------------------------- */

/* Part of something the host takes part in already. */
CHECKED_ALONE bool host_knows(struct __sk_buff *skb, const struct packet *p)
{
	if (!p)
		return false;
	switch (p->kind) {
	case KIND_TCP:
		return host_knows_tcp(skb, p);
	case KIND_UDP:
		return host_waits(skb, &p->t) && !host_serves(skb, &p->t);
	case KIND_ECHO_REPLY:
		return host_asked(&p->t);
	}
	return false;
}

/* What a client exchanges with the host is paid for like all else; DROP_NONE: it is. */
static __always_inline int host_quota(struct __sk_buff *skb, const struct packet *p, __u32 client, __u64 word,
				      enum way way)
{
	struct client_class *class = class_of(word, client);

	if (!class || (!class->quota.packets && !class->quota.bytes))
		return DROP_NONE;
	return quota_pass(skb, p, client, word, way);
}

/*
 * A datagram of a worker's own socket, which has the port to itself. Where a client seems
 * to be at an address inside the tunnel, the host's routes lead what is for it back in, to
 * be sealed and sent there again, for ever: WireGuard in the kernel says ELOOP. Of a
 * fragment all but the first pass, and make no others.
 */
static __always_inline bool is_tunnels_own(const struct packet *p)
{
	struct settings *s = element(&settings, 0);

	return s && p->kind == KIND_UDP && p->t.sport == bpf_htons(s->wg_port);
}

/* What the host itself sends into the tunnel; fragments, too. Returns DROP_NONE, or why it stays here. */
static __always_inline int host_sends(struct __sk_buff *skb)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128};
	struct packet p = {};
	struct client_ref *to;
	int reason;

	reason = parse(skb, &p, sizeof(struct ethhdr), skb->protocol, QUOTED);
	if (!reason && is_tunnels_own(&p))
		return DROP_LOOP;
	if (!reason && p.kind == KIND_TCP)
		host_calls_out(skb, &p);
	if (!reason && p.kind == KIND_ECHO)
		host_asks(&p.t);
	key.addr = p.t.dst;
	to = bpf_map_lookup_elem(&clients, &key);
	return to ? host_quota(skb, &p, to->client, policy_word(), WAY_IN) : DROP_NONE;
}

#endif
