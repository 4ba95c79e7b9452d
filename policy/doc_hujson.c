/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HuJSON: JSON (RFC 8259) with comments and trailing commas. Both are blanked in
 * a copy, so that every other byte keeps its place; jansson then checks the copy
 * as strict JSON. The rest of the work is to know where things stand:
 * the walk follows the five structural characters of a text that is known to be
 * valid, and leaves every string and number to jansson.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "doc_build.h"

struct walk {
	struct doc_builder *b;
	const char *text;
	size_t len, pos;
	struct diag_at at; /* of pos */
};

static void advance(struct walk *w, size_t n)
{
	for (; n && w->pos < w->len; n--, w->pos++) {
		unsigned char c = (unsigned char)w->text[w->pos];

		if (c == '\n') {
			w->at.line++;
			w->at.column = 1;
		} else if ((c & 0xc0) != 0x80) { /* a character, not the rest of one */
			w->at.column++;
		}
	}
}

static struct diag_at doc_hujson_place_of(const struct walk *w, size_t pos)
{
	struct walk to = *w;

	advance(&to, pos - w->pos);
	return to.at;
}

static bool doc_hujson_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(struct walk *w)
{
	size_t n = 0;

	while (w->pos + n < w->len && doc_hujson_is_space(w->text[w->pos + n]))
		n++;
	advance(w, n);
	return w->pos < w->len ? w->text[w->pos] : '\0';
}

/* Bytes of the comment at @s, 0 when there is none, SIZE_MAX when it has no end. */
static size_t comment_length(const char *s, size_t left)
{
	const char *end;

	if (left < 2 || s[0] != '/')
		return 0;
	if (s[1] == '/') {
		end = memchr(s, '\n', left);
		return end ? (size_t)(end - s) : left;
	}
	if (s[1] != '*')
		return 0;
	end = memmem(s + 2, left - 2, "*/", 2);
	return end ? (size_t)(end + 2 - s) : SIZE_MAX;
}

static size_t string_length(const char *s, size_t left)
{
	size_t n = 1;

	while (n < left && s[n] != '"')
		n += s[n] == '\\' ? 2 : 1;
	return n < left ? n + 1 : left;
}

static void blank(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!doc_hujson_is_space(s[i]))
			s[i] = ' ';
}

/*
 * Makes strict JSON of HuJSON in place. @comma is the last comma with nothing but
 * space behind it: in front of a closing bracket it is a trailing one, provided
 * that a value stands before it.
 */
static bool standardize(struct walk *w, char *s)
{
	size_t len = w->len, n, comma = SIZE_MAX, separators = 0;
	char before = '\0'; /* the last character that was neither space nor comment */

	for (size_t i = 0; i < len; i += n) {
		n = comment_length(s + i, len - i);
		if (n == SIZE_MAX) {
			diag_error(w->b->diags, doc_hujson_place_of(w, i), "comment without an end");
			return false;
		}
		if (n) {
			blank(s + i, n);
			continue;
		}
		n = s[i] == '"' ? string_length(s + i, len - i) : 1;
		if (doc_hujson_is_space(s[i]))
			continue;
		if ((s[i] == ']' || s[i] == '}') && before == ',' && comma != SIZE_MAX)
			s[comma] = ' ';
		if (s[i] == ',')
			comma = before && strchr("[{,:", before) ? SIZE_MAX : i;
		separators += s[i] == ',' || s[i] == '[' || s[i] == '{';
		before = s[i];
	}
	if (separators > DOC_MAX_NODES) /* before jansson builds a tree of its own */
		diag_error(w->b->diags, w->at, "too large: more than %u values", DOC_MAX_NODES);
	return separators <= DOC_MAX_NODES;
}

/* Strict JSON, whole and of any kind. */
static bool doc_hujson_check(struct walk *w)
{
	json_error_t error;
	json_t *root = json_loadb(w->text, w->len, JSON_DECODE_ANY, &error);
	struct diag_at at = w->at;

	if (root) {
		json_decref(root);
		return true;
	}
	at.line = error.line > 0 ? (unsigned)error.line : 0;
	at.column = error.column > 0 ? (unsigned)error.column : 0;
	diag_error(w->b->diags, at, "not valid HuJSON: %s", error.text);
	return false;
}

/* The string, number or word at the current position, decoded by jansson. */
static bool doc_hujson_read_scalar(struct walk *w, struct doc_node *n)
{
	const char *start = w->text + w->pos;
	json_error_t error;
	json_t *value = json_loadb(start, w->len - w->pos, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);

	n->at = w->at;
	if (!value || error.position <= 0) {
		diag_error(w->b->diags, w->at, "not valid HuJSON");
		json_decref(value);
		return false;
	}
	n->kind = json_is_null(value) ? DOC_NULL : DOC_SCALAR;
	n->quoted = json_is_string(value);
	if (n->quoted) {
		n->len = json_string_length(value);
		n->text = mem_strndup(json_string_value(value), n->len);
	} else if (n->kind == DOC_SCALAR) {
		n->len = (size_t)error.position;
		n->text = mem_strndup(start, n->len);
	}
	advance(w, (size_t)error.position);
	json_decref(value);
	return true;
}

static bool read_value(struct walk *w, struct doc_node *n, unsigned depth);

static bool read_pair(struct walk *w, struct doc_node *map, unsigned depth)
{
	struct doc_node *key, *value;

	doc_add_pair(map, &key, &value);
	if (!doc_room(w->b, w->at, depth) || !doc_hujson_read_scalar(w, key))
		return false;
	peek(w);
	advance(w, 1); /* the colon */
	return read_value(w, value, depth);
}

static bool read_container(struct walk *w, struct doc_node *n, unsigned depth)
{
	char end = n->kind == DOC_MAP ? '}' : ']', c;

	advance(w, 1);
	while ((c = peek(w)) != end) {
		if (c == ',') {
			advance(w, 1);
			peek(w);
		}
		if (!(n->kind == DOC_MAP ? read_pair(w, n, depth + 1) : read_value(w, doc_add_item(n), depth + 1)))
			return false;
	}
	advance(w, 1);
	doc_close(w->b, n);
	return true;
}

static bool read_value(struct walk *w, struct doc_node *n, unsigned depth)
{
	char c = peek(w);

	n->at = w->at;
	if (!doc_room(w->b, n->at, depth))
		return false;
	if (c != '{' && c != '[')
		return doc_hujson_read_scalar(w, n);
	n->kind = c == '{' ? DOC_MAP : DOC_LIST;
	return read_container(w, n, depth);
}

void doc_read_hujson(struct doc_builder *b, const char *text, size_t len)
{
	char *copy = mem_strndup(text, len);
	struct walk w = {.b = b, .text = copy, .len = len, .at = b->doc->root.at};

	if (standardize(&w, copy) && peek(&w) && doc_hujson_check(&w)) /* white space alone is an empty file */
		read_value(&w, &b->doc->root, 1);
	free(copy);
}
