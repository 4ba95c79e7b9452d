/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports: unpredictable, used to the last one (CAPACITY), exactly counted, and never the
 * host's (HOST).
 */
#include <sys/socket.h>

#include "slots.h"

static struct shape syn(const struct family *f, uint32_t i, uint16_t dport)
{
	return shape_of(f, IPPROTO_TCP, (uint16_t)(1024 + i), dport);
}

/* 7857: neighbours do not get neighbouring ports, and a source port is not kept. */
static void test_unpredictable(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t last = 0, near = 0, kept = 0;

	for (uint32_t i = 0; i < 200; i++) {
		struct shape shape = syn(&f, i, 80);
		uint16_t port;
		struct ran r;

		shape.sport = (uint16_t)(PORT_FIRST + i);
		r = out_of(s, &shape, 1);
		assert_sent(r);
		port = frame_sport(&r.out);
		near += abs((int)port - (int)last) <= 2;
		kept += port == shape.sport;
		last = port;
	}
	assert_true(near < 20); /* one in 200 by chance */
	assert_true(kept < 5);
}

static uint32_t pair_used(struct scratch *s, uint32_t *ports)
{
	struct pair pair;
	uint32_t used = 0;

	if (!maps_busiest(s->m, &pair, &used, ports))
		return 0;
	return used;
}

/*
 * Every port of the range is given out, each once; the next is refused, told once, and
 * cheaply; live flows go on; one that ends makes room.
 */
static void test_to_the_last(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		bool seen[PORT_COUNT] = {};
		struct shape shape;
		uint32_t ports = 0;
		struct ran r;

		for (uint32_t i = 0; i < PORT_COUNT; i++) {
			uint16_t port;

			shape = syn(&f, i, 80);
			r = out_of(s, &shape, 1);
			assert_sent(r);
			port = frame_sport(&r.out);
			assert_in_range(port, PORT_FIRST, PORT_FIRST + PORT_COUNT - 1);
			assert_false(seen[port - PORT_FIRST]);
			seen[port - PORT_FIRST] = true;
			if (i % 100)
				continue;
			assert_int_equal(pair_used(s, &ports), i + 1);
			assert_int_equal(ports, PORT_COUNT);
		}
		for (uint32_t i = 0; i < 3; i++) {
			shape = syn(&f, PORT_COUNT + i, 80);
			assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL);
		}
		/* Towards another remote all of them are free. */
		shape = syn(&f, 0, 8000);
		assert_sent(out_of(s, &shape, 1));
		shape = syn(&f, 0, 80);
		shape.flags = TH_ACK;
		assert_sent(out_of(s, &shape, 1));
		shape = syn(&f, 17, 80);
		slot_of(s, &shape)->expires = 1;
		sweep(s);
		shape = syn(&f, 5000, 80);
		assert_sent(out_of(s, &shape, 1));
		assert_int_equal(pair_used(s, &ports), PORT_COUNT);
		expire_all(s);
		sweep(s);
		assert_empty(s);
	}
}

/* UDP: a mapping has its port for every remote. */
static void test_mappings_to_the_last(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape;
	uint32_t ports;

	for (uint32_t i = 0; i < PORT_COUNT; i++) {
		shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(1024 + i), 53);
		assert_sent(out_of(s, &shape, 1));
	}
	assert_int_equal(pair_used(s, &ports), PORT_COUNT);
	shape = shape_of(&f, IPPROTO_UDP, 9999, 53);
	assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL);
	shape = shape_of(&f, IPPROTO_UDP, 1024, 4001); /* the endpoint has one */
	assert_sent(out_of(s, &shape, 1));
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

static int count_full(void *ctx, void *data, size_t size)
{
	const struct notice *n = data;

	if (n->kind == NOTICE_FULL)
		++*(uint32_t *)ctx;
	return 0;
}

/* One event for a pair that stays full, though a port of it is given back and taken again now and then. */
static void test_one_event(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t events = 0;
	struct ring_buffer *ring = ring_buffer__new(maps_notices_fd(s->m), count_full, &events, NULL);
	struct shape shape;

	scratch_egress(s, 1, f.external, 2, PORT_FIRST, 8);
	for (uint32_t i = 0; i < 10; i++) {
		shape = syn(&f, i, 80);
		out_of(s, &shape, 1);
	}
	for (uint32_t i = 0; i < 5; i++) {
		shape = syn(&f, i, 80);
		slot_of(s, &shape)->expires = 1;
		sweep(s);
		shape = syn(&f, 20 + i, 80);
		assert_sent(out_of(s, &shape, 1));
		shape = syn(&f, 40, 80);
		assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL);
	}
	ring_buffer__consume(ring);
	assert_int_equal(events, 1);
	expire_all(s);
	sweep(s);
	for (uint32_t i = 0; i < 10; i++) {
		shape = syn(&f, i, 80);
		out_of(s, &shape, 1);
	}
	ring_buffer__consume(ring);
	assert_int_equal(events, 2); /* it had room in between */
	ring_buffer__free(ring);
}

/* Small and uneven ranges: all their ports, and no other. */
static void test_ranges(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct egress e = {.addr = f.external,
			   .state = EGRESS_HERE,
			   .ifindex = 2,
			   .range = {{65533, 3}, {1024, 1}, {30000, 5}},
			   .answers = {TEST_IFINDEX}};
	bool seen[65536] = {};

	must(maps_egress_set(s->m, 1, &e));
	must(maps_egress_get(s->m, 1, &e));
	assert_int_equal(e.ports, 9);
	assert_int_equal(e.prime, 11);
	for (uint32_t i = 0; i < 9; i++) {
		struct shape shape = syn(&f, i, 80);
		struct ran r = out_of(s, &shape, 1);
		uint16_t p = frame_sport(&r.out);

		assert_sent(r);
		assert_true(p >= 65533 || p == 1024 || (p >= 30000 && p < 30005));
		assert_false(seen[p]);
		seen[p] = true;
	}
}

static void test_no_range(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = syn(&f, 1, 80);

	scratch_egress(s, 1, f.external, 2, 0, 0);
	assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL);
	scratch_egress(s, 1, f.external, 2, 4000, 1);
	assert_sent(out_of(s, &shape, 1));
}

/* ---- the host's own sockets -------------------------------------------------------- */

struct own { /* a socket of the host on a loopback address */
	int fd;
	uint16_t port;
	struct addr addr;
};

/* @port: 0 any */
static struct own own_socket(bool v6, int type, uint16_t port)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(port)};
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	struct sockaddr *sa = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = v6 ? sizeof(in6) : sizeof(in);
	struct own own = {.fd = socket(v6 ? AF_INET6 : AF_INET, type, 0), .addr = addr_of(v6 ? "::1" : "127.0.0.1")};

	assert_int_equal(bind(own.fd, sa, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(own.fd, 1), 0);
	assert_int_equal(getsockname(own.fd, sa, &len), 0);
	own.port = ntohs(v6 ? in6.sin6_port : in.sin_port);
	return own;
}

static void test_hosts_ports(void **state)
{
	struct scratch *s = *state;

	for (int i = 0; i < 4; i++) {
		bool v6 = i & 1, udp = i & 2;
		struct own own = own_socket(v6, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, udp ? IPPROTO_UDP : IPPROTO_TCP, 777, udp ? 53 : 80);

		print_message("  %s %s\n", f.name, udp ? "UDP" : "TCP");
		scratch_egress(s, v6 ? 2 : 1, own.addr, 2, own.port, 1);
		assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL);
		assert_dropped(out_of(s, &shape, 1), DROP_PORTS_FULL); /* remembered */
		assert_int_equal(entries(s->m->skel->maps.flow_index), 0);
		close(own.fd);
		usleep(1100000); /* for a second */
		assert_sent(out_of(s, &shape, 1));
		expire_all(s);
		sweep(s);
	}
}

/* A socket that the host opens on the port of a mapping gets what the mapping does not let in, and no more. */
static void test_hosts_port_since(void **state)
{
	struct scratch *s = *state;

	for (int i = 0; i < 4; i++) {
		bool v6 = i & 1, udp = i & 2;
		int type = udp ? SOCK_DGRAM : SOCK_STREAM;
		struct own own = own_socket(v6, type, 0);
		struct family f = family_of(v6);
		struct shape out = shape_of(&f, udp ? IPPROTO_UDP : IPPROTO_TCP, 777, udp ? 53 : 80), in, other, denied;
		struct ran r;

		print_message("  %s %s\n", f.name, udp ? "UDP" : "TCP");
		s->settings.tcp_endpoint_independent = 1;
		must(maps_settings_set(s->m, &s->settings));
		scratch_egress(s, v6 ? 2 : 1, own.addr, 2, own.port, 1);
		close(own.fd);
		r = out_of(s, &out, 1);
		assert_sent(r);
		in = other = denied = answer_to(&out, &r);
		other.src = f.remote2;
		denied.sport = 7777;
		other.flags = denied.flags = TH_SYN;
		assert_dropped(into(s, &other), DROP_FILTERED);
		assert_dropped(into(s, &denied), DROP_POLICY);
		own = own_socket(v6, type, own.port);
		assert_ran(into(s, &other), NEXT, DROP_NONE);
		assert_ran(into(s, &denied), NEXT, DROP_NONE);
		assert_sent(into(s, &in));
		close(own.fd);
		assert_dropped(into(s, &other), DROP_FILTERED);
		expire_all(s);
		sweep(s);
	}
}

/* Of an exclusive address all ports are ours, whoever listens. */
static void test_exclusive(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct own own = own_socket(false, SOCK_STREAM, 0);
	struct egress e = {
		.addr = own.addr, .state = EGRESS_HERE, .ifindex = 2, .exclusive = 1, .range = {{own.port, 1}}};
	struct shape shape = syn(&f, 1, 80);
	struct ran r;

	must(maps_egress_set(s->m, 1, &e));
	r = out_of(s, &shape, 1);
	assert_sent(r);
	assert_int_equal(frame_sport(&r.out), own.port);
	close(own.fd);
}

/* ---- cost ----------------------------------------------------------------------------- */

/* Nanoseconds of each of @n SYNs from the @first one on. */
static uint64_t cost(struct scratch *s, uint32_t first, uint32_t n)
{
	struct family f = family_of(false);
	uint64_t total = 0;
	struct frame in;

	for (uint32_t i = first; i < first + n; i++) {
		struct shape shape = syn(&f, i, 80);
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.b);

		frame_build(&in, &shape);
		from_client(&in, 1);
		opts.data_size_in = (uint32_t)in.len;
		must(bpf_prog_test_run_opts(maps_program(s->m, PROGRAM_TAP_IN), &opts));
		total += opts.duration;
	}
	return total / n;
}

/* Printed, not judged. The first refusal of a pair searches; the others remember. */
static void test_cost(void **state)
{
	struct scratch *s = *state;
	uint64_t new = cost(s, 0, PORT_COUNT * 99 / 100);
	uint64_t last = cost(s, PORT_COUNT * 99 / 100, PORT_COUNT / 100);

	print_message(
		"  a new flow: %llu ns; with 99%% of the ports taken %llu ns; with all of them, refused: %llu ns\n",
		(unsigned long long)new, (unsigned long long)last, (unsigned long long)cost(s, PORT_COUNT, PORT_COUNT));
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unpredictable), T(test_to_the_last), T(test_mappings_to_the_last), T(test_one_event),
		T(test_ranges),	       T(test_no_range),    T(test_hosts_ports),	  T(test_hosts_port_since),
		T(test_exclusive),     T(test_cost),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
