/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2 by nghttp2 (http2.h). nghttp2 bounds header lists, control frames and
 * the number of acknowledgements it queues; flow control is left automatic, for
 * what arrives is consumed at once.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http2.h"
#include "policy/alloc.h"
#include "user/base/secret.h"

#define RETRY_AFTER_MAX 3600
#define WINDOW		(4 << 20) /* a netmap of thousands of peers should not wait for window updates */

struct stream {
	int32_t id; /* 0: free */
	char *body; /* of the request */
	size_t len, sent;
	int status;
	unsigned retry_after; /* seconds */
};

struct http2 {
	nghttp2_session *session;
	const struct http2_ops *ops;
	void *ctx;
	char *authority;
	struct stream streams[HTTP2_STREAMS_MAX];
	bool receiving; /* bytes are sent when it is over */
	char error[96];
};

/* 0: it is none, or more than @max. */
static unsigned http2_read_number(const char *text, size_t len, unsigned max)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || n > max / 10)
			return 0;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	return n > max ? 0 : n;
}

static struct stream *http2_find(struct http2 *h, int32_t id)
{
	for (size_t i = 0; i < HTTP2_STREAMS_MAX; i++)
		if (h->streams[i].id == id)
			return &h->streams[i];
	return NULL;
}

static ssize_t http2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
			       nghttp2_data_source *source, void *ctx)
{
	struct stream *s = source->ptr;
	size_t part = s->len - s->sent < size ? s->len - s->sent : size;

	memcpy(buf, s->body + s->sent, part);
	s->sent += part;
	if (s->sent == s->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)part;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
	struct stream *s = http2_find(ctx, frame->hd.stream_id);

	if (s && name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3)
		s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
	else if (s && name_len == 11 && memcmp(name, "retry-after", 11) == 0) /* a date, or too much: not said */
		s->retry_after = http2_read_number((const char *)value, value_len, RETRY_AFTER_MAX);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *h = ctx;
	struct stream *s = http2_find(h, frame->hd.stream_id);

	/* An interim answer (1xx) is followed by the real one. */
	if (frame->hd.type == NGHTTP2_HEADERS && s && frame->hd.stream_id && s->status >= 200)
		h->ops->status(h->ctx, s->id, s->status, s->retry_after);
	if (frame->hd.type == NGHTTP2_GOAWAY && !*h->error)
		snprintf(h->error, sizeof(h->error), "the server closes the connection (%s)",
			 nghttp2_http2_strerror(frame->goaway.error_code));
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *ctx)
{
	struct http2 *h = ctx;

	if (http2_find(h, id) && !h->ops->body(h->ctx, id, bytes, len))
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
	struct http2 *h = ctx;
	struct stream *s = http2_find(h, id);

	if (!s)
		return 0;
	secret_wiping_free(s->body);
	*s = (struct stream){0};
	h->ops->closed(h->ctx, id, error == NGHTTP2_NO_ERROR);
	return 0;
}

static void *http2_malloc(size_t size, void *ctx)
{
	return malloc(size);
}

static void *http2_calloc(size_t n, size_t size, void *ctx)
{
	return calloc(n, size);
}

static void *http2_realloc(void *at, size_t size, void *ctx)
{
	return realloc(at, size);
}

static void http2_wipe(void *at, void *ctx)
{
	secret_wiping_free(at);
}

static nghttp2_session *new_session(struct http2 *h)
{
	nghttp2_mem memory = {NULL, http2_malloc, http2_wipe, http2_calloc,
			      http2_realloc}; /* a body has the auth key */
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&callbacks))
		return NULL;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (nghttp2_session_client_new3(&session, callbacks, h, NULL, &memory))
		session = NULL;
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

struct http2 *http2_new(const char *authority, const struct http2_ops *ops, void *ctx)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
	};
	struct http2 *h = mem_alloc(1, sizeof(*h));

	h->ops = ops;
	h->ctx = ctx;
	h->authority = mem_strdup(authority);
	h->session = new_session(h);
	if (!h->session || nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 2) ||
	    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, WINDOW)) {
		http2_free(h);
		return NULL;
	}
	return h;
}

void http2_free(struct http2 *h)
{
	if (!h)
		return;
	nghttp2_session_del(h->session);
	for (size_t i = 0; i < HTTP2_STREAMS_MAX; i++)
		secret_wiping_free(h->streams[i].body);
	free(h->authority);
	free(h);
}

static bool http2_flush(struct http2 *h)
{
	const uint8_t *bytes;
	ssize_t len;

	while ((len = nghttp2_session_mem_send(h->session, &bytes)) > 0)
		if (!h->ops->send(h->ctx, bytes, (size_t)len))
			return false;
	return len == 0;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)name, .namelen = strlen(name), .value = (uint8_t *)value, .valuelen = strlen(value)};
}

int32_t http2_request(struct http2 *h, const char *method, const char *path, const char *body, size_t len)
{
	struct stream *s = http2_find(h, 0);
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = http2_read_body};
	nghttp2_nv headers[] = {
		header(":method", method),
		header(":scheme", "https"),
		header(":authority", h->authority),
		header(":path", path),
		header("content-type", "application/json"),
	};
	int32_t id;

	if (!s)
		return -1;
	id = nghttp2_submit_request(h->session, NULL, headers, body ? 5 : 4, body ? &provider : NULL, NULL);
	if (id < 0)
		return -1;
	*s = (struct stream){.id = id, .body = body ? mem_strndup(body, len) : NULL, .len = len};
	if (!h->receiving && !http2_flush(h))
		return -1;
	return id;
}

void http2_cancel(struct http2 *h, int32_t stream)
{
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
	if (!h->receiving)
		http2_flush(h);
}

bool http2_receive(struct http2 *h, const uint8_t *bytes, size_t len)
{
	ssize_t used;

	h->receiving = true;
	used = nghttp2_session_mem_recv(h->session, bytes, len);
	h->receiving = false;
	if (used < 0) {
		snprintf(h->error, sizeof(h->error), "HTTP/2: %s", nghttp2_strerror((int)used));
		http2_flush(h);
		return false;
	}
	if (http2_flush(h) && (nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session)))
		return true;
	if (!*h->error)
		snprintf(h->error, sizeof(h->error), "HTTP/2: the server does not keep to the protocol");
	return false;
}

const char *http2_error(const struct http2 *h)
{
	return h->error;
}
