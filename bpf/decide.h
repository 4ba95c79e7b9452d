/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_DECIDE_H
#define SLUICE_DECIDE_H

/*
 * May this client open this connection? In the order of the policy's text:
 * addresses that are never forwarded, reserved ones, routes, block lists, then
 * the rules. Without side effects, so that the sweep may ask too.
 */
#include "maps.h"
#include "parse.h"

struct decision {
	__u32 rule; /* that decided; 0: the default */
	__u32 pool;
	__u32 route;
	__u8 traits; /* of the flow */
};

static __always_inline __u64 policy_word(void)
{
	__u64 *word = element(&policy, 0);

	return word ? *word : 0;
}

static __always_inline bool addr_is_multicast(const struct addr *a)
{
	if (is_v4_mapped(a)) /* 224.0.0.0/4, the reserved 240.0.0.0/4 with broadcast, and 0.0.0.0/8 */
		return a->b[12] >= 224 || !a->b[12];
	return a->b[0] == 0xff || (!a->d[0] && !a->d[1]);
}

static __always_inline bool addr_is_link_local(const struct addr *a, __u32 reserved_kind)
{
	if (is_v4_mapped(a)) /* the metadata service lives here: a rule may name it */
		return a->b[12] == 169 && a->b[13] == 254 && reserved_kind != RESERVED_METADATA;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static __always_inline __u32 reserved_kind(const struct addr *a)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128, .addr = *a};
	struct reserved_ref *r = bpf_map_lookup_elem(&reserved, &key);

	return r ? r->kind : 0;
}

static __always_inline bool kind_is_host(__u32 kind)
{
	return kind == RESERVED_OWN || kind == RESERVED_TUNNEL;
}

/* Of the 256 bits of a block16 or block24. */
#define bit_is_set(bits, n) ((bits)[INDEX(bits, (n) >> 5)] >> ((n) & 31) & 1)

/* Most addresses are decided by one element of an array: their /24 is blocked, or nothing in it. */
static __always_inline bool is_blocked_v4(__u32 slot, const struct addr *a)
{
	struct block24_key net = {.net = a->w[3] & bpf_htonl(0xffffff00)};
	__u32 half = a->b[12] << 8 | a->b[13];
	void *table = bpf_map_lookup_elem(&blocked16, &slot);
	struct block16 *b16 = table ? bpf_map_lookup_elem(table, &half) : NULL;
	struct block24 *b24;

	if (!b16 || bit_is_set(b16->all, a->b[14]))
		return b16;
	if (!bit_is_set(b16->some, a->b[14]))
		return false;
	table = bpf_map_lookup_elem(&blocked24, &slot);
	b24 = table ? bpf_map_lookup_elem(table, &net) : NULL;
	return b24 && bit_is_set(b24->bits, a->b[15]);
}

static __noinline bool is_blocked(__u64 word, const struct addr *a)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128, .addr = *a};
	__u32 slot = POLICY_BLOCK_SLOT(word);
	void *table;

	if (is_v4_mapped(a))
		return is_blocked_v4(slot, a);
	table = bpf_map_lookup_elem(&blocked, &slot);
	return table && bpf_map_lookup_elem(table, &key);
}

/* A rule lies wholly before (proto, port): the search goes on behind it. */
static __always_inline bool rule_is_before(const struct acl_rule *r, __u8 proto, __u16 port)
{
	return r->proto < proto || (r->proto == proto && r->last < port);
}

/*
 * Halves the entry's rules down to the first that is not before (proto, port).
 * Returns it when it holds the port, else NULL.
 */
static __noinline struct acl_rule *find_rule(__u64 word, const struct acl_entry *e, __u8 proto, __u16 port)
{
	__u32 slot = POLICY_SLOT(word), low = e->first, n = e->count;
	struct acl_rule *r;
	void *table = bpf_map_lookup_elem(&rules, &slot);

	if (!table)
		return NULL;
	for (int i = 0; i < 17 && n; i++) {
		__u32 middle = low + n / 2;

		r = bpf_map_lookup_elem(table, &middle);
		if (!r)
			return NULL;
		if (rule_is_before(r, proto, port)) {
			low = middle + 1;
			n -= n / 2 + 1;
		} else {
			n /= 2;
		}
	}
	if (low >= e->first + e->count)
		return NULL;
	r = bpf_map_lookup_elem(table, &low);
	return r && r->proto == proto && r->first <= port && port <= r->last ? r : NULL;
}

/* The rules' verdict; ICMP passes where anything is accepted, unless it is denied by itself. */
static __always_inline int decide_rule(__u64 word, const struct acl_entry *e, const struct tuple *t, struct decision *d)
{
	bool icmp = t->proto == IPPROTO_ICMP || t->proto == IPPROTO_ICMPV6;
	struct acl_rule *r = find_rule(word, e, t->proto, bpf_ntohs(t->dport));

	if (!r)
		return icmp && e->flags & ACL_ACCEPTS ? DROP_NONE : DROP_POLICY;
	d->rule = r->id;
	return r->verdict == VERDICT_ACCEPT ? DROP_NONE : DROP_POLICY;
}

static __always_inline struct client_class *class_of(__u64 word, __u32 client)
{
	__u32 slot = POLICY_SLOT(word);
	void *table = bpf_map_lookup_elem(&classes, &slot);

	return table ? bpf_map_lookup_elem(table, &client) : NULL;
}

static __always_inline struct acl_entry *acl_of(__u64 word, __u32 class, const struct addr *dst)
{
	struct acl_key key = {.prefixlen = KEY_BITS + 128, .class = bpf_htonl(class), .dst = *dst};
	__u32 slot = POLICY_SLOT(word);
	void *table = bpf_map_lookup_elem(&acl, &slot);

	return table ? bpf_map_lookup_elem(table, &key) : NULL;
}

static __always_inline struct route *route_of(__u64 word, const struct addr *dst)
{
	struct route_key key = {.prefixlen = KEY_BITS + 128, .addr = *dst};
	__u32 slot = POLICY_SLOT(word);
	void *table = bpf_map_lookup_elem(&routes, &slot);
	struct route *r = table ? bpf_map_lookup_elem(table, &key) : NULL;

	return r && r->id != ROUTE_NONE ? r : NULL;
}

/* No rule binds the gateway; routes tell which pool a client would take. */
static __always_inline int decide_gateway(__u64 word, const struct tuple *t, struct decision *d)
{
	struct route *route = route_of(word, &t->dst);

	if (route)
		d->route = route->id;
	if (route && route->pool != ROUTE_POOL_OF_CLIENT)
		d->pool = route->pool;
	return DROP_NONE;
}

/*
 * @t: as the client sends it. Returns DROP_NONE or the reason of the refusal; *d is
 * set as far as it was decided.
 */
CHECKED_ALONE int decide(__u64 word, __u32 client, const struct tuple *t, struct decision *d)
{
	struct client_class *class = class_of(word, client);
	struct acl_entry *entry;
	struct route *route;
	__u32 kind;

	if (!t || !d)
		return DROP_CLIENT;
	kind = reserved_kind(&t->dst);
	__builtin_memset(d, 0, sizeof(*d));
	if (addr_is_multicast(&t->dst))
		return DROP_MULTICAST;
	if (addr_is_link_local(&t->dst, kind))
		return DROP_LINK_LOCAL;
	if (client == CLIENT_GATEWAY)
		return decide_gateway(word, t, d);
	if (!class || !class->class)
		return DROP_CLIENT;
	entry = acl_of(word, class->class, &t->dst);
	if (kind && !(entry && entry->flags & ACL_EXACT))
		return DROP_RESERVED;
	d->pool = class->pool;
	d->traits = class->quota.packets || class->quota.bytes ? FLOW_LIMITED : 0;
	if (kind_is_host(kind)) { /* as a flow: by an address of ours to another client */
		d->traits |= FLOW_HAIRPIN;
	} else {
		route = route_of(word, &t->dst);
		if (!route)
			return DROP_NO_ROUTE;
		d->route = route->id;
		if (route->pool != ROUTE_POOL_OF_CLIENT)
			d->pool = route->pool;
	}
	if (is_blocked(word, &t->dst))
		return DROP_BLOCKED;
	return entry ? decide_rule(word, entry, t, d) : DROP_POLICY;
}

#endif
