/* SPDX-License-Identifier: BSD-2-Clause */
#include "exit.h"

#include <stdarg.h>
#include <stdio.h>

int exit_fail(char **error, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(error, fmt, ap) < 0)
		*error = NULL;
	va_end(ap);
	return status;
}
