/* SPDX-License-Identifier: BSD-2-Clause */
/* Mistakes in files: collected while reading, printed once in file order. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "diag.h"

/* Longer words are nobody's typing mistake, and the table below stays small. */
#define NEAREST_MAX 48

static void diag_add(struct diags *d, enum diag_level level, struct diag_at at, const char *fmt, va_list ap)
{
	struct diag *entry;

	d->errors += level == DIAG_ERROR;
	d->warnings += level == DIAG_WARNING;
	if (d->n == DIAG_MAX) {
		d->truncated = true;
		return;
	}
	if (d->n == d->cap) {
		d->list = mem_grow(d->list, d->n, sizeof(*d->list));
		d->cap = d->cap ? 2 * d->cap : 8;
	}
	entry = &d->list[d->n++];
	*entry = (struct diag){.at = at, .level = level};
	if (at.file)
		entry->at.file = mem_strdup(at.file);
	if (vasprintf(&entry->text, fmt, ap) < 0)
		entry->text = mem_strdup("(out of memory)");
}

void diag_error(struct diags *d, struct diag_at at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_ERROR, at, fmt, ap);
	va_end(ap);
}

void diag_warning(struct diags *d, struct diag_at at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_WARNING, at, fmt, ap);
	va_end(ap);
}

void diag_sum(struct diags *d, struct diag_at at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_SUM, at, fmt, ap);
	va_end(ap);
}

static int cmp_count(unsigned a, unsigned b)
{
	return (a > b) - (a < b);
}

static int diag_by_place(const void *pa, const void *pb)
{
	const struct diag *a = pa, *b = pb;
	int order = strcmp(a->at.file ? a->at.file : "", b->at.file ? b->at.file : "");

	if (!order)
		order = cmp_count(a->at.line, b->at.line);
	if (!order)
		order = cmp_count(a->at.column, b->at.column);
	return order ? order : strcmp(a->text, b->text);
}

/* Text of a file reaches a terminal: no control character gets through. */
static void print_escaped(const char *text, FILE *out)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '\n')
			fputs("\\n", out);
		else if (*c == '\t')
			fputs("\\t", out);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(out, "\\x%02x", *c);
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* C1 controls in UTF-8 */
			fprintf(out, "\\u00%02x", *++c);
		else
			fputc(*c, out);
	}
}

static void print_one(const struct diag *entry, FILE *out)
{
	if (entry->at.file) {
		print_escaped(entry->at.file, out);
		if (entry->at.line)
			fprintf(out, ":%u", entry->at.line);
		if (entry->at.line && entry->at.column)
			fprintf(out, ":%u", entry->at.column);
		fputs(": ", out);
	}
	if (entry->level == DIAG_WARNING)
		fputs("warning: ", out);
	print_escaped(entry->text, out);
	fputc('\n', out);
}

void diags_print(struct diags *d, FILE *out, bool summary)
{
	size_t shown = 0;

	if (d->n)
		qsort(d->list, d->n, sizeof(*d->list), diag_by_place);
	for (size_t i = 0; i < d->n; i++) {
		print_one(&d->list[i], out);
		shown += d->list[i].level != DIAG_SUM;
	}
	if (d->truncated)
		fprintf(out, "%zu more are not shown\n", d->errors + d->warnings - shown);
	if (summary)
		fprintf(out, "%zu error%s, %zu warning%s\n", d->errors, d->errors == 1 ? "" : "s", d->warnings,
			d->warnings == 1 ? "" : "s");
}

void diags_free(struct diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free((char *)d->list[i].at.file);
		free(d->list[i].text);
	}
	free(d->list);
	*d = (struct diags){0};
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Edits between two words: insertion, deletion, change, or two neighbours swapped. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned row[3][NEAREST_MAX + 1]; /* the current row and the two above it */

	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = min3(now[j - 1] + 1, up[j] + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min3(now[j], up2[j - 2] + 1, now[j]);
		}
	}
	return row[na % 3][nb];
}

#define BEGINNING_MIN 3

static const char *longer(const char *word, size_t len, const char *const *known)
{
	for (; len >= BEGINNING_MIN && *known; known++)
		if (!strncmp(*known, word, len))
			return *known;
	return NULL;
}

const char *diag_nearest(const char *word, const char *const *known)
{
	const char *const *first = known;
	size_t len = strlen(word);
	unsigned best = (unsigned)(len < 3 ? 1 : len / 3) + 1; /* a third of the letters may differ */
	const char *nearest = NULL;

	if (len > NEAREST_MAX)
		return NULL;
	for (; *known; known++) {
		size_t n = strlen(*known);
		unsigned edits;

		if (n > NEAREST_MAX)
			continue;
		edits = distance(word, len, *known, n);
		if (edits < best && edits < n) {
			best = edits;
			nearest = *known;
		}
	}
	return nearest ? nearest : longer(word, len, first);
}
