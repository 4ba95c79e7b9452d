/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BENCH_DIE_H
#define SLUICE_BENCH_DIE_H

/* The end of a bench that cannot go on: figures of half a run are none. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

#endif
