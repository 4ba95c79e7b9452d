/* SPDX-License-Identifier: BSD-2-Clause */
/* From a file's bytes to its tree: only text is let through to the two readers. */
#include <string.h>

#include "alloc.h"
#include "doc_build.h"

/* Bytes of the UTF-8 character at @s (RFC 3629), 0 when it is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (n <= 1 || n > left)
		return n > left ? 0 : n;
	c = *s & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static bool doc_parse_is_text(unsigned char c)
{
	return c >= 0x20 ? c != 0x7f : c == '\n' || c == '\r' || c == '\t';
}

/* Nothing but text, so that the readers need not care. Reports the first byte that is not. */
static bool check_text(struct doc_builder *b, const char *text, size_t len)
{
	struct diag_at at = {.file = b->doc->file, .line = 1, .column = 1};
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = utf8_length((const unsigned char *)text + i, len - i);
		if (!n) {
			diag_error(b->diags, at, "not UTF-8: byte 0x%02x", c);
			return false;
		}
		if (!doc_parse_is_text(c)) {
			diag_error(b->diags, at, c ? "control character 0x%02x" : "NUL byte", c);
			return false;
		}
		at.column++;
		if (c == '\n') {
			at.line++;
			at.column = 1;
		}
	}
	return true;
}

static void doc_read_text(struct doc_builder *b, const char *text, size_t len)
{
	struct diag_at whole = {.file = b->doc->file};

	if (len > DOC_MAX_SIZE) {
		diag_error(b->diags, whole, "too large: %zu bytes, at most %u", len, DOC_MAX_SIZE);
		return;
	}
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark is no content */
		text += 3;
		len -= 3;
	}
	if (!check_text(b, text, len))
		return;
	if (b->doc->format == DOC_HUJSON)
		doc_read_hujson(b, text, len);
	else
		doc_read_yaml(b, text, len);
}

struct doc *doc_parse(const char *file, const char *text, size_t len, enum doc_format format, struct diags *diags)
{
	size_t errors = diags->errors;
	struct doc_builder b = {.doc = mem_alloc(1, sizeof(*b.doc)), .diags = diags};

	b.doc->file = mem_strdup(file);
	b.doc->format = format;
	b.doc->root.at = (struct diag_at){.file = b.doc->file, .line = 1, .column = 1};
	doc_read_text(&b, text, len);
	if (diags->errors == errors)
		return b.doc;
	doc_free(b.doc);
	return NULL;
}

enum doc_format doc_format_of(const char *file)
{
	const char *dot = strrchr(file, '.');

	if (dot && (!strcasecmp(dot, ".json") || !strcasecmp(dot, ".hujson")))
		return DOC_HUJSON;
	return DOC_YAML;
}
