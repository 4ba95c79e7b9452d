/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes in by a NIC and belongs to no flow: the host's, unless the host must not
 * answer it.
 */
#include <sched.h>
#include <sys/socket.h>

#include "slots.h"

#define OURS	  (PORT_FIRST + 7)
#define NOT_RANGE 22

static const struct {
	const char *name;
	uint8_t proto;
	uint16_t dport;
	uint8_t flags;
	uint8_t type4, type6; /* ICMP */
	enum drop_reason shared, exclusive;
} strays[] = {
	{"5382-4 SYN to a port of ours", IPPROTO_TCP, OURS, TH_SYN, 0, 0, DROP_UNSOLICITED, DROP_EXCLUSIVE},
	{"5382-4 SYN to the first", IPPROTO_TCP, PORT_FIRST, TH_SYN, 0, 0, DROP_UNSOLICITED, DROP_EXCLUSIVE},
	{"5382-4 SYN to the last", IPPROTO_TCP, PORT_FIRST + PORT_COUNT - 1, TH_SYN, 0, 0, DROP_UNSOLICITED,
	 DROP_EXCLUSIVE},
	{"SYN to the host's ports", IPPROTO_TCP, NOT_RANGE, TH_SYN, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"SYN past the last", IPPROTO_TCP, PORT_FIRST + PORT_COUNT, TH_SYN, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"SYN before the first", IPPROTO_TCP, PORT_FIRST - 1, TH_SYN, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"ACK to a port of ours", IPPROTO_TCP, OURS, TH_ACK, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"SYN ACK", IPPROTO_TCP, OURS, TH_SYN | TH_ACK, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"reset", IPPROTO_TCP, OURS, TH_RST, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"datagram to a port of ours", IPPROTO_UDP, OURS, 0, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"datagram to the host's", IPPROTO_UDP, 53, 0, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
	{"WireGuard", IPPROTO_UDP, WG_PORT, 0, 0, 0, DROP_NONE, DROP_NONE},
	{"ping", IPPROTO_ICMP, 0, 0, 8, 128, DROP_NONE, DROP_EXCLUSIVE},
	{"timestamp, node information", IPPROTO_ICMP, 0, 0, 13, 139, DROP_NONE, DROP_EXCLUSIVE},
	{"another protocol", IPPROTO_GRE, 0, 0, 0, 0, DROP_NONE, DROP_EXCLUSIVE},
};

static void set_exclusive(struct scratch *s, const struct family *f, bool exclusive)
{
	struct egress e = {
		.addr = f->external,
		.state = EGRESS_HERE,
		.ifindex = 2,
		.exclusive = exclusive,
		.range = {{PORT_FIRST, PORT_COUNT}},
		.answers = {TEST_IFINDEX},
	};

	must(maps_egress_set(s->m, f->v6 ? 2 : 1, &e));
}

static struct shape stray_shape(const struct family *f, size_t i)
{
	return (struct shape){
		.v6 = f->v6,
		.proto = strays[i].proto,
		.src = f->remote,
		.dst = f->external,
		.sport = 443,
		.dport = strays[i].dport,
		.flags = strays[i].flags,
		.type = f->v6 ? strays[i].type6 : strays[i].type4,
		.payload = 8,
	};
}

/* A router's, where link addresses are given out as 02:... : what one looks like says nothing. */
static const uint8_t link_sources[][6] = {
	{TAP_MAC_0, TAP_CLIENT, 0, 0, 0, 1},
	{TAP_MAC_0, TAP_CLIENT, 0xff, 0xff, 0, 1},
	{TAP_MAC_0, TAP_RETURN, 0, 0, 0, 1},
	{TAP_MAC_0, TAP_PIECE, 0, 1, 5, 220},
};

static void assert_stray(struct scratch *s, const struct shape *shape, enum drop_reason reason)
{
	struct frame frame;

	frame_build(&frame, shape);
	assert_ran(run(s, PROGRAM_NIC_IN, &frame), reason ? SHOT : NEXT, reason);
	for (size_t i = 0; i < N(link_sources); i++) {
		memcpy(frame.b + 6, link_sources[i], 6);
		assert_ran(run(s, PROGRAM_NIC_IN, &frame), reason ? SHOT : NEXT, reason);
	}
}

static void test_strays(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(strays); i++) {
			struct family f = family_of(v6);
			struct shape shape = stray_shape(&f, i);

			print_message("  %s %s\n", f.name, strays[i].name);
			set_exclusive(s, &f, false);
			assert_stray(s, &shape, strays[i].shared);
			set_exclusive(s, &f, true);
			assert_stray(s, &shape, strays[i].exclusive);
			shape.dst = f.remote2; /* not an address of ours */
			assert_ran(into(s, &shape), NEXT, DROP_NONE);
			assert_int_equal(maps_flows_used(s->m), 0);
		}
}

/* What cannot be read whole is the host's; while nobody puts it together, too, but not on an exclusive address. */
static void test_fragment(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = stray_shape(&f, 9);
	struct frame frame;

	frame_build(&frame, &shape);
	frame.b[frame.l3 + 6] = 0x20;
	assert_ran(run(s, PROGRAM_NIC_IN, &frame), NEXT, DROP_NONE);
	set_exclusive(s, &f, true);
	assert_dropped(run(s, PROGRAM_NIC_IN, &frame), DROP_FRAGMENT);
}

/* Without neighbour discovery an exclusive address would not be reachable at all. */
static void test_neighbours(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(true);

	set_exclusive(s, &f, true);
	for (uint8_t type = 133; type <= 137; type++) {
		struct shape shape = {.v6 = true,
				      .proto = IPPROTO_ICMP,
				      .src = f.remote,
				      .dst = f.external,
				      .type = type,
				      .payload = 24};

		assert_ran(into(s, &shape), NEXT, DROP_NONE);
	}
}

/* Errors about the tunnel's own packets are the host's; about anything else, they belong to nobody. */
static void test_errors_about_the_tunnel(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		set_exclusive(s, &f, true);
		for (int ours = 0; ours < 2; ours++) {
			struct shape quoted = {.v6 = v6,
					       .proto = IPPROTO_UDP,
					       .src = f.external,
					       .dst = f.remote,
					       .sport = ours ? WG_PORT : 999,
					       .dport = 41641,
					       .payload = 40};
			struct shape error = {.v6 = v6,
					      .proto = IPPROTO_ICMP,
					      .src = f.remote2,
					      .dst = f.external,
					      .type = v6 ? 2 : 3,
					      .code = v6 ? 0 : 4};
			struct frame q;

			frame_build(&q, &quoted);
			error.quote = q.b + q.l3;
			error.n_quote = q.len - q.l3;
			assert_ran(into(s, &error), ours ? NEXT : SHOT, ours ? DROP_NONE : DROP_EXCLUSIVE);
		}
	}
}

/* A listener of the host is not silenced, unless the address is exclusive. */
static void test_listener(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		struct sockaddr *sa = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
		socklen_t len = v6 ? sizeof(in6) : sizeof(in);
		int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		struct family f = family_of(v6);
		struct egress e = {.addr = addr_of(v6 ? "::1" : "127.0.0.1"), .state = EGRESS_HERE, .ifindex = 2};
		struct shape shape = stray_shape(&f, 0);

		assert_int_equal(bind(fd, sa, len), 0);
		assert_int_equal(getsockname(fd, sa, &len), 0);
		shape.dst = e.addr;
		shape.dport = ntohs(v6 ? in6.sin6_port : in.sin_port);
		e.range[0] = (struct port_range){shape.dport, 1};
		must(maps_egress_set(s->m, 3, &e));
		assert_dropped(into(s, &shape), DROP_UNSOLICITED);
		assert_int_equal(listen(fd, 1), 0);
		assert_ran(into(s, &shape), NEXT, DROP_NONE);
		e.exclusive = 1;
		must(maps_egress_set(s->m, 3, &e));
		assert_dropped(into(s, &shape), DROP_EXCLUSIVE);
		e.state = EGRESS_GONE; /* gone: not ours any more */
		must(maps_egress_set(s->m, 3, &e));
		assert_ran(into(s, &shape), NEXT, DROP_NONE);
		close(fd);
	}
}

/* 5382-2: the remote's SYN crosses ours. Before ours went out it is dropped, its repetition passes. */
static void test_simultaneous_open(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_TCP, 40000, 80), back;
		struct ran r;

		scratch_egress(s, v6 ? 2 : 1, f.external, 2, OURS, 1); /* the port is known beforehand */
		back = stray_shape(&f, 0);
		back.sport = 80;
		assert_dropped(into(s, &back), DROP_UNSOLICITED);
		r = out_of(s, &shape, 1);
		assert_sent(r);
		assert_int_equal(frame_sport(&r.out), OURS);
		r = into(s, &back);
		assert_sent(r);
		assert_addr(frame_dst(&r.out), f.client);
	}
}

/* A lease that cannot be renewed takes the address away; but who has no client of DHCP does not answer. */
static void test_dhcp(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(68)};
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = {
		.proto = IPPROTO_UDP, .src = f.remote, .dst = f.external, .sport = 67, .dport = 68, .payload = 240};
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0); /* the machine may have such a client */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_exclusive(s, &f, true);
	assert_dropped(into(s, &shape), DROP_EXCLUSIVE);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_ran(into(s, &shape), NEXT, DROP_NONE);
	shape.dport = 69;
	assert_dropped(into(s, &shape), DROP_EXCLUSIVE);
	close(fd);
}

/* An exclusive address: flows are as ever, and WireGuard's port is nobody else's. */
static void test_exclusive_flows(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct egress e = {.addr = f.external,
				   .state = EGRESS_HERE,
				   .ifindex = 2,
				   .exclusive = 1,
				   .range = {{WG_PORT, 2}},
				   .answers = {TEST_IFINDEX}};
		struct shape udp = shape_of(&f, IPPROTO_UDP, 777, 53), tcp = shape_of(&f, IPPROTO_TCP, 777, 80), back;
		struct ran r;

		must(maps_egress_set(s->m, v6 ? 2 : 1, &e));
		r = out_of(s, &udp, 1);
		assert_sent(r);
		assert_int_equal(frame_sport(&r.out), WG_PORT + 1);
		back = answer_to(&udp, &r);
		assert_sent(into(s, &back));
		udp.sport++;
		assert_dropped(out_of(s, &udp, 1), DROP_PORTS_FULL);
		for (int i = 0; i < 2; i++, tcp.sport++) {
			r = out_of(s, &tcp, 1);
			assert_sent(r);
			back = answer_to(&tcp, &r);
			assert_sent(into(s, &back));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_strays),		 T(test_fragment),
		T(test_neighbours),	 T(test_errors_about_the_tunnel),
		T(test_listener),	 T(test_simultaneous_open),
		T(test_exclusive_flows), T(test_dhcp), /* the last: it is in a namespace of its own from then on */
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
