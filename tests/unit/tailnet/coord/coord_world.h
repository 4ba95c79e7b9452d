/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_COORD_WORLD_H
#define SLUICE_TEST_COORD_WORLD_H

/* The session under test between the server of coord_server.h and a gateway, in virtual time: begin(), pump(), end().
 */
#include "coord_server.h"

static inline void do_open(void *ctx, const struct url *to, const struct dial_plan *plan)
{
	struct world *w = ctx;

	w->plan = plan ? *plan : (struct dial_plan){0};
	assert_string_equal(to->host, "hs.test");
	assert_false(w->open);
	w->open = w->open_pending = true;
	w->to_server.len = w->to_client.len = 0;
	w->stage = STAGE_HTTP;
	w->opens++;
}

static inline void do_close(void *ctx)
{
	struct world *w = ctx;

	w->open = w->open_pending = false;
	nghttp2_session_del(w->http2);
	w->http2 = NULL;
}

static inline void do_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct world *w = ctx;

	assert_true(w->open);
	append(&w->to_server, bytes, len);
}

static inline void do_head(void *ctx, const struct url *to)
{
	struct world *w = ctx;

	assert_true(strncmp(to->path, "/ping/", 6) == 0);
	w->heads++;
}

static inline void do_tell(void *ctx, const struct wire_message *m)
{
	struct world *w = ctx;
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
	} else if (m->type == WIRE_HEALTH) {
		snprintf(w->health, sizeof(w->health), "%s", copy.health.n ? copy.health.v[0].text : "");
	} else if (m->type == WIRE_CLOCK) {
		w->clock = m->clock;
	} else {
		assert_int_not_equal(netmap_copy_take(&w->roster, &copy), NETMAP_COPY_REFUSED);
	}
	wire_message_free(&copy);
}

static inline void do_relays(void *ctx, struct derpmap *m)
{
	struct world *w = ctx;

	w->relays++;
}

static inline void do_random(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static const struct coord_ops ops = {do_open, do_send, do_close, do_head, do_tell, do_relays, do_random};

static inline struct wire_config make_config(void)
{
	struct wire_config c = {
		.server = mem_strdup("https://hs.test"),
		.auth_key = secret_strndup("key-123", 7),
		.hostname = mem_strdup("gw-1"),
		.version = mem_strdup("1"),
		.os_version = mem_strdup("6"),
		.ca = mem_strdup(""),
		.relays = true,
	};

	memset(c.machine, 0x31, KEY_LEN);
	return c;
}

static inline void break_connection(struct world *w, const char *why)
{
	w->open = w->open_pending = false;
	nghttp2_session_del(w->http2);
	w->http2 = NULL;
	coord_closed(w->coord, why, w->now);
}

/* Until nobody has anything to do any more. */
static inline void pump(struct world *w)
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

			serve(w);
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
			break_connection(w, "closed by the other end");
			busy = true;
		}
	}
}

static inline void told(struct world *w, enum wire_type type)
{
	struct wire_message m = {.type = type};

	if (type == WIRE_KEYS) {
		memset(m.keys.node, 0x41, KEY_LEN);
		memset(m.keys.disco, 0x42, KEY_LEN);
	}
	coord_told(w->coord, &m, w->now);
}

static inline struct world *begin(void)
{
	struct world *w = mem_alloc(1, sizeof(*w));
	struct wire_config config = make_config();
	char error[200];

	w->now = 1000 * NS_PER_SEC;
	w->chunk = BUFFER;
	memset(w->noise.secret, 0x55, 32);
	w->registration = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
	w->update = (struct answer){200, "", 0, false};
	w->coord = coord_new(&config, &ops, w, error);
	assert_non_null(w->coord);
	return w;
}

static inline void end(struct world *w)
{
	coord_free(w->coord);
	netmap_copy_free(&w->roster);
	while (w->n_framed)
		free(w->framed[--w->n_framed]);
	free(w);
}

/* One more message of the netmap. */
static inline void say_on_map(struct world *w, const char *message)
{
	struct answer a = {200, message, 0, true};

	frame_lines(w, &a);
	w->pending[w->map_stream / 2] = a;
	w->sent[w->map_stream / 2] = 0;
	assert_int_equal(nghttp2_session_resume_data(w->http2, w->map_stream), 0);
	flush_http2(w);
	pump(w);
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

static inline const struct request *find_request(struct world *w, const char *path, const char *part)
{
	for (size_t i = 0; i < w->n_requests; i++)
		if (strcmp(w->requests[i].path, path) == 0 && strstr(w->requests[i].body, part))
			return &w->requests[i];
	return NULL;
}

/* It has its keys now, and begins. */
static inline void start(struct world *w)
{
	told(w, WIRE_KEYS);
	pump(w);
}

static inline struct world *connected(void)
{
	struct world *w = begin();

	w->map = good_map;
	start(w);
	return w;
}

static const struct answer wants_login = {200, "{\"AuthURL\":\"https://hs.test/register/abc\"}", 0, false};

/* To what is due next, on a map that is alive. */
static inline void pass_time(struct world *w)
{
	w->now = w->deadline < w->now + 60 * NS_PER_SEC ? w->deadline : w->now + 60 * NS_PER_SEC;
	say_on_map(w, "{\"KeepAlive\":true}");
}

static inline size_t count_updates(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_requests; i++)
		n += strstr(w->requests[i].body, "\"OmitPeers\":true") != NULL;
	return n;
}

/* T6: what it wants people to know is told when it changes; a new session begins without. */
static inline void remarks(void **state)
{
	struct world *w = begin();

	w->map = (struct answer){200, SELF ",\"Health\":[\"is ill\"]}", 0, true};
	start(w);
	assert_string_equal(w->health, "is ill");
	say_on_map(w, "{\"PeersRemoved\":[2]}");
	assert_int_equal(w->told[WIRE_HEALTH], 1);
	say_on_map(w, "{\"Health\":[]}");
	assert_string_equal(w->health, "");
	say_on_map(w, "{\"KeepAlive\":true,\"PopBrowserURL\":\"https://hs.test/a\"}");
	assert_string_equal(w->health, "somebody has to open https://hs.test/a");
	w->map = good_map;
	told(w, WIRE_RECONNECT);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_string_equal(w->health, "");
	end(w);
}

/* T6: where the server says that it is, too: tried in turn with its name; but never without a certificate. */
static inline void dial_plan(void **state)
{
	static const char json[] = SELF ",\"ControlDialPlan\":{\"Candidates\":[{\"IP\":\"192.0.2.1\",\"Priority\":1},"
					"{\"IP\":\"192.0.2.9\",\"ACEHost\":\"proxy.test\",\"Priority\":9},"
					"{\"IP\":\"2001:db8::2\",\"Priority\":2},{\"IP\":\"x\"},"
					"{\"ACEHost\":\"proxy.test\"},{\"IP\":\"192.0.2.3\",\"Priority\":1}]}}";
	struct world *w = begin();

	w->map = (struct answer){200, json, 0, true};
	start(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_int_equal(w->plan.n, 0);
	for (int tries = 1; tries <= 4; tries++) {
		char text[ADDR_STRLEN];

		break_connection(w, "no answer");
		pump(w);
		w->now = w->deadline;
		coord_tick(w->coord, w->now); /* it begins, and nobody answers */
		assert_true(w->open_pending);
		assert_int_equal(w->plan.n, tries % 2 ? 3 : 0);
		if (tries % 2)
			assert_string_equal(addr_str(&w->plan.v[0], text), "2001:db8::2");
		assert_true(tries % 2 == 0 || !strcmp(addr_str(&w->plan.v[2], text), "192.0.2.3"));
	}
	end(w);
}

static inline int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

#endif
