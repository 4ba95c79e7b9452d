/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Characters that nobody sees: a login with one of them is another login, and looks like the one it is not.
 * Unicode's format characters and its blanks beside the space, as far as they can stand within a word.
 * Control characters of ASCII are shown, escaped, in whatever is said about the word.
 */
#include <string.h>

#include "alloc.h"
#include "doc.h"

static const struct {
	uint32_t first, last;
} invisible[] = {
	{0x007f, 0x00a0}, {0x00ad, 0x00ad}, {0x034f, 0x034f},	{0x061c, 0x061c},   {0x115f, 0x1160},
	{0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f},	{0x2000, 0x200f},   {0x2028, 0x202f},
	{0x205f, 0x206f}, {0x3000, 0x3000}, {0x3164, 0x3164},	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
	{0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

/* The character at @s, which is UTF-8, and its length. */
static uint32_t invisible_character(const unsigned char *s, size_t *len)
{
	uint32_t c = *s;

	*len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (*len > 1)
		c &= 0x7fu >> *len;
	for (size_t i = 1; i < *len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

static bool is_invisible(uint32_t c)
{
	for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++)
		if (c >= invisible[i].first && c <= invisible[i].last)
			return true;
	return false;
}

#define SHOWN_MAX 80

/* The text with "<U+200B>" where the character is; what is long is cut behind it. */
static void report_invisible(const struct doc_node *n, size_t at, size_t len, uint32_t c, struct diags *d)
{
	size_t from = at;

	while (from && at - from < SHOWN_MAX)
		from--;
	while (from < at && ((unsigned char)n->text[from] & 0xc0) == 0x80)
		from++;
	diag_error(d, n->at, "\"%.*s<U+%04X>%s\": U+%04X is a character that nobody sees: take it out",
		   (int)(at - from), n->text + from, c,
		   strlen(n->text + at + len) <= SHOWN_MAX ? n->text + at + len : "...", c);
}

static bool scalar_is_visible(const struct doc_node *n, struct diags *d)
{
	size_t len;

	for (size_t i = 0; i < n->len; i += len) {
		uint32_t c = invisible_character((const unsigned char *)n->text + i, &len);

		if (!is_invisible(c))
			continue;
		report_invisible(n, i, len, c, d);
		return false;
	}
	return true;
}

bool doc_is_visible(const struct doc_node *n, struct diags *d)
{
	bool ok = n->kind != DOC_SCALAR || scalar_is_visible(n, d);

	for (size_t i = 0; i < n->n; i++) {
		ok &= !n->keys || scalar_is_visible(&n->keys[i], d);
		ok &= doc_is_visible(&n->items[i], d);
	}
	return ok;
}
