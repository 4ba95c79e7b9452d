/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Typed reads of a document's nodes. Each says on a mismatch what was read, what
 * was found and what is expected, so that callers only name the thing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "doc.h"

/* A scalar longer than this is shortened in messages. */
#define FOUND_MAX 60

struct doc_node *doc_get(const struct doc_node *map, const char *key)
{
	if (!map || map->kind != DOC_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (map->keys[i].text && !strcmp(map->keys[i].text, key))
			return &map->items[i];
	return NULL;
}

const char *doc_found(const struct doc_node *n, char *buf, size_t size)
{
	static const char *const names[] = {[DOC_NULL] = "nothing", [DOC_LIST] = "a list", [DOC_MAP] = "a map"};
	size_t cut = 0;

	if (n->kind != DOC_SCALAR) {
		snprintf(buf, size, "%s", names[n->kind]);
		return buf;
	}
	if (n->len > FOUND_MAX)
		for (cut = FOUND_MAX; cut && ((unsigned char)n->text[cut] & 0xc0) == 0x80; cut--)
			; /* not within a character */
	if (cut)
		snprintf(buf, size, "\"%.*s...\"", (int)cut, n->text);
	else
		snprintf(buf, size, "\"%s\"", n->text);
	return buf;
}

static bool doc_read_mismatch(const struct doc_node *n, const char *what, const char *expected, struct diags *d)
{
	char found[FOUND_MAX + 8];

	diag_error(d, n->at, "%s: found %s, expected %s", what, doc_found(n, found, sizeof(found)), expected);
	return false;
}

bool doc_string(const struct doc_node *n, const char *what, const char **out, struct diags *d)
{
	if (n->kind != DOC_SCALAR)
		return doc_read_mismatch(
			n, what, n->kind == DOC_LIST ? "text (an address in brackets must be quoted)" : "text", d);
	*out = n->text;
	return true;
}

bool doc_bool(const struct doc_node *n, const char *what, bool *out, struct diags *d)
{
	if (n->kind != DOC_SCALAR || n->quoted)
		return doc_read_mismatch(n, what, "true or false, without quotes", d);
	if (strcmp(n->text, "true") && strcmp(n->text, "false"))
		return doc_read_mismatch(n, what, "true or false", d);
	*out = n->text[0] == 't';
	return true;
}

static bool parse_decimal(const char *text, size_t len, uint64_t *out)
{
	return !digits_lead(text, len) && digits_parse(text, len, UINT64_MAX, out);
}

bool doc_uint(const struct doc_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct diags *d)
{
	char expected[80];
	uint64_t value;

	snprintf(expected, sizeof(expected), "a number from %" PRIu64 " to %" PRIu64, min, max);
	if (n->kind == DOC_SCALAR && n->quoted)
		return doc_read_mismatch(n, what, "a number, without quotes", d);
	if (n->kind != DOC_SCALAR || !parse_decimal(n->text, n->len, &value) || value < min || value > max)
		return doc_read_mismatch(n, what, expected, d);
	*out = value;
	return true;
}

static uint64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	default:
		return 0;
	}
}

bool doc_duration(const struct doc_node *n, const char *what, uint64_t *seconds, struct diags *d)
{
	uint64_t value, unit;

	if (n->kind != DOC_SCALAR || !n->len)
		return doc_read_mismatch(n, what, "a duration such as 300s, 5m, 2h or 1d", d);
	if (parse_decimal(n->text, n->len, &value)) {
		diag_error(d, n->at, "%s: found \"%s\", expected a unit with it: %ss, %sm, %sh or %sd", what, n->text,
			   n->text, n->text, n->text, n->text);
		return false;
	}
	unit = unit_seconds(n->text[n->len - 1]);
	if (!unit || !parse_decimal(n->text, n->len - 1, &value) || __builtin_mul_overflow(value, unit, &value))
		return doc_read_mismatch(n, what, "a duration such as 300s, 5m, 2h or 1d", d);
	*seconds = value;
	return true;
}

static bool doc_read_is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (!strcmp(key, *known))
			return true;
	return false;
}

void doc_only_keys(const struct doc_node *map, const char *what, const char *const *known, struct diags *d)
{
	const char *near;

	if (map->kind != DOC_MAP)
		return;
	for (size_t i = 0; i < map->n; i++) {
		const struct doc_node *key = &map->keys[i];

		if (doc_read_is_known(key->text, known))
			continue;
		near = diag_nearest(key->text, known);
		diag_error(d, key->at, "%s: unknown field \"%s\"%s%s%s", what, key->text,
			   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
}
