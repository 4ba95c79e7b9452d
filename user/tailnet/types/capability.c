/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of capabilities (capability.h). */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "capability.h"
#include "policy/alloc.h"

int capability_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct capability));
}

bool capabilities_add(struct capabilities *set, const char *name)
{
	struct capability c;

	if (set->n == CAPABILITIES_MAX)
		return false;
	crypto_generichash(c.hash, sizeof(c.hash), (const uint8_t *)name, strlen(name), NULL, 0);
	set->v = mem_grow(set->v, set->n, sizeof(*set->v));
	set->v[set->n++] = c;
	return true;
}

void capabilities_settle(struct capabilities *set)
{
	size_t n = 0;

	if (set->n)
		qsort(set->v, set->n, sizeof(*set->v), capability_cmp);
	for (size_t i = 0; i < set->n; i++)
		if (!n || capability_cmp(&set->v[n - 1], &set->v[i]))
			set->v[n++] = set->v[i];
	set->n = n;
}

void capabilities_free(struct capabilities *set)
{
	free(set->v);
	*set = (struct capabilities){0};
}
