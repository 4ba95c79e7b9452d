/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is there or ends the program, and lists that grow by doubling. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static void *check(void *p)
{
	if (!p) {
		fputs("sluice: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_alloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size));
}

char *mem_strdup(const char *text)
{
	return check(strdup(text));
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
	return check(text);
}

void *mem_grow(void *list, size_t n, size_t size)
{
	if (!n)
		return check(reallocarray(list, 8, size));
	if (n < 8 || (n & (n - 1)))
		return list;
	return check(reallocarray(list, n, 2 * size));
}
