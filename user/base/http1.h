/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HTTP1_H
#define SLUICE_HTTP1_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "url.h"

/*
 * What little HTTP/1.1 a node speaks: one request, one answer, after which the
 * connection is closed or speaks another protocol. Pure; libhttp-parser parses.
 */
enum http1_state {
	HTTP1_HEAD, /* status and header */
	HTTP1_BODY,
	HTTP1_DONE,	/* answered, the body is whole */
	HTTP1_UPGRADED, /* 101: the rest of the bytes is the other protocol's */
	HTTP1_BAD,
};

#define HTTP1_BODY_MAX 65536

struct http1 {
	enum http1_state state;
	struct http_parser parser;
	bool head_request;
	int status;
	char *body; /* terminated */
	size_t body_len;
};

struct http1_header {
	const char *name, *value;
};

/* Writes a request without a body into @buf. 0: does not fit. */
size_t http1_request(char *buf, size_t size, const char *method, const struct url *to,
		     const struct http1_header *headers, size_t n);

void http1_init(struct http1 *h, bool head_request);
void http1_free(struct http1 *h);
/* Takes received bytes; returns how many of them were this protocol's. */
size_t http1_receive(struct http1 *h, const char *bytes, size_t len);
/* The server has closed the connection: an answer may end so. */
void http1_end(struct http1 *h);

#endif
