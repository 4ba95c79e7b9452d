/* SPDX-License-Identifier: BSD-2-Clause */
/* T9: the relay's frames, names of relays, and what is told of one that cannot be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "user/wireguard/crypto.h"
#include "user/wireguard/messages.h"
#include "user/tailnet/relay/derp.h"
#include "user/tailnet/relay/relay_hosts.h"
#include "user/tailnet/ipc/relay_states.h"
#include "user/tailnet/relay_box.h"

/* ---- relay ------------------------------------------------------------------------- */

struct relay_test {
	struct derp d;
	uint8_t out[256];
	size_t out_len;
	unsigned keys, ready, packets, gone, restarts;
	uint8_t packet[64], from[32];
	size_t packet_len;
};

static bool on_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay_test *t = ctx;

	assert_true(len <= sizeof(t->out));
	memcpy(t->out, bytes, len);
	t->out_len = len;
	return true;
}

static void on_key(void *ctx, const uint8_t key[KEY_LEN])
{
	struct relay_test *t = ctx;

	assert_int_equal(key[0], 'k');
	t->keys++;
}

static void on_ready(void *ctx)
{
	((struct relay_test *)ctx)->ready++;
}

static void on_packet(void *ctx, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	struct relay_test *t = ctx;

	t->packets++;
	memcpy(t->from, from, 32);
	t->packet_len = len;
	memcpy(t->packet, bytes, len < sizeof(t->packet) ? len : sizeof(t->packet));
}

static void on_gone(void *ctx, const uint8_t key[KEY_LEN])
{
	((struct relay_test *)ctx)->gone++;
}

static void on_restarting(void *ctx, uint32_t wait_ms)
{
	assert_int_equal(wait_ms, 258);
	((struct relay_test *)ctx)->restarts++;
}

static const struct derp_ops derp_ops = {on_send, on_key, on_ready, on_packet, on_gone, on_restarting};

#define K32 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define SERVER_KEY       \
	"\x01\0\0\0\x28" \
	"DERP\xf0\x9f\x94\x91" K32
#define SERVER_INFO "\x03\0\0\0\x02xx"

static bool feed(struct relay_test *t, const char *bytes, size_t len)
{
	return derp_receive(&t->d, (const uint8_t *)bytes, len);
}

#define FEED(t, literal) feed(t, literal, sizeof(literal) - 1)

static void open_relay(struct relay_test *t)
{
	*t = (struct relay_test){0};
	derp_init(&t->d, &derp_ops, t);
	assert_true(FEED(t, SERVER_KEY));
	assert_int_equal(t->keys, 1);
	assert_true(derp_login(&t->d, (const uint8_t *)"info", 4));
	assert_memory_equal(t->out, "\x02\0\0\0\x04info", 9);
	assert_true(FEED(t, SERVER_INFO));
	assert_int_equal(t->ready, 1);
}

static void relay_session(void **state)
{
	static const char in[] = "\x05\0\0\0\x26" K32 "hello!" /* a packet */
				 "\x06\0\0\0\0"		       /* keepalive */
				 "\x12\0\0\0\x08"
				 "12345678"		     /* ping */
				 "\x08\0\0\0\x21" K32 "\x01" /* gone */
				 "\x14\0\0\0\x03"
				 "bad" /* health */
				 "\x7f\0\0\0\x04"
				 "????" /* who knows */
				 "\x15\0\0\0\x08"
				 "\0\0\x01\x02\0\0\0\0"; /* restarting */
	size_t len = sizeof(in) - 1;

	for (size_t cut = 0; cut <= len; cut++) {
		struct relay_test t;

		open_relay(&t);
		assert_true(feed(&t, in, cut));
		assert_true(feed(&t, in + cut, len - cut));
		assert_int_equal(t.packets, 1);
		assert_int_equal(t.packet_len, 6);
		assert_memory_equal(t.packet, "hello!", 6);
		assert_memory_equal(t.from, K32, 32);
		assert_int_equal(t.gone, 1);
		assert_int_equal(t.restarts, 1);
		assert_memory_equal(t.out,
				    "\x13\0\0\0\x08"
				    "12345678",
				    13);
		derp_free(&t.d);
	}
}

static void relay_sends(void **state)
{
	static uint8_t large[DERP_PACKET_MAX + 1];
	struct relay_test t;

	open_relay(&t);
	assert_true(derp_send_packet(&t.d, (const uint8_t *)K32, (const uint8_t *)"abc", 3));
	assert_memory_equal(t.out, "\x04\0\0\0\x23" K32 "abc", 40);
	assert_false(derp_send_packet(&t.d, (const uint8_t *)K32, large, sizeof(large)));
	assert_true(derp_send_preferred(&t.d, true));
	assert_memory_equal(t.out, "\x07\0\0\0\x01\x01", 6);
	derp_free(&t.d);
	assert_false(derp_send_preferred(&t.d, true));
}

static void relay_out_of_order(void **state)
{
	struct relay_test t = {0};

	derp_init(&t.d, &derp_ops, &t);
	assert_false(derp_login(&t.d, (const uint8_t *)"x", 1)); /* nobody has asked */
	assert_false(derp_send_packet(&t.d, (const uint8_t *)K32, (const uint8_t *)"x", 1));
	assert_true(FEED(&t, SERVER_KEY));
	assert_true(FEED(&t, "\x05\0\0\0\x21" K32 "x")); /* before we have logged in: not for us */
	assert_int_equal(t.packets, 0);
	assert_true(FEED(&t, SERVER_INFO));
	assert_int_equal(t.ready, 0);
	derp_free(&t.d);
}

static void hostile_relays(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool session; /* after the login */
	} cases[] = {
		{"\x03\0\0\0\x02xx", 7, false},
		{"\x01\0\0\0\x28"
		 "DERP\xf0\x9f\x94\x92" K32,
		 45, false},
		{"\x01\0\0\0\x08"
		 "DERP\xf0\x9f\x94\x91",
		 13, false},
		{"\x01\0\x20\0\0", 5, false},
		{"HTTP/1.1 400 Bad Request", 24, false},
		{"\x05\0\x01\0\x21", 5, true},
		{"\x05\xff\xff\xff\xff", 5, true},
		{"\x7f\xff\xff\xff\xff", 5, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_test t = {0};

		if (cases[i].session)
			open_relay(&t);
		else
			derp_init(&t.d, &derp_ops, &t);
		assert_false(feed(&t, cases[i].bytes, cases[i].len));
		assert_int_equal(t.d.state, DERP_DEAD);
		assert_non_null(t.d.error);
		assert_false(FEED(&t, SERVER_KEY));
		derp_free(&t.d);
	}
}

/* Frames that are too short for what they are do no harm. */
static void short_frames(void **state)
{
	struct relay_test t;

	open_relay(&t);
	assert_true(FEED(&t, "\x05\0\0\0\x03"
			     "abc"
			     "\x08\0\0\0\x01"
			     "a"
			     "\x12\0\0\0\x02"
			     "ab"));
	assert_int_equal(t.packets + t.gone, 0);
	derp_free(&t.d);
}

/* Frames of no interest may be long; they pass without being kept. */
static void long_unknown_frame(void **state)
{
	static const char block[65536];
	struct relay_test t;

	open_relay(&t);
	assert_true(FEED(&t, "\x7f\0\x0f\0\0"));
	for (int i = 0; i < 15; i++)
		assert_true(feed(&t, block, sizeof(block)));
	assert_true(FEED(&t, "\x05\0\0\0\x21" K32 "x"));
	assert_int_equal(t.packets, 1);
	derp_free(&t.d);
}

static void client_info(void **state)
{
	uint8_t node[32] = {5}, server[32] = {7}, node_public[32], server_public[32], nonce[24] = {9}, info[256],
		plain[256] = {0};
	size_t len;

	crypto_public_key(node, node_public);
	crypto_public_key(server, server_public);
	len = relay_box_seal(info, sizeof(info), node, server_public, nonce);
	assert_true(len > 72);
	assert_memory_equal(info, node_public, 32);
	assert_memory_equal(info + 32, nonce, 24);
	assert_int_equal(crypto_box_open_easy(plain, info + 56, len - 56, nonce, node_public, server), 0);
	assert_string_equal((char *)plain, "{\"version\":2,\"CanAckPings\":true}");
	assert_int_equal(relay_box_seal(info, len - 1, node, server_public, nonce), 0);
	assert_int_equal(relay_box_seal(info, sizeof(info), node, (uint8_t[32]){0}, nonce), 0);
}

static int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

/* ---- names ------------------------------------------------------------------------- */

static struct addr address(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

static void answered(struct relay_hosts *h, const char *text)
{
	h->v[0].answer = (struct lookup_answer){.addrs = {address(text)}, .n = 1};
}

/* A relay that moved is found at its new address, and one that has an address of the map's stays there. */
static void names_follow_answers(void **state)
{
	struct derp_node nodes[] = {{.host = "a.test", .stun_port = 3478},
				    {.host = "b.test", .stun_port = 3478, .has_v4 = true, .v4 = address("192.0.2.9")}};
	struct derp_region region = {.id = 1, .nodes = nodes, .n_nodes = 2};
	const struct addr old = address("192.0.2.1"), new = address("192.0.2.2"), v6 = address("2001:db8::1");
	struct derpmap map = {.regions = &region, .n = 1};
	struct relay_hosts h = {0};

	relay_hosts_note(&h, &map);
	assert_int_equal(h.n, 1);
	assert_false(relay_hosts_fill(&h, &map));
	answered(&h, "192.0.2.1");
	assert_true(relay_hosts_fill(&h, &map));
	assert_true(nodes[0].has_v4);
	assert_memory_equal(&nodes[0].v4, &old, sizeof(old));
	relay_hosts_note(&h, &map);
	assert_int_equal(h.n, 1);
	assert_false(relay_hosts_fill(&h, &map));
	answered(&h, "192.0.2.2");
	assert_true(relay_hosts_fill(&h, &map));
	assert_memory_equal(&nodes[0].v4, &new, sizeof(new));
	answered(&h, "2001:db8::1");
	assert_true(relay_hosts_fill(&h, &map));
	assert_false(nodes[0].has_v4);
	assert_memory_equal(&nodes[0].v6, &v6, sizeof(v6));
	assert_false(nodes[1].looked_up);
	relay_hosts_free(&h);
}

/* Names of maps of before take no room. */
static void old_names_are_dropped(void **state)
{
	struct derp_node node = {.stun_port = 3478};
	struct derp_region region = {.id = 1, .nodes = &node, .n_nodes = 1};
	struct derpmap map = {.regions = &region, .n = 1};
	struct relay_hosts h = {0};

	for (int i = 0; i < 3 * RELAY_HOSTS_MAX; i++) {
		snprintf(node.host, sizeof(node.host), "r%d.test", i);
		relay_hosts_note(&h, &map);
		assert_int_equal(h.n, 1);
		assert_string_equal(h.v[0].host, node.host);
	}
	relay_hosts_free(&h);
}

/* ---- what is kept of it ------------------------------------------------------------------ */

static void told_once(void **state)
{
	static const struct {
		struct wire_relay_state s;
		bool news;
		size_t n;
	} cases[] = {
		{{1, WIRE_RELAY_LEFT, {0}, NULL}, false, 0},
		{{1, WIRE_RELAY_AWAY, {CONN_ERROR_TCP, ECONNREFUSED}, "a"}, true, 1},
		{{1, WIRE_RELAY_AWAY, {CONN_ERROR_TCP, ECONNREFUSED}, "a"}, false, 1},
		{{1, WIRE_RELAY_AWAY, {CONN_ERROR_TCP, ECONNRESET}, "a"}, true, 1},
		{{1, WIRE_RELAY_AWAY, {CONN_ERROR_TCP, ECONNRESET}, "b"}, true, 1},
		{{2, WIRE_RELAY_UP, {0}, "c"}, true, 2},
		{{2, WIRE_RELAY_UP, {0}, "c"}, false, 2},
		{{1, WIRE_RELAY_UP, {0}, "a"}, true, 2},
		{{1, WIRE_RELAY_LEFT, {0}, NULL}, true, 1},
		{{1, WIRE_RELAY_LEFT, {0}, NULL}, false, 1},
	};
	struct relay_states all = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(relay_states_take(&all, &cases[i].s), cases[i].news);
		assert_int_equal(all.n, cases[i].n);
	}
	assert_null(relay_states_find(&all, 1));
	assert_int_equal(relay_states_find(&all, 2)->state, WIRE_RELAY_UP);
	for (uint16_t region = 3; region < 3 + 2 * RELAY_STATES_MAX; region++)
		relay_states_take(&all, &(struct wire_relay_state){region, WIRE_RELAY_UP, {0}, (char *)"x"});
	assert_int_equal(all.n, RELAY_STATES_MAX);
	relay_states_clear(&all);
	assert_int_equal(all.n, 0);
}

/* Every kind has its words, and any number at all can be told with it. */
static void every_trouble_has_words(void **state)
{
	static const int numbers[] = {0, 1, 404, -54, INT32_MAX, INT32_MIN};
	char text[256];

	for (int kind = 0; kind < CONN_ERROR_KINDS; kind++) {
		for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			struct conn_error t = {(enum conn_error_kind)kind, numbers[i]};

			assert_true(strlen(conn_error_text(&t, text, sizeof(text))) > 8);
			assert_true(strlen(conn_error_advice(&t)) > 8);
		}
		for (int other = 0; other < kind; other++)
			assert_string_not_equal(conn_error_name(&(struct conn_error){(enum conn_error_kind)kind, 0}),
						conn_error_name(&(struct conn_error){(enum conn_error_kind)other, 0}));
	}
	assert_string_equal(conn_error_text(&(struct conn_error){CONN_ERROR_HTTP, 404}, text, sizeof(text)),
			    "it answers as an ordinary web server: HTTP status 404");
	assert_string_equal(conn_error_text(&(struct conn_error){CONN_ERROR_TCP, ECONNREFUSED}, text, sizeof(text)),
			    "it does not take the connection: Connection refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relay_session),
		cmocka_unit_test(relay_sends),
		cmocka_unit_test(relay_out_of_order),
		cmocka_unit_test(hostile_relays),
		cmocka_unit_test(short_frames),
		cmocka_unit_test(long_unknown_frame),
		cmocka_unit_test(client_info),
		cmocka_unit_test(names_follow_answers),
		cmocka_unit_test(old_names_are_dropped),
		cmocka_unit_test(told_once),
		cmocka_unit_test(every_trouble_has_words),
	};

	return cmocka_run_group_tests_name("tailnet_relay", tests, setup, NULL);
}
