/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and escapes that a parser would refuse a whole text for (json_mend.h). */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json_mend.h"

#define ESCAPE_LEN   6	/* \uXXXX */
#define SAFE_LEN     18 /* so many characters of a whole number are within 64 bits */
#define EXPONENT_MIN 5	/* the shortest real number that is out of range: 1e309 */

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* -1: no \uXXXX is there. */
static int json_mend_escaped(const char *text, size_t len)
{
	int code = 0;

	if (len < ESCAPE_LEN || text[0] != '\\' || text[1] != 'u')
		return -1;
	for (size_t i = 2; i < ESCAPE_LEN; i++) {
		int d = digit(text[i]);

		if (d < 0)
			return -1;
		code = code << 4 | d;
	}
	return code;
}

static bool is_high(int code)
{
	return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(int code)
{
	return code >= 0xdc00 && code < 0xe000;
}

/* Returns how much of @text is done with; there is a backslash. */
static size_t mend_escape(char *text, size_t len)
{
	int code = json_mend_escaped(text, len);

	if (code < 0)
		return 2;
	if (is_high(code) && is_low(json_mend_escaped(text + ESCAPE_LEN, len - ESCAPE_LEN)))
		return 2 * ESCAPE_LEN;
	if (!code || is_high(code) || is_low(code))
		memcpy(text, "\\ufffd", ESCAPE_LEN);
	return ESCAPE_LEN;
}

/* The same; it begins behind the opening quote. */
static size_t mend_string(char *text, size_t len)
{
	size_t at = 0;

	while (at < len && text[at] != '"')
		at += text[at] == '\\' ? mend_escape(text + at, len - at) : 1;
	return at + 1;
}

static bool is_out_of_range(const char *text, size_t len)
{
	bool whole = !memchr(text, '.', len) && !memchr(text, 'e', len) && !memchr(text, 'E', len);
	bool out = false;
	char *end = NULL;

	errno = 0;
	if (whole && len > SAFE_LEN)
		out = strtoll(text, &end, 10) && errno == ERANGE;
	else if (!whole && len >= EXPONENT_MIN)
		out = isinf(strtod(text, &end));
	return out && end == text + len; /* else it is no number */
}

static size_t mend_number(char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] && strchr("+-.0123456789eE", text[n]))
		n++;
	if (!is_out_of_range(text, n))
		return n;
	memset(text, ' ', n);
	memcpy(text, "0e0", 3);
	return n;
}

void json_mend(char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (text[at] == '"')
			at += 1 + mend_string(text + at + 1, len - at - 1);
		else if (text[at] == '-' || (text[at] >= '0' && text[at] <= '9'))
			at += mend_number(text + at, len - at);
		else
			at++;
	}
}
