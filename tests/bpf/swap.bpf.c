// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The gateway's programs from their own sources, with a moment before each lookup in a
 * map: at the one that a test chooses, the policy's word is written, as the daemon would.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

__u32 swap_at;	  /* the lookup, from 1; 0: none */
__u32 swap_seen;  /* lookups so far */
__u32 swap_read;  /* the one that read the word */
__u32 swap_reads; /* how often it was read */
__u64 swap_word;

int swap_moment(__u32 of_word);

#define bpf_map_lookup_elem(map, key) (swap_moment((void *)(map) == (void *)&policy), bpf_map_lookup_elem(map, key))
#include "bpf/gateway.bpf.c"
#undef bpf_map_lookup_elem

CHECKED_ALONE int swap_moment(__u32 of_word)
{
	__u64 word = swap_word;
	__u32 zero = 0;

	if (++swap_seen == swap_at)
		bpf_map_update_elem(&policy, &zero, &word, BPF_ANY);
	if (of_word) {
		swap_read = swap_seen;
		swap_reads++;
	}
	return 0;
}
