/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages between gateway and network process: what one says the other reads, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/tailnet/ipc/wire.h"
#include "user/tailnet/ipc/ipc.h"
#include "user/base/secret.h"

static uint8_t bytes[WIRE_MAX], again[WIRE_MAX];

static struct tailnet_node *make_node(void)
{
	struct tailnet_node *n = node_new();

	n->id = 5;
	memset(n->node_key, 3, KEY_LEN);
	node_set_text(&n->name, "laptop");
	n->addresses = mem_alloc(1, sizeof(*n->addresses));
	n->addresses[n->n_addresses++] = (struct prefix){.addr = addr_from_v4(0x01004064), .len = 128};
	n->allowed = mem_alloc(1, sizeof(*n->allowed));
	n->allowed[n->n_allowed++] = (struct prefix){.addr = addr_from_v4(0x0000000a), .len = 96 + 8};
	n->primary = mem_alloc(1, sizeof(*n->primary));
	n->primary[n->n_primary++] = (struct prefix){.addr = addr_from_v4(0x0000000a), .len = 96 + 8};
	n->endpoints = mem_alloc(1, sizeof(*n->endpoints));
	n->endpoints[n->n_endpoints++] = (struct addr_port){addr_from_v4(0x010200c0), 41641};
	n->tags = mem_alloc(1, sizeof(*n->tags));
	n->tags[n->n_tags++] = mem_strdup("tag:gw");
	n->region = 9;
	n->key_expiry = 1893456000;
	n->online = true;
	return n;
}

static void make_rule(struct filter_rule *r)
{
	*r = (struct filter_rule){.id = 7, .text = mem_strdup("a -> b"), .n_src = 1, .n_dst = 1, .n_proto = 2};
	r->src = mem_alloc(1, sizeof(*r->src));
	r->src[0] = (struct prefix){.len = 0};
	r->dst = mem_alloc(1, sizeof(*r->dst));
	r->dst[0] = (struct filter_dst){.prefix = {.len = 0}, .first = 1, .last = 2};
	r->proto = mem_alloc(2, 1);
	r->proto[1] = 17;
}

static void make_region(struct derp_region *r)
{
	*r = (struct derp_region){.id = 9, .name = "lab", .use = DERP_USE_AVOID, .score = 500, .n_nodes = 2};
	r->nodes = mem_alloc(2, sizeof(*r->nodes));
	r->nodes[0] = (struct derp_node){.host = "a.test",
					 .cert = "sha256-raw:00ff",
					 .has_v4 = true,
					 .v4 = addr_from_v4(0x010200c0),
					 .no_v6 = true,
					 .derp_port = 443};
	r->nodes[1] = (struct derp_node){.host = "b.test",
					 .unverified = true,
					 .looked_up = true,
					 .has_v6 = true,
					 .v6 = {.w = {1}},
					 .no_v4 = true,
					 .stun_port = 3478};
}

static struct wire_message sample_to_gateway(enum wire_type type)
{
	struct wire_message m = {.type = type};

	switch (type) {
	case WIRE_STATUS:
		m.status = (struct wire_status){WIRE_STATE_OFFLINE, mem_strdup("no answer")};
		break;
	case WIRE_CLOCK:
		m.clock = 1800000000;
		break;
	case WIRE_HEALTH:
		m.health = (struct health){mem_alloc(1, sizeof(*m.health.v)), 1};
		m.health.v[0] = (struct health_message){.severity = HEALTH_HIGH, .text = mem_strdup("all is lost")};
		break;
	case WIRE_LOGIN:
		m.url = mem_strdup("https://h/register/abc");
		break;
	case WIRE_MAP_BEGIN:
		m.begin = (struct wire_map_begin){true, false, true};
		break;
	case WIRE_SELF:
		m.self = (struct wire_self){make_node(), true};
		break;
	case WIRE_PEER:
		m.peer = make_node();
		break;
	case WIRE_PEER_GONE:
		m.gone = 1ull << 40;
		break;
	case WIRE_RULE:
		make_rule(&m.rule);
		break;
	case WIRE_LEFT_OUT:
		m.left_out = (struct wire_left_out){2, mem_strdup("rule 1: SrcIPs: not an address")};
		break;
	case WIRE_RELAY_HELLO:
		m.hello.region = 9;
		break;
	case WIRE_RELAY_STATE:
		m.relay = (struct wire_relay_state){
			9, WIRE_RELAY_AWAY, {CONN_ERROR_TCP, ECONNREFUSED}, mem_strdup("relay.test")};
		break;
	default:
		break;
	}
	return m;
}

/* What goes both ways, too. */
static struct wire_message sample_to_network(enum wire_type type)
{
	struct wire_message m = {.type = type};

	switch (type) {
	case WIRE_REGION:
		make_region(&m.region);
		break;
	case WIRE_CONFIG:
		m.config = (struct wire_config){.server = mem_strdup("https://h"),
						.auth_key = secret_strndup("secret", 6),
						.hostname = mem_strdup("gw"),
						.version = mem_strdup("1"),
						.os_version = mem_strdup("6"),
						.ca = mem_strdup("pem"),
						.relays = true};
		break;
	case WIRE_ROUTES:
		m.routes = (struct wire_routes){mem_alloc(1, sizeof(struct prefix)), 1};
		m.routes.v[0].len = 3;
		break;
	case WIRE_ENDPOINTS:
		m.endpoints = (struct wire_endpoints){mem_alloc(1, sizeof(struct map_endpoint)), 1};
		m.endpoints.v[0] = (struct map_endpoint){{addr_from_v4(1), 1}, ENDPOINT_STUN};
		break;
	case WIRE_RECONNECT:
		m.auth_key = secret_strndup("secret", 6);
		break;
	case WIRE_NETINFO:
		m.netinfo = (struct wire_netinfo){9, true, false};
		break;
	case WIRE_RELAY_BOX:
		m.box = (struct wire_relay_box){9, mem_alloc(5, 1), 5};
		break;
	case WIRE_RELAY_PACKET:
		m.packet = (struct wire_relay_packet){.region = 9, .bytes = (const uint8_t *)"packet", .len = 6};
		break;
	default:
		break;
	}
	return m;
}

static enum wire_direction direction_of(enum wire_type type)
{
	return type <= WIRE_RELAY_STATE ? WIRE_TO_GATEWAY : WIRE_TO_NETWORK;
}

/* One well-formed message of every type; free it with wire_message_free(). The types that go both ways are among those
 * to the network. */
static struct wire_message sample(enum wire_type type)
{
	return type < WIRE_RELAY_PACKET && type != WIRE_REGION ? sample_to_gateway(type) : sample_to_network(type);
}

static void round_trip(void **state)
{
	for (int type = WIRE_STATUS; type <= WIRE_RECONNECT; type++) {
		struct wire_message m = sample((enum wire_type)type), copy;
		size_t len = wire_encode(&m, bytes, sizeof(bytes));

		assert_true(len);
		assert_true(wire_decode(bytes, len, direction_of(m.type), &copy));
		assert_int_equal(copy.type, type);
		assert_int_equal(wire_encode(&copy, again, sizeof(again)), len);
		assert_memory_equal(bytes, again, len);
		wire_message_free(&copy);
		wire_message_free(&m);
	}
}

/* The other direction, every shortened form, and one byte too many. Packets carry any number of bytes. */
static void refused(void **state)
{
	for (int type = WIRE_STATUS; type <= WIRE_RECONNECT; type++) {
		struct wire_message m = sample((enum wire_type)type), copy;
		size_t len = wire_encode(&m, bytes, sizeof(bytes)), shortest = type == WIRE_RELAY_PACKET ? 35 : len;

		if (type != WIRE_RELAY_PACKET && type != WIRE_REGION)
			assert_false(wire_decode(bytes, len, !direction_of(m.type), &copy));
		for (size_t cut = 0; cut < shortest; cut++)
			assert_false(wire_decode(bytes, cut, direction_of(m.type), &copy));
		bytes[len] = 0;
		assert_int_equal(wire_decode(bytes, len + 1, direction_of(m.type), &copy), type == WIRE_RELAY_PACKET);
		for (size_t size = 0; size < len; size++)
			assert_int_equal(wire_encode(&m, again, size), 0);
		wire_message_free(&m);
	}
	assert_false(wire_decode(bytes, 0, WIRE_TO_GATEWAY, &(struct wire_message){0}));
	for (int type = 0; type < 256; type++) {
		bytes[0] = (uint8_t)type;
		if (!type || type > WIRE_RECONNECT)
			assert_false(wire_decode(bytes, 1, WIRE_TO_GATEWAY, &(struct wire_message){0}));
	}
}

/* Every byte changed in turn: refused, or something that is well-formed and says the same when told again. */
static void damaged(void **state)
{
	for (int type = WIRE_STATUS; type <= WIRE_RECONNECT; type++) {
		struct wire_message m = sample((enum wire_type)type), copy;
		size_t len = wire_encode(&m, bytes, sizeof(bytes));

		for (size_t i = 1; i < len; i++) {
			for (int bit = 0; bit < 8; bit++) {
				bytes[i] ^= (uint8_t)(1 << bit);
				if (wire_decode(bytes, len, direction_of(m.type), &copy)) {
					assert_int_equal(wire_encode(&copy, again, sizeof(again)), len);
					assert_memory_equal(bytes, again, len);
					wire_message_free(&copy);
				}
				bytes[i] ^= (uint8_t)(1 << bit);
			}
		}
		wire_message_free(&m);
	}
}

/* Well-formed in shape, wrong in what they say. */
static void impossible_values(void **state)
{
	struct wire_message m = {.type = WIRE_PEER, .peer = make_node()}, copy;
	struct tailnet_node *n = m.peer;
	size_t len;

	for (int what = 0; what < 7; what++) {
		struct tailnet_node saved = *n;
		struct prefix address = n->addresses[0], allowed = n->allowed[0];
		struct addr_port endpoint = n->endpoints[0];

		if (what == 0)
			n->id = 0;
		if (what == 1)
			memset(n->node_key, 0, KEY_LEN);
		if (what == 2)
			n->addresses[0].len = 120; /* not one host */
		if (what == 3)
			n->allowed[0].addr.b[15] = 1; /* bits behind the prefix */
		if (what == 4)
			n->allowed[0].len = 129;
		if (what == 5)
			n->endpoints[0].port = 0;
		if (what == 6)
			n->key_expiry = -1;
		len = wire_encode(&m, bytes, sizeof(bytes));
		assert_true(len);
		assert_false(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
		*n = saved;
		n->addresses[0] = address;
		n->allowed[0] = allowed;
		n->endpoints[0] = endpoint;
	}
	len = wire_encode(&m, bytes, sizeof(bytes));
	assert_true(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
	wire_message_free(&copy);
	wire_message_free(&m);
}

/* Trouble without a reason, a reason without trouble, and hosts that are none. */
static void impossible_relays(void **state)
{
	static const struct {
		struct wire_relay_state s;
		bool good;
	} cases[] = {
		{{9, WIRE_RELAY_AWAY, {CONN_ERROR_HTTP, 404}, "relay.test"}, true},
		{{9, WIRE_RELAY_AWAY, {CONN_ERROR_NO_RELAY, 0}, NULL}, true},
		{{9, WIRE_RELAY_UP, {0}, "2001:db8::1"}, true},
		{{9, WIRE_RELAY_LEFT, {0}, NULL}, true},
		{{0, WIRE_RELAY_UP, {0}, "relay.test"}, false},
		{{9, WIRE_RELAY_STANDINGS, {0}, NULL}, false},
		{{9, WIRE_RELAY_AWAY, {0}, "relay.test"}, false},
		{{9, WIRE_RELAY_AWAY, {CONN_ERROR_KINDS, 0}, "relay.test"}, false},
		{{9, WIRE_RELAY_UP, {CONN_ERROR_CLOSED, 0}, "relay.test"}, false},
		{{9, WIRE_RELAY_UP, {CONN_ERROR_NONE, 7}, "relay.test"}, false},
		{{9, WIRE_RELAY_AWAY, {CONN_ERROR_CLOSED, 0}, "\x1b[31mrelay"}, false},
		{{9, WIRE_RELAY_AWAY, {CONN_ERROR_CLOSED, 0}, "relay.test\nall is well"}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct wire_message m = {.type = WIRE_RELAY_STATE, .relay = cases[i].s};
		struct wire_message copy;
		size_t len = wire_encode(&m, bytes, sizeof(bytes));

		assert_true(len);
		assert_int_equal(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy), cases[i].good);
		wire_message_free(&copy);
	}
}

static void impossible_regions(void **state)
{
	for (int what = 0; what < 9; what++) {
		struct wire_message m = sample(WIRE_REGION), copy;
		struct derp_node *n = m.region.nodes;
		size_t len;

		if (what == 1)
			m.region.id = 0;
		if (what == 2)
			m.region.use = DERP_USES;
		if (what == 3)
			m.region.score = 0;
		if (what == 4)
			m.region.score = DERP_SCORE_MAX + 1;
		if (what == 5)
			strcpy(n[0].host, "a\n.test");
		if (what == 6)
			*n[1].host = 0;
		if (what == 7)
			strcpy(n[0].cert, "a b");
		if (what == 8)
			n[1].v6 = n[0].v4; /* of the other family */
		len = wire_encode(&m, bytes, sizeof(bytes));
		assert_true(len);
		assert_int_equal(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy), what == 0);
		wire_message_free(&copy);
		wire_message_free(&m);
	}
}

static void denies_are_never_told(void **state)
{
	struct wire_message m = sample(WIRE_RULE);

	m.rule.verdict = FILTER_DENY;
	assert_int_equal(wire_encode(&m, bytes, sizeof(bytes)), 0);
	wire_message_free(&m);
}

static void texts_have_bounds(void **state)
{
	struct wire_message m = sample(WIRE_STATUS);

	free(m.status.text);
	m.status.text = mem_alloc(WIRE_TEXT_MAX + 2, 1);
	memset(m.status.text, 'x', WIRE_TEXT_MAX);
	assert_true(wire_encode(&m, bytes, sizeof(bytes)));
	m.status.text[WIRE_TEXT_MAX] = 'x';
	assert_int_equal(wire_encode(&m, bytes, sizeof(bytes)), 0);
	wire_message_free(&m);
}

/* ---- the pair ------------------------------------------------------------------------ */

static void make_pair(struct ipc *gateway, struct ipc *network)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ipc_init(gateway, fds[0], WIRE_TO_GATEWAY);
	ipc_init(network, fds[1], WIRE_TO_NETWORK);
}

/* The other end does not read: packets are lost, everything else comes, in order. */
static void slow_reader(void **state)
{
	static uint8_t packet[1400];
	struct ipc gateway, network;
	struct wire_message m, gone = {.type = WIRE_PEER_GONE}, p = {.type = WIRE_RELAY_PACKET};
	size_t packets = 0;
	uint64_t next = 1;

	make_pair(&gateway, &network);
	p.packet = (struct wire_relay_packet){.bytes = packet, .len = sizeof(packet)};
	for (gone.gone = 1; gone.gone <= 20000; gone.gone++) {
		assert_true(ipc_send(&network, &gone));
		assert_true(ipc_send(&network, &p));
	}
	assert_true(network.dropped > 0);
	assert_true(ipc_wants_write(&network));
	while (next <= 20000) {
		enum ipc_result r = ipc_receive(&gateway, &m);

		if (r == IPC_NOTHING) {
			assert_true(ipc_flush(&network));
			continue;
		}
		assert_int_equal(r, IPC_MESSAGE);
		if (m.type == WIRE_RELAY_PACKET)
			packets++;
		else
			assert_int_equal(m.gone, next++);
		wire_message_free(&m);
	}
	assert_int_equal(packets + network.dropped, 20000);
	ipc_free(&network);
	assert_int_equal(ipc_receive(&gateway, &m), IPC_GONE);
	assert_false(ipc_send(&gateway, &(struct wire_message){.type = WIRE_LOGOUT}));
	ipc_free(&gateway);
}

static void garbage_on_the_pair(void **state)
{
	static uint8_t huge[WIRE_MAX + 1];
	struct ipc gateway, network;
	struct wire_message m;

	make_pair(&gateway, &network);
	assert_int_equal(ipc_receive(&gateway, &m), IPC_NOTHING);
	assert_int_equal(send(network.fd, "\xff\x01", 2, 0), 2);
	assert_int_equal(ipc_receive(&gateway, &m), IPC_MALFORMED);
	huge[0] = WIRE_RELAY_PACKET;
	assert_int_equal(send(network.fd, huge, sizeof(huge), 0), sizeof(huge));
	assert_int_equal(ipc_receive(&gateway, &m), IPC_MALFORMED);
	ipc_free(&network);
	ipc_free(&gateway);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refused),
		cmocka_unit_test(damaged),
		cmocka_unit_test(impossible_values),
		cmocka_unit_test(impossible_relays),
		cmocka_unit_test(impossible_regions),
		cmocka_unit_test(denies_are_never_told),
		cmocka_unit_test(texts_have_bounds),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(garbage_on_the_pair),
	};

	return cmocka_run_group_tests_name("tailnet_wire", tests, NULL, NULL);
}
