/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table as userspace sees it: the slots are mapped memory, which programs
 * change meanwhile. A slot is copied, and the copy is good when the slot still holds the
 * same flow, alive, afterwards.
 */
#include "maps_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct flow_table table_of(const struct maps *m)
{
	struct flow_table t = {};
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.flow_table), &zero, &t);
	return t;
}

const struct flow *maps_flows(const struct maps *m, uint32_t *n)
{
	uint32_t high = table_of(m).high;

	*n = high < m->slots ? high : m->slots;
	return m->flows;
}

uint32_t maps_flows_max(const struct maps *m)
{
	return m->slots - 1;
}

uint32_t maps_flows_used(const struct maps *m)
{
	return table_of(m).used;
}

static bool is_connection(uint32_t state)
{
	return flow_is_live(state);
}

static bool can_end(uint32_t state)
{
	return flow_is_live(state) || state == FLOW_MAPPING;
}

/* False: the slot holds nothing in such a state, or changed hands under our eyes. */
static bool copy_slot(const struct flow *f, bool (*wanted)(uint32_t state), struct flow *out)
{
	uint64_t before = __atomic_load_n(&f->life, __ATOMIC_ACQUIRE), after;

	if (!wanted(LIFE_STATE(before)))
		return false;
	memcpy(out, f, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after = __atomic_load_n(&f->life, __ATOMIC_RELAXED);
	out->life = after;
	return LIFE_ID(before) == LIFE_ID(after) && wanted(LIFE_STATE(after));
}

static bool walk_on(const struct maps *m, struct flow_walk *walk, bool (*wanted)(uint32_t state), struct flow *out)
{
	if (!walk->end) /* a system call: once, not for each of a million */
		maps_flows(m, &walk->end);
	while (++walk->slot < walk->end)
		if (copy_slot(&m->flows[walk->slot], wanted, out))
			return true;
	return false;
}

bool maps_flow_next(const struct maps *m, struct flow_walk *walk, struct flow *out)
{
	return walk_on(m, walk, is_connection, out);
}

bool maps_flow_find(const struct maps *m, const struct tuple *out_tuple, uint32_t *slot, struct flow *out)
{
	struct flow_ref ref;

	if (bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.flow_index), out_tuple, &ref) || ref.slot >= m->slots)
		return false;
	*slot = ref.slot;
	return copy_slot(&m->flows[ref.slot], is_connection, out) && flow_serial(out) == ref.serial;
}

/*
 * The word with the id changes from a state that lives to FLOW_KILLED, or not at all. To
 * every program it is nothing from this moment on; its next packet, or the sweep, removes it.
 */
int maps_flow_kill(struct maps *m, uint32_t slot, uint64_t id)
{
	__u64 life;

	if (!slot || slot >= m->slots)
		return -ENOENT;
	life = __atomic_load_n(&m->flows[slot].life, __ATOMIC_ACQUIRE);
	do {
		if (LIFE_ID(life) != id || !can_end(LIFE_STATE(life)))
			return -ENOENT;
	} while (!__atomic_compare_exchange_n(&m->flows[slot].life, &life, LIFE(id, FLOW_KILLED), false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return 0;
}

void maps_flows_end(struct maps *m, bool (*which)(const void *arg, const struct flow *f), const void *arg)
{
	struct flow_walk walk = {};
	struct flow f;

	while (walk_on(m, &walk, can_end, &f))
		if (which(arg, &f))
			maps_flow_kill(m, walk.slot, LIFE_ID(f.life));
}

#define PAIR_BATCH 1024

struct busiest {
	struct pair pair;
	uint32_t used;
};

static void busiest_of(const struct pair *keys, const struct pair_use *values, uint32_t n, struct busiest *best)
{
	for (uint32_t i = 0; i < n; i++) {
		if (values[i].used & USE_DEAD || values[i].used <= best->used)
			continue;
		best->used = values[i].used;
		best->pair = keys[i];
	}
}

bool maps_busiest(const struct maps *m, struct pair *pair, uint32_t *used, uint32_t *ports)
{
	struct pair_use *values = calloc(PAIR_BATCH, sizeof(*values));
	struct pair *keys = calloc(PAIR_BATCH, sizeof(*keys));
	int fd = bpf_map__fd(m->skel->maps.pairs), err = 0;
	struct busiest best = {};
	struct egress e = {};
	uint32_t at = 0, n;
	bool first = true;

	/* ENOSPC: a bucket larger than the batch; nothing of it was read. */
	while (keys && values && !err) {
		n = PAIR_BATCH;
		err = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, keys, values, &n, NULL);
		if (err && err != -ENOENT)
			break;
		busiest_of(keys, values, n, &best);
		first = false;
	}
	free(keys);
	free(values);
	if (!best.used)
		return false;
	bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.egresses), &best.pair.egress, &e);
	*pair = best.pair;
	*used = best.used;
	*ports = e.ports;
	return true;
}
