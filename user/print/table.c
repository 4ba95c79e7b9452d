/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables for people (table.h).
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "table.h"
#include "user/base/text.h"

#define CELL_MAX 512
#define GAP	 2

void table_init(struct table *t, const char *const *heads)
{
	*t = (struct table){.heads = heads};
	while (heads[t->columns])
		t->columns++;
}

void table_add(struct table *t, const char *text)
{
	char escaped[CELL_MAX];

	t->cells = mem_grow(t->cells, t->n, sizeof(*t->cells));
	t->cells[t->n++] = mem_strdup(text && *text ? text_escape(text, escaped, sizeof(escaped)) : "-");
}

void table_addf(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_add(t, text);
}

size_t table_rows(const struct table *t)
{
	return t->n / t->columns;
}

static bool to_the_right(const struct table *t, size_t column)
{
	return t->heads[column][0] == '>';
}

static const char *head(const struct table *t, size_t column)
{
	return t->heads[column] + to_the_right(t, column);
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = text_width(head(t, column));

	for (size_t i = column; i < t->n; i += t->columns)
		if (text_width(t->cells[i]) > width)
			width = text_width(t->cells[i]);
	return width;
}

static void pad(FILE *out, size_t n)
{
	fprintf(out, "%*s", (int)n, "");
}

static void print_cell(const struct table *t, size_t column, const char *text, size_t width, FILE *out)
{
	size_t space = width - text_width(text);
	bool last = column + 1 == t->columns;

	if (to_the_right(t, column))
		pad(out, space);
	fputs(text, out);
	if (!last)
		pad(out, GAP + (to_the_right(t, column) ? 0 : space));
}

void table_print(const struct table *t, FILE *out)
{
	size_t *widths = mem_alloc(t->columns, sizeof(*widths));

	for (size_t c = 0; c < t->columns; c++)
		widths[c] = column_width(t, c);
	if (colour_wanted(out))
		fputs("\033[1m", out);
	for (size_t c = 0; c < t->columns; c++)
		print_cell(t, c, head(t, c), widths[c], out);
	fputs(colour_wanted(out) ? "\033[0m\n" : "\n", out);
	for (size_t i = 0; i < t->n; i++) {
		print_cell(t, i % t->columns, t->cells[i], widths[i % t->columns], out);
		if (i % t->columns == t->columns - 1)
			fputc('\n', out);
	}
	free(widths);
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}

bool colour_wanted(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && strcmp(term, "dumb") && isatty(fileno(out));
}

void colour_print(FILE *out, enum colour colour, const char *text)
{
	static const char *const codes[] = {"1", "32", "33", "31"};

	if (colour_wanted(out))
		fprintf(out, "\033[%sm%s\033[0m", codes[colour], text);
	else
		fputs(text, out);
}
