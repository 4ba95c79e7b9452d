/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

/*
 * The life of a slot. It is taken off the free ones, filled, and becomes visible by
 * its index entries: the remote's side first (its insertion reserves the port), the
 * client's last, when all is in place. It ends by one compare and swap to FLOW_DEAD
 * (it may be FLOW_KILLED before); the winner removes the entries. A second
 * later the sweep frees it, when no program can still be looking at it; one whose entry
 * is a permission that others share, a second after the last of them.
 */
#include "notice.h"

/* ---- pairs: how many ports are taken towards one remote -------------------------- */

static __always_inline void pair_key(struct pair *key, const struct flow *f)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->remote = f->back.src;
	key->port = f->back.sport;
	key->proto = f->back.proto;
	key->egress = f->egress;
}

/*
 * An element of the hash may be given to another key right after its removal, while
 * this program still holds a pointer to it. So who removes marks it USE_DEAD first,
 * and who adds looks again whether it still is the same one.
 */
static __noinline struct pair_use *pair_get(const struct pair *key)
{
	for (int i = 0; i < 4; i++) {
		struct pair_use *use = bpf_map_lookup_elem(&pairs, key);
		struct pair_use fresh = {};

		if (!use) {
			bpf_map_update_elem(&pairs, key, &fresh, BPF_NOEXIST);
			continue;
		}
		if (__sync_fetch_and_add(&use->used, 1) & USE_DEAD)
			continue;
		if (bpf_map_lookup_elem(&pairs, key) == use)
			return use;
		__sync_fetch_and_add(&use->used, -1);
	}
	return NULL;
}

/* Fewer than three quarters in use: a table that hovers around full is reported once, not at every crossing. */
static __always_inline bool has_room(__u32 used, __u32 of)
{
	return used < of - of / 4;
}

static __always_inline void pair_unuse(const struct pair *key, struct pair_use *use)
{
	if (__sync_fetch_and_add(&use->used, -1) != 1)
		return;
	if (__sync_val_compare_and_swap(&use->used, 0, USE_DEAD) == 0)
		bpf_map_delete_elem(&pairs, key);
}

static __always_inline void pair_put(const struct flow *f)
{
	struct egress *e = element(&egresses, f->egress);
	struct pair key;
	struct pair_use *use;

	pair_key(&key, f);
	use = bpf_map_lookup_elem(&pairs, &key);
	if (!use)
		return;
	if (e && has_room(use->used, e->ports))
		use->refused = 0;
	use->full_until = 0;
	pair_unuse(&key, use);
}

/* ---- slots ---------------------------------------------------------------------- */

static __always_inline struct flow *flow_at(__u32 slot)
{
	return slot ? bpf_map_lookup_elem(&flows, &slot) : NULL;
}

static __always_inline __u32 slot_take(struct flow_table *table)
{
	__u32 slot;

	if (!bpf_map_pop_elem(&free_slots, &slot))
		return slot;
	if (table->high >= flow_slots)
		return 0;
	slot = __sync_fetch_and_add(&table->high, 1);
	if (!slot) /* slot 0 is nobody's */
		slot = __sync_fetch_and_add(&table->high, 1);
	return slot < flow_slots ? slot : 0;
}

static __always_inline void client_slots_add(__u32 client, __u32 n)
{
	struct client_state *state = element(&client_state, client);

	if (state)
		__sync_fetch_and_add(&state->slots, n);
}

/* A slot for @client, else cleared, with a new id, or NULL: all are in use. */
static __always_inline struct flow *flow_new(__u32 client, __u32 *slot)
{
	struct flow_table *table = element(&flow_table, 0);
	struct flow *f;

	if (!table)
		return NULL;
	*slot = slot_take(table);
	f = flow_at(*slot);
	if (!f)
		return NULL;
	__sync_fetch_and_add(&table->used, 1);
	__builtin_memset(f, 0, sizeof(*f));
	f->life = LIFE(__sync_fetch_and_add(&table->ids, 1) + 1, FLOW_FREE);
	f->client = client;
	client_slots_add(client, 1);
	return f;
}

/* Another state for the flow whose life was read as @life. False: somebody was faster. */
static __always_inline bool flow_become(struct flow *f, __u64 life, __u32 state)
{
	return __sync_val_compare_and_swap(&f->life, life, LIFE(LIFE_ID(life), state)) == life;
}

/* Returns a slot whose entries nobody has seen, or nobody sees any more. */
static __always_inline void flow_free(struct flow *f, __u32 slot)
{
	struct flow_table *table = element(&flow_table, 0);

	client_slots_add(f->client, -1);
	flow_become(f, flow_life(f), FLOW_FREE);
	if (table) {
		__sync_fetch_and_add(&table->used, -1);
		if (table->refused && has_room(table->used, flow_slots))
			table->refused = 0;
	}
	bpf_map_push_elem(&free_slots, &slot, 0);
}

static __always_inline long flow_link(const struct tuple *t, __u32 slot, __u32 serial)
{
	struct flow_ref ref = {slot, serial};

	return bpf_map_update_elem(&flow_index, t, &ref, BPF_NOEXIST);
}

/* Only the owner's entry: another flow may have the tuple by now. */
static __always_inline void flow_unlink(const struct tuple *t, __u32 slot, __u32 serial)
{
	struct flow_ref *ref = bpf_map_lookup_elem(&flow_index, t);

	if (ref && ref->slot == slot && ref->serial == serial)
		bpf_map_delete_elem(&flow_index, t);
}

/*
 * Links the client's side, the last step of making a flow or mapping; not 0: another one has
 * it. One that was ended meanwhile (its policy, its address) must leave no entry behind:
 * either its end sees the entry, or this sees its end.
 */
static __always_inline long flow_show(struct flow *f, __u32 slot)
{
	long err = flow_link(&f->out, slot, flow_serial(f));

	if (!err && flow_state(f) == FLOW_DEAD)
		flow_unlink(&f->out, slot, flow_serial(f));
	return err;
}

/* The owner of a tuple; NULL: none, or its entry is a leftover. */
static __always_inline struct flow *flow_find(const struct tuple *t, __u32 *slot)
{
	struct flow_ref *ref = bpf_map_lookup_elem(&flow_index, t);
	struct flow *f;

	if (!ref)
		return NULL;
	*slot = ref->slot;
	f = flow_at(ref->slot);
	return f && flow_serial(f) == ref->serial ? f : NULL;
}

static __always_inline bool flow_lives(const struct flow *f, __u64 now)
{
	return flow_is_live(flow_state(f)) && f->expires > now;
}

/* ---- permissions: the remote's side of flows that share the port of a mapping ---- */

static __always_inline bool is_endpoint_independent(const struct settings *s, __u8 proto)
{
	return proto == IPPROTO_UDP || (proto == IPPROTO_TCP && s->tcp_endpoint_independent);
}

static __always_inline bool same_client_endpoint(const struct flow *a, const struct flow *b)
{
	return a->client == b->client && addr_equal(&a->out.src, &b->out.src) && a->out.sport == b->out.sport;
}

/* The entry that a remote's packet, which arrived as @back, needs. */
static __always_inline void permission_key(struct tuple *key, const struct tuple *back, const struct settings *s)
{
	*key = *back;
	if (s->filtering != FILTER_ADDRESS_AND_PORT)
		key->sport = 0;
}

static __always_inline bool is_shared(const struct flow *f)
{
	return f->sharers && !(f->sharers & USE_DEAD);
}

/* The last of those that share it removes the entry. */
static __always_inline void permission_put(const struct flow *f, __u64 now)
{
	__u32 at = 0;
	struct flow *first = flow_find(&f->back, &at);

	if (!first)
		return;
	if (flow_state(first) == FLOW_DEAD)
		first->expires = now; /* for the sweep it died only now */
	if (__sync_fetch_and_add(&first->sharers, -1) != 1)
		return;
	if (__sync_val_compare_and_swap(&first->sharers, 0, USE_DEAD) == 0)
		bpf_map_delete_elem(&flow_index, &f->back);
}

/* A connection of @client begins to live (1) or ends (-1). */
static __always_inline void client_flows_add(__u32 client, __u32 n)
{
	struct client_state *state = element(&client_state, client);

	if (state)
		__sync_fetch_and_add(&state->flows, n);
}

static __always_inline bool has_entries(__u32 state)
{
	return flow_is_live(state) || state == FLOW_MAPPING || state == FLOW_KILLED;
}

/*
 * Takes *f to FLOW_DEAD. False: somebody else ended it. Where its state just changed
 * otherwise, this tries again, or the flow would live on.
 */
static __always_inline bool flow_die(struct flow *f)
{
	for (int i = 0; i < 4; i++) {
		__u64 life = flow_life(f);

		if (!has_entries(LIFE_STATE(life)))
			return false;
		if (flow_become(f, life, FLOW_DEAD))
			return true;
	}
	return false;
}

/* Ends a flow or mapping. True: this call did, nobody was faster. */
CHECKED_ALONE bool flow_end(__u32 slot, __u64 now)
{
	struct flow *f = flow_at(slot);

	if (!f || !has_entries(flow_state(f)))
		return false;
	f->expires = now; /* before it is dead: a second later the sweep frees it */
	if (!flow_die(f))
		return false;
	flow_unlink(&f->out, slot, flow_serial(f));
	if (f->mapping) {
		permission_put(f, now);
	} else {
		flow_unlink(&f->back, slot, flow_serial(f));
		pair_put(f);
	}
	if (!flow_is_mapping(f))
		client_flows_add(f->client, -1);
	count_flow_end(f);
	return true;
}

/*
 * Gives @slot, filled but not living yet, its part in the permission it needs: the entry
 * that is there, or one of its own. Who has that is of the same endpoint, but for one that
 * outlived its mapping, whose port is not its own any more: it ends. A slot that was found
 * does not change hands while a program runs, so its count is that of this entry.
 */
CHECKED_ALONE bool permission_get(__u32 slot, __u64 now)
{
	struct flow *f = flow_at(slot), *first;
	__u32 at = 0;

	for (int i = 0; f && i < 4; i++) {
		f->sharers = 1;
		if (!flow_link(&f->back, slot, flow_serial(f)))
			return true;
		f->sharers = 0;
		first = flow_find(&f->back, &at);
		if (!first)
			continue;
		if (!first->mapping && flow_lives(first, now)) /* to port 0, from before TCP was endpoint-independent */
			return false;
		if (!first->mapping || !same_client_endpoint(f, first))
			flow_end(at, now);
		else if (!(__sync_fetch_and_add(&first->sharers, 1) & USE_DEAD))
			return true;
	}
	return false;
}

/* The key of the flow by which the client of *@f, which has the permission, sends to who sent @t. */
static __always_inline void client_side(struct tuple *key, const struct flow *f, const struct tuple *t)
{
	key->src = f->out.src;
	key->dst = t->src;
	key->sport = f->out.sport;
	key->dport = t->sport;
	key->side = SIDE_CLIENT;
}

/*
 * The slot of the living flow that a remote's packet, which arrived as @t, belongs to; 0:
 * none. Several flows to ports of one remote share their permission, which names one.
 */
CHECKED_ALONE __u32 flow_of_remote(const struct tuple *t, __u64 now)
{
	struct settings *s = element(&settings, 0);
	struct tuple key;
	struct flow *f;
	__u32 slot = 0;

	if (!s || !t)
		return 0;
	key = *t;
	if (t->proto == IPPROTO_UDP)
		permission_key(&key, t, s);
	f = flow_find(&key, &slot);
	if (!f && t->proto == IPPROTO_TCP && s->tcp_endpoint_independent) { /* only now: it may be of before it was */
		permission_key(&key, t, s);
		f = flow_find(&key, &slot);
	}
	if (f && f->mapping && (f->out.dport != t->sport || flow_state(f) == FLOW_DEAD)) {
		client_side(&key, f, t);
		f = flow_find(&key, &slot);
		if (f && (f->back.dport != t->dport || !addr_equal(&f->back.dst, &t->dst))) /* by another egress */
			return 0;
	}
	if (!f || flow_lives(f, now))
		return f ? slot : 0;
	if (f->mapping) /* its part in the permission ends with it */
		flow_end(slot, now);
	return 0;
}

/* ---- time ----------------------------------------------------------------------- */

static __always_inline __u64 idle_time(const struct settings *s, const struct flow *f)
{
	if (f->out.proto == IPPROTO_TCP)
		return flow_state(f) == FLOW_NEW ? s->tcp_transitory_ns : s->tcp_established_ns;
	if (f->out.proto == IPPROTO_UDP)
		return s->udp_ns;
	return f->out.proto == IPPROTO_ICMP || f->out.proto == IPPROTO_ICMPV6 ? s->icmp_ns : s->other_ns;
}

/* The mapping that has the flow's port; NULL: the port is its own, or it outlived its mapping. */
static __always_inline struct flow *mapping_of(const struct flow *f)
{
	struct flow *m = flow_at(f->mapping);

	if (!m || flow_state(m) != FLOW_MAPPING || m->back.dport != f->back.dport || m->egress != f->egress)
		return NULL;
	return same_client_endpoint(f, m) ? m : NULL;
}

/* Sets how long a flow lives; its mapping does so no shorter. */
CHECKED_ALONE int flow_keep(__u32 slot, __u64 until)
{
	struct flow *f = flow_at(slot), *m;

	if (!f)
		return 0;
	f->expires = until;
	m = mapping_of(f);
	if (m && m->expires < until)
		m->expires = until;
	return 0;
}

/* The client's packets keep a flow alive (RFC 4787 REQ-6). At most once a second: so a second is added. */
static __always_inline void flow_refresh(struct flow *f, __u32 slot, const struct settings *s, __u64 now)
{
	__u64 until = now + idle_time(s, f);

	if (f->expires < until)
		flow_keep(slot, until + SECOND);
}

static __always_inline void flow_count_out(struct flow *f, const struct __sk_buff *skb, const struct packet *p,
					   __u64 now)
{
	f->seen = now >> SEEN_SHIFT;
	__sync_fetch_and_add(&f->packets_out, segments(skb));
	__sync_fetch_and_add(&f->bytes_out, p->len);
	count_total(TOTAL_OUT, segments(skb), p->len);
}

static __always_inline void flow_count_in(struct flow *f, const struct __sk_buff *skb, const struct packet *p)
{
	__sync_fetch_and_add(&f->packets_in, segments(skb));
	__sync_fetch_and_add(&f->bytes_in, p->len);
	count_total(TOTAL_IN, segments(skb), p->len);
}

#endif
