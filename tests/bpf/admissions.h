/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TESTS_ADMISSIONS_H
#define SLUICE_TESTS_ADMISSIONS_H

#include "scratch.h"

enum { OWN = ADMIT_MAX, PROVEN }; /* budgets, behind those of kinds */

/* Empties or fills these budgets, a bit each, at both places. */
static inline void budgets(struct scratch *s, unsigned empty)
{
	static struct admissions a;
	const uint64_t never = UINT64_MAX / 2;

	for (uint32_t kind = 0; kind < ADMIT_MAX; kind++)
		a.kinds[kind] = empty & 1u << kind ? never : 0;
	for (uint32_t i = 0; i < ADMIT_SOURCES; i++) {
		a.strangers[i] = empty & 1u << OWN ? never : 0;
		a.proven[i] = empty & 1u << PROVEN ? never : 0;
	}
	for (uint32_t place = 0; place < ADMIT_PLACES; place++)
		must(bpf_map_update_elem(bpf_map__fd(s->m->skel->maps.admissions), &place, &a, 0));
}

#endif
