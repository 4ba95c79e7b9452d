/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client sends to the gateway itself: only what the host takes part in already needs
 * no rule, and only the host can say what that is. Real sockets, in a namespace that has the
 * tunnel's address and, as the other end of connections, the client's.
 */
#include "taps.h"

#include "slots.h"

enum { CLIENT_PORT = 777, RULED = 22, UNRULED = 2222 };

union name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t name_of(union name *n, const struct addr *a, uint16_t port)
{
	memset(n, 0, sizeof(*n));
	if (addr_is_v4(a)) {
		n->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&n->in.sin_addr, &a->b[12], 4);
		return sizeof(n->in);
	}
	n->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&n->in6.sin6_addr, a, 16);
	return sizeof(n->in6);
}

/* A socket at @a, whose port, 0: any, is put into *@port. */
static int socket_at(const struct addr *a, int type, uint16_t *port)
{
	union name n;
	socklen_t len = name_of(&n, a, *port);
	int fd = socket(n.sa.sa_family, type | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, &n.sa, len), 0);
	assert_int_equal(getsockname(fd, &n.sa, &len), 0);
	*port = ntohs(addr_is_v4(a) ? n.in.sin_port : n.in6.sin6_port);
	return fd;
}

static int connect_to(int fd, const struct addr *a, uint16_t port)
{
	union name n;
	socklen_t len = name_of(&n, a, port);

	return connect(fd, &n.sa, len);
}

static void loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
}

/* Host and client in one namespace. */
static void both_ends(void)
{
	struct tap t;

	own_namespace();
	t = tap_open("tunnel0", 0);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		tap_address(&t, &f.tunnel, v6 ? 64 : 24);
		tap_address(&t, &f.client, v6 ? 64 : 24);
	}
	loopback_up();
}

/* From the client's @sport to the gateway's @dport. */
static void assert_gets(struct scratch *s, const struct family *f, uint8_t proto, uint16_t sport, uint16_t dport,
			uint8_t flags, enum drop_reason reason)
{
	struct shape shape = {.v6 = f->v6,
			      .proto = proto,
			      .src = f->client,
			      .dst = f->tunnel,
			      .sport = sport,
			      .dport = dport,
			      .flags = flags,
			      .payload = 8};

	print_message("  %s %u from %u to %u\n", f->name, proto, sport, dport);
	assert_ran(out_of(s, &shape, 1), reason ? SHOT : OK, reason);
}

/* 16: a socket without a peer says that its peer's port is 0, which is what an attacker sends from. */
static void test_fault_16_port_zero(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		uint16_t port = 0, tcp = 0;
		int udp = socket_at(&f.tunnel, SOCK_DGRAM, &port), stream = socket_at(&f.tunnel, SOCK_STREAM, &tcp);

		assert_int_equal(listen(stream, 1), 0);
		for (uint16_t from = 0; from < 2; from++) {
			assert_gets(*state, &f, IPPROTO_UDP, from, port, 0, DROP_POLICY);
			assert_gets(*state, &f, IPPROTO_TCP, from, tcp, TH_ACK, DROP_POLICY);
			assert_gets(*state, &f, IPPROTO_TCP, from, tcp, TH_SYN, DROP_POLICY);
		}
		close(udp);
		close(stream);
	}
}

/* The answers to what the host asked; of nobody else. */
static void test_fault_17_udp(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		uint16_t port = 0, served = 0;
		int asks = socket_at(&f.tunnel, SOCK_DGRAM, &port), serves = socket_at(&f.tunnel, SOCK_DGRAM, &served);
		int accepted = socket_at(&f.tunnel, SOCK_DGRAM, &served);

		assert_int_equal(connect_to(asks, &f.client, CLIENT_PORT), 0);
		assert_gets(*state, &f, IPPROTO_UDP, CLIENT_PORT, port, 0, DROP_NONE);
		assert_gets(*state, &f, IPPROTO_UDP, CLIENT_PORT + 1, port, 0, DROP_POLICY);
		assert_gets(*state, &f, IPPROTO_UDP, 0, port, 0, DROP_POLICY);
		/* A service with a socket for each of its clients: whom it serves the policy says. */
		assert_int_equal(connect_to(accepted, &f.client, CLIENT_PORT), 0);
		assert_gets(*state, &f, IPPROTO_UDP, CLIENT_PORT, served, 0, DROP_POLICY);
		close(asks);
		close(serves);
		close(accepted);
	}
}

/* The host's SYN leaves by the TAP; its stack here knows another way to the same sockets. */
static void call_by_tap(struct scratch *s, const struct family *f, const struct addr *to, uint16_t sport,
			uint16_t dport)
{
	struct shape shape = {.v6 = f->v6,
			      .proto = IPPROTO_TCP,
			      .src = f->tunnel,
			      .dst = *to,
			      .sport = sport,
			      .dport = dport,
			      .flags = TH_SYN};
	struct frame frame;

	frame_build(&frame, &shape);
	assert_ran(at_tap(s, PROGRAM_FENCE_TAP, &frame, (struct push){}), (int)frame.len, DROP_NONE);
}

/* The host connects to the client: begun, up, and for a while after its end. */
static void test_fault_17_tcp_of_the_host(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		uint16_t port = 0, half = 0, to = CLIENT_PORT;
		int listener = socket_at(&f.client, SOCK_STREAM, &to), fd = socket_at(&f.tunnel, SOCK_STREAM, &port);
		int begun = socket_at(&f.tunnel, SOCK_STREAM | SOCK_NONBLOCK, &half), peer;
		struct addr nobody = f.client;

		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(connect_to(fd, &f.client, CLIENT_PORT), 0);
		peer = accept(listener, NULL, NULL);
		assert_gets(*state, &f, IPPROTO_TCP, CLIENT_PORT, port, TH_ACK, DROP_POLICY); /* not by the tunnel */
		call_by_tap(*state, &f, &f.client, port, CLIENT_PORT);
		assert_gets(*state, &f, IPPROTO_TCP, CLIENT_PORT, port, TH_ACK, DROP_NONE);
		assert_gets(*state, &f, IPPROTO_TCP, CLIENT_PORT + 1, port, TH_ACK, DROP_POLICY);
		assert_gets(*state, &f, IPPROTO_TCP, 0, port, TH_ACK, DROP_POLICY);
		close(fd);
		close(peer);
		assert_gets(*state, &f, IPPROTO_TCP, CLIENT_PORT, port, TH_FIN | TH_ACK, DROP_NONE); /* TIME_WAIT */
		nobody.b[15] = 99; /* on link, and silent */
		assert_int_equal(connect_to(begun, &nobody, CLIENT_PORT), -1);
		assert_int_equal(errno, EINPROGRESS);
		call_by_tap(*state, &f, &nobody, half, CLIENT_PORT);
		{
			struct shape answer = {.v6 = v6,
					       .proto = IPPROTO_TCP,
					       .src = nobody,
					       .dst = f.tunnel,
					       .sport = CLIENT_PORT,
					       .dport = half,
					       .flags = TH_SYN | TH_ACK};

			assert_ran(out_of(*state, &answer, 1), OK, DROP_NONE); /* SYN_SENT */
			answer.sport++;
			assert_ran(out_of(*state, &answer, 1), SHOT, DROP_POLICY);
		}
		close(begun);
		close(listener);
	}
}

/* What a service of the host accepted: as long as the policy says so. */
static void test_fault_17_tcp_of_a_service(void **state)
{
	static const struct {
		uint16_t port;
		enum drop_reason reason;
	} services[] = {{RULED, DROP_NONE}, {UNRULED, DROP_POLICY}};

	for (size_t i = 0; i < 2 * N(services); i++) {
		struct family f = family_of(i & 1);
		uint16_t to = services[i / 2].port, from = 0;
		int listener = socket_at(&f.tunnel, SOCK_STREAM, &to), fd = socket_at(&f.client, SOCK_STREAM, &from),
		    peer;

		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(connect_to(fd, &f.tunnel, to), 0);
		peer = accept(listener, NULL, NULL);
		assert_gets(*state, &f, IPPROTO_TCP, from, to, TH_ACK, services[i / 2].reason);
		close(peer);
		close(fd);
		close(listener);
	}
}

/*
 * What a service accepted, once it listens no more: its socket looks like one of the host's own calls, but nobody
 * called, or somebody did long ago by the same ports.
 */
static void test_fault_17_tcp_of_a_service_that_is_gone(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct family f = family_of(i & 1);
		uint16_t to = UNRULED, from = 0;
		int listener = socket_at(&f.tunnel, SOCK_STREAM, &to), fd = socket_at(&f.client, SOCK_STREAM, &from),
		    peer;

		assert_int_equal(listen(listener, 1), 0);
		if (i & 2) {
			call_by_tap(*state, &f, &f.client, to, from);
			assert_gets(*state, &f, IPPROTO_TCP, from, to, TH_SYN, DROP_POLICY);
		}
		assert_int_equal(connect_to(fd, &f.tunnel, to), 0);
		peer = accept(listener, NULL, NULL);
		close(listener);
		assert_gets(*state, &f, IPPROTO_TCP, from, to, TH_ACK, DROP_POLICY);
		assert_gets(*state, &f, IPPROTO_TCP, from, to, TH_RST, DROP_NONE); /* it can only end it */
		close(peer);
		close(fd);
	}
}

static uint32_t echo_by_tap(struct scratch *s, const struct family *f, const struct addr *to, uint16_t id, bool cut)
{
	struct shape shape = {
		.v6 = f->v6, .proto = IPPROTO_ICMP, .src = f->tunnel, .dst = *to, .sport = id, .payload = 32};
	struct frame frame;

	frame_build(&frame, &shape);
	if (cut)
		put16(frame.b + frame.l3 + 6, 0x2000);
	return (uint32_t)at_tap(s, PROGRAM_FENCE_TAP, &frame, (struct push){}).verdict;
}

/* An answer to a ping of the host's is awaited; one that nobody asked for is refused. */
static void test_fault_17_echo(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape reply = {
			.v6 = v6, .proto = IPPROTO_ICMP, .src = f.client2, .dst = f.tunnel, .dport = 9, .reply = true};

		assert_ran(out_of(s, &reply, 2), SHOT, DROP_RESERVED);
		assert_true(echo_by_tap(s, &f, &f.client, 9, false)); /* somebody else was asked */
		assert_ran(out_of(s, &reply, 2), SHOT, DROP_RESERVED);
		assert_true(echo_by_tap(s, &f, &f.client2, 9, !v6)); /* also a large one, in fragments */
		assert_ran(out_of(s, &reply, 2), OK, DROP_NONE);
		reply.dport = 0;
		assert_ran(out_of(s, &reply, 2), SHOT, DROP_RESERVED);
		s->settings.icmp_ns = 0;
		must(maps_settings_set(s->m, &s->settings));
		assert_true(echo_by_tap(s, &f, &f.client2, 9, false));
		reply.dport = 9;
		assert_ran(out_of(s, &reply, 2), SHOT, DROP_RESERVED); /* too late */
		scratch_settings(s);
	}
}

/* 17: no second way past a quota. */
static void test_fault_17_quota(void **state)
{
	struct scratch *s = *state;

	s->quota = (struct quota){.packets = 10, .new_flows = 3};
	scratch_policy(s, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = {
			.v6 = v6, .proto = IPPROTO_UDP, .src = f.client, .dst = f.tunnel, .sport = 5, .dport = 53};
		struct shape down = {
			.v6 = v6, .proto = IPPROTO_UDP, .src = f.tunnel, .dst = f.client, .sport = 53, .dport = 5};
		struct frame frame;

		fill_buckets(s);
		frame_build(&frame, &down);
		for (int i = 0; i < 10; i++) {
			assert_ran(out_of(s, &shape, 1), OK, DROP_NONE);
			assert_ran(at_tap(s, PROGRAM_FENCE_TAP, &frame, (struct push){}), (int)frame.len, DROP_NONE);
		}
		assert_ran(out_of(s, &shape, 1), SHOT, DROP_QUOTA_PACKETS);
		assert_ran(at_tap(s, PROGRAM_FENCE_TAP, &frame, (struct push){}), 0, DROP_QUOTA_PACKETS);
		/* What a program hands over was paid for. */
		assert_ran(at_tap(s, PROGRAM_FENCE_TAP, &frame, (struct push){.mark = TAP_MARK}), (int)frame.len,
			   DROP_NONE);
		fill_buckets(s);
		shape.proto = IPPROTO_TCP;
		shape.dport = RULED;
		shape.flags = TH_SYN;
		for (int i = 0; i < 3; i++)
			assert_ran(out_of(s, &shape, 1), OK, DROP_NONE);
		assert_ran(out_of(s, &shape, 1), SHOT, DROP_QUOTA_NEW_FLOWS);
	}
}

static int open_host(void **state)
{
	int err = scratch_open(state);

	if (!err)
		both_ends();
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fault_16_port_zero),
		T(test_fault_17_udp),
		T(test_fault_17_tcp_of_the_host),
		T(test_fault_17_tcp_of_a_service),
		T(test_fault_17_tcp_of_a_service_that_is_gone),
		T(test_fault_17_echo),
		T(test_fault_17_quota),
	};

	return cmocka_run_group_tests(tests, open_host, scratch_close);
}
