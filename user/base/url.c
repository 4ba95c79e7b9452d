/* SPDX-License-Identifier: BSD-2-Clause */
#include "url.h"

#include <http_parser.h>
#include <stdio.h>
#include <string.h>

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

static bool copy_part(const struct http_parser_url *u, enum http_parser_url_fields f, const char *text, char *out,
		      size_t max)
{
	size_t len = u->field_set & 1 << f ? u->field_data[f].len : 0;

	if (len > max)
		return false;
	memcpy(out, text + u->field_data[f].off, len);
	out[len] = 0;
	return true;
}

bool url_parse(const char *text, struct url *out)
{
	char scheme[6], query[URL_PATH_MAX + 1];
	struct http_parser_url u;
	struct url url = {0};
	size_t len;

	http_parser_url_init(&u);
	if (!is_plain(text) || http_parser_parse_url(text, strlen(text), 0, &u) != 0 ||
	    u.field_set & (1 << UF_USERINFO | 1 << UF_FRAGMENT))
		return false;
	if (!copy_part(&u, UF_SCHEMA, text, scheme, sizeof(scheme) - 1) ||
	    !copy_part(&u, UF_HOST, text, url.host, URL_HOST_MAX) || !*url.host ||
	    !copy_part(&u, UF_PATH, text, url.path, URL_PATH_MAX) ||
	    !copy_part(&u, UF_QUERY, text, query, URL_PATH_MAX))
		return false;
	url.tls = strcmp(scheme, "https") == 0;
	if (!url.tls && strcmp(scheme, "http") != 0)
		return false;
	url.port = u.field_set & 1 << UF_PORT ? u.port : url.tls ? 443 : 80;
	if (!url.port)
		return false;
	if (!*url.path)
		strcpy(url.path, "/");
	len = strlen(url.path);
	if (*query && (size_t)snprintf(url.path + len, sizeof(url.path) - len, "?%s", query) >= sizeof(url.path) - len)
		return false;
	*out = url;
	return true;
}
