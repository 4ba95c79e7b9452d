/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PREFIXES_H
#define SLUICE_PREFIXES_H

#include "addr.h"

/*
 * A growing list of prefixes, and the list as a set of addresses. Zero-initialised
 * is empty. Both families in one list.
 */
struct prefixes {
	struct prefix *v;
	size_t n;
};

void prefixes_add(struct prefixes *s, const struct prefix *p);
void prefixes_add_all(struct prefixes *s, const struct prefix *v, size_t n);
void prefixes_free(struct prefixes *s);

/* The order of two lists of @n, by prefix_cmp(). Not by their bytes: a prefix has padding. */
int prefixes_cmp(const struct prefix *a, const struct prefix *b, size_t n);

/* Sorts by prefix_cmp() and drops what is there twice; otherwise kept as written. */
void prefixes_sort(struct prefixes *s);

/* The same set in the fewest prefixes, sorted: what lies inside another one goes,
 * two halves become their whole. */
void prefixes_merge(struct prefixes *s);

/* Takes the addresses of @p out of the set, splitting what lies around them. */
void prefixes_subtract(struct prefixes *s, const struct prefix *p);

/*
 * A series of additions and removals, in the order of their numbers: of an address the last that has it decides.
 * Appends what is left to @out, disjoint; to be merged. Sorts @ops.
 */
struct prefix_op {
	struct prefix prefix;
	uint32_t number;
	bool remove;
};

void prefixes_apply(struct prefixes *out, struct prefix_op *ops, size_t n);

/* Some of @p, or all of it, is in the set. The set must be merged. */
bool prefixes_overlap(const struct prefixes *s, const struct prefix *p);
bool prefixes_cover(const struct prefixes *s, const struct prefix *p);

#endif
