/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T1-T7, T11, T13: the session with a coordination server, without a network.
 * The server is the test's own: HTTP/1.1 by hand, the Noise responder of
 * tests/tailnet_server.h, nghttp2's server side; what it answers is scripted.
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
#include "user/tailnet/coord/pings.h"
#include "user/tailnet/ipc/roster.h"
#include "user/tailnet/tailnet.h"
#include "user/base/clock.h"
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
	char remarks[600];     /* as last told */
	struct roster roster;
};

static struct world *w;

/* ---- the server ---------------------------------------------------------------------- */

static void append(struct buffer *b, const void *bytes, size_t len)
{
	assert_true(len <= BUFFER - b->len);
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static void consume(struct buffer *b, size_t len)
{
	memmove(b->bytes, b->bytes + len, b->len - len);
	b->len -= len;
}

static ssize_t send_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
			 nghttp2_data_source *source, void *ctx)
{
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
static void frame_lines(struct answer *a)
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

static void answer(int32_t id, struct answer a)
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
		frame_lines(&a);
	else if (a.body && !a.len)
		a.len = strlen(a.body);
	w->pending[id / 2] = a;
	w->sent[id / 2] = 0;
	headers[1].valuelen = more ? strlen(w->retry_after) : 0;
	assert_int_equal(nghttp2_submit_response(w->http2, id, headers, more ? 2 : 1, &provider), 0);
}

static struct request *request_of(int32_t id)
{
	for (size_t i = 0; i < w->n_requests; i++)
		if (w->requests[i].stream == id)
			return &w->requests[i];
	return NULL;
}

static int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	assert_true(w->n_requests < REQUESTS);
	w->requests[w->n_requests++] = (struct request){.stream = f->hd.stream_id};
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nl, const uint8_t *value,
		     size_t vl, uint8_t flags, void *ctx)
{
	struct request *r = request_of(f->hd.stream_id);

	if (nl == 5 && memcmp(name, ":path", 5) == 0)
		snprintf(r->path, sizeof(r->path), "%s", value);
	if (nl == 7 && memcmp(name, ":method", 7) == 0)
		snprintf(r->method, sizeof(r->method), "%s", value);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *ctx)
{
	struct request *r = request_of(id);

	assert_true(r->len + len < sizeof(r->body));
	memcpy(r->body + r->len, bytes, len);
	r->len += len;
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	struct request *r = request_of(f->hd.stream_id);

	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) || !r)
		return 0;
	if (strcmp(r->path, "/machine/register") == 0)
		answer(r->stream, strstr(r->body, "Followup")			  ? w->followup
				  : strstr(r->body, "AuthKey") && w->keyed.status ? w->keyed
										  : w->registration);
	else if (strcmp(r->path, "/machine/map") == 0 && strstr(r->body, "\"Stream\":true"))
		answer(w->map_stream = r->stream, w->map);
	else if (strcmp(r->path, "/machine/map") == 0)
		answer(r->stream, w->update);
	else if (!w->silent)
		answer(r->stream, (struct answer){200, "", 0, false});
	return 0;
}

static void start_http2(void)
{
	nghttp2_session_callbacks *c;

	nghttp2_session_callbacks_new(&c);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_server_new(&w->http2, c, NULL);
	nghttp2_session_callbacks_del(c);
	nghttp2_submit_settings(w->http2, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void send_plain(const void *bytes, size_t len)
{
	uint8_t record[NOISE_CONTROL_FRAME_MAX];

	for (const uint8_t *p = bytes; len;) {
		size_t part = len < NOISE_CONTROL_PLAIN_MAX ? len : NOISE_CONTROL_PLAIN_MAX;

		append(&w->to_client, record, noise_server_seal(&w->noise, p, part, record));
		p += part;
		len -= part;
	}
}

static void flush_http2(void)
{
	const uint8_t *bytes;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(w->http2, &bytes)) > 0)
		send_plain(bytes, (size_t)n);
}

static void say(const char *text)
{
	append(&w->to_client, text, strlen(text));
}

static void serve_key(void)
{
	char text[512], key[TAILKEY_SIZE], body[200];

	crypto_public_key(w->noise.secret, w->noise.public);
	snprintf(body, sizeof(body), "{\"legacyPublicKey\":\"x\",\"publicKey\":\"%s\"}",
		 tailkey_text(TAILKEY_MACHINE, w->noise.public, key));
	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
		 w->old_server ? "404 No" : "200 OK", strlen(w->key_answer ? w->key_answer : body),
		 w->key_answer ? w->key_answer : body);
	say(text);
}

static void serve_upgrade(const char *text)
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
	say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n");
	if (!noise_server_respond(&w->noise, init, response)) {
		append(&w->to_client, "\x03\x00\x04nope", 7);
		return;
	}
	append(&w->to_client, response, sizeof(response));
	send_plain("\xff\xff\xffTS\x00\x00\x00\x02{}", 11); /* T3 */
	w->stage = STAGE_HTTP2;
	if (w->garbage) {
		send_plain("GET / HTTP/1.1\r\n\r\n and so on and so on", 40);
		return;
	}
	start_http2();
	flush_http2();
}

static void serve_records(void)
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
			flush_http2();
		}
	}
}

static void serve(void)
{
	char *text = (char *)w->to_server.bytes;

	w->to_server.bytes[w->to_server.len] = 0;
	if (w->stage == STAGE_HTTP2) {
		serve_records();
	} else if (strstr(text, "\r\n\r\n")) {
		assert_true(strstr(text, "Host: hs.test\r\n") != NULL);
		if (strncmp(text, "GET /key?v=131 ", 15) == 0)
			serve_key();
		else if (strncmp(text, "POST /ts2021 ", 13) == 0)
			serve_upgrade(text);
		else
			fail_msg("unexpected request: %s", text);
		w->to_server.len = 0;
	}
}

/* ---- the client's surroundings ------------------------------------------------------------ */

static void do_open(void *ctx, const struct url *to, const struct dial_plan *plan)
{
	w->plan = plan ? *plan : (struct dial_plan){0};
	assert_string_equal(to->host, "hs.test");
	assert_false(w->open);
	w->open = w->open_pending = true;
	w->to_server.len = w->to_client.len = 0;
	w->stage = STAGE_HTTP;
	w->opens++;
}

static void do_close(void *ctx)
{
	w->open = w->open_pending = false;
	nghttp2_session_del(w->http2);
	w->http2 = NULL;
}

static void do_send(void *ctx, const uint8_t *bytes, size_t len)
{
	assert_true(w->open);
	append(&w->to_server, bytes, len);
}

static void do_head(void *ctx, const struct url *to)
{
	assert_true(strncmp(to->path, "/ping/", 6) == 0);
	w->heads++;
}

static void do_tell(void *ctx, const struct wire_message *m)
{
	static uint8_t bytes[WIRE_MAX];
	struct wire_message copy;
	size_t len = wire_encode(m, bytes, sizeof(bytes));

	assert_true(len && wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
	w->told[m->type]++;
	if (m->type == WIRE_STATUS) {
		w->state = m->status.state;
		snprintf(w->text, sizeof(w->text), "%s", m->status.text);
	} else if (m->type == WIRE_LOGIN) {
		snprintf(w->url, sizeof(w->url), "%s", m->url);
	} else if (m->type == WIRE_REMARKS) {
		snprintf(w->remarks, sizeof(w->remarks), "%s", copy.remarks.n ? copy.remarks.v[0].text : "");
	} else if (m->type == WIRE_CLOCK) {
		w->clock = m->clock;
	} else {
		assert_int_not_equal(roster_take(&w->roster, &copy), ROSTER_REFUSED);
	}
	wire_message_free(&copy);
}

static void do_relays(void *ctx, struct derpmap *m)
{
	w->relays++;
}

static void do_random(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static const struct coord_ops ops = {do_open, do_send, do_close, do_head, do_tell, do_relays, do_random};

static struct wire_config make_config(void)
{
	struct wire_config c = {
		.server = mem_strdup("https://hs.test"),
		.auth_key = mem_strdup("key-123"),
		.hostname = mem_strdup("gw-1"),
		.version = mem_strdup("1"),
		.os_version = mem_strdup("6"),
		.ca = mem_strdup(""),
		.relays = true,
	};

	memset(c.machine, 0x31, KEY_LEN);
	return c;
}

static void break_connection(const char *why)
{
	w->open = w->open_pending = false;
	nghttp2_session_del(w->http2);
	w->http2 = NULL;
	coord_closed(w->coord, why, w->now);
}

/* Until nobody has anything to do any more. */
static void pump(void)
{
	for (bool busy = true; busy;) {
		busy = false;
		w->deadline = coord_tick(w->coord, w->now);
		if (w->open_pending) {
			w->open_pending = false;
			coord_opened(w->coord, w->now);
			busy = true;
		}
		if (w->open && w->to_server.len) {
			size_t before = w->to_server.len;

			serve();
			busy |= w->to_server.len != before;
		}
		if (w->open && w->to_client.len) {
			size_t part = w->to_client.len < w->chunk ? w->to_client.len : w->chunk;
			uint8_t *bytes = mem_alloc(part, 1);

			memcpy(bytes, w->to_client.bytes, part);
			consume(&w->to_client, part);
			coord_received(w->coord, bytes, part, w->now);
			free(bytes);
			busy = true;
		}
		if (w->open && w->server_closes && !w->to_client.len) {
			w->server_closes = false;
			break_connection("closed by the other end");
			busy = true;
		}
	}
}

static void told(enum wire_type type)
{
	struct wire_message m = {.type = type};

	if (type == WIRE_KEYS) {
		memset(m.keys.node, 0x41, KEY_LEN);
		memset(m.keys.disco, 0x42, KEY_LEN);
	}
	coord_told(w->coord, &m, w->now);
}

static void begin(void)
{
	struct wire_config config = make_config();
	char error[200];

	w = mem_alloc(1, sizeof(*w));
	w->now = 1000 * NS_PER_SEC;
	w->chunk = BUFFER;
	memset(w->noise.secret, 0x55, 32);
	w->registration = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
	w->update = (struct answer){200, "", 0, false};
	w->coord = coord_new(&config, &ops, NULL, error);
	assert_non_null(w->coord);
}

static void end(void)
{
	coord_free(w->coord);
	roster_free(&w->roster);
	while (w->n_framed)
		free(w->framed[--w->n_framed]);
	free(w);
}

/* One more message of the netmap. */
static void say_on_map(const char *message)
{
	struct answer a = {200, message, 0, true};

	frame_lines(&a);
	w->pending[w->map_stream / 2] = a;
	w->sent[w->map_stream / 2] = 0;
	assert_int_equal(nghttp2_session_resume_data(w->http2, w->map_stream), 0);
	flush_http2();
	pump();
}

#define HEX62	   "00000000000000000000000000000000000000000000000000000000000000"
#define NODE(more) "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:" HEX62 "41\",\"Addresses\":[\"100.64.0.1/32\"]" more "}"
#define SELF	   NODE(",\"MachineAuthorized\":true")
#define PEER(id)   "{\"ID\":" id ",\"Key\":\"nodekey:" HEX62 "0" id "\",\"Addresses\":[\"100.64.0." id "/32\"]}"

static const struct answer good_map = {
	200,
	SELF ",\"Peers\":[" PEER("2") "," PEER("3") "],\"DERPMap\":{\"Regions\":{}}}\n"
						    "{\"PeersRemoved\":[3],\"PeersChanged\":[" PEER(
							    "4") "]}\n{\"KeepAlive\":true}",
	0, true};

static const struct request *find_request(const char *path, const char *part)
{
	for (size_t i = 0; i < w->n_requests; i++)
		if (strcmp(w->requests[i].path, path) == 0 && strstr(w->requests[i].body, part))
			return &w->requests[i];
	return NULL;
}

static const struct answer wants_login = {200, "{\"AuthURL\":\"https://hs.test/register/abc\"}", 0, false};

/* ---- the tests ------------------------------------------------------------------------------- */

static void connects(void **state)
{
	static const size_t chunks[] = {BUFFER, 1, 7, 1000};

	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		begin();
		w->chunk = chunks[i];
		w->registration = wants_login;
		w->keyed = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
		w->map = good_map;
		pump();
		assert_int_equal(w->opens, 0); /* without keys there is nobody to register */
		told(WIRE_KEYS);
		pump();
		assert_int_equal(w->opens, 2); /* the key, then the session */
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		assert_int_equal(w->roster.map.n_peers, 2);
		assert_non_null(netmap_peer(&w->roster.map, 4));
		assert_int_equal(w->relays, 1);
		assert_non_null(find_request("/machine/register", "\"Auth\":{\"AuthKey\":\"key-123\"}"));
		assert_non_null(find_request("/machine/register", "\"Hostname\":\"gw-1\""));
		assert_non_null(find_request("/machine/map", "\"Stream\":true"));
		assert_non_null(find_request("/machine/map", "\"DiscoKey\":\"discokey:4242"));
		assert_non_null(find_request("/machine/map", "\"Compress\":\"\""));
		end();
	}
}

/* Whoever is known needs no auth key: one that was deleted on the server keeps no node out. */
static void known_without_key(void **state)
{
	begin();
	w->keyed = (struct answer){401, "auth-key not found", 0, false};
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_null(find_request("/machine/register", "AuthKey"));
	end();
}

/* `up` has read its file again. */
static void another_auth_key(void **state)
{
	struct wire_message again = {.type = WIRE_RECONNECT, .auth_key = mem_strdup("key-456")};

	begin();
	w->registration = wants_login;
	w->keyed = (struct answer){401, "authkey already used", 0, false};
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_non_null(strstr(w->text, "authkey already used"));
	w->keyed = (struct answer){200, "{}", 0, false};
	coord_told(w->coord, &again, w->now);
	assert_null(again.auth_key);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_non_null(find_request("/machine/register", "key-456"));
	again.auth_key = mem_strdup("key\x01");
	coord_told(w->coord, &again, w->now);
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_non_null(strstr(w->text, "auth key"));
	wire_message_free(&again);
	end();
}

static void pinned_key(void **state)
{
	struct wire_config config = make_config();
	char error[200];

	begin();
	coord_free(w->coord);
	config.pinned = true;
	free(config.server);
	config.server = mem_strdup("http://hs.test"); /* Noise proves who it is, TLS is not needed */
	crypto_public_key(w->noise.secret, config.server_key);
	w->coord = coord_new(&config, &ops, NULL, error);
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->opens, 1);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

static void refused_configurations(void **state)
{
	static const struct {
		const char *server, *hostname, *key, *says;
	} cases[] = {
		{"http://hs.test", "gw", "", "plain HTTP"},	   {"hs.test", "gw", "", "login_server"},
		{"https://hs.test", "", "", "hostname"},	   {"https://hs.test", "g\nw", "", "hostname"},
		{"https://hs.test", "gw", "a\"b\x01", "auth key"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire_message m = {.type = WIRE_CONFIG, .config = make_config()};
		char error[200];

		free(m.config.server);
		free(m.config.hostname);
		free(m.config.auth_key);
		m.config.server = mem_strdup(cases[i].server);
		m.config.hostname = mem_strdup(cases[i].hostname);
		m.config.auth_key = mem_strdup(cases[i].key);
		assert_null(coord_new(&m.config, &ops, NULL, error));
		assert_non_null(strstr(error, cases[i].says));
		wire_message_free(&m);
	}
}

/* Whatever the server does: a state and a text, and another try, later every time. */
static void servers_that_misbehave(void **state)
{
	static const struct {
		const char *name;
		struct answer registration, map;
		bool old, wrong_key, garbage;
		const char *key;
		enum wire_state state;
		const char *says;
	} cases[] = {
		{.name = "old", .old = true, .state = WIRE_STATE_OFFLINE, .says = "404"},
		{.name = "no key", .key = "{}", .state = WIRE_STATE_OFFLINE, .says = "publicKey"},
		{.name = "bad key", .key = "{\"publicKey\":7}", .state = WIRE_STATE_OFFLINE, .says = "publicKey"},
		{.name = "zero key",
		 .key = "{\"publicKey\":\"mkey:" HEX62 "00\"}",
		 .state = WIRE_STATE_OFFLINE,
		 .says = "key"},
		{.name = "no JSON", .key = "<html>", .state = WIRE_STATE_OFFLINE, .says = "JSON"},
		{.name = "another server", .wrong_key = true, .state = WIRE_STATE_OFFLINE, .says = "nope"},
		{.name = "garbage", .garbage = true, .state = WIRE_STATE_OFFLINE, .says = "HTTP/2"},
		{.name = "refuses",
		 .registration = {200, "{\"Error\":\"go \\u001b[31maway\"}", 0, false},
		 .state = WIRE_STATE_REFUSED,
		 .says = "go \\x1b[31maway"},
		{.name = "401",
		 .registration = {401, "invalid pre auth key\nx", 0, false},
		 .state = WIRE_STATE_REFUSED,
		 .says = "invalid pre auth key"},
		{.name = "500", .registration = {500, "oops", 0, false}, .state = WIRE_STATE_OFFLINE, .says = "500"},
		{.name = "register garbage",
		 .registration = {200, "nonsense", 0, false},
		 .state = WIRE_STATE_OFFLINE,
		 .says = "answer to register"},
		{.name = "register types",
		 .registration = {200, "{\"AuthURL\":7}", 0, false},
		 .state = WIRE_STATE_OFFLINE,
		 .says = "AuthURL"},
		{.name = "bad URL",
		 .registration = {200, "{\"AuthURL\":\"javascript:x\"}", 0, false},
		 .state = WIRE_STATE_OFFLINE,
		 .says = "AuthURL"},
		{.name = "map 404", .map = {404, "who?", 0, false}, .state = WIRE_STATE_REFUSED, .says = "who?"},
		{.name = "map ends", .map = {200, "", 0, false}, .state = WIRE_STATE_OFFLINE, .says = "ended"},
		{.name = "map garbage",
		 .map = {200, "nonsense", 0, true},
		 .state = WIRE_STATE_UNREADABLE,
		 .says = "JSON"},
		{.name = "map types",
		 .map = {200, SELF ",\"Peers\":7}", 0, true},
		 .state = WIRE_STATE_UNREADABLE,
		 .says = "Peers"},
		{.name = "map without us",
		 .map = {200, "{\"Peers\":[]}", 0, true},
		 .state = WIRE_STATE_UNREADABLE,
		 .says = "our own node"},
		{.name = "map too long",
		 .map = {200, "\xff\xff\xff\xff", 0, false},
		 .state = WIRE_STATE_UNREADABLE,
		 .says = "too long"},
		{.name = "lock",
		 .map = {200, SELF ",\"TKAInfo\":{\"Head\":\"x\"}}", 0, true},
		 .state = WIRE_STATE_REFUSED,
		 .says = "tailnet lock"},
		{.name = "later garbage",
		 .map = {200, SELF "}\n{\"PeersRemoved\":\"x\"}", 0, true},
		 .state = WIRE_STATE_UNREADABLE,
		 .says = "PeersRemoved"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t opens;

		begin();
		w->old_server = cases[i].old;
		w->wrong_noise_key = cases[i].wrong_key;
		w->garbage = cases[i].garbage;
		w->key_answer = cases[i].key;
		if (cases[i].registration.status)
			w->registration = cases[i].registration;
		w->map = cases[i].map.status ? cases[i].map : good_map;
		told(WIRE_KEYS);
		pump();
		if (w->state != cases[i].state || !strstr(w->text, cases[i].says))
			fail_msg("%s: state %d, \"%s\"", cases[i].name, w->state, w->text);
		assert_false(w->open);
		assert_in_range(w->deadline - w->now, NS_PER_SEC / 2, 90 * NS_PER_SEC);
		opens = w->opens;
		w->now = w->deadline;
		pump();
		assert_true(w->opens > opens); /* it has tried again */
		end();
	}
}

/* A server that is going down refuses, too (headscale): soon it is another one. */
static void refused_once(void **state)
{
	begin();
	w->registration = (struct answer){200, "{\"Error\":\"sql: database is closed\"}", 0, false};
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_in_range(coord_tick(w->coord, w->now) - w->now, 1, 2 * NS_PER_SEC);
	end();
}

static void backs_off(void **state)
{
	uint64_t longest = 0, waited = 0;

	begin();
	told(WIRE_KEYS);
	for (int i = 0; i < 12; i++) {
		uint64_t pause;

		coord_tick(w->coord, w->now);
		assert_true(w->open);
		break_connection("refused");
		w->deadline = coord_tick(w->coord, w->now);
		pause = w->deadline - w->now;
		longest = pause > longest ? pause : longest;
		waited += pause;
		w->now = w->deadline;
	}
	assert_in_range(longest, 15 * NS_PER_SEC, 45 * NS_PER_SEC);
	assert_in_range(waited, 60 * NS_PER_SEC, 400 * NS_PER_SEC);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_string_equal(w->text, "hs.test: refused");
	end();
}

/* The server goes away and comes back: the netmap stays meanwhile, and is then told whole. */
static void server_restarts(void **state)
{
	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	w->server_closes = true;
	pump();
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_int_equal(w->roster.map.n_peers, 2);
	netmap_settle(&w->roster.map);
	w->map = (struct answer){200, SELF ",\"Peers\":[" PEER("4") "]}", 0, true};
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_int_equal(w->roster.map.n_peers, 1);
	assert_int_equal(w->roster.map.n_removed, 1);
	assert_false(netmap_peer(&w->roster.map, 4)->changed);
	end();
}

/* It comes back with another key: the old one fails once, then the new one is asked for. */
static void server_key_changes(void **state)
{
	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	memset(w->noise.secret, 0x56, 32);
	w->server_closes = true;
	pump();
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	w->now = w->deadline;
	w->n_requests = 0;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* T6: nothing for 120 s. */
static void silence(void **state)
{
	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->deadline, w->now + 120 * NS_PER_SEC);
	w->now = w->deadline - 1;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	w->now++;
	pump();
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_false(w->open);
	end();
}

static void never_answers(void **state)
{
	begin();
	told(WIRE_KEYS);
	w->deadline = coord_tick(w->coord, w->now);
	assert_true(w->open);
	w->now = coord_tick(w->coord, w->now);
	coord_tick(w->coord, w->now);
	assert_false(w->open);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	end();
}

static void interactive_login(void **state)
{
	begin();
	w->registration = wants_login;
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	assert_string_equal(w->url, "https://hs.test/register/abc");
	assert_non_null(find_request("/machine/register", "\"Followup\":\"https://hs.test/register/abc\""));
	w->now += 300 * NS_PER_SEC; /* people take their time */
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	answer(find_request("/machine/register", "Followup")->stream,
	       (struct answer){200, "{\"MachineAuthorized\":true}", 0, false});
	flush_http2();
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* The connection breaks, or `up` asks for another one, while somebody logs in: the same URL counts on. */
static void login_over_two_connections(void **state)
{
	struct wire_message again = {.type = WIRE_RECONNECT};

	begin();
	w->registration = wants_login;
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	memset(w->url, 0, sizeof(w->url));
	w->n_requests = 0;
	coord_told(w->coord, &again, w->now);
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	assert_string_equal(w->url, "https://hs.test/register/abc");
	w->now += 300 * NS_PER_SEC;
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	answer(find_request("/machine/register", "Followup")->stream,
	       (struct answer){200, "{\"MachineAuthorized\":true}", 0, false});
	flush_http2();
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* A server that does not wait must not make us ask without end. */
static void login_without_waiting(void **state)
{
	begin();
	w->registration = w->followup = wants_login;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_int_equal(w->n_requests, 3); /* plain, with the auth key, to follow up */
	end();
}

/* T13 */
static void expired_key(void **state)
{
	struct wire_message keys = {.type = WIRE_KEYS};

	begin();
	w->registration = (struct answer){200, "{\"NodeKeyExpired\":true}", 0, false};
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_EXPIRED);
	assert_int_equal(w->deadline, UINT64_MAX); /* nothing but a new key helps */
	w->registration = (struct answer){200, "{}", 0, false};
	memset(keys.keys.node, 0x51, KEY_LEN);
	memset(keys.keys.old_node, 0x41, KEY_LEN);
	w->n_requests = 0;
	coord_told(w->coord, &keys, w->now);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_non_null(find_request("/machine/register", "\"OldNodeKey\":\"nodekey:4141"));
	end();
}

static void logout(void **state)
{
	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	w->n_requests = 0;
	told(WIRE_LOGOUT);
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGGED_OUT);
	assert_non_null(find_request("/machine/register", "\"Expiry\":\"19"));
	assert_null(find_request("/machine/register", "AuthKey"));
	assert_false(w->open);
	told(WIRE_RECONNECT);
	w->n_requests = 0;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* Changes on our side go out while the map is open, one request at a time. */
static void updates(void **state)
{
	struct wire_message m = {.type = WIRE_NETINFO, .netinfo = {9, true, true}};
	struct wire_message e = {.type = WIRE_ENDPOINTS};
	const struct request *first;

	begin();
	w->map = good_map;
	w->update.status = 0; /* is slow */
	told(WIRE_KEYS);
	pump();
	first = find_request("/machine/map", "\"OmitPeers\":true"); /* who follows the netmap tells of itself apart */
	assert_non_null(first);
	answer(first->stream, (struct answer){200, "", 0, false});
	flush_http2();
	pump();
	coord_told(w->coord, &m, w->now);
	e.endpoints = (struct wire_endpoints){mem_alloc(1, sizeof(struct map_endpoint)), 1};
	e.endpoints.v[0] = (struct map_endpoint){{addr_from_v4(htobe32(0xc0000201)), 41641}, ENDPOINT_STUN};
	coord_told(w->coord, &e, w->now);
	pump();
	assert_non_null(find_request("/machine/map", "\"PreferredDERP\":9"));
	assert_null(find_request("/machine/map", "192.0.2.1:41641"));
	answer(find_request("/machine/map", "\"PreferredDERP\":9")->stream, (struct answer){200, "", 0, false});
	flush_http2();
	pump();
	assert_non_null(find_request("/machine/map", "\"Endpoints\":[\"192.0.2.1:41641\"],\"EndpointTypes\":[2]"));
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* To what is due next, on a map that is alive. */
static void pass_time(void)
{
	w->now = w->deadline < w->now + 60 * NS_PER_SEC ? w->deadline : w->now + 60 * NS_PER_SEC;
	say_on_map("{\"KeepAlive\":true}");
}

static size_t count_updates(void)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_requests; i++)
		n += strstr(w->requests[i].body, "\"OmitPeers\":true") != NULL;
	return n;
}

/* What the server did not confirm it does not know: it is told again, later every time, until it does. */
static void updates_that_fail(void **state)
{
	static const struct {
		const char *name;
		struct answer update;
		bool reset; /* instead of an answer */
	} cases[] = {
		{"refused", {500, "oops", 0, false}, false},
		{"too often", {429, "", 0, false}, false},
		{"reset", {0}, true},
		{"never answered", {0}, false},
		{"half an answer", {200, "{\"a\":1}", 0, true}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t longest = 0;

		begin();
		w->map = good_map;
		w->update = cases[i].update;
		told(WIRE_KEYS);
		pump();
		for (size_t tries = 1; tries <= 10; tries++) { /* more than there are streams at a time */
			uint64_t since = w->now;

			if (count_updates() != tries)
				fail_msg("%s: %zu updates, not %zu", cases[i].name, count_updates(), tries);
			if (cases[i].reset)
				nghttp2_submit_rst_stream(w->http2, 0, w->requests[w->n_requests - 1].stream,
							  NGHTTP2_REFUSED_STREAM);
			flush_http2();
			pump();
			while (count_updates() == tries && w->now < since + 100 * NS_PER_SEC)
				pass_time();
			longest = w->now - since > longest ? w->now - since : longest;
		}
		assert_in_range(longest, 15 * NS_PER_SEC, 70 * NS_PER_SEC);
		w->n_requests = 0;
		w->update = (struct answer){200, "", 0, false};
		for (int k = 0; k < 4; k++)
			pass_time();
		assert_int_equal(count_updates(), 1); /* and it is known now */
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		assert_int_equal(w->opens, 2);
		end();
	}
}

/* T11 */
static void pings(void **state)
{
	begin();
	w->map = (struct answer){200,
				 SELF "}\n{\"PingRequest\":{\"URL\":\"https://hs.test/ping/1\"}}\n"
				      "{\"PingRequest\":{\"URL\":\"https://hs.test/noise/1\",\"URLIsNoise\":true}}",
				 0, true};
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->heads, 1);
	assert_non_null(find_request("/noise/1", ""));
	assert_string_equal(find_request("/noise/1", "")->method, "HEAD");
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

static size_t count_requests(const char *method)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_requests; i++)
		n += !strcmp(w->requests[i].method, method);
	return n;
}

/* T11: however many there are and however they end, the session's streams stay free for what it is for. */
static void a_flood_of_pings(void **state)
{
	struct wire_message m = {.type = WIRE_NETINFO};
	size_t updates, answered;

	begin();
	w->map = good_map;
	w->silent = true;
	told(WIRE_KEYS);
	pump();
	for (int i = 0; i < 100; i++) {
		char json[200];

		sprintf(json, "{\"PingRequest\":{\"URL\":\"https://hs.test/noise/%d\",\"URLIsNoise\":true}}", i);
		say_on_map(json);
		sprintf(json, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://hs.test/ping/%d\"}}", i);
		say_on_map(json);
		say_on_map(json); /* the same */
	}
	assert_int_equal(count_requests("HEAD"), PINGS_MAX);
	assert_int_equal(w->heads, PINGS_BURST - PINGS_MAX);
	updates = count_updates();
	coord_told(w->coord, &m, w->now);
	pump();
	assert_int_equal(count_updates(), updates + 1); /* is told at once all the same */
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);

	answered = w->now;
	while (w->now < answered + PING_PATIENCE)
		pass_time();
	say_on_map("{\"PingRequest\":{\"URL\":\"https://hs.test/noise/late\",\"URLIsNoise\":true}}");
	say_on_map("{\"PingRequest\":{\"URL\":\"https://hs.test/ping/late\"}}");
	assert_non_null(find_request("/noise/late", "")); /* those that nobody answered are given up */
	assert_int_equal(w->heads, PINGS_BURST - PINGS_MAX + 1);
	assert_int_equal(w->opens, 2);
	end();
}

/* T13: it is said with anything, also with what else says nothing; nonsense is not passed on. */
static void server_time(void **state)
{
	static const struct {
		const char *json;
		int64_t clock;
	} cases[] = {
		{"{\"KeepAlive\":true,\"ControlTime\":\"2027-01-15T08:00:00.123456789Z\"}", 1800000000},
		{"{\"ControlTime\":\"2027-01-15T09:00:01+01:00\"}", 1800000001},
		{"{\"PeersRemoved\":[2]}", 0},
		{"{\"ControlTime\":null}", 0},
		{"{\"ControlTime\":\"0001-01-01T00:00:00Z\"}", 0},
		{"{\"ControlTime\":\"1999-01-01T00:00:00Z\"}", 0},
	};

	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		w->clock = 0;
		say_on_map(cases[i].json);
		assert_int_equal(w->clock, cases[i].clock);
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	}
	end();
}

/* T6: what it wants people to know is told when it changes; a new session begins without. */
static void remarks(void **state)
{
	begin();
	w->map = (struct answer){200, SELF ",\"Health\":[\"is ill\"]}", 0, true};
	told(WIRE_KEYS);
	pump();
	assert_string_equal(w->remarks, "is ill");
	say_on_map("{\"PeersRemoved\":[2]}");
	assert_int_equal(w->told[WIRE_REMARKS], 1);
	say_on_map("{\"Health\":[]}");
	assert_string_equal(w->remarks, "");
	say_on_map("{\"KeepAlive\":true,\"PopBrowserURL\":\"https://hs.test/a\"}");
	assert_string_equal(w->remarks, "somebody has to open https://hs.test/a");
	w->map = good_map;
	told(WIRE_RECONNECT);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_string_equal(w->remarks, "");
	end();
}

/* T6: headscale goes on with keep-alives to a node that was deleted; only who asks hears of it. */
static void deleted_on_the_server(void **state)
{
	uint64_t since;

	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	for (size_t told = 1; told < 4; told++) { /* it asks, though nothing changes here */
		assert_int_equal(count_updates(), told);
		since = w->now;
		while (count_updates() == told && w->now < since + 3600 * NS_PER_SEC)
			pass_time();
		assert_in_range(w->now - since, 300 * NS_PER_SEC, 900 * NS_PER_SEC);
	}
	assert_int_equal(w->opens, 2);
	w->update = (struct answer){404, "node not found", 0, false};
	w->registration = wants_login;
	w->followup.status = 0;
	while (w->state == WIRE_STATE_CONNECTED)
		pass_time();
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_string_equal(w->text, "the server does not know this node any more");
	assert_non_null(netmap_peer(&w->roster.map, 2)); /* nobody is cut off */
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	end();
}

/* It is not an end: who is in goes on by the last netmap. But the server is left alone for a while. */
static void sent_away(void **state)
{
	uint64_t since;

	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	say_on_map("{\"Debug\":{\"DisableLogTail\":true,\"SleepSeconds\":1.5}}");
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	since = w->now;
	say_on_map("{\"Debug\":{\"Exit\":0},\"PeersRemoved\":[2]}");
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_string_equal(w->text, "the server wants this node to stop");
	assert_non_null(netmap_peer(&w->roster.map, 2));
	assert_int_equal(w->deadline, since + 300 * NS_PER_SEC);
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end();
}

/* A server that is asked too often, or is busy, says how long it wants to be left alone; within reason. */
static void told_to_wait(void **state)
{
	static const struct {
		int status;
		const char *retry_after;
		unsigned waits; /* s, beside the usual pause */
	} cases[] = {
		{429, "600", 600}, {503, "7", 7},	    {429, "3600", 3600},
		{429, "3601", 0},  {429, "99999999999", 0}, {429, NULL, 0},
		{429, "", 0},	   {429, "-5", 0},	    {429, "Wed, 21 Oct 2026 07:28:00 GMT", 0},
		{403, "600", 0},   {500, "600", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int map = 0; map <= 1; map++) {
			const struct answer refusal = {cases[i].status, "too often", 0, false};

			begin();
			w->retry_after = cases[i].retry_after;
			w->map = map ? refusal : good_map;
			if (!map)
				w->registration = refusal;
			told(WIRE_KEYS);
			pump();
			assert_int_equal(w->state, refusal.status < 500 ? WIRE_STATE_REFUSED : WIRE_STATE_OFFLINE);
			assert_in_range(w->deadline, w->now + cases[i].waits * NS_PER_SEC,
					w->now + (cases[i].waits + 2) * NS_PER_SEC);
			w->registration = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
			w->map = good_map;
			if (cases[i].waits)
				told(WIRE_RECONNECT); /* somebody does not want to wait */
			else
				w->now = w->deadline;
			pump();
			assert_int_equal(w->state, WIRE_STATE_CONNECTED);
			end();
		}
	}
}

/* T6: where the server says that it is, too: tried in turn with its name; but never without a certificate. */
static void dial_plan(void **state)
{
	static const char json[] = SELF ",\"ControlDialPlan\":{\"Candidates\":[{\"IP\":\"192.0.2.1\",\"Priority\":1},"
					"{\"IP\":\"192.0.2.9\",\"ACEHost\":\"proxy.test\",\"Priority\":9},"
					"{\"IP\":\"2001:db8::2\",\"Priority\":2},{\"IP\":\"x\"},"
					"{\"ACEHost\":\"proxy.test\"},{\"IP\":\"192.0.2.3\",\"Priority\":1}]}}";

	begin();
	w->map = (struct answer){200, json, 0, true};
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_int_equal(w->plan.n, 0);
	for (int tries = 1; tries <= 4; tries++) {
		char text[ADDR_STRLEN];

		break_connection("no answer");
		pump();
		w->now = w->deadline;
		coord_tick(w->coord, w->now); /* it begins, and nobody answers */
		assert_true(w->open_pending);
		assert_int_equal(w->plan.n, tries % 2 ? 3 : 0);
		if (tries % 2)
			assert_string_equal(addr_str(&w->plan.v[0], text), "2001:db8::2");
		assert_true(tries % 2 == 0 || !strcmp(addr_str(&w->plan.v[2], text), "192.0.2.3"));
	}
	end();
}

/* A peer that cannot be one is named in the status; the others are there. */
static void peer_left_out(void **state)
{
	char json[2000], *p = json;

	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_string_equal(w->text, "");
	p += sprintf(p, "{\"PeersChanged\":[{\"ID\":2,\"Name\":\"big\\n\",\"Key\":\"nodekey:" HEX62 "02\",\"Tags\":[");
	for (int i = 0; i <= NODE_TAGS_MAX; i++)
		p += sprintf(p, "%s\"tag:%d\"", i ? "," : "", i);
	sprintf(p, "]}]}");
	say_on_map(json);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_string_equal(w->text, "1 peer is left out: big\\x0a: Tags: more than 64");
	assert_null(netmap_peer(&w->roster.map, 2));
	assert_non_null(netmap_peer(&w->roster.map, 4));
	say_on_map("{\"PeersChanged\":[" PEER("2") "]}");
	assert_string_equal(w->text, ""); /* it is mended */
	assert_non_null(netmap_peer(&w->roster.map, 2));
	end();
}

/* What a damaged message says counts at once; by the whole netmap, which is asked for again, also what it meant. */
static void test_fault_44_damage_is_asked_again(void **state)
{
	begin();
	w->map = good_map;
	told(WIRE_KEYS);
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	say_on_map("{\"PeersRemoved\":[\"4\",2]}");
	assert_null(netmap_peer(&w->roster.map, 2));
	assert_non_null(netmap_peer(&w->roster.map, 4));
	assert_int_equal(w->state, WIRE_STATE_UNREADABLE);
	w->map = (struct answer){200, SELF ",\"Peers\":[{\"ID\":4,\"Key\":7}," PEER("5") "],\"UserProfiles\":7}", 0,
				 true};
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_UNREADABLE);
	assert_null(netmap_peer(&w->roster.map, 4));
	assert_non_null(netmap_peer(&w->roster.map, 5));
	w->map = (struct answer){200, SELF ",\"Peers\":[" PEER("6") "]}", 0, true};
	w->now = w->deadline;
	pump();
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_null(netmap_peer(&w->roster.map, 5));
	assert_non_null(netmap_peer(&w->roster.map, 6));
	end();
}

/* Servers leave the field away where it is false; it changes while the netmap is being followed, both ways. */
static void approval(void **state)
{
	static const struct {
		const char *message;
		enum wire_state state;
		unsigned told;
	} steps[] = {
		{NODE("") ",\"Peers\":[]}", WIRE_STATE_APPROVAL, 1},
		{NODE(",\"MachineAuthorized\":false") "}", WIRE_STATE_APPROVAL, 0},
		{SELF "}", WIRE_STATE_CONNECTED, 1},
		{"{\"PeersChanged\":[" PEER("2") "]}", WIRE_STATE_CONNECTED, 0}, /* says nothing of us */
		{SELF "}", WIRE_STATE_CONNECTED, 0},
		{NODE("") "}", WIRE_STATE_APPROVAL, 1},
		{SELF "}", WIRE_STATE_CONNECTED, 1},
	};

	begin();
	w->map = (struct answer){200, "", 0, true};
	told(WIRE_KEYS);
	pump();
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		unsigned before = w->told[WIRE_STATUS];

		say_on_map(steps[i].message);
		if (w->state != steps[i].state || w->told[WIRE_STATUS] - before != steps[i].told)
			fail_msg("step %zu: state %d, told %u times", i, w->state, w->told[WIRE_STATUS] - before);
	}
	end();
}

/* The connection breaks at every byte of a whole session: never a crash, always another try. */
static void broken_anywhere(void **state)
{
	for (size_t n = 0; n < 900; n += 7) {
		size_t left = n;

		begin();
		w->map = good_map;
		w->chunk = 1;
		told(WIRE_KEYS);
		for (int i = 0; i < 3000 && left; i++) {
			coord_tick(w->coord, w->now);
			if (w->open_pending) {
				w->open_pending = false;
				coord_opened(w->coord, w->now);
			}
			if (w->open && w->to_server.len)
				serve();
			for (; w->open && !w->open_pending && w->to_client.len && left; left--) {
				uint8_t byte = w->to_client.bytes[0];

				consume(&w->to_client, 1);
				coord_received(w->coord, &byte, 1, w->now);
			}
		}
		if (w->open) {
			break_connection("broken off");
			assert_int_equal(w->state, WIRE_STATE_OFFLINE);
			w->now = coord_tick(w->coord, w->now);
		}
		w->chunk = BUFFER;
		w->n_requests = 0;
		pump();
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		end();
	}
}

/* T13: an expired key is what is to be known of a session that is fine otherwise, and of nothing else. */
static void standing(void **state)
{
	static const struct {
		enum wire_state said, expired;
	} cases[] = {
		{WIRE_STATE_CONNECTED, WIRE_STATE_EXPIRED},	{WIRE_STATE_APPROVAL, WIRE_STATE_EXPIRED},
		{WIRE_STATE_EXPIRED, WIRE_STATE_EXPIRED},	{WIRE_STATE_CONNECTING, WIRE_STATE_CONNECTING},
		{WIRE_STATE_LOGIN, WIRE_STATE_LOGIN},		{WIRE_STATE_OFFLINE, WIRE_STATE_OFFLINE},
		{WIRE_STATE_REFUSED, WIRE_STATE_REFUSED},	{WIRE_STATE_LOGGED_OUT, WIRE_STATE_LOGGED_OUT},
		{WIRE_STATE_UNREADABLE, WIRE_STATE_UNREADABLE},
	};

	assert_int_equal(sizeof(cases) / sizeof(*cases), WIRE_STATES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(tailnet_standing(cases[i].said, false), cases[i].said);
		assert_int_equal(tailnet_standing(cases[i].said, true), cases[i].expired);
	}
}

static int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects),
		cmocka_unit_test(known_without_key),
		cmocka_unit_test(another_auth_key),
		cmocka_unit_test(pinned_key),
		cmocka_unit_test(refused_configurations),
		cmocka_unit_test(servers_that_misbehave),
		cmocka_unit_test(refused_once),
		cmocka_unit_test(backs_off),
		cmocka_unit_test(server_restarts),
		cmocka_unit_test(server_key_changes),
		cmocka_unit_test(silence),
		cmocka_unit_test(never_answers),
		cmocka_unit_test(interactive_login),
		cmocka_unit_test(login_over_two_connections),
		cmocka_unit_test(login_without_waiting),
		cmocka_unit_test(expired_key),
		cmocka_unit_test(logout),
		cmocka_unit_test(updates),
		cmocka_unit_test(updates_that_fail),
		cmocka_unit_test(pings),
		cmocka_unit_test(a_flood_of_pings),
		cmocka_unit_test(server_time),
		cmocka_unit_test(remarks),
		cmocka_unit_test(deleted_on_the_server),
		cmocka_unit_test(sent_away),
		cmocka_unit_test(dial_plan),
		cmocka_unit_test(told_to_wait),
		cmocka_unit_test(peer_left_out),
		cmocka_unit_test(test_fault_44_damage_is_asked_again),
		cmocka_unit_test(approval),
		cmocka_unit_test(broken_anywhere),
		cmocka_unit_test(standing),
	};

	return cmocka_run_group_tests_name("tailnet_coord", tests, setup, NULL);
}
