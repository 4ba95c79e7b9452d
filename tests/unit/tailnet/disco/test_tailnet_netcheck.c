/* SPDX-License-Identifier: BSD-2-Clause */
/* T10, T12: STUN to all regions and the choice of a home. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <string.h>
#include <zlib.h>

#include "user/wireguard/crypto.h"
#include "user/wireguard/messages.h"
#include "user/tailnet/disco/netcheck.h"
#include "user/base/clock.h"

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
	unsigned sent, results, asked[4];
	struct netcheck_result result;
};

static void net_send(void *ctx, const void *bytes, size_t len, const struct addr_port *to)
{
	struct net *net = ctx;
	const uint8_t *request = bytes;
	int i = to->addr.b[15] - 1;
	struct pending *p = &net->pending[net->n_pending];

	net->sent++;
	net->asked[i]++;
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

#define NODES 4

/* Regions 10 to 13, of which nobody is to have his home in the last. */
static struct derp_region *regions_of(struct derp_node nodes[NODES])
{
	static struct derp_region regions[NODES];

	for (int i = 0; i < NODES; i++) {
		nodes[i] = (struct derp_node){.stun_port = 3478, .has_v4 = true, .v4 = server_at(i).addr};
		regions[i] = (struct derp_region){.id = (uint16_t)(10 + i),
						  .use = i == 3 ? DERP_USE_NEVER : DERP_USE_FREELY,
						  .score = DERP_SCORE,
						  .nodes = &nodes[i],
						  .n_nodes = 1};
	}
	return regions;
}

static void net_start_with(struct net *net, struct derp_region *regions, size_t n)
{
	static const struct netcheck_ops ops = {net_send, net_result, net_random};

	*net = (struct net){.now = NS_PER_SEC};
	net->n = netcheck_new(&ops, net);
	assert_true(netcheck_tick(net->n, net->now) == UINT64_MAX); /* nothing is known */
	netcheck_set_map(net->n, &(struct derpmap){.regions = regions, .n = n}, net->now);
}

static void net_start(struct net *net)
{
	struct derp_node nodes[NODES];

	net_start_with(net, regions_of(nodes), NODES);
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
	assert_int_equal(net.result.home, 11);
	assert_int_equal(net.asked[3], 0); /* NoMeasureNoHome */
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

static const struct {
	const char *name;
	uint64_t first[3], then[3]; /* ms of regions 10, 11, 12; 0: silent */
	uint32_t score[3];
	enum derp_use use[3];
	uint16_t home, moved;
} choices[] = {
	{"the nearest", {30, 20, 40}, {30, 20, 40}, {1000, 1000, 1000}, {0}, 11, 11},
	{"a score below 1 draws", {30, 20, 40}, {30, 20, 40}, {500, 1000, 1000}, {0}, 10, 10},
	{"a score above 1 repels", {30, 20, 40}, {30, 20, 40}, {1000, 3000, 1000}, {0}, 10, 10},
	{"much nearer now", {30, 20, 40}, {5, 20, 40}, {1000, 1000, 1000}, {0}, 11, 10},
	{"nearer by a third of little", {30, 9, 40}, {3, 9, 40}, {1000, 1000, 1000}, {0}, 11, 11},
	{"nearer by 10 ms of much", {120, 100, 140}, {88, 100, 140}, {1000, 1000, 1000}, {0}, 11, 11},
	{"home is slow for once", {30, 20, 40}, {30, 45, 40}, {1000, 1000, 1000}, {0}, 11, 11},
	{"home is silent", {30, 20, 40}, {30, 0, 40}, {1000, 1000, 1000}, {0}, 11, 10},
	{"all are silent", {30, 20, 40}, {0, 0, 0}, {1000, 1000, 1000}, {0}, 11, 11},
	{"to be avoided", {30, 20, 40}, {30, 20, 40}, {1000, 1000, 1000}, {0, DERP_USE_AVOID}, 10, 10},
	{"avoided until nothing else", {30, 20, 40}, {0, 20, 0}, {1000, 1000, 1000}, {0, DERP_USE_AVOID}, 10, 11},
	{"avoided as soon as another", {0, 20, 0}, {90, 20, 0}, {1000, 1000, 1000}, {0, DERP_USE_AVOID}, 11, 10},
	{"never", {30, 20, 40}, {0, 20, 0}, {1000, 1000, 1000}, {0, DERP_USE_NEVER}, 10, 10},
	{"nobody answers", {0}, {0}, {1000, 1000, 1000}, {DERP_USE_NEVER, DERP_USE_AVOID}, 12, 12},
	{"only one to be avoided",
	 {0},
	 {0},
	 {1000, 1000, 1000},
	 {DERP_USE_NEVER, DERP_USE_AVOID, DERP_USE_NEVER},
	 11,
	 11},
	{"none but those never",
	 {0},
	 {0},
	 {1000, 1000, 1000},
	 {DERP_USE_NEVER, DERP_USE_NEVER, DERP_USE_NEVER},
	 10,
	 10},
};

/* T12: how Tailscale's client chooses: by score, not for a few milliseconds, not for a moment's trouble. */
static void choice_of_home(void **state)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++) {
		struct derp_node nodes[NODES];
		struct derp_region *regions = regions_of(nodes);
		struct net net;

		for (int k = 0; k < 3; k++) {
			regions[k].score = choices[i].score[k];
			regions[k].use = choices[i].use[k];
		}
		net_start_with(&net, regions, 3);
		for (int k = 0; k < 3; k++)
			net.latency[k] = choices[i].first[k] * NS_PER_MS;
		net_run(&net, 4 * NS_PER_SEC);
		if (net.result.home != choices[i].home)
			fail_msg("%s: first %u", choices[i].name, net.result.home);
		for (int k = 0; k < 3; k++)
			net.latency[k] = choices[i].then[k] * NS_PER_MS;
		net_run(&net, 240 * NS_PER_SEC); /* one full round in it */
		if (net.result.home != choices[i].moved)
			fail_msg("%s: then %u", choices[i].name, net.result.home);
		netcheck_free(net.n);
	}
}

/* STUNPort -1, or names that do not resolve: peers have to find us somewhere all the same. */
static void home_without_stun(void **state)
{
	struct derp_node nodes[NODES];
	struct derp_region *regions = regions_of(nodes);
	struct net net;

	for (int i = 0; i < NODES; i++)
		nodes[i].stun_port = 0;
	net_start_with(&net, regions, NODES);
	net_run(&net, 100 * NS_PER_SEC);
	assert_int_equal(net.results, 1);
	assert_int_equal(net.result.home, 10);
	assert_false(net.result.udp);
	assert_int_equal(net.sent, 0);
	netcheck_set_map(net.n, &(struct derpmap){.regions = regions}, net.now); /* no relays any more */
	net_run(&net, NS_PER_SEC);
	assert_int_equal(net.results, 2);
	assert_int_equal(net.result.home, 0);
	netcheck_free(net.n);
}

/* UDP is blocked, and so may be the way to a relay: one that can be reached is a better home. */
static void home_that_can_be_reached(void **state)
{
	struct derp_node nodes[NODES];
	struct net net;

	net_start_with(&net, regions_of(nodes), 3);
	net_run(&net, 4 * NS_PER_SEC);
	assert_int_equal(net.result.home, 10);
	netcheck_set_relay(net.n, 10, true);
	net_run(&net, 40 * NS_PER_SEC);
	assert_int_equal(net.result.home, 11);
	netcheck_set_relay(net.n, 11, true);
	net_run(&net, 40 * NS_PER_SEC);
	assert_int_equal(net.result.home, 12);
	netcheck_set_map(net.n, &(struct derpmap){.regions = regions_of(nodes), .n = 3}, net.now);
	netcheck_set_relay(net.n, 12, true); /* with another map the first two are as far away as before */
	net_run(&net, 80 * NS_PER_SEC);
	assert_int_equal(net.result.home, 12); /* all are away: it stays where it is */
	netcheck_set_relay(net.n, 10, false);  /* it is not asked any more, so nobody knows */
	net_run(&net, 40 * NS_PER_SEC);
	assert_int_equal(net.result.home, 10);
	net.latency[1] = 5 * NS_PER_MS; /* UDP is back: its answer counts */
	net_run(&net, 40 * NS_PER_SEC);
	assert_int_equal(net.result.home, 11);
	netcheck_free(net.n);
}

/* Of a region with many nodes the first two are asked. */
static void few_are_asked(void **state)
{
	struct derp_node nodes[NODES];
	struct derp_region *regions = regions_of(nodes);
	struct net net;

	regions[0].n_nodes = NODES;
	nodes[0].stun_port = 0;
	net_start_with(&net, regions, 1);
	net_run(&net, 4 * NS_PER_SEC);
	assert_true(net.asked[1] && net.asked[2]);
	assert_int_equal(net.asked[0] + net.asked[3], 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stun_request_form),	    cmocka_unit_test(nearest_is_home),
		cmocka_unit_test(choice_of_home),	    cmocka_unit_test(home_without_stun),
		cmocka_unit_test(home_that_can_be_reached), cmocka_unit_test(few_are_asked),
		cmocka_unit_test(silent_home_is_left),	    cmocka_unit_test(nobody_answers),
		cmocka_unit_test(answers_of_others),
	};

	return cmocka_run_group_tests_name("tailnet_netcheck", tests, setup, NULL);
}
