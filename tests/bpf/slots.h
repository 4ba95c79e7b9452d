/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_SLOTS_H
#define TESTS_BPF_SLOTS_H

/*
 * The flow table under a test's hands. Time is not waited for: the table is mapped
 * memory, so a test makes a flow as old as it likes.
 */
#include <time.h>

#include "scratch.h"

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static inline struct shape shape_of(const struct family *f, uint8_t proto, uint16_t sport, uint16_t dport)
{
	return (struct shape){
		.v6 = f->v6,
		.proto = proto,
		.src = f->client,
		.dst = f->remote,
		.sport = sport,
		.dport = dport,
		.flags = TH_SYN,
		.seq = 1000,
		.payload = 10,
	};
}

/* The slot of what @shape describes, live or not; NULL: there is none. */
static inline struct flow *slot_of(struct scratch *s, const struct shape *shape)
{
	uint8_t proto = shape->v6 && shape->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : shape->proto;
	uint32_t n;

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++) {
		struct flow *f = &s->m->flows[i];

		if (flow_is_live(flow_state(f)) && !memcmp(&f->out.src, &shape->src, 16) &&
		    !memcmp(&f->out.dst, &shape->dst, 16) && f->out.sport == htons(shape->sport) &&
		    f->out.dport == htons(shape->dport) && f->out.proto == proto)
			return f;
	}
	return NULL;
}

static inline struct flow *mapping_of(struct scratch *s, const struct shape *shape)
{
	uint32_t n;

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++) {
		struct flow *f = &s->m->flows[i];

		if (flow_state(f) == FLOW_MAPPING && !memcmp(&f->out.src, &shape->src, 16) &&
		    f->out.sport == htons(shape->sport) && f->out.proto == shape->proto)
			return f;
	}
	return NULL;
}

static inline size_t entries(const struct bpf_map *map)
{
	uint8_t key[256], next[256];
	void *last = NULL;
	size_t n = 0;

	while (bpf_map_get_next_key(bpf_map__fd(map), last, next) == 0) {
		memcpy(key, next, sizeof(key));
		last = key;
		n++;
	}
	return n;
}

/* Everything that was taken has been given back. */
static inline void assert_empty(struct scratch *s)
{
	uint32_t n;

	assert_int_equal(entries(s->m->skel->maps.flow_index), 0);
	assert_int_equal(entries(s->m->skel->maps.pairs), 0);
	empty_table(s);
	maps_flows(s->m, &n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(flow_state(&s->m->flows[i]), FLOW_FREE);
}

/* About @seconds from now; half a second for the test itself, a second that is added on refresh. */
static inline void assert_expires_in(const struct flow *f, uint64_t ns)
{
	uint64_t left = f->expires - now_ns();

	if (left > ns + SECOND || left + SECOND / 2 < ns)
		fail_msg("expires in %llu ms, wanted %llu", (unsigned long long)left / 1000000,
			 (unsigned long long)ns / 1000000);
}

#endif
