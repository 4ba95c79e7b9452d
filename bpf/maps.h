/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_BPF_MAPS_H
#define SLUICE_BPF_MAPS_H

/*
 * Every map there is. Keys and values are contract.h's; sizes that depend on the
 * installation (1 here) are set by user/kernel/maps.c before loading.
 */
#include "vmlinux.h"
#include "contract.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define NULL ((void *)0)

/* Slots of `flows`, slot 0 included. */
const volatile __u32 flow_slots = 1;

/* ---- what the daemon says ------------------------------------------------------ */

struct { /* SLUICE_LAYOUT, written when all pins are there */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} layout SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct { /* the one word */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} policy SEC(".maps");

struct classes_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct client_class);
};

struct acl_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct acl_key);
	__type(value, struct acl_entry);
};

struct rules_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct acl_rule);
};

struct routes_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct route_key);
	__type(value, struct route);
};

struct blocked_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct route_key);
	__type(value, __u32);
};

struct blocked16_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct block16);
};

struct blocked24_table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct block24_key);
	__type(value, struct block24);
};

/* Never read: clang describes what only inner maps hold if a variable speaks of it, too. */
const struct inner_types {
	struct client_class class;
	struct acl_key acl_key;
	struct acl_entry acl_entry;
	struct acl_rule rule;
	struct route_key route_key;
	struct route route;
	struct block16 block16;
	struct block24_key block24_key;
	struct block24 block24;
} *const volatile inner_types = NULL;

#define TWO_SLOTS(name, table)                            \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); \
		__uint(max_entries, 2);                   \
		__type(key, __u32);                       \
		__array(values, struct table);            \
	} name SEC(".maps")

TWO_SLOTS(classes, classes_table);
TWO_SLOTS(acl, acl_table);
TWO_SLOTS(rules, rules_table);
TWO_SLOTS(routes, routes_table);
TWO_SLOTS(blocked, blocked_table);
TWO_SLOTS(blocked16, blocked16_table);
TWO_SLOTS(blocked24, blocked24_table);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * MAX_CLIENTS);
	__type(key, struct route_key);
	__type(value, struct client_ref);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CLIENTS);
	__type(key, __u32);
	__type(value, __u32);
} client_worker SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CLIENTS);
	__type(key, __u32);
	__type(value, struct client_state);
} client_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct route_key);
	__type(value, struct reserved_ref);
} reserved SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SESSIONS);
	__type(key, __le32);
	__type(value, struct session_ref);
} sessions SEC(".maps");

/* The WireGuard sockets: a worker's IPv4 one, MAX_WORKERS further its IPv6 one. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 2 * MAX_WORKERS);
	__type(key, __u32);
	__type(value, __u64);
} workers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_EGRESS);
	__type(key, __u32);
	__type(value, struct egress);
} egresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_EGRESS);
	__type(key, struct addr);
	__type(value, __u32);
} egress_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_POOLS);
	__type(key, __u32);
	__type(value, struct pool);
} pools SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_EGRESS);
	__type(key, struct addr);
	__type(value, __u64);
} reassembled SEC(".maps");

/* ---- state --------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct { /* two entries a slot */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct tuple);
	__type(value, struct flow_ref);
} flow_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_table);
} flow_table SEC(".maps");

struct { /* slots below flow_table.high that are free */
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct pair);
	__type(value, struct pair_use);
} pairs SEC(".maps");

/* ---- what the daemon hears ------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} notices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ADMIT_PLACES);
	__type(key, __u32);
	__type(value, struct admissions);
} admissions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KNOWN_MAX);
	__type(key, struct known_at);
	__type(value, __u64);
} known_work SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ASKED_SETS);
	__type(key, __u32);
	__type(value, struct asked_set);
} asked_work SEC(".maps");

struct { /* secrets: gone with the programs, and pinned nowhere */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gate);
} gate_work SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

struct { /* the daemon's own, which it adds to in memory */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DROP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} daemon_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOTAL_MAX);
	__type(key, __u32);
	__type(value, struct traffic);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_RULES);
	__type(key, __u32);
	__type(value, struct rule_use);
} rule_use SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_CLIENTS);
	__type(key, __u32);
	__type(value, struct client_use);
} client_use SEC(".maps");

/*
 * A function the verifier checks by itself, once, for any arguments of its types: it
 * may not assume that pointers are not NULL, and before Linux 6.2 pass none that it
 * got as a map's key. What is not CHECKED_ALONE is checked anew at each call, which
 * multiplies.
 */
#define CHECKED_ALONE __attribute__((noinline))

/* Element @i of an array map, or of one that is a single struct. */
static __always_inline void *element(void *map, __u32 i)
{
	return bpf_map_lookup_elem(map, &i);
}

/*
 * The verifier believes a bound only of the register that is used, in the width that is
 * used. Compilers know no such thing: clang 16 and later compare a copy of 32 bits and use
 * another of 64, merge two comparisons into one of a difference, or leave out a mask that they
 * have found to change nothing. So wherever a value from a packet, a map or a remainder is an
 * index into memory or a length that a helper is told, one of these two stands last before the use.
 */

/* The value of @x, of which the compiler forgets here all that it knew. */
#define FORGOTTEN(x)                                 \
	({                                           \
		__u64 forgotten_ = (x);              \
		asm volatile("" : "+r"(forgotten_)); \
		forgotten_;                          \
	})

/* An index into @array, which has a power of two elements: @i itself where it is one, the rest is masked. */
#define INDEX(array, i)                                                                                     \
	({                                                                                                  \
		enum { elements_ = sizeof(array) / sizeof(*(array)) };                                      \
		__u64 index_ = (i);                                                                         \
		_Static_assert((elements_ & (elements_ - 1)) == 0, "a mask needs a power of two elements"); \
		asm volatile("%0 &= %1" : "+r"(index_) : "i"(elements_ - 1));                               \
		index_;                                                                                     \
	})

/* What a callback of bpf_loop() returns: to the verifier the very constants, which no compiler takes from elsewhere. */
static __always_inline long loop_on(void)
{
	long next;

	asm volatile("%0 = 0" : "=r"(next));
	return next;
}

static __always_inline long loop_end(void)
{
	long end;

	asm volatile("%0 = 1" : "=r"(end));
	return end;
}

#endif
