/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_IMPORT_H
#define SLUICE_IMPORT_H

/*
 * Flows that were made elsewhere: by maps of another layout or size. Userspace reads
 * them there, writes them to `import_work` and runs the program; what it took is zero
 * afterwards. Each gets a slot of this table, keeps its id if it has one, and reserves
 * the port that it had. Numbers of slots mean nothing here: a flow finds its mapping by
 * the endpoint, so mappings come first. A flow that meets another one in its place is
 * not taken: who is there, stays.
 */
#include "create.h"

struct { /* state FLOW_FREE: nothing */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, IMPORT_FLOWS);
	__type(key, __u32);
	__type(value, struct flow);
} import_work SEC(".maps");

/* A port of its own, as port_take(), but the one that it has. */
static __always_inline bool import_port(struct flow *f, __u32 slot)
{
	struct pair_use *use;
	struct pair key;

	pair_key(&key, f);
	use = pair_get(&key);
	if (!use)
		return false;
	if (!flow_link(&f->back, slot, flow_serial(f)))
		return true;
	pair_unuse(&key, use);
	return false;
}

/* The port of its endpoint's mapping, which must be the one that it has. */
static __always_inline bool import_mapped(struct flow *f, __u32 slot, __u64 now)
{
	struct tuple out;
	struct flow *m;

	mapping_tuple(&out, &f->out, f->egress);
	m = mapping_find(&out, f->client, now, &f->mapping);
	return m && m->back.dport == f->back.dport && permission_get(slot, now);
}

static __always_inline bool import_show(struct flow *f, __u32 slot, __u32 state, __u64 now)
{
	if (state != FLOW_MAPPING)
		client_flows_add(f->client, 1);
	flow_become(f, flow_life(f), state);
	if (!flow_show(f, slot))
		return true;
	f->packets_out = f->bytes_out = f->packets_in = f->bytes_in = 0; /* they are the other one's */
	flow_end(slot, now);
	return false;
}

/* Takes record @i. */
CHECKED_ALONE bool import_flow(__u32 i, __u64 now)
{
	struct flow *r = element(&import_work, i), *f;
	__u32 slot = 0, state;
	__u64 id;

	if (!r)
		return false;
	state = LIFE_STATE(r->life);
	if (!flow_is_live(state) && state != FLOW_MAPPING)
		return false;
	f = flow_new(r->client, &slot);
	if (!f)
		return false;
	id = LIFE_ID(r->life) ?: LIFE_ID(f->life);
	*f = *r;
	f->life = LIFE(id, FLOW_FREE);
	f->sharers = 0;
	if (f->mapping ? import_mapped(f, slot, now) : import_port(f, slot))
		return import_show(f, slot, state, now);
	flow_free(f, slot);
	return false;
}

struct import_walk {
	__u64 now;
};

static long import_one(__u32 i, struct import_walk *w)
{
	struct flow *r = element(&import_work, i);

	if (r && import_flow(i, w->now))
		r->life = 0;
	return loop_on();
}

static __always_inline void import_all(void)
{
	struct import_walk w = {.now = bpf_ktime_get_ns()};

	bpf_loop(IMPORT_FLOWS, import_one, &w, 0);
}

#endif
