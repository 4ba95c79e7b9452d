/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ALLOC_H
#define SLUICE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/*
 * Memory for the control plane. Input is bounded before anything is allocated
 * for it, so running out means that the machine is out of memory: these abort
 * instead of returning NULL, and the data path in the kernel goes on without us.
 */
/* What ends the program instead of abort(); it must not return. For a child that has one thread. */
void mem_on_exhausted(void (*end)(void));
void *mem_alloc(size_t n, size_t size); /* zeroed; n * size is checked */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Room for one more element in a list of @n of them: returns @list, moved when
 * it was full. The capacity is the power of two from 8 on that holds @n, so no
 * capacity need be kept: a list grown with this must only ever be grown with it,
 * one element at a time. It may become shorter in between. */
void *mem_grow(void *list, size_t n, size_t size);

/* Appends @n bytes to the *len of @cap at *to, which is moved where it is full. All zero: empty. */
void mem_append(uint8_t **to, size_t *len, size_t *cap, const void *bytes, size_t n);

/* Memory that is given back all at once: a tree and everything that hangs on it. */
struct arena {
	struct arena_chunk *chunks;
};

void *arena_alloc(struct arena *a, size_t n, size_t size); /* zeroed */
char *arena_strndup(struct arena *a, const char *text, size_t len);
void arena_free(struct arena *a);

#endif
