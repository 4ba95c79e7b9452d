/* SPDX-License-Identifier: BSD-2-Clause */
/* Receiver index -> pointer: linear probing, deletion by moving back what followed. */
#include <errno.h>
#include <stdlib.h>

#include "index.h"

#define FIRST_SIZE 64

struct index_slot {
	uint32_t index; /* 0: empty */
	void *value;
};

static size_t slot_of(const struct index_table *t, uint32_t index)
{
	size_t i = index & t->mask;

	while (t->slots[i].index && t->slots[i].index != index)
		i = (i + 1) & t->mask;
	return i;
}

static bool index_grow(struct index_table *t)
{
	struct index_table bigger = {.mask = t->slots ? 2 * t->mask + 1 : FIRST_SIZE - 1, .used = t->used};

	bigger.slots = calloc(bigger.mask + 1, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; t->slots && i <= t->mask; i++) {
		if (t->slots[i].index)
			bigger.slots[slot_of(&bigger, t->slots[i].index)] = t->slots[i];
	}
	free(t->slots);
	*t = bigger;
	return true;
}

void *index_find(const struct index_table *t, uint32_t index)
{
	return t->slots && index ? t->slots[slot_of(t, index)].value : NULL;
}

bool index_insert(struct index_table *t, uint32_t index, void *value)
{
	if ((!t->slots || 2 * t->used > t->mask) && !index_grow(t))
		return false;
	t->slots[slot_of(t, index)] = (struct index_slot){index, value};
	t->used++;
	return true;
}

void index_remove(struct index_table *t, uint32_t index)
{
	size_t hole, i;

	if (!index_find(t, index))
		return;
	hole = slot_of(t, index);
	for (i = (hole + 1) & t->mask; t->slots[i].index; i = (i + 1) & t->mask) {
		size_t home = t->slots[i].index & t->mask;

		/* May it stand in the hole, or would that be before its home? */
		if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole] = (struct index_slot){0, NULL};
	t->used--;
}

void index_free(struct index_table *t)
{
	free(t->slots);
	*t = (struct index_table){0};
}
