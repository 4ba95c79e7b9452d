/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_HTTP2_H
#define SLUICE_TAILNET_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"

/*
 * A client's HTTP/2 connection with prior knowledge (RFC 9113, section 3.3) over
 * whatever carries its bytes, here the Noise stream. nghttp2 speaks it; this
 * bounds it and gives each request's answer to its owner. Pure.
 */
struct http2;

struct http2_ops { /* may post, must not free; called from within http2_receive() and http2_post() */
	bool (*send)(void *ctx, const uint8_t *bytes, size_t len); /* false: the carrier is gone */
	/* @retry_after: seconds that the server wants to be left alone for; 0: it says nothing of it. */
	void (*status)(void *ctx, int32_t stream, int status, unsigned retry_after);
	/* A part of the answer's body. False: refused, the stream is reset. */
	bool (*body)(void *ctx, int32_t stream, const uint8_t *bytes, size_t len);
	/* The stream is over; @whole: the answer came to its end. */
	void (*closed)(void *ctx, int32_t stream, bool whole);
};

#define HTTP2_STREAMS_MAX 8 /* at a time */

/* @authority is copied. */
struct http2 *http2_new(const char *authority, const struct http2_ops *ops, void *ctx);
void http2_free(struct http2 *h); /* NULL is fine; no ops are called */

/* Sends a request; @body is copied, NULL: none. Returns the stream, or -1: too many, or the connection is over. */
int32_t http2_request(struct http2 *h, const char *method, const char *path, const char *body, size_t len);
/* The answer is not waited for any longer: ops->closed follows, before this returns unless called by an op. */
void http2_cancel(struct http2 *h, int32_t stream);
/* False: the connection is over, @http2_error() says why. */
bool http2_receive(struct http2 *h, const uint8_t *bytes, size_t len);
const char *http2_error(const struct http2 *h);

#endif
