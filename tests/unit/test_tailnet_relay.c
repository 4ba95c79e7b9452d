/* SPDX-License-Identifier: BSD-2-Clause */
/* T9: the relay's frames. T10, T12: STUN to all regions and the choice of a home. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "user/crypto.h"
#include "user/messages.h"
#include "user/tailnet/derp.h"
#include "user/tailnet/netcheck.h"
#include "user/tailnet/relay_hosts.h"

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
	len = derp_client_info(info, sizeof(info), node, server_public, nonce);
	assert_true(len > 72);
	assert_memory_equal(info, node_public, 32);
	assert_memory_equal(info + 32, nonce, 24);
	assert_int_equal(crypto_box_open_easy(plain, info + 56, len - 56, nonce, node_public, server), 0);
	assert_string_equal((char *)plain, "{\"version\":2,\"CanAckPings\":true}");
	assert_int_equal(derp_client_info(info, len - 1, node, server_public, nonce), 0);
	assert_int_equal(derp_client_info(info, sizeof(info), node, (uint8_t[32]){0}, nonce), 0);
}

/* ---- netcheck ------------------------------------------------------------------------ */

struct net {
	struct netcheck *n;
	uint64_t now;
	uint64_t latency[4]; /* of server i, at 192.0.2.(i + 1); 0: silent */
	struct pending {
		uint64_t at;
		int server;
		uint8_t answer[32];
	} pending[64];
	size_t n_pending;
	unsigned sent, results;
	struct netcheck_result result;
};

static void net_send(void *ctx, const void *bytes, size_t len, const struct addr_port *to)
{
	struct net *net = ctx;
	const uint8_t *request = bytes;
	int i = to->addr.b[15] - 1;
	struct pending *p = &net->pending[net->n_pending];

	net->sent++;
	assert_int_equal(len, NETCHECK_REQUEST_LEN);
	if (!net->latency[i])
		return;
	net->n_pending++;
	*p = (struct pending){.at = net->now + net->latency[i], .server = i};
	/* success, XOR-MAPPED-ADDRESS 198.51.100.1:41641 */
	memcpy(p->answer, "\x01\x01\x00\x0c\x21\x12\xa4\x42", 8);
	memcpy(p->answer + 8, request + 8, 12);
	memcpy(p->answer + 20, "\x00\x20\x00\x08\x00\x01", 6);
	p->answer[26] = (41641 >> 8) ^ 0x21;
	p->answer[27] = (41641 & 255) ^ 0x12;
	memcpy(p->answer + 28, ((uint8_t[]){198 ^ 0x21, 51 ^ 0x12, 100 ^ 0xa4, 1 ^ 0x42}), 4);
}

static void net_result(void *ctx, const struct netcheck_result *r)
{
	struct net *net = ctx;

	net->results++;
	net->result = *r;
}

static void net_random(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static struct addr_port server_at(int i)
{
	struct addr_port at = {.addr = addr_from_v4(0), .port = 3478};

	memcpy(at.addr.b + 12, ((uint8_t[]){192, 0, 2, (uint8_t)(i + 1)}), 4);
	return at;
}

static void net_start(struct net *net)
{
	static const struct netcheck_ops ops = {net_send, net_result, net_random};
	struct wire_stun_server servers[4];

	*net = (struct net){.now = NS_PER_SEC};
	for (int i = 0; i < 4; i++)
		servers[i] =
			(struct wire_stun_server){.region = (uint16_t)(10 + i), .no_home = i == 3, .at = server_at(i)};
	net->n = netcheck_new(&ops, net);
	netcheck_set_servers(net->n, &(struct roster_stun){servers, 4}, net->now);
}

static void net_run(struct net *net, uint64_t time)
{
	for (uint64_t end = net->now + time; net->now < end; net->now += NS_PER_MS) {
		for (size_t i = 0; i < net->n_pending; i++) {
			struct pending p = net->pending[i];
			struct addr_port from = server_at(p.server);

			if (p.at > net->now)
				continue;
			net->pending[i--] = net->pending[--net->n_pending];
			netcheck_input(net->n, p.answer, sizeof(p.answer), &from, net->now);
		}
		netcheck_tick(net->n, net->now);
	}
}

static void stun_request_form(void **state)
{
	uint8_t id[12] = "abcdefghijkl", out[NETCHECK_REQUEST_LEN];
	uint32_t crc;

	netcheck_request(id, out);
	assert_memory_equal(out,
			    "\x00\x01\x00\x14\x21\x12\xa4\x42"
			    "abcdefghijkl"
			    "\x80\x22\x00\x08tailnode"
			    "\x80\x28\x00\x04",
			    36);
	crc = (uint32_t)crc32(0, out, 32) ^ 0x5354554e;
	assert_memory_equal(
		out + 36, ((uint8_t[]){(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc}),
		4);
}

static void nearest_is_home(void **state)
{
	struct net net;

	net_start(&net);
	memcpy(net.latency, ((uint64_t[]){90 * NS_PER_MS, 20 * NS_PER_MS, 0, 1 * NS_PER_MS}), sizeof(net.latency));
	net_run(&net, 4 * NS_PER_SEC);
	assert_int_equal(net.results, 1);
	assert_int_equal(net.result.home, 11); /* 13 is nearer, and not to be a home */
	assert_true(net.result.udp);
	assert_false(net.result.ipv6);
	assert_int_equal(net.result.seen[0].port, 41641);
	assert_int_equal(net.result.seen[0].addr.b[12], 198);
	/* A little nearer is no reason to move, much nearer is one; only a full round sees it. */
	net.latency[0] = 18 * NS_PER_MS;
	net_run(&net, 300 * NS_PER_SEC);
	assert_int_equal(net.result.home, 11);
	net.latency[0] = 5 * NS_PER_MS;
	net_run(&net, 300 * NS_PER_SEC);
	assert_int_equal(net.result.home, 10);
	assert_int_equal(net.results, 2);
	netcheck_free(net.n);
}

static void silent_home_is_left(void **state)
{
	struct net net;

	net_start(&net);
	net.latency[0] = 5 * NS_PER_MS;
	net.latency[2] = 50 * NS_PER_MS;
	net_run(&net, 4 * NS_PER_SEC);
	assert_int_equal(net.result.home, 10);
	net.latency[0] = 0;
	net_run(&net, 35 * NS_PER_SEC);
	assert_int_equal(net.result.home, 12);
	netcheck_free(net.n);
}

/* UDP blocked: a home all the same, and it is said that there is no UDP. */
static void nobody_answers(void **state)
{
	struct net net;

	net_start(&net);
	net_run(&net, 600 * NS_PER_MS);
	assert_int_equal(net.results, 1); /* soon, for without a home nobody finds us */
	net_run(&net, 4 * NS_PER_SEC);
	assert_int_equal(net.results, 1);
	assert_int_equal(net.result.home, 10);
	assert_false(net.result.udp);
	assert_int_equal(net.result.seen[0].port, 0);
	net_run(&net, 60 * NS_PER_SEC);
	assert_int_equal(net.results, 1);
	assert_true(net.sent < 100);
	net.latency[1] = 10 * NS_PER_MS;
	net_run(&net, 40 * NS_PER_SEC);
	assert_true(net.result.udp);
	assert_int_equal(net.result.home, 11);
	netcheck_free(net.n);
}

static void answers_of_others(void **state)
{
	struct addr_port elsewhere = server_at(7), right = server_at(0);
	struct net net;

	net_start(&net);
	net.latency[0] = 5 * NS_PER_SEC; /* too late for its round */
	netcheck_tick(net.n, net.now);
	assert_int_equal(net.n_pending, 1);
	assert_false(netcheck_input(net.n, net.pending[0].answer, 32, &elsewhere, net.now));
	assert_false(netcheck_input(net.n, net.pending[0].answer, 31, &right, net.now));
	net.pending[0].answer[9] ^= 1;
	assert_false(netcheck_input(net.n, net.pending[0].answer, 32, &right, net.now));
	net.pending[0].answer[9] ^= 1;
	assert_true(netcheck_input(net.n, net.pending[0].answer, 32, &right, net.now));
	assert_false(netcheck_input(net.n, net.pending[0].answer, 32, &right, net.now)); /* once */
	netcheck_free(net.n);
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
	struct derpmap map = {&region, 1};
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
	struct derpmap map = {&region, 1};
	struct relay_hosts h = {0};

	for (int i = 0; i < 3 * RELAY_HOSTS_MAX; i++) {
		snprintf(node.host, sizeof(node.host), "r%d.test", i);
		relay_hosts_note(&h, &map);
		assert_int_equal(h.n, 1);
		assert_string_equal(h.v[0].host, node.host);
	}
	relay_hosts_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relay_session),      cmocka_unit_test(relay_sends),
		cmocka_unit_test(relay_out_of_order), cmocka_unit_test(hostile_relays),
		cmocka_unit_test(short_frames),	      cmocka_unit_test(long_unknown_frame),
		cmocka_unit_test(client_info),	      cmocka_unit_test(stun_request_form),
		cmocka_unit_test(nearest_is_home),    cmocka_unit_test(silent_home_is_left),
		cmocka_unit_test(nobody_answers),     cmocka_unit_test(answers_of_others),
		cmocka_unit_test(names_follow_answers), cmocka_unit_test(old_names_are_dropped),
	};

	return cmocka_run_group_tests_name("tailnet_relay", tests, setup, NULL);
}
