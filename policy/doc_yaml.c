/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * YAML by libyaml's events. Only the plain part of the language is taken: maps
 * with text keys, lists, scalars. Anchors, aliases, tags and merge keys make one
 * byte mean a million or a type mean code, and a policy has no use for them.
 */
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "alloc.h"
#include "doc_build.h"

struct reader {
	struct doc_builder *b;
	yaml_parser_t yaml;
	yaml_event_t event; /* the current one */
	const char *text;
	size_t len;
};

static struct diag_at doc_yaml_place(const struct reader *r, const yaml_mark_t *mark)
{
	return (struct diag_at){
		.file = r->b->doc->file,
		.line = (unsigned)mark->line + 1,
		.column = (unsigned)mark->column + 1,
	};
}

static size_t hex_length(const char *s, size_t left, size_t *colons)
{
	size_t n = 0;

	for (*colons = 0; n < left && strchr("0123456789abcdefABCDEF:.", s[n]); n++)
		*colons += s[n] == ':';
	return n;
}

/* "[::1]:80" or "::1" without quotes begins a list or a value that is none; what
 * libyaml says about that helps nobody. */
static bool has_bare_address(const char *line, size_t len)
{
	size_t n, colons;

	for (size_t i = 0; i + 1 < len; i++) {
		if (line[i] != '[' && line[i] != ' ')
			continue;
		n = hex_length(line + i + 1, len - i - 1, &colons);
		if (colons >= 2 &&
		    (line[i] == '[' || line[i + 1] == ':' || (n + i + 1 < len && line[n + i + 1] == ']')))
			return true;
	}
	return false;
}

static const char *line_of(const struct reader *r, size_t number, size_t *len)
{
	const char *line = r->text, *end = r->text + r->len, *next;

	for (; number && line < end; number--) {
		next = memchr(line, '\n', (size_t)(end - line));
		line = next ? next + 1 : end;
	}
	next = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
	*len = (size_t)((next ? next : end) - line);
	return line;
}

/* What the author probably meant where libyaml gave up. */
static const char *hint(const struct reader *r)
{
	const yaml_parser_t *y = &r->yaml;
	size_t len, column = y->problem_mark.column;
	const char *line = line_of(r, y->problem_mark.line, &len);

	if (y->context && strstr(y->context, "scanning an alias"))
		return "; a text that begins with * must be quoted: \"*\"";
	if (y->context && strstr(y->context, "scanning an anchor"))
		return "; a text that begins with & must be quoted";
	if (column < len && line[column] == '\t')
		return "; a tab cannot indent YAML, use spaces";
	if (column < len && strchr("@`%", line[column]))
		return "; a text that begins with this character must be quoted";
	if (!has_bare_address(line, len))
		line = line_of(r, y->context_mark.line, &len);
	return has_bare_address(line, len) ? "; an IPv6 address here must be quoted: \"[::1]:80\"" : "";
}

static void report_syntax(struct reader *r)
{
	const yaml_parser_t *y = &r->yaml;
	bool reader = y->error == YAML_READER_ERROR;

	diag_error(r->b->diags, doc_yaml_place(r, reader ? &y->mark : &y->problem_mark), "not valid YAML: %s%s%s%s",
		   y->problem ? y->problem : "out of memory", y->context ? " " : "", y->context ? y->context : "",
		   reader ? "" : hint(r));
}

static bool next_event(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->yaml, &r->event))
		return true;
	report_syntax(r);
	return false;
}

static void refuse_extras(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct diag_at at = doc_yaml_place(r, &r->event.start_mark);

	if (anchor)
		diag_error(r->b->diags, at, "anchors are not supported: found \"&%s\"", (const char *)anchor);
	if (tag)
		diag_error(r->b->diags, at, "tags are not supported: found \"%s\"", (const char *)tag);
}

static bool doc_yaml_is_null(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcasecmp(text, "null");
}

static void doc_yaml_read_scalar(struct reader *r, struct doc_node *n)
{
	const yaml_char_t *tag = r->event.data.scalar.tag;
	const char *text = (const char *)r->event.data.scalar.value;

	refuse_extras(r, r->event.data.scalar.anchor, tag);
	if (strlen(text) != r->event.data.scalar.length) {
		diag_error(r->b->diags, n->at, "NUL byte in a text");
		return;
	}
	n->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (!n->quoted && doc_yaml_is_null(text))
		return;
	n->kind = DOC_SCALAR;
	n->len = r->event.data.scalar.length;
	n->text = mem_strndup(text, n->len);
}

static bool doc_yaml_read_node(struct reader *r, struct doc_node *n, unsigned depth);

static bool doc_yaml_read_list(struct reader *r, struct doc_node *n, unsigned depth)
{
	refuse_extras(r, r->event.data.sequence_start.anchor, r->event.data.sequence_start.tag);
	n->kind = DOC_LIST;
	for (;;) {
		if (!next_event(r))
			return false;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (!doc_yaml_read_node(r, doc_add_item(n), depth + 1))
			return false;
	}
	doc_close(r->b, n);
	return true;
}

static void check_key(struct reader *r, struct doc_node *key)
{
	if (key->kind != DOC_SCALAR) {
		diag_error(r->b->diags, key->at, "a key must be text%s",
			   key->kind == DOC_LIST ? " (an address in brackets must be quoted)" : "");
	} else if (!key->quoted && !strcmp(key->text, "<<")) {
		diag_error(r->b->diags, key->at, "merge keys (<<) are not supported");
	}
}

static bool read_map(struct reader *r, struct doc_node *n, unsigned depth)
{
	struct doc_node *key, *value;

	refuse_extras(r, r->event.data.mapping_start.anchor, r->event.data.mapping_start.tag);
	n->kind = DOC_MAP;
	for (;;) {
		if (!next_event(r))
			return false;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		doc_add_pair(n, &key, &value);
		if (!doc_yaml_read_node(r, key, depth + 1))
			return false;
		check_key(r, key);
		if (!next_event(r) || !doc_yaml_read_node(r, value, depth + 1))
			return false;
	}
	doc_close(r->b, n);
	return true;
}

/* The node that the current event begins. False: reported, no use in going on. */
static bool doc_yaml_read_node(struct reader *r, struct doc_node *n, unsigned depth)
{
	n->at = doc_yaml_place(r, &r->event.start_mark);
	if (!doc_room(r->b, n->at, depth))
		return false;
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		doc_yaml_read_scalar(r, n);
		return true;
	case YAML_SEQUENCE_START_EVENT:
		return doc_yaml_read_list(r, n, depth);
	case YAML_MAPPING_START_EVENT:
		return read_map(r, n, depth);
	default: /* YAML_ALIAS_EVENT: nothing else stands for a node */
		diag_error(r->b->diags, n->at, "aliases are not supported: if the text *%s is meant, quote it",
			   (const char *)r->event.data.alias.anchor);
		return true;
	}
}

static void read_stream(struct reader *r)
{
	if (!next_event(r) || !next_event(r)) /* the stream, then its first document or its end */
		return;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return;
	if (r->event.data.document_start.tag_directives.start != r->event.data.document_start.tag_directives.end)
		diag_error(r->b->diags, doc_yaml_place(r, &r->event.start_mark), "tags are not supported");
	if (!next_event(r) || !doc_yaml_read_node(r, &r->b->doc->root, 1))
		return;
	if (!next_event(r) || !next_event(r)) /* the document's end, then the stream's */
		return;
	if (r->event.type != YAML_STREAM_END_EVENT)
		diag_error(r->b->diags, doc_yaml_place(r, &r->event.start_mark), "only one document in a file");
}

void doc_read_yaml(struct doc_builder *b, const char *text, size_t len)
{
	struct reader r = {.b = b, .text = text, .len = len};

	if (!yaml_parser_initialize(&r.yaml)) {
		diag_error(b->diags, b->doc->root.at, "out of memory");
		return;
	}
	yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, len);
	read_stream(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.yaml);
}
