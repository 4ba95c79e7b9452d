/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for secrets. libsodium's sodium_malloc() gives each object pages and
 * guards of its own: four mappings for each of tens of thousands of sessions is
 * more than a process may have. So: slabs, locked and left out of core files.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "secret_pool.h"

#define ALIGNMENT    64 /* a cache line */
#define FIRST_SLAB   (64u << 10)
#define LARGEST_SLAB (1u << 20)

struct slab {
	struct slab *next;
	uint8_t *memory;
	size_t size;
};

struct free_object {
	struct free_object *next;
};

struct secret_pool {
	size_t object_size;
	size_t next_slab;
	struct slab *slabs;
	struct free_object *free;
};

static uint8_t *map_secret(size_t size)
{
	uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		return NULL;
	if (mlock(m, size) == 0 && madvise(m, size, MADV_DONTDUMP) == 0 && madvise(m, size, MADV_WIPEONFORK) == 0)
		return m;

	int error = errno;

	munmap(m, size);
	errno = error;
	return NULL;
}

static bool add_slab(struct secret_pool *p)
{
	struct slab *slab = malloc(sizeof(*slab));

	if (!slab)
		return false;
	slab->size = p->next_slab;
	slab->memory = map_secret(slab->size);
	if (!slab->memory) {
		free(slab);
		return false;
	}
	slab->next = p->slabs;
	p->slabs = slab;
	for (size_t at = 0; at + p->object_size <= slab->size; at += p->object_size) {
		struct free_object *object = (void *)(slab->memory + at);

		object->next = p->free;
		p->free = object;
	}
	if (p->next_slab < LARGEST_SLAB)
		p->next_slab *= 2;
	return true;
}

struct secret_pool *secret_pool_new(size_t object_size)
{
	struct secret_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->object_size = (object_size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	p->next_slab = FIRST_SLAB;
	return p;
}

void secret_pool_free(struct secret_pool *p)
{
	if (!p)
		return;
	while (p->slabs) {
		struct slab *slab = p->slabs;

		p->slabs = slab->next;
		explicit_bzero(slab->memory, slab->size);
		munmap(slab->memory, slab->size);
		free(slab);
	}
	free(p);
}

void *secret_alloc(struct secret_pool *p)
{
	struct free_object *object;

	if (!p->free && !add_slab(p))
		return NULL;
	object = p->free;
	p->free = object->next;
	object->next = NULL; /* the rest is zero already */
	return object;
}

void secret_free(struct secret_pool *p, void *object)
{
	struct free_object *o = object;

	if (!o)
		return;
	explicit_bzero(o, p->object_size);
	o->next = p->free;
	p->free = o;
}
