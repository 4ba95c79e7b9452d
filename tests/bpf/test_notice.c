/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a refusal tells the daemon; and what of the host's own sockets needs no rule.
 */
#include <sys/socket.h>

#include "ends.h"

/* ---- what is told -------------------------------------------------------------------------- */

static int keep_notice(void *ctx, void *data, size_t size)
{
	assert_true(size == sizeof(struct notice));
	memcpy(ctx, data, size);
	return 1; /* ends the reading: one is enough */
}

/* The notice that waits; false: there is none. */
static bool take_notice(struct scratch *s, struct notice *out)
{
	struct ring_buffer *ring = ring_buffer__new(maps_notices_fd(s->m), keep_notice, out, NULL);
	int n = ring_buffer__consume(ring);

	ring_buffer__free(ring);
	return n > 0;
}

static const struct {
	const char *name;
	enum where dst;
	uint8_t proto, ttl;
	uint16_t dport;
	enum notice_kind kind;
	enum drop_reason reason;
	uint8_t type4, code4, type6, code6;
} notices[] = {
	{"5508-8 policy", SERVICE, IPPROTO_TCP, 64, 22, NOTICE_ICMP, DROP_POLICY, 3, 13, 1, 1},
	{"5508-8 no route", UNROUTED, IPPROTO_UDP, 64, 53, NOTICE_ICMP, DROP_NO_ROUTE, 3, 13, 1, 1},
	{"TTL", SERVICE, IPPROTO_UDP, 1, 53, NOTICE_ICMP, DROP_TTL, 11, 0, 3, 0},
	{"silent about multicast", MULTICAST, IPPROTO_UDP, 64, 53, NOTICE_DENIED, DROP_MULTICAST, 3, 13, 1, 1},
};

static void test_notices(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(notices); i++) {
			struct shape shape = tcp_shape(&f);
			struct notice n = {};
			struct frame in;

			print_message("  %s %s\n", f.name, notices[i].name);
			shape.proto = notices[i].proto;
			shape.dst = address(&f, notices[i].dst);
			shape.dport = notices[i].dport;
			shape.ttl = notices[i].ttl;
			shape.payload = 500;
			frame_build(&in, &shape);
			from_client(&in, 1);
			assert_dropped(run(s, PROGRAM_TAP_IN, &in), notices[i].reason);
			assert_true(take_notice(s, &n));
			assert_int_equal(n.kind, notices[i].kind);
			assert_int_equal(n.reason, notices[i].reason);
			assert_int_equal(n.client, 1);
			assert_int_equal(n.to_remote, 0);
			if (n.kind == NOTICE_ICMP) {
				assert_int_equal(n.icmp_type, v6 ? notices[i].type6 : notices[i].type4);
				assert_int_equal(n.icmp_code, v6 ? notices[i].code6 : notices[i].code4);
			}
			assert_int_equal(n.len, NOTICE_BYTES);
			assert_memory_equal(n.bytes, in.b + in.l3, NOTICE_BYTES);
			assert_addr(n.tuple.dst, shape.dst);
			assert_false(take_notice(s, &n));
		}
	}
}

/* Too large, in both directions, tells which MTU; a short packet is told whole. */
static void test_notice_too_big(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = tcp_shape(&f), back;
		struct notice n = {};
		struct ran r;

		shape.proto = IPPROTO_UDP;
		shape.dport = 53;
		r = out_of(s, &shape, 1);
		back = answer_to(&shape, &r);
		back.payload = TUNNEL_MTU;
		assert_dropped(into(s, &back), DROP_TOO_BIG);
		assert_true(take_notice(s, &n));
		assert_int_equal(n.kind, NOTICE_ICMP);
		assert_int_equal(n.to_remote, 1);
		assert_int_equal(n.mtu, TUNNEL_MTU);
		assert_int_equal(n.icmp_type, v6 ? 2 : 3);
		assert_int_equal(n.icmp_code, v6 ? 0 : 4);

		shape.payload = EGRESS_MTU;
		assert_dropped(out_of(s, &shape, 1), DROP_TOO_BIG);
		assert_true(take_notice(s, &n));
		assert_int_equal(n.to_remote, 0);
		assert_int_equal(n.mtu, EGRESS_MTU);

		shape.payload = 3;
		shape.ttl = 1;
		assert_dropped(out_of(s, &shape, 1), DROP_TTL);
		assert_true(take_notice(s, &n));
		assert_int_equal(n.len, (v6 ? 48 : 28) + 3);
	}
}

/* An error is not answered with an error: RFC 1122 3.2.2, RFC 4443 2.4. */
static void test_no_error_about_errors(void **state)
{
	static const uint8_t quote[64] = {0x45};
	struct scratch *s = *state;
	struct notice n;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = tcp_shape(&f);

		shape.proto = IPPROTO_ICMP;
		shape.type = v6 ? 1 : 3;
		shape.quote = quote;
		shape.n_quote = sizeof(quote);
		shape.payload = 0;
		assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
		assert_false(take_notice(s, &n));
	}
}

/* ---- the host's own sockets ------------------------------------------------------------------ */

static void test_host_udp_answers(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct sockaddr_in local = {.sin_family = AF_INET}, peer = {.sin_family = AF_INET, .sin_port = htons(7000)};
	struct prefix loopback = prefix_of("127.0.0.0/8"), self = prefix_of("127.0.0.1");
	socklen_t len = sizeof(local);
	struct shape shape = tcp_shape(&f);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	/* Addresses of this machine stand in for the tunnel's. */
	must(maps_reserved_delete(s->m, &loopback));
	must(maps_reserved_set(s->m, &self, RESERVED_TUNNEL));
	local.sin_addr.s_addr = peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &len), 0);
	shape.proto = IPPROTO_UDP;
	shape.src = shape.dst = addr_of("127.0.0.1");
	shape.sport = 7000;
	shape.dport = ntohs(local.sin_port);
	/* A socket that waits for anybody waits for nobody in particular: a rule is needed. */
	assert_dropped(out_of(s, &shape, 1), DROP_RESERVED);
	assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
	assert_ran(out_of(s, &shape, 1), OK, DROP_NONE);
	shape.sport = 7001;
	assert_dropped(out_of(s, &shape, 1), DROP_RESERVED);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_notices),
		T(test_notice_too_big),
		T(test_no_error_about_errors),
		T(test_host_udp_answers),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
