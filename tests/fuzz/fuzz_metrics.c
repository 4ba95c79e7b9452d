/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a gateway answers, as metrics: any JSON. Names in it are those of clients, users and relays, which others
 * choose: each line is a comment or one sample of ours, whatever they are called.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/metrics.h"

/* Behind {name="value",... : past the closing brace. NULL: it does not end in this line. */
static const char *skip_labels(const char *s)
{
	bool quoted = false;

	for (; *s && *s != '\n'; s++) {
		if (quoted && *s == '\\' && s[1])
			s++;
		else if (*s == '"')
			quoted = !quoted;
		else if (*s == '}' && !quoted)
			return s + 1;
	}
	return NULL;
}

static const char *skip_line(const char *s)
{
	static const char prefix[] = "sluice_";
	const char *end;
	char *number;

	if (!strncmp(s, "# HELP ", 7) || !strncmp(s, "# TYPE ", 7))
		return (end = strchr(s, '\n')) ? end + 1 : NULL;
	if (strncmp(s, prefix, strlen(prefix)))
		return NULL;
	s += strspn(s, "abcdefghijklmnopqrstuvwxyz_");
	if (*s == '{' && !(s = skip_labels(s)))
		return NULL;
	if (*s++ != ' ')
		return NULL;
	strtoll(s, &number, 10);
	return number > s && *number == '\n' ? number + 1 : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *answers = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	metrics_print(answers, out);
	fclose(out);
	for (const char *line = text; *line;)
		if (!(line = skip_line(line)))
			abort();
	free(text);
	json_decref(answers);
	return 0;
}
