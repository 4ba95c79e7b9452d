/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of prefixes, up to millions of them. */
#include <string.h>

#include "blocklist.h"

static bool blocklist_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The line without comment and space around it. */
static void strip(const char **line, size_t *len)
{
	for (size_t i = 0; i < *len; i++)
		if ((*line)[i] == '#' || (*line)[i] == ';')
			*len = i;
	while (*len && blocklist_is_space(**line))
		(*line)++, (*len)--;
	while (*len && blocklist_is_space((*line)[*len - 1]))
		(*len)--;
}

bool blocklist_read(const char *file, const char *text, size_t len, struct prefixes *out, struct diags *d)
{
	struct diag_at at = {.file = file};
	size_t before = out->n, errors = d->errors;
	struct prefix p;

	for (const char *end = text + len, *next; text < end; text = next + 1) {
		const char *line = text;
		size_t n;

		next = memchr(text, '\n', (size_t)(end - text));
		if (!next)
			next = end;
		n = (size_t)(next - text);
		at.line++;
		strip(&line, &n);
		if (!n)
			continue;
		if (prefix_parse(line, n, &p, NULL))
			prefixes_add(out, &p);
		else
			diag_error(d, at, "expected an address or a CIDR"); /* what is there may be a secret */
	}
	if (d->errors == errors)
		return true;
	while (out->n > before) /* element by element: the list's capacity follows from its length */
		out->n--;
	return false;
}
