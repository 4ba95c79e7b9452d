/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TABLE_H
#define SLUICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Rows under aligned heads, as `wg`, `ip` and `kubectl` print them. Cells are
 * escaped (text.h); an empty one prints as "-". Nothing follows the last cell of
 * a row, so lines can be cut by tools.
 */
struct table {
	const char *const *heads; /* a head that begins with '>' stands to the right, for numbers */
	size_t columns, n;
	char **cells; /* n of them, row by row */
};

/* @heads ends with NULL and outlives the table. */
void table_init(struct table *t, const char *const *heads);
void table_add(struct table *t, const char *text); /* the next cell; NULL: empty */
void table_addf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *t);
void table_print(const struct table *t, FILE *out);
void table_free(struct table *t);

/* ---- colour: only on a terminal, and not with NO_COLOR (no-color.org) --------------- */

enum colour { COLOUR_BOLD, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };

bool colour_wanted(FILE *out);
/* @text in this colour where it is wanted, else as it is. */
void colour_print(FILE *out, enum colour colour, const char *text);

#endif
