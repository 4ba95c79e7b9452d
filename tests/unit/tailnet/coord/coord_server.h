/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_COORD_SERVER_H
#define SLUICE_TEST_COORD_SERVER_H

/*
 * A coordination server without a network, for the tests of the session with it: HTTP/1.1 by hand, the Noise responder
 * of tailnet_server.h, nghttp2's server side. What it answers is scripted in struct world.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "policy/alloc.h"
#include "tests/unit/tailnet/tailnet_server.h"
#include "user/tailnet/coord/coord.h"
#include "user/tailnet/ipc/netmap_copy.h"
#include "user/base/clock.h"
#include "user/base/secret.h"
#include "user/base/url.h"

#define BUFFER	 (1 << 20)
#define REQUESTS 32

struct buffer {
	uint8_t bytes[BUFFER];
	size_t len;
};

struct request {
	char method[8], path[64], body[2048];
	size_t len;
	int32_t stream;
};

struct answer { /* to the next request of the path; status 0: none, the stream stays open */
	int status;
	const char *body;
	size_t len;
	bool frames; /* body is messages of the netmap, separated by newlines; the stream stays open */
};

enum stage { STAGE_HTTP, STAGE_HTTP2 };

struct world {
	struct coord *coord;
	uint64_t now, deadline;
	size_t chunk; /* bytes that arrive at a time */

	/* the connection */
	bool open, open_pending, server_closes;
	struct buffer to_server, to_client;
	enum stage stage;
	struct noise_server noise;
	nghttp2_session *http2;
	struct answer pending[REQUESTS]; /* being sent, by stream id / 2 */
	size_t sent[REQUESTS];
	int32_t map_stream;
	char *framed[512]; /* bodies made by frame_lines() */
	size_t n_framed;

	/* the script */
	bool old_server; /* answers /key with 404 */
	const char *key_answer;
	bool wrong_noise_key;	 /* is another server than the one whose key was told */
	bool garbage;		 /* instead of HTTP/2 */
	const char *retry_after; /* of answers that refuse; NULL: it is not said */
	bool silent;		 /* does not answer the answers to its pings */
	struct answer registration, keyed /* with the auth key; status 0: as without */, followup, map, update;

	/* what happened */
	struct request requests[REQUESTS];
	size_t n_requests, opens, heads;
	enum wire_state state;
	char text[600], url[300];
	unsigned logins, told[64], relays;
	int64_t clock;
	struct dial_plan plan; /* of the last connection */
	char health[600];      /* as last told */
	struct netmap_copy roster;
};

/* ---- the server ---------------------------------------------------------------------- */

static inline void append(struct buffer *b, const void *bytes, size_t len)
{
	assert_true(len <= BUFFER - b->len);
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static inline void consume(struct buffer *b, size_t len)
{
	memmove(b->bytes, b->bytes + len, b->len - len);
	b->len -= len;
}

static inline ssize_t send_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
				nghttp2_data_source *source, void *ctx)
{
	struct world *w = ctx;
	struct answer *a = &w->pending[id / 2];
	size_t part = a->len - w->sent[id / 2] < size ? a->len - w->sent[id / 2] : size;

	memcpy(buf, a->body + w->sent[id / 2], part);
	w->sent[id / 2] += part;
	if (w->sent[id / 2] == a->len && a->frames)
		return part ? (ssize_t)part : NGHTTP2_ERR_DEFERRED;
	if (w->sent[id / 2] == a->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)part;
}

/* LE32 length in front of each line. */
static inline void frame_lines(struct world *w, struct answer *a)
{
	char *out = mem_alloc(4 * strlen(a->body) + 64, 1);
	const char *line = a->body;
	size_t n = 0;

	while (*line) {
		size_t len = strcspn(line, "\n");

		for (int i = 0; i < 4; i++)
			out[n++] = (char)(len >> 8 * i);
		memcpy(out + n, line, len);
		n += len;
		line += len + (line[len] == '\n');
	}
	assert_true(w->n_framed < 512);
	w->framed[w->n_framed++] = out;
	a->body = out;
	a->len = n;
}

static inline void answer(struct world *w, int32_t id, struct answer a)
{
	nghttp2_data_provider provider = {.read_callback = send_body};
	char status[16];
	nghttp2_nv headers[] = {
		{.name = (uint8_t *)":status", .namelen = 7, .value = (uint8_t *)status, .valuelen = 3},
		{.name = (uint8_t *)"retry-after", .namelen = 11, .value = (uint8_t *)w->retry_after},
	};
	bool more = a.status >= 400 && w->retry_after;

	if (!a.status)
		return;
	assert_true(id / 2 < REQUESTS);
	snprintf(status, sizeof(status), "%d", a.status);
	if (a.body && a.frames)
		frame_lines(w, &a);
	else if (a.body && !a.len)
		a.len = strlen(a.body);
	w->pending[id / 2] = a;
	w->sent[id / 2] = 0;
	headers[1].valuelen = more ? strlen(w->retry_after) : 0;
	assert_int_equal(nghttp2_submit_response(w->http2, id, headers, more ? 2 : 1, &provider), 0);
}

static inline struct request *request_of(struct world *w, int32_t id)
{
	for (size_t i = 0; i < w->n_requests; i++)
		if (w->requests[i].stream == id)
			return &w->requests[i];
	return NULL;
}

static inline int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	struct world *w = ctx;

	assert_true(w->n_requests < REQUESTS);
	w->requests[w->n_requests++] = (struct request){.stream = f->hd.stream_id};
	return 0;
}

static inline int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nl,
			    const uint8_t *value, size_t vl, uint8_t flags, void *ctx)
{
	struct world *w = ctx;
	struct request *r = request_of(w, f->hd.stream_id);

	if (nl == 5 && memcmp(name, ":path", 5) == 0)
		snprintf(r->path, sizeof(r->path), "%s", value);
	if (nl == 7 && memcmp(name, ":method", 7) == 0)
		snprintf(r->method, sizeof(r->method), "%s", value);
	return 0;
}

static inline int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *ctx)
{
	struct world *w = ctx;
	struct request *r = request_of(w, id);

	assert_true(r->len + len < sizeof(r->body));
	memcpy(r->body + r->len, bytes, len);
	r->len += len;
	return 0;
}

static inline int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	struct world *w = ctx;
	struct request *r = request_of(w, f->hd.stream_id);

	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) || !r)
		return 0;
	if (strcmp(r->path, "/machine/register") == 0)
		answer(w, r->stream,
		       strstr(r->body, "Followup")		       ? w->followup
		       : strstr(r->body, "AuthKey") && w->keyed.status ? w->keyed
								       : w->registration);
	else if (strcmp(r->path, "/machine/map") == 0 && strstr(r->body, "\"Stream\":true"))
		answer(w, w->map_stream = r->stream, w->map);
	else if (strcmp(r->path, "/machine/map") == 0)
		answer(w, r->stream, w->update);
	else if (!w->silent)
		answer(w, r->stream, (struct answer){200, "", 0, false});
	return 0;
}

static inline void start_http2(struct world *w)
{
	nghttp2_session_callbacks *c;

	nghttp2_session_callbacks_new(&c);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_server_new(&w->http2, c, w);
	nghttp2_session_callbacks_del(c);
	nghttp2_submit_settings(w->http2, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline void send_plain(struct world *w, const void *bytes, size_t len)
{
	uint8_t record[NOISE_CONTROL_FRAME_MAX];

	for (const uint8_t *p = bytes; len;) {
		size_t part = len < NOISE_CONTROL_PLAIN_MAX ? len : NOISE_CONTROL_PLAIN_MAX;

		append(&w->to_client, record, noise_server_seal(&w->noise, p, part, record));
		p += part;
		len -= part;
	}
}

static inline void flush_http2(struct world *w)
{
	const uint8_t *bytes;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(w->http2, &bytes)) > 0)
		send_plain(w, bytes, (size_t)n);
}

static inline void say(struct world *w, const char *text)
{
	append(&w->to_client, text, strlen(text));
}

static inline void serve_key(struct world *w)
{
	char text[512], key[TAILKEY_SIZE], body[200];

	crypto_public_key(w->noise.secret, w->noise.public);
	snprintf(body, sizeof(body), "{\"legacyPublicKey\":\"x\",\"publicKey\":\"%s\"}",
		 tailkey_text(TAILKEY_MACHINE, w->noise.public, key));
	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
		 w->old_server ? "404 No" : "200 OK", strlen(w->key_answer ? w->key_answer : body),
		 w->key_answer ? w->key_answer : body);
	say(w, text);
}

static inline void serve_upgrade(struct world *w, const char *text)
{
	uint8_t init[NOISE_CONTROL_INIT_LEN], response[NOISE_RESPONSE_LEN];
	const char *value = strstr(text, "X-Tailscale-Handshake: ") + 23;
	size_t n;

	assert_non_null(strstr(text, "Upgrade: tailscale-control-protocol\r\n"));
	assert_int_equal(sodium_base642bin(init, sizeof(init), value, strcspn(value, "\r"), NULL, &n, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	assert_int_equal(n, sizeof(init));
	if (w->wrong_noise_key)
		memset(w->noise.secret, 0x66, 32);
	say(w,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n");
	if (!noise_server_respond(&w->noise, init, response)) {
		append(&w->to_client, "\x03\x00\x04nope", 7);
		return;
	}
	append(&w->to_client, response, sizeof(response));
	send_plain(w, "\xff\xff\xffTS\x00\x00\x00\x02{}", 11); /* T3 */
	w->stage = STAGE_HTTP2;
	if (w->garbage) {
		send_plain(w, "GET / HTTP/1.1\r\n\r\n and so on and so on", 40);
		return;
	}
	start_http2(w);
	flush_http2(w);
}

static inline void serve_records(struct world *w)
{
	uint8_t plain[NOISE_CONTROL_FRAME_MAX];

	while (w->to_server.len >= 3) {
		size_t len = 3 + (size_t)(w->to_server.bytes[1] << 8 | w->to_server.bytes[2]);
		int n;

		if (w->to_server.len < len)
			return;
		n = noise_server_open(&w->noise, w->to_server.bytes, len, plain);
		assert_true(n >= 0);
		consume(&w->to_server, len);
		if (!w->garbage) {
			assert_int_equal(nghttp2_session_mem_recv(w->http2, plain, (size_t)n), n);
			flush_http2(w);
		}
	}
}

static inline void serve(struct world *w)
{
	char *text = (char *)w->to_server.bytes;

	w->to_server.bytes[w->to_server.len] = 0;
	if (w->stage == STAGE_HTTP2) {
		serve_records(w);
	} else if (strstr(text, "\r\n\r\n")) {
		assert_true(strstr(text, "Host: hs.test\r\n") != NULL);
		if (strncmp(text, "GET /key?v=131 ", 15) == 0)
			serve_key(w);
		else if (strncmp(text, "POST /ts2021 ", 13) == 0)
			serve_upgrade(w, text);
		else
			fail_msg("unexpected request: %s", text);
		w->to_server.len = 0;
	}
}

#endif
