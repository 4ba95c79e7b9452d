/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_WRITE_FILE_H
#define TESTS_WRITE_FILE_H

#include <stdio.h>

/* Needs cmocka.h before it. */
static inline void write_file(const char *folder, const char *name, const char *text)
{
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

#endif
