/* SPDX-License-Identifier: BSD-2-Clause */
/* The public keys that stand in the files of a configuration, however broken these are (config_named.h). Pure. */
#include "config_named.h"

#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "policy/doc.h"

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
	       c == '=';
}

static void named_add(struct config_named *n, const char *text)
{
	uint8_t key[KEY_LEN];

	if (!key_from_base64(text, KEY_LEN_BASE64, key))
		return;
	n->keys = mem_grow(n->keys, n->n, sizeof(*n->keys));
	memcpy(n->keys[n->n++], key, sizeof(key));
}

/*
 * How much of a line is no comment. A key may hold "//", but not outside of quotes. A line with a quote too many, or
 * one in a comment of several lines, shows too much: then a client stays that would have gone.
 */
static size_t named_code(const char *line, size_t len, enum doc_format format)
{
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		quoted ^= line[i] == '"';
		if (quoted)
			continue;
		if (format == DOC_YAML && line[i] == '#' && (!i || line[i - 1] == ' ' || line[i - 1] == '\t'))
			return i;
		if (format == DOC_HUJSON && line[i] == '/' && i + 1 < len && line[i + 1] == '/')
			return i;
	}
	return len;
}

static void named_line(struct config_named *n, const char *line, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t run = 0;

		while (i + run < len && is_base64(line[i + run]))
			run++;
		if (run == KEY_LEN_BASE64)
			named_add(n, line + i);
		i += run + 1;
	}
}

static void named_text(struct config_named *n, enum doc_format format, const char *text, size_t len)
{
	for (const char *line = text, *end = text + len; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line)) ?: end;

		named_line(n, line, named_code(line, (size_t)(eol - line), format));
		line = eol + 1;
	}
}

/* Also what stands where it does not belong. */
static void named_tree(struct config_named *n, const struct doc_node *node)
{
	if (node->kind == DOC_SCALAR && node->len == KEY_LEN_BASE64)
		named_add(n, node->text);
	for (size_t i = 0; i < node->n; i++) {
		named_tree(n, &node->items[i]);
		if (node->kind == DOC_MAP)
			named_tree(n, &node->keys[i]);
	}
}

/* A file as an interrupted program, or a full disk, leaves it. */
static bool named_is_cut(const char *text, size_t len)
{
	return !len || !memchr("\n}]", text[len - 1], 3);
}

static void named_doubt(struct config_named *n, const char *file, const char *why)
{
	if (!n->unsure)
		n->unsure = mem_printf("%s %s", file, why);
}

void config_named_file(struct config_named *n, const char *file, const struct doc_node *root, const char *text,
		       size_t len, bool mistakes)
{
	if (mistakes && named_is_cut(text, len))
		named_doubt(n, file, len ? "ends in the middle of a line" : "is empty");
	if (root)
		named_tree(n, root);
	else
		named_text(n, doc_format_of(file), text, len);
}

void config_named_unread(struct config_named *n, const char *file)
{
	named_doubt(n, file, "cannot be read");
}

void config_named_elsewhere(struct config_named *n)
{
	free(n->unsure);
	n->unsure = NULL;
}

static int named_compare(const void *a, const void *b)
{
	return memcmp(a, b, KEY_LEN);
}

void config_named_settle(struct config_named *n)
{
	if (n->n)
		qsort(n->keys, n->n, sizeof(*n->keys), named_compare);
}

bool config_named_has(const struct config_named *n, const uint8_t key[KEY_LEN])
{
	return n->n && bsearch(key, n->keys, n->n, sizeof(*n->keys), named_compare);
}

void config_named_free(struct config_named *n)
{
	config_free(n->read);
	free(n->keys);
	free(n->unsure);
	*n = (struct config_named){0};
}
