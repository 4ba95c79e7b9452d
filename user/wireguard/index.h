/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_INDEX_H
#define SLUICE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A hash from receiver indices to pointers, with open addressing. Indices are
 * random and ours, so they are their own hash. 0 is not an index. Used by one
 * thread: the engine has one of all indices, each worker one of its own
 * sessions, so that no lock is on the data path.
 */
struct index_table {
	struct index_slot *slots;
	size_t mask; /* slots - 1 */
	size_t used;
};

void *index_find(const struct index_table *t, uint32_t index); /* NULL: none */
/* False, with errno ENOMEM: nothing changed. @index is new and not 0, @value not NULL. */
bool index_insert(struct index_table *t, uint32_t index, void *value);
void index_remove(struct index_table *t, uint32_t index); /* absent is fine */
void index_free(struct index_table *t);

#endif
