/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_SOUND_H
#define TESTS_BPF_SOUND_H

/* What must hold of a flow table, whatever happened to it: all that is counted adds up. Its flows are client 1's. */
#include "slots.h"

static inline uint32_t entry_of(struct scratch *s, const struct tuple *t, uint32_t slot)
{
	struct flow_ref ref;

	if (bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.flow_index), t, &ref))
		fail_msg("slot %u: an entry has no twin", slot);
	assert_int_equal(ref.serial, flow_serial(&s->m->flows[ref.slot]));
	return ref.slot;
}

/* The slot whose entry is the flow's permission. */
static inline uint32_t permission_of(struct scratch *s, const struct flow *f, uint32_t slot)
{
	uint32_t first = entry_of(s, &f->back, slot);

	if (f->mapping)
		assert_memory_equal(&s->m->flows[first].back, &f->back, sizeof(f->back));
	else
		assert_int_equal(first, slot);
	return first;
}

static inline uint32_t ports_taken(struct scratch *s)
{
	int fd = bpf_map__fd(s->m->skel->maps.pairs);
	struct pair key, *last = NULL;
	struct pair_use use;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		must(bpf_map_lookup_elem(fd, &key, &use));
		n += use.used;
		last = &key;
	}
	return n;
}

/* Live slots, their entries and their ports are the same number; the others are dead or free. */
static inline void assert_sound(struct scratch *s)
{
	uint32_t n, one = 1, live = 0, firsts = 0, with_port = 0, dead = 0, connections = 0, *sharers;
	struct client_state client;

	maps_flows(s->m, &n);
	sharers = calloc(n, sizeof(*sharers));
	for (uint32_t i = 1; i < n; i++) {
		const struct flow *f = &s->m->flows[i];

		dead += flow_state(f) == FLOW_DEAD;
		if (!flow_is_live(flow_state(f)) && flow_state(f) != FLOW_MAPPING)
			continue;
		live++;
		with_port += !f->mapping;
		connections += flow_state(f) != FLOW_MAPPING;
		assert_int_equal(entry_of(s, &f->out, i), i);
		sharers[permission_of(s, f, i)] += !!f->mapping;
	}
	for (uint32_t i = 1; i < n; i++) {
		uint32_t counted = s->m->flows[i].sharers;

		assert_int_equal(counted & USE_DEAD ? 0 : counted, sharers[i]);
		firsts += sharers[i] != 0;
	}
	free(sharers);
	assert_int_equal(entries(s->m->skel->maps.flow_index), live + with_port + firsts);
	assert_int_equal(ports_taken(s), with_port);
	assert_int_equal(maps_flows_used(s->m), live + dead);
	must(bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.client_state), &one, &client));
	assert_int_equal(client.flows, connections);
	assert_int_equal(client.slots, live + dead);
}

#endif
