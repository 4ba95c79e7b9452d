/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DIAG_H
#define SLUICE_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Mistakes found in files. A reader reports all of them and goes on; the caller
 * prints the list once, in file order, and decides by the error count.
 */
enum diag_level { DIAG_ERROR, DIAG_WARNING, DIAG_SUM };

struct diag_at { /* where: line and column count from 1; 0: not known */
	const char *file;
	unsigned line, column;
};

struct diag {
	struct diag_at at; /* file is owned by the list */
	enum diag_level level;
	char *text;
};

struct diags {
	struct diag *list;
	size_t n, cap;
	size_t errors, warnings;
	bool truncated; /* past DIAG_MAX nothing more is kept, only counted */
};

#define DIAG_MAX 1000

void diag_error(struct diags *d, struct diag_at at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(struct diags *d, struct diag_at at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Sums up errors that were reported; is none itself. */
void diag_sum(struct diags *d, struct diag_at at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* "file:line:column: text" or "file:line:column: warning: text", one a line,
 * sorted by file, line and column; control characters are escaped. Then, when
 * @summary, "2 errors, 1 warning". */
void diags_print(struct diags *d, FILE *out, bool summary);
void diags_free(struct diags *d);

/* The entry of @known (NULL-terminated) nearest to @word, else the first that begins
 * with it, or NULL when none is near enough to be worth a "did you mean". */
const char *diag_nearest(const char *word, const char *const *known);

#endif
