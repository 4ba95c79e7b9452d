/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

/*
 * The life of a slot. It is taken off the free ones, filled, and becomes visible by
 * its index entries: the remote's side first (its insertion reserves the port), the
 * client's last, when all is in place. It ends by one compare and swap to FLOW_DEAD;
 * the winner removes the entries. A second later the sweep frees it, when no program
 * can still be looking at it.
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
 * this program still holds a pointer to it. So who removes marks it PAIR_DEAD first,
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
		if (__sync_fetch_and_add(&use->used, 1) & PAIR_DEAD)
			continue;
		if (bpf_map_lookup_elem(&pairs, key) == use)
			return use;
		__sync_fetch_and_add(&use->used, -1);
	}
	return NULL;
}

/* Three quarters: what is full now and then is told once. */
static __always_inline bool has_room(__u32 used, __u32 of)
{
	return used < of - of / 4;
}

static __always_inline void pair_unuse(const struct pair *key, struct pair_use *use)
{
	if (__sync_fetch_and_add(&use->used, -1) != 1)
		return;
	if (__sync_val_compare_and_swap(&use->used, 0, PAIR_DEAD) == 0)
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

/* A cleared slot with a new serial number, or NULL: all are in use. */
static __always_inline struct flow *flow_new(__u32 *slot)
{
	struct flow_table *table = element(&flow_table, 0);
	struct flow *f;
	__u32 serial;

	if (!table)
		return NULL;
	*slot = slot_take(table);
	f = flow_at(*slot);
	if (!f)
		return NULL;
	__sync_fetch_and_add(&table->used, 1);
	serial = f->serial + 1;
	__builtin_memset(f, 0, sizeof(*f));
	f->serial = serial;
	return f;
}

/* Returns a slot whose entries nobody has seen, or nobody sees any more. */
static __always_inline void flow_free(struct flow *f, __u32 slot)
{
	struct flow_table *table = element(&flow_table, 0);

	f->state = FLOW_FREE;
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
	long err = flow_link(&f->out, slot, f->serial);

	if (!err && f->state == FLOW_DEAD)
		flow_unlink(&f->out, slot, f->serial);
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
	return f && f->serial == ref->serial ? f : NULL;
}

static __always_inline bool flow_lives(const struct flow *f, __u64 now)
{
	return flow_is_live(f->state) && f->expires > now;
}

/* @back: what @egress' mapping gets, or may get, from the remote. */
static __always_inline void permission_key(struct permission *key, const struct tuple *back, __u16 egress,
					   const struct settings *s)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->remote = back->src;
	key->port = back->dport;
	key->egress = egress;
	key->proto = back->proto;
	if (s->filtering == FILTER_ADDRESS_AND_PORT)
		key->remote_port = back->sport;
}

/*
 * In place where it is there already: an update would allocate another element. Should
 * it be removed and given to another key meanwhile, that one lasts as long as if its
 * client had just sent something.
 */
static __always_inline void permission_set(const struct flow *f, const struct settings *s, __u64 until)
{
	struct permission key;
	__u64 *expires;

	permission_key(&key, &f->back, f->egress, s);
	expires = bpf_map_lookup_elem(&permissions, &key);
	if (expires)
		*expires = until;
	else
		bpf_map_update_elem(&permissions, &key, &until, BPF_ANY);
}

/*
 * The last flow towards a remote takes the permission with it: it is the one whose
 * refresh set its time. A flow that is ended early takes it in any case; another one
 * to that remote makes it anew with its next packet.
 */
static __always_inline void permission_drop(const struct flow *f, __u64 now)
{
	struct settings *s = element(&settings, 0);
	struct permission key;
	__u64 *expires;

	if (!s)
		return;
	permission_key(&key, &f->back, f->egress, s);
	expires = bpf_map_lookup_elem(&permissions, &key);
	if (expires && (*expires <= now || f->expires > now || f->expires == FLOW_KILLED))
		bpf_map_delete_elem(&permissions, &key);
}

/* A connection of @client begins to live (1) or ends (-1). */
static __always_inline void client_flows_add(__u32 client, __u32 n)
{
	struct client_state *state = element(&client_state, client);

	if (state)
		__sync_fetch_and_add(&state->flows, n);
}

/* Ends a flow or mapping. True: this call did, nobody was faster. */
CHECKED_ALONE bool flow_end(__u32 slot, __u64 now)
{
	struct flow *f = flow_at(slot);
	__u32 state;

	if (!f)
		return false;
	state = f->state;
	if (!flow_is_live(state) && state != FLOW_MAPPING)
		return false;
	if (__sync_val_compare_and_swap(&f->state, state, FLOW_DEAD) != state)
		return false;
	flow_unlink(&f->out, slot, f->serial);
	flow_unlink(&f->back, slot, f->serial);
	if (f->mapping)
		permission_drop(f, now);
	else
		pair_put(f);
	if (state != FLOW_MAPPING)
		client_flows_add(f->client, -1);
	count_flow_end(f);
	f->expires = now;
	return true;
}

/* ---- time ----------------------------------------------------------------------- */

static __always_inline __u64 idle_time(const struct settings *s, const struct flow *f)
{
	if (f->out.proto == IPPROTO_TCP)
		return f->state == FLOW_NEW ? s->tcp_transitory_ns : s->tcp_established_ns;
	if (f->out.proto == IPPROTO_UDP)
		return s->udp_ns;
	return f->out.proto == IPPROTO_ICMP || f->out.proto == IPPROTO_ICMPV6 ? s->icmp_ns : s->other_ns;
}

/*
 * The client's packets keep a flow, and with it its mapping and permission, alive
 * (RFC 4787 REQ-6). At most once a second: so a second is added.
 */
static __always_inline void flow_refresh(struct flow *f, const struct settings *s, __u64 now)
{
	__u64 until = now + idle_time(s, f);
	struct flow *m;

	if (f->expires >= until)
		return;
	until += SECOND;
	m = flow_at(f->mapping);
	if (m) {
		if (m->expires < until)
			m->expires = until;
		permission_set(f, s, until);
	}
	f->expires = until;
}

static __always_inline void flow_count_out(struct flow *f, const struct __sk_buff *skb, const struct packet *p,
					   __u64 now)
{
	f->seen = now;
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
