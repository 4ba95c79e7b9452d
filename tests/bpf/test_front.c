/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front of the WireGuard port, in its three places, from one table of messages;
 * and which worker a message or a frame is steered to.
 */
#include <poll.h>
#include <sys/socket.h>

#include "scratch.h"

#include "admissions.h"

#define KNOWN	0x11223344u /* receiver index of a session, as in the message */
#define UNKNOWN 0x55667788u

enum { INITIATION = 1, RESPONSE, COOKIE, DATA };

static const struct {
	const char *name;
	uint8_t head[8]; /* type, reserved; the rest for disco and STUN */
	size_t len;
	uint32_t first, second; /* words 1 and 2; 0: as in head */
	enum drop_reason reason;
	bool disco, stun;
} messages[] = {
	{"initiation", {INITIATION}, 148, UNKNOWN, 0, DROP_NONE, false, false},
	{"initiation, short", {INITIATION}, 147, UNKNOWN, 0, DROP_WG_LENGTH, false, false},
	{"initiation, long", {INITIATION}, 149, UNKNOWN, 0, DROP_WG_LENGTH, false, false},
	{"response", {RESPONSE}, 92, UNKNOWN, KNOWN, DROP_NONE, false, false},
	{"response, sender known only", {RESPONSE}, 92, KNOWN, UNKNOWN, DROP_WG_INDEX, false, false},
	{"response, long", {RESPONSE}, 93, UNKNOWN, KNOWN, DROP_WG_LENGTH, false, false},
	{"cookie", {COOKIE}, 64, KNOWN, UNKNOWN, DROP_NONE, false, false},
	{"cookie, unknown", {COOKIE}, 64, UNKNOWN, KNOWN, DROP_WG_INDEX, false, false},
	{"cookie, short", {COOKIE}, 63, KNOWN, 0, DROP_WG_LENGTH, false, false},
	{"keepalive", {DATA}, 32, KNOWN, 0, DROP_NONE, false, false},
	{"data", {DATA}, 1452, KNOWN, 0, DROP_NONE, false, false},
	{"data, short", {DATA}, 31, KNOWN, 0, DROP_WG_LENGTH, false, false},
	{"data, unknown", {DATA}, 32, UNKNOWN, KNOWN, DROP_WG_INDEX, false, false},
	{"reserved byte 1", {DATA, 1, 0, 0}, 32, KNOWN, 0, DROP_WG_RESERVED, false, false},
	{"reserved byte 3", {DATA, 0, 0, 0x80}, 32, KNOWN, 0, DROP_WG_RESERVED, false, false},
	{"initiation, reserved byte 2", {INITIATION, 0, 1, 0}, 148, 0, 0, DROP_WG_RESERVED, false, false},
	{"type 0", {0}, 148, KNOWN, 0, DROP_WG_TYPE, false, false},
	{"type 5", {5}, 148, KNOWN, 0, DROP_WG_TYPE, false, false},
	{"type 255", {255}, 32, KNOWN, 0, DROP_WG_TYPE, false, false},
	{"empty", {0}, 0, 0, 0, DROP_WG_TYPE, false, false},
	{"one byte", {DATA}, 1, 0, 0, DROP_WG_LENGTH, false, false},
	{"eleven bytes", {DATA}, 11, KNOWN, 0, DROP_WG_LENGTH, false, false},
	{"DNS", {0x12, 0x34, 1, 0}, 40, 0, 0, DROP_WG_TYPE, false, false},
	{"disco, off", {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac}, 62, 0, 0, DROP_WG_TYPE, false, true},
	{"disco", {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac}, 62, 0, 0, DROP_NONE, true, false},
	{"disco, short", {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac}, 61, 0, 0, DROP_WG_TYPE, true, false},
	{"disco, wrong magic", {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xad}, 62, 0, 0, DROP_WG_TYPE, true, false},
	{"STUN, off", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20, 0, 0, DROP_WG_TYPE, true, false},
	{"STUN request", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20, 0, 0, DROP_NONE, false, true},
	{"STUN answer", {1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42}, 32, 0, 0, DROP_NONE, false, true},
	{"STUN, short", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 19, 0, 0, DROP_WG_TYPE, false, true},
	{"STUN, wrong cookie", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43}, 20, 0, 0, DROP_WG_TYPE, false, true},
	{"STUN, wrong bits", {0x80, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, 20, 0, 0, DROP_WG_TYPE, false, true},
};

static void put_message(uint8_t *p, size_t i)
{
	uint8_t m[2048] = {};

	memcpy(m, messages[i].head, sizeof(messages[i].head));
	if (messages[i].first)
		memcpy(m + 4, &messages[i].first, 4);
	if (messages[i].second)
		memcpy(m + 8, &messages[i].second, 4);
	memcpy(p, m, messages[i].len);
}

static void arm(struct scratch *s, bool armed, bool disco, bool stun)
{
	s->settings.front_armed = armed;
	s->settings.front_disco = disco;
	s->settings.front_stun = stun;
	must(maps_settings_set(s->m, &s->settings));
}

static int setup(void **state)
{
	struct scratch *s;

	if (scratch_reset(state))
		return -1;
	s = *state;
	must(maps_session_set(s->m, KNOWN, 3, 1));
	arm(s, true, false, false);
	return 0;
}

static struct frame message_frame(bool v6, size_t i)
{
	struct shape shape = {
		.v6 = v6,
		.proto = IPPROTO_UDP,
		.src = addr_of(v6 ? "2001:db8:5::5" : "192.0.2.5"),
		.dst = addr_of(v6 ? "2001:db8:1::1" : "198.51.100.1"),
		.sport = 4242,
		.dport = WG_PORT,
		.payload = messages[i].len,
	};
	struct frame f;

	frame_build(&f, &shape);
	put_message(f.b + f.payload, i);
	return f;
}

static void assert_front(struct scratch *s, const struct frame *f, enum drop_reason reason)
{
	struct ran r = run(s, PROGRAM_FRONT, f);

	assert_ran(r, reason ? 1 : 2, reason); /* XDP_DROP, XDP_PASS */
}

static void test_messages(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < N(messages); i++) {
			struct frame f = message_frame(v6, i);

			print_message("  %s %s\n", v6 ? "IPv6" : "IPv4", messages[i].name);
			arm(s, true, messages[i].disco, messages[i].stun);
			assert_front(s, &f, messages[i].reason);
			arm(s, false, messages[i].disco, messages[i].stun);
			assert_front(s, &f, DROP_NONE);
		}
	}
}

/* On the socket the data begin with the UDP header: an unknown ethertype makes TEST_RUN leave it alone. */
static struct frame socket_frame(const struct frame *whole, size_t payload)
{
	struct frame f = {.len = 14 + 8 + payload};

	put16(f.b + 12, 0x88b5);
	memcpy(f.b + 14, whole->b + whole->l4, 8 + payload);
	return f;
}

static void test_messages_on_socket(void **state)
{
	struct scratch *s = *state;

	for (size_t i = 0; i < N(messages); i++) {
		struct frame whole = message_frame(false, i), f = socket_frame(&whole, messages[i].len);
		struct ran r;

		print_message("  %s\n", messages[i].name);
		arm(s, false, messages[i].disco, messages[i].stun); /* always on */
		r = run(s, PROGRAM_FRONT_SOCKET, &f);
		assert_ran(r, messages[i].reason ? 0 : (int)(8 + messages[i].len), messages[i].reason);
	}
}

/* What is not for the port, or cannot be judged, is none of the front's business. */
static void test_passes(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct frame bad = message_frame(v6, 16), f; /* type 0 */

		assert_front(s, &bad, DROP_WG_TYPE);
		f = bad;
		put16(f.b + f.l4 + 2, WG_PORT + 1);
		assert_front(s, &f, DROP_NONE);
		f = bad;
		f.b[f.l3 + (v6 ? 6 : 9)] = IPPROTO_TCP;
		assert_front(s, &f, DROP_NONE);
		f = bad;
		f.b[f.l3] = (uint8_t)(v6 ? 0x60 : 0x44); /* IPv4: header too short */
		assert_front(s, &f, v6 ? DROP_WG_TYPE : DROP_NONE);
		f = bad;
		frame_tag(&f, ETHERTYPE_VLAN, 0);
		assert_front(s, &f, DROP_WG_TYPE); /* just a priority */
		frame_tag(&f, 0x88a8, 100);
		assert_front(s, &f, DROP_NONE); /* two tags */
		f = bad;
		frame_tag(&f, ETHERTYPE_VLAN, 100);
		assert_front(s, &f, DROP_NONE); /* its VLAN's */
		f = bad;
		put16(f.b + f.l4 + 4, 7); /* UDP's own length is wrong */
		assert_front(s, &f, DROP_NONE);
		f = bad;
		put16(f.b + 12, 0x0806);
		assert_front(s, &f, DROP_NONE);
	}
}

static void test_fragments(void **state)
{
	struct scratch *s = *state;
	struct frame f = message_frame(false, 16);

	put16(f.b + f.l3 + 6, 0x2000); /* the first: its head is there */
	assert_front(s, &f, DROP_WG_TYPE);
	put16(f.b + f.l3 + 6, 0x0010);
	assert_front(s, &f, DROP_NONE);
	put16(f.b + f.l3 + 6, 0x2010);
	assert_front(s, &f, DROP_NONE);
}

static void test_options(void **state)
{
	struct scratch *s = *state;
	static const uint8_t options[4] = {1, 1, 1, 1};
	struct shape shape = {.proto = IPPROTO_UDP,
			      .src = addr_of("192.0.2.5"),
			      .dst = addr_of("198.51.100.1"),
			      .dport = WG_PORT,
			      .payload = 40,
			      .options = options,
			      .n_options = 4};
	struct frame f;

	frame_build(&f, &shape);
	put_message(f.b + f.payload, 9); /* a keepalive, with padding behind */
	assert_front(s, &f, DROP_NONE);
	put_message(f.b + f.payload, 12);
	assert_front(s, &f, DROP_WG_INDEX);
}

/* A GRO batch is judged by the size of its segments. */
static void test_gro(void **state)
{
	struct scratch *s = *state;
	struct shape shape = {.proto = IPPROTO_UDP,
			      .src = addr_of("192.0.2.5"),
			      .dst = addr_of("198.51.100.1"),
			      .dport = WG_PORT,
			      .payload = 3 * 148};
	struct frame whole, f;

	frame_build(&whole, &shape);
	put_message(whole.b + whole.payload, 0); /* initiations */
	f = socket_frame(&whole, shape.payload);
	assert_ran(run(s, PROGRAM_FRONT_SOCKET, &f), 0, DROP_WG_LENGTH);
	assert_ran(run_with(s, PROGRAM_FRONT_SOCKET, &f, (struct push){.gso_size = 148, .gso_segs = 3}), 8 + 3 * 148,
		   DROP_NONE);
}

static void assert_let_in(struct scratch *s, size_t i, bool cookie, bool let_in)
{
	struct frame whole = message_frame(false, i), f;

	if (cookie)
		whole.b[whole.payload + 147] = 1; /* the last byte of mac2 */
	f = socket_frame(&whole, messages[i].len);
	assert_ran(run(s, PROGRAM_FRONT_SOCKET, &f), let_in ? (int)(8 + messages[i].len) : 0,
		   let_in ? DROP_NONE : DROP_WG_RATE);
}

/* Without keys to check macs by. Each kind has a budget of its own, and what names an index of ours none. */
static void test_fault_22_strangers_have_budgets(void **state)
{
	struct scratch *s = *state;

	must(maps_gate_set(s->m, NULL, (const uint8_t *const[2]){NULL}));
	arm(s, false, true, true);
	for (uint32_t empty = 0; empty < ADMIT_MAX; empty++) {
		budgets(s, 1u << empty);
		assert_let_in(s, 0, false, empty != ADMIT_STRANGERS);
		assert_let_in(s, 0, true, empty != ADMIT_STRANGERS);
		assert_let_in(s, 24, false, empty != ADMIT_OTHERS); /* disco */
		assert_let_in(s, 28, false, empty != ADMIT_OTHERS); /* STUN */
		assert_let_in(s, 3, false, true);		    /* a response */
		assert_let_in(s, 6, false, true);
		assert_let_in(s, 9, false, true); /* a keepalive */
	}
	budgets(s, 0);
}

/* A flood of disco by strangers does not reach a peer that has answered from where it is; its own bucket is bounded. */
static void test_fault_22_known_peers_have_buckets(void **state)
{
	struct scratch *s = *state;
	int known = bpf_map__fd(s->m->skel->maps.known_work);

	budgets(s, 1u << ADMIT_OTHERS);
	for (int v6 = 0; v6 < 2; v6++) {
		struct known_at at = {.addr = addr_of(v6 ? "2001:db8:5::5" : "192.0.2.5"), .port = htons(4242)};
		struct frame f = message_frame(v6, 24);
		uint64_t never = UINT64_MAX / 2;

		arm(s, true, true, true);
		assert_front(s, &f, DROP_WG_RATE);
		must(maps_known_set(s->m, &at.addr, 4243)); /* another port of it */
		assert_front(s, &f, DROP_WG_RATE);
		must(maps_known_set(s->m, &at.addr, 4242));
		assert_front(s, &f, DROP_NONE);
		must(bpf_map_update_elem(known, &at, &never, BPF_EXIST)); /* it has had enough */
		assert_front(s, &f, DROP_WG_RATE);
		must(maps_known_set(s->m, &at.addr, 4242)); /* does not fill it */
		assert_front(s, &f, DROP_WG_RATE);
	}
	budgets(s, 0);
}

static void test_counted(void **state)
{
	struct scratch *s = *state;
	struct traffic before[TOTAL_MAX], after[TOTAL_MAX];
	struct frame f = message_frame(false, 9);

	must(maps_totals(s->m, before));
	assert_front(s, &f, DROP_NONE);
	must(maps_totals(s->m, after));
	assert_int_equal(after[TOTAL_FRONT_PASS].packets - before[TOTAL_FRONT_PASS].packets, 1);
	assert_int_equal(after[TOTAL_FRONT_PASS].bytes - before[TOTAL_FRONT_PASS].bytes, 32);
}

/* ---- steering ------------------------------------------------------------------------- */

static int steered(struct scratch *s, const struct frame *frame, uint32_t mark)
{
	return at_tap(s, PROGRAM_STEER_TAP, frame, (struct push){.mark = mark}).verdict;
}

static void test_steer_tap(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family fam = family_of(v6);
		struct shape shape = {
			.v6 = v6, .proto = IPPROTO_UDP, .src = fam.tunnel, .dst = fam.client2, .payload = 10};
		struct frame f;

		frame_build(&f, &shape);
		assert_int_equal(steered(s, &f, 0), 3);	       /* client 2 is worker 3's */
		assert_int_equal(steered(s, &f, TAP_MARK), 0); /* but nic_in knows best */
		assert_int_equal(steered(s, &f, TAP_MARK | 5), 5);
		assert_int_equal(steered(s, &f, 6), 3); /* the host's own mark (SO_MARK) means something else */
		shape.dst = fam.client;
		frame_build(&f, &shape);
		assert_int_equal(steered(s, &f, 0), 2);
		shape.dst = fam.remote; /* nobody */
		frame_build(&f, &shape);
		assert_int_equal(steered(s, &f, 0), 0);
		put16(f.b + 12, 0x0806);
		assert_int_equal(steered(s, &f, 0), 0);
	}
}

/* What the host would forward to a client stays out; answers and the host's own get in. */
static void test_fence_tap(void **state)
{
	enum { NIC = 3 };
	static const struct {
		const char *name;
		uint32_t mark, from;
		bool in;
	} cases[] = {
		{"the host's own", 0, 0, true},
		{"the host's own, marked by it", 1, 0, true},
		{"an answer", TAP_MARK, NIC, true},
		{"an answer for another worker", TAP_MARK | 63, NIC, true},
		{"forwarded", 0, NIC, false},
		{"forwarded, marked by the host", 1, NIC, false},
		{"forwarded, with a mark near ours", TAP_MARK + 0x10000, NIC, false},
	};

	for (int v6 = 0; v6 < 2; v6++) {
		struct family fam = family_of(v6);
		struct shape shape = {
			.v6 = v6, .proto = IPPROTO_UDP, .src = fam.remote, .dst = fam.client, .payload = 10};
		struct frame f;

		frame_build(&f, &shape);
		for (size_t i = 0; i < N(cases); i++) {
			struct push push = {.mark = cases[i].mark, .from = cases[i].from};

			print_message("  %s %s\n", fam.name, cases[i].name);
			assert_ran(at_tap(*state, PROGRAM_FENCE_TAP, &f, push), cases[i].in ? (int)f.len : 0,
				   cases[i].in ? DROP_NONE : DROP_FORWARDED);
		}
	}
}

/* What a worker itself sent and the host's routes lead back: sealed again, it would go round for ever. */
static void test_fault_45_the_tunnels_own_stay_out(void **state)
{
	enum { NIC = 3 };
	static const struct {
		const char *name;
		uint8_t proto;
		uint16_t sport;
		uint32_t mark, from;
		enum drop_reason reason;
	} cases[] = {
		{"a worker's", IPPROTO_UDP, WG_PORT, 0, 0, DROP_LOOP},
		{"a worker's, with the mark of the configuration", IPPROTO_UDP, WG_PORT, 77, 0, DROP_LOOP},
		{"another program's", IPPROTO_UDP, WG_PORT + 1, 0, 0, DROP_NONE},
		{"TCP", IPPROTO_TCP, WG_PORT, 0, 0, DROP_NONE},
		{"an answer of a service on that port", IPPROTO_UDP, WG_PORT, TAP_MARK, NIC, DROP_NONE},
		{"forwarded", IPPROTO_UDP, WG_PORT, 0, NIC, DROP_FORWARDED},
	};

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(cases); i++) {
			struct family fam = family_of(v6);
			struct shape shape = {.v6 = v6,
					      .proto = cases[i].proto,
					      .src = fam.external,
					      .dst = fam.client,
					      .sport = cases[i].sport,
					      .dport = WG_PORT,
					      .payload = 10};
			struct push push = {.mark = cases[i].mark, .from = cases[i].from};
			struct frame f;

			frame_build(&f, &shape);
			print_message("  %s %s\n", fam.name, cases[i].name);
			assert_ran(at_tap(*state, PROGRAM_FENCE_TAP, &f, push), cases[i].reason ? 0 : (int)f.len,
				   cases[i].reason);
		}
}

#define WORKERS 4

struct group { /* sockets of all workers, and one to send from */
	int fd[WORKERS], sender;
	struct sockaddr_storage to;
	socklen_t len;
};

static socklen_t loopback(struct sockaddr_storage *ss, bool v6)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*in);
}

static void group_open(struct scratch *s, struct group *g, bool v6)
{
	int one = 1, steer = maps_program(s->m, PROGRAM_STEER_UDP), filter = maps_program(s->m, PROGRAM_FRONT_SOCKET);
	int family = v6 ? AF_INET6 : AF_INET;

	g->len = loopback(&g->to, v6);
	for (uint32_t w = 0; w < WORKERS; w++) {
		g->fd[w] = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(setsockopt(g->fd[w], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
		assert_int_equal(bind(g->fd[w], (struct sockaddr *)&g->to, g->len), 0);
		assert_int_equal(getsockname(g->fd[w], (struct sockaddr *)&g->to, &g->len), 0);
		assert_int_equal(setsockopt(g->fd[w], SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)), 0);
		must(maps_worker_socket(s->m, w, v6, g->fd[w]));
	}
	assert_int_equal(setsockopt(g->fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &steer, sizeof(steer)), 0);
	g->sender = socket(family, SOCK_DGRAM, 0);
}

static void group_close(struct group *g)
{
	for (int w = 0; w < WORKERS; w++)
		close(g->fd[w]);
	close(g->sender);
}

static void send_message(struct group *g, size_t i)
{
	uint8_t m[2048];

	put_message(m, i);
	assert_int_equal(sendto(g->sender, m, messages[i].len, 0, (struct sockaddr *)&g->to, g->len), messages[i].len);
}

/* Waits for what arrives first; which worker got it. */
static int arrival(struct group *g, uint8_t *type)
{
	struct pollfd polled[WORKERS];
	uint8_t m[2048];
	int worker = -1;

	for (int w = 0; w < WORKERS; w++)
		polled[w] = (struct pollfd){.fd = g->fd[w], .events = POLLIN};
	assert_int_equal(poll(polled, WORKERS, 10000), 1);
	for (int w = 0; w < WORKERS; w++)
		if (polled[w].revents)
			worker = w;
	assert_true(recv(g->fd[worker], m, sizeof(m), 0) > 0);
	*type = m[0];
	return worker;
}

/* Sends message @i; which worker got it. */
static int delivered(struct group *g, size_t i)
{
	uint8_t type;

	send_message(g, i);
	return arrival(g, &type);
}

/* Nobody gets it: what is sent behind it, an initiation, arrives first. */
static void assert_not_delivered(struct group *g, size_t i)
{
	uint8_t type;

	send_message(g, i);
	send_message(g, 0);
	arrival(g, &type);
	assert_int_equal(type, INITIATION);
}

/* On real sockets: by the receiver index, also of a response, whose sender stands first. */
static void test_steer_udp(void **state)
{
	struct scratch *s = *state;
	struct group g;

	for (int v6 = 0; v6 < 2; v6++) {
		group_open(s, &g, v6);
		for (uint32_t w = 0; w < WORKERS; w++) {
			must(maps_session_set(s->m, KNOWN, w, 1));
			assert_int_equal(delivered(&g, 10), w);
			assert_int_equal(delivered(&g, 3), w);
			assert_int_equal(delivered(&g, 6), w);
		}
		assert_true(delivered(&g, 0) >= 0); /* an initiation: somebody */
		assert_not_delivered(&g, 12);	    /* unknown: nobody, and no ICMP error */
		assert_not_delivered(&g, 16);
		must(maps_session_set(s->m, KNOWN, MAX_WORKERS - 1, 1)); /* a worker without a socket */
		assert_true(delivered(&g, 10) >= 0);
		group_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_messages, setup),
		cmocka_unit_test_setup(test_messages_on_socket, setup),
		cmocka_unit_test_setup(test_passes, setup),
		cmocka_unit_test_setup(test_fragments, setup),
		cmocka_unit_test_setup(test_options, setup),
		cmocka_unit_test_setup(test_gro, setup),
		cmocka_unit_test_setup(test_fault_22_strangers_have_budgets, setup),
		cmocka_unit_test_setup(test_fault_22_known_peers_have_buckets, setup),
		cmocka_unit_test_setup(test_counted, setup),
		cmocka_unit_test_setup(test_steer_tap, setup),
		cmocka_unit_test_setup(test_fence_tap, setup),
		cmocka_unit_test_setup(test_fault_45_the_tunnels_own_stay_out, setup),
		cmocka_unit_test_setup(test_steer_udp, setup),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
