/* SPDX-License-Identifier: BSD-2-Clause */
/* One HTTP/1.1 request and its answer (http1.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http1.h"
#include "policy/alloc.h"

size_t http1_request(char *buf, size_t size, const char *method, const struct url *to,
		     const struct http1_header *headers, size_t n)
{
	const char *open = strchr(to->host, ':') ? "[" : "", *close = *open ? "]" : "";
	char port[8] = "";
	size_t len;

	if (to->port != (to->tls ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", to->port);
	len = (size_t)snprintf(buf, size, "%s %s HTTP/1.1\r\nHost: %s%s%s%s\r\n", method, to->path, open, to->host,
			       close, port);
	for (size_t i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s: %s\r\n", headers[i].name, headers[i].value);
	if (len < size)
		len += (size_t)snprintf(buf + len, size - len, "\r\n");
	return len < size ? len : 0;
}

static struct http1 *of(struct http_parser *p)
{
	return p->data;
}

static int on_headers(struct http_parser *p)
{
	struct http1 *h = of(p);

	h->status = p->status_code;
	h->state = HTTP1_BODY;
	return h->head_request; /* 1: no body follows, whatever the header says */
}

static int http1_on_body(struct http_parser *p, const char *at, size_t len)
{
	struct http1 *h = of(p);

	if (len > HTTP1_BODY_MAX - h->body_len)
		return -1;
	memcpy(h->body + h->body_len, at, len);
	h->body_len += len;
	return 0;
}

static int on_end(struct http_parser *p)
{
	of(p)->state = p->upgrade ? HTTP1_UPGRADED : HTTP1_DONE;
	http_parser_pause(p, 1); /* bytes behind it are not for this parser */
	return 0;
}

static const struct http_parser_settings settings = {
	.on_headers_complete = on_headers,
	.on_body = http1_on_body,
	.on_message_complete = on_end,
};

void http1_init(struct http1 *h, bool head_request)
{
	*h = (struct http1){.head_request = head_request, .body = mem_alloc(HTTP1_BODY_MAX + 1, 1)};
	http_parser_init(&h->parser, HTTP_RESPONSE);
	h->parser.data = h;
}

void http1_free(struct http1 *h)
{
	free(h->body);
	h->body = NULL;
}

static bool http1_is_over(const struct http1 *h)
{
	return h->state == HTTP1_DONE || h->state == HTTP1_UPGRADED || h->state == HTTP1_BAD;
}

size_t http1_receive(struct http1 *h, const char *bytes, size_t len)
{
	size_t used;

	if (http1_is_over(h) || !len) /* no bytes would mean the end of the connection to the parser */
		return 0;
	used = http_parser_execute(&h->parser, &settings, bytes, len);
	if (!http1_is_over(h) && HTTP_PARSER_ERRNO(&h->parser) != HPE_OK)
		h->state = HTTP1_BAD;
	return used;
}

void http1_end(struct http1 *h)
{
	if (http1_is_over(h))
		return;
	http_parser_execute(&h->parser, &settings, NULL, 0);
	if (!http1_is_over(h))
		h->state = HTTP1_BAD;
}
