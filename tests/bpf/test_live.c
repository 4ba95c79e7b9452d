/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What BPF_PROG_TEST_RUN does not know: redirection, neighbours, partial checksums and
 * super-packets, on real devices.
 *
 *   worker --(sluice0)-- tap_in --> nic_out --(nic0)-- the world
 *          <-----------------------  nic_in <---------
 *
 * Both devices are TAPs in a namespace of the test's own; it plays the worker and the
 * world. What the world's side of a NIC without offloads gets has been segmented and
 * summed by the kernel from what the programs left: a wrong fix-up shows.
 */
#include "taps.h"
#include "user/kernel/attach.h"

static const uint8_t gateway_mac[6] = {0x02, 0, 0, 0, 0, 0xfe};

struct live {
	struct scratch s;
	struct tap sluice, nic;
	int links[3];
};

static void put_on(struct live *l, int i, enum program program, const struct tap *tap, enum attach_point point)
{
	enum attach_way way;
	char *error = NULL;

	if (attach_tc(l->s.m, NULL, program, tap->ifindex, point, &way, &l->links[i], &error))
		fail_msg("%s", error);
}

static void addresses(struct live *l)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct addr router = addr_of(v6 ? "2001:db8:1::fe" : "198.51.100.254");
		struct family f = family_of(v6);

		tap_address(&l->nic, &f.external, v6 ? 64 : 24);
		tap_address(&l->sluice, &f.tunnel, v6 ? 128 : 32);
		tap_neighbour(&l->nic, &router, gateway_mac);
		tap_route(&l->nic, &f.remote, &router);
		scratch_egress(&l->s, v6 ? 2 : 1, f.external, l->nic.ifindex, PORT_FIRST, PORT_COUNT);
	}
	l->s.settings.tap_ifindex = l->sluice.ifindex;
	must(maps_settings_set(l->s.m, &l->s.settings));
}

/* @offload: of the NIC. */
static void live_open(struct live *l, unsigned offload)
{
	void *state = NULL;

	own_namespace();
	assert_int_equal(scratch_open(&state), 0);
	l->s = *(struct scratch *)state;
	free(state);
	l->sluice = tap_open("sluice0", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	l->nic = tap_open("nic0", offload);
	addresses(l);
	put_on(l, 0, PROGRAM_TAP_IN, &l->sluice, ATTACH_INGRESS);
	put_on(l, 1, PROGRAM_NIC_IN, &l->nic, ATTACH_INGRESS);
	put_on(l, 2, PROGRAM_NIC_OUT, &l->nic, ATTACH_EGRESS);
}

static void live_close(struct live *l)
{
	for (int i = 0; i < 3; i++)
		if (l->links[i] >= 0)
			close(l->links[i]);
	close(l->sluice.fd);
	close(l->nic.fd);
	ring_buffer__free(l->s.notices);
	maps_close(l->s.m);
}

static struct shape tcp(const struct family *f, uint8_t flags, size_t payload)
{
	return (struct shape){.v6 = f->v6,
			      .proto = IPPROTO_TCP,
			      .src = f->client,
			      .dst = f->remote,
			      .sport = 40000,
			      .dport = 443,
			      .flags = flags,
			      .seq = 1000,
			      .payload = payload};
}

/* Leaves only the pseudo header's sum in the checksum field, as a sender with offload does. */
static struct virtio_net_hdr make_partial(struct frame *f, uint16_t gso_size)
{
	uint16_t sum = csum_fold(pseudo_sum(f, f->len - f->l4));
	size_t at = check_at(f->proto);

	memcpy(f->b + f->l4 + at, &sum, 2);
	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !gso_size ? VIRTIO_NET_HDR_GSO_NONE
				      : (f->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4),
		.hdr_len = (uint16_t)f->payload,
		.gso_size = gso_size,
		.csum_start = (uint16_t)f->l4,
		.csum_offset = (uint16_t)at,
	};
}

/* As the reader of a device with offloads: completes what is partial. */
static void complete(const struct virtio_net_hdr *h, struct frame *f)
{
	uint16_t c, sum = csum_fold(pseudo_sum(f, f->len - f->l4)), *field;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	assert_int_equal(h->csum_start, f->l4);
	field = (uint16_t *)(void *)(f->b + h->csum_start + h->csum_offset);
	assert_int_equal(*field, sum); /* the programs kept it right */
	c = csum_finish(csum_add(0, f->b + h->csum_start, f->len - h->csum_start));
	*field = c;
}

static void send_client(struct live *l, const struct virtio_net_hdr *h, struct frame *f)
{
	from_client(f, 1);
	tap_write(&l->sluice, h, f);
}

/* Opens the connection; the external port. */
static uint16_t open_tcp(struct live *l, const struct family *f)
{
	struct shape shape = tcp(f, TH_SYN, 0), back;
	struct virtio_net_hdr h = {};
	struct frame in, out;
	struct ran r;
	uint16_t port;

	frame_build(&in, &shape);
	send_client(l, &h, &in);
	assert_true(tap_read(&l->nic, &h, &out, &f->external, &f->remote));
	complete(&h, &out);
	assert_true(frame_checks(&out));
	assert_memory_equal(out.b, gateway_mac, 6); /* the next hop's, by the kernel's own tables */
	assert_memory_equal(out.b + 6, l->nic.mac, 6);
	port = frame_sport(&out);
	assert_in_range(port, PORT_FIRST, PORT_FIRST + PORT_COUNT - 1);

	r.out = out;
	back = answer_to(&shape, &r);
	back.seq = 5000;
	back.ack = 1001;
	frame_build(&in, &back);
	memcpy(in.b, l->nic.mac, 6);
	h = (struct virtio_net_hdr){};
	tap_write(&l->nic, &h, &in);
	assert_true(tap_read(&l->sluice, &h, &out, &f->remote, &f->client));
	complete(&h, &out);
	assert_true(frame_checks(&out));
	assert_int_equal(frame_dport(&out), 40000);
	return port;
}

static struct shape data_back(const struct family *f, uint16_t port, size_t payload)
{
	struct shape shape = tcp(f, TH_ACK, payload);

	shape.src = f->remote;
	shape.dst = f->external;
	shape.sport = 443;
	shape.dport = port;
	return shape;
}

/* A segment of which only the pseudo header has been summed, both ways. */
static void partial(struct live *l, const struct family *f, uint16_t port)
{
	struct shape shape = tcp(f, TH_ACK, 777);
	struct virtio_net_hdr h;
	struct frame in, out;

	frame_build(&in, &shape);
	h = make_partial(&in, 0);
	send_client(l, &h, &in);
	assert_true(tap_read(&l->nic, &h, &out, &f->external, &f->remote));
	complete(&h, &out);
	assert_true(frame_checks(&out));
	assert_int_equal(frame_sport(&out), port);

	shape = data_back(f, port, 555);
	frame_build(&in, &shape);
	memcpy(in.b, l->nic.mac, 6);
	h = make_partial(&in, 0);
	tap_write(&l->nic, &h, &in);
	assert_true(tap_read(&l->sluice, &h, &out, &f->remote, &f->client));
	complete(&h, &out);
	assert_true(frame_checks(&out));
}

/*
 * Reads what a super-packet of @n segments of 1000 bytes became: as many whole packets,
 * or fewer larger ones where the device takes them. Every checksum and byte is right.
 */
static void read_segments(const struct tap *t, const struct frame *sent, int n, const struct addr *src,
			  const struct addr *dst, bool whole)
{
	struct virtio_net_hdr h;
	struct frame out;
	size_t got = 0;

	while (got < (size_t)n * 1000) {
		size_t len;

		assert_true(tap_read(t, &h, &out, src, dst));
		out.payload = sent->payload;
		len = out.len - out.payload;
		if (whole) {
			assert_int_equal(len, (size_t)n * 1000);
			assert_int_equal(h.gso_size, 1000);
		} else {
			assert_int_equal(len, 1000);
		}
		complete(&h, &out);
		assert_true(frame_checks(&out));
		assert_memory_equal(out.b + out.payload, sent->b + sent->payload + got, len);
		got += len;
	}
}

static void super_packets(struct live *l, const struct family *f, uint16_t port, bool tso)
{
	struct shape shape = tcp(f, TH_ACK, 3000);
	struct virtio_net_hdr h;
	struct frame in;

	frame_build(&in, &shape);
	h = make_partial(&in, 1000);
	send_client(l, &h, &in);
	read_segments(&l->nic, &in, 3, &f->external, &f->remote, tso);

	shape = data_back(f, port, 3000);
	frame_build(&in, &shape);
	memcpy(in.b, l->nic.mac, 6);
	h = make_partial(&in, 1000);
	tap_write(&l->nic, &h, &in);
	read_segments(&l->sluice, &in, 3, &f->remote, &f->client, true);
}

static const struct {
	const char *name;
	unsigned offload;
} nics[] = {
	{"NIC without offloads", 0},
	{"NIC that sums", TUN_F_CSUM},
	{"NIC that segments", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6},
};

static void test_tcp(void **state)
{
	for (size_t i = 0; i < N(nics); i++) {
		struct live l;

		live_open(&l, nics[i].offload);
		for (int v6 = 0; v6 < 2; v6++) {
			struct family f = family_of(v6);
			uint16_t port = open_tcp(&l, &f);

			print_message("  %s, %s\n", f.name, nics[i].name);
			partial(&l, &f, port);
			super_packets(&l, &f, port, nics[i].offload & TUN_F_TSO4);
		}
		live_close(&l);
	}
}

static void send_as(struct live *l, const struct shape *shape, uint32_t client)
{
	struct virtio_net_hdr h = {};
	struct frame in;

	frame_build(&in, shape);
	from_client(&in, client);
	tap_write(&l->sluice, &h, &in);
}

static uint16_t external_port(struct live *l, const struct family *f, const struct shape *shape, uint32_t client)
{
	struct virtio_net_hdr h;
	struct frame out;

	send_as(l, shape, client);
	assert_true(tap_read(&l->nic, &h, &out, &f->external, &f->remote));
	return frame_sport(&out);
}

static void test_udp(void **state)
{
	struct virtio_net_hdr h = {};
	struct live l;

	live_open(&l, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = tcp(&f, 0, 100), back;
		struct frame in, out;
		struct ran r;

		shape.proto = IPPROTO_UDP;
		shape.dport = 53;
		for (int partially = 0; partially < 2; partially++) {
			frame_build(&in, &shape);
			h = partially ? make_partial(&in, 0) : (struct virtio_net_hdr){};
			send_client(&l, &h, &in);
			assert_true(tap_read(&l.nic, &h, &out, &f.external, &f.remote));
			assert_true(frame_checks(&out));
			r.out = out;
			back = answer_to(&shape, &r);
			frame_build(&in, &back);
			memcpy(in.b, l.nic.mac, 6);
			h = partially ? make_partial(&in, 0) : (struct virtio_net_hdr){};
			tap_write(&l.nic, &h, &in);
			assert_true(tap_read(&l.sluice, &h, &out, &f.remote, &f.client));
			complete(&h, &out);
			assert_true(frame_checks(&out));
		}
	}
	live_close(&l);
}

/*
 * An answer that carries a VLAN's number, or another's link address, is for the VLAN's or the
 * macvlan's own interface; so is what seems to come from a client there.
 */
static void test_fault_26_for_another(void **state)
{
	static const struct {
		const char *name;
		int tags[2];
		bool other_mac, taken;
	} rows[] = {
		{"plain", {-1, -1}, false, true},
		{"priority", {0, -1}, false, true},
		{"VLAN 100", {100, -1}, false, false},
		{"VLAN 100 with a priority", {0xe064, -1}, false, false},
		{"VLAN 200 within 100", {200, 100}, false, false},
		{"a macvlan's address", {-1, -1}, true, false},
	};
	uint64_t before[DROP_MAX], after[DROP_MAX];
	struct live l;

	live_open(&l, 0);
	for (size_t i = 0; i < 2 * N(rows); i++) {
		struct family f = family_of(i / N(rows));
		struct shape shape = tcp(&f, 0, 100), back;
		struct virtio_net_hdr h = {};
		struct frame in, out;
		struct ran r;

		print_message("  %s %s\n", f.name, rows[i % N(rows)].name);
		shape.proto = IPPROTO_UDP;
		shape.dport = 53;
		frame_build(&in, &shape);
		send_client(&l, &h, &in);
		assert_true(tap_read(&l.nic, &h, &r.out, &f.external, &f.remote));
		back = answer_to(&shape, &r);
		for (int forged = 0; forged < 2; forged++) {
			bool taken = rows[i % N(rows)].taken;

			frame_build(&in, &back);
			memcpy(in.b, l.nic.mac, 6);
			in.b[5] ^= rows[i % N(rows)].other_mac;
			for (int t = 0; t < 2 && rows[i % N(rows)].tags[t] >= 0; t++)
				frame_tag(&in, t ? 0x88a8 : ETHERTYPE_VLAN, (uint16_t)rows[i % N(rows)].tags[t]);
			h = (struct virtio_net_hdr){};
			must(maps_drops(l.s.m, before));
			tap_write(&l.nic, &h, &in);
			assert_int_equal(tap_read(&l.sluice, &h, &out, &back.src, &f.client), taken && !forged);
			must(maps_drops(l.s.m, after));
			assert_int_equal(after[DROP_FORGED] - before[DROP_FORGED], taken && forged);
			back.src = f.client2;
		}
	}
	live_close(&l);
}

/* From client 1 to client 4 by the external address, both of which it has: in at the NIC, out at none. */
static void test_hairpin(void **state)
{
	struct virtio_net_hdr h = {};
	struct live l;

	live_open(&l, 0);
	allow_external(&l.s, IPPROTO_UDP);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape alice = tcp(&f, 0, 100), bob = alice;
		uint16_t alices, bobs;
		struct frame in, out;

		alice.proto = bob.proto = IPPROTO_UDP;
		bob.src = f.client2;
		bob.sport = 2222;
		alices = external_port(&l, &f, &alice, 1);
		bobs = external_port(&l, &f, &bob, 4);
		bob.dst = alice.dst = f.external;
		alice.dport = bobs;
		bob.dport = alices;
		send_as(&l, &alice, 1); /* lets bob in */
		for (int partially = 0; partially < 2; partially++) {
			frame_build(&in, &bob);
			h = partially ? make_partial(&in, 0) : (struct virtio_net_hdr){};
			from_client(&in, 4);
			tap_write(&l.sluice, &h, &in);
			assert_true(tap_read(&l.sluice, &h, &out, &f.external, &f.client));
			complete(&h, &out);
			assert_true(frame_checks(&out));
			assert_int_equal(frame_sport(&out), bobs);
			assert_int_equal(frame_dport(&out), alice.sport);
		}
		assert_false(tap_read(&l.nic, &h, &out, &f.external, &f.external));
	}
	live_close(&l);
}

/* A UDP socket of the host on @port of the gateway's own address. */
static int host_socket(bool v6, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, v6 ? sizeof(in6) : sizeof(in)),
			 0);
	return fd;
}

static bool arrives(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[2048];

	return poll(&p, 1, 300) > 0 && recv(fd, buf, sizeof(buf), 0) > 0;
}

/* For the host: it is handed over by the program, and without the program not taken. */
static void test_to_host(void **state)
{
	struct virtio_net_hdr h = {};
	struct live l;

	live_open(&l, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = tcp(&f, 0, 100);
		int fd = host_socket(v6, 53), closed = host_socket(v6, 54);
		struct frame in;

		shape.proto = IPPROTO_UDP;
		shape.dst = f.tunnel;
		shape.dport = 53;
		frame_build(&in, &shape);
		send_client(&l, &h, &in);
		assert_true(arrives(fd));
		shape.dport = 54;
		frame_build(&in, &shape);
		send_client(&l, &h, &in);
		assert_false(arrives(closed));
		close(fd);
		close(closed);
	}
	must(attach_remove(NULL, l.sluice.ifindex, ATTACH_INGRESS));
	if (l.links[0] >= 0) {
		close(l.links[0]);
		l.links[0] = -1;
	}
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = tcp(&f, 0, 100);
		int fd = host_socket(v6, 53);
		struct frame in;

		shape.proto = IPPROTO_UDP;
		shape.dst = f.tunnel;
		shape.dport = 53;
		frame_build(&in, &shape);
		send_client(&l, &h, &in);
		assert_false(arrives(fd));
		close(fd);
	}
	live_close(&l);
}

/* The host routes a client's address by the NIC: nothing leaves. */
static void test_guard(void **state)
{
	uint64_t before[DROP_MAX], after[DROP_MAX];
	struct live l;

	live_open(&l, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		struct addr router = addr_of(v6 ? "2001:db8:1::fe" : "198.51.100.254");
		struct family f = family_of(v6);
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(7)};
		struct sockaddr *to = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
		int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
		struct virtio_net_hdr h;
		struct frame out;

		memcpy(&in6.sin6_addr, &f.client2, 16);
		memcpy(&in.sin_addr, &f.client2.b[12], 4);
		tap_route(&l.nic, &f.client2, &router);
		must(maps_drops(l.s.m, before));
		sendto(fd, "x", 1, 0, to, v6 ? sizeof(in6) : sizeof(in)); /* the host may hear that it failed */
		assert_false(tap_read(&l.nic, &h, &out, &f.external, &f.client2));
		must(maps_drops(l.s.m, after));
		assert_true(after[DROP_GUARD] > before[DROP_GUARD]);
		close(fd);
	}
	live_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),	cmocka_unit_test(test_udp),
		cmocka_unit_test(test_hairpin), cmocka_unit_test(test_to_host),
		cmocka_unit_test(test_guard),	cmocka_unit_test(test_fault_26_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
