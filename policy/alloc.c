/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is there or ends the program, and lists that grow by doubling. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static void end_program(void)
{
	fputs("sluice: out of memory\n", stderr);
	abort();
}

static void (*exhausted)(void) = end_program;

void mem_on_exhausted(void (*end)(void))
{
	exhausted = end;
}

static void *alloc_check(void *p)
{
	if (!p)
		exhausted();
	return p;
}

void *mem_alloc(size_t n, size_t size)
{
	return alloc_check(calloc(n ? n : 1, size));
}

char *mem_strdup(const char *text)
{
	return alloc_check(strdup(text));
}

char *mem_strndup(const char *text, size_t len)
{
	char *copy = mem_alloc(len + 1, 1);

	if (len)
		memcpy(copy, text, len);
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return alloc_check(text);
}

void *mem_grow(void *list, size_t n, size_t size)
{
	if (!n)
		return alloc_check(reallocarray(list, 8, size));
	if (n < 8 || (n & (n - 1)))
		return list;
	return alloc_check(reallocarray(list, n, 2 * size));
}

void mem_append(uint8_t **to, size_t *len, size_t *cap, const void *bytes, size_t n)
{
	size_t room = *cap ? *cap : 4096;

	while (room - *len < n)
		room *= 2;
	if (room > *cap)
		*to = alloc_check(realloc(*to, room));
	*cap = room;
	memcpy(*to + *len, bytes, n);
	*len += n;
}

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	max_align_t data[];
};

#define ARENA_CHUNK 65536

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return alloc_check(NULL);
	bytes = (bytes + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (!c || c->size - c->used < bytes) {
		size_t room = bytes > ARENA_CHUNK ? bytes : ARENA_CHUNK;

		c = alloc_check(calloc(1, sizeof(*c) + room));
		c->size = room;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = (char *)c->data + c->used;
	c->used += bytes;
	return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
	char *copy = arena_alloc(a, len + 1, 1);

	memcpy(copy, text, len);
	return copy;
}

void arena_free(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
}
