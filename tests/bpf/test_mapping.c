/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mappings: endpoint-independent ports, who may send to them, how long they live; and
 * the external addresses they are on.
 */
#include "slots.h"

static void test_endpoint_independent(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape a = shape_of(&f, IPPROTO_UDP, 4242, 53), b = a, c = a, tcp_a, tcp_b;
		struct ran ra, rb, rc;

		/* 4787-1: one port whatever the remote address and port */
		b.dst = f.remote2;
		b.dport = 4001;
		c.dport = 4002;
		ra = out_of(s, &a, 1);
		rb = out_of(s, &b, 1);
		rc = out_of(s, &c, 1);
		assert_sent(ra);
		assert_sent(rb);
		assert_sent(rc);
		assert_int_equal(frame_sport(&ra.out), frame_sport(&rb.out));
		assert_int_equal(frame_sport(&ra.out), frame_sport(&rc.out));
		/* another endpoint, another port (4787-3) */
		c.sport = 4243;
		rc = out_of(s, &c, 1);
		assert_sent(rc);
		assert_true(frame_sport(&ra.out) != frame_sport(&rc.out));

		/* TCP maps for each remote, unless it is configured otherwise. */
		tcp_a = shape_of(&f, IPPROTO_TCP, 4242, 443);
		tcp_b = tcp_a;
		tcp_b.dport = 80;
		s->settings.tcp_endpoint_independent = 1;
		must(maps_settings_set(s->m, &s->settings));
		ra = out_of(s, &tcp_a, 1);
		rb = out_of(s, &tcp_b, 1);
		assert_sent(ra);
		assert_sent(rb);
		assert_int_equal(frame_sport(&ra.out), frame_sport(&rb.out));
		s->settings.tcp_endpoint_independent = 0;
		must(maps_settings_set(s->m, &s->settings));
	}
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

enum from { SAME, OTHER_PORT, OTHER_ADDRESS, FORBIDDEN_PORT };

static const struct {
	const char *name;
	enum filtering filtering;
	enum from from;
	int verdict;
	enum drop_reason reason;
} filters[] = {
	{"address: the same", FILTER_ADDRESS, SAME, REDIRECT, DROP_NONE},
	{"address: another port", FILTER_ADDRESS, OTHER_PORT, REDIRECT, DROP_NONE},
	{"address: another address", FILTER_ADDRESS, OTHER_ADDRESS, SHOT, DROP_FILTERED},
	{"address: a port the policy forbids", FILTER_ADDRESS, FORBIDDEN_PORT, SHOT, DROP_POLICY},
	{"independent: another address", FILTER_ENDPOINT_INDEPENDENT, OTHER_ADDRESS, REDIRECT, DROP_NONE},
	{"independent: a port the policy forbids", FILTER_ENDPOINT_INDEPENDENT, FORBIDDEN_PORT, SHOT, DROP_POLICY},
	{"address and port: the same", FILTER_ADDRESS_AND_PORT, SAME, REDIRECT, DROP_NONE},
	{"address and port: another port", FILTER_ADDRESS_AND_PORT, OTHER_PORT, SHOT, DROP_FILTERED},
	{"address and port: another address", FILTER_ADDRESS_AND_PORT, OTHER_ADDRESS, SHOT, DROP_FILTERED},
};

static struct shape from_remote(const struct family *f, const struct shape *asked, const struct ran *r, enum from from)
{
	struct shape in = answer_to(asked, r);

	if (from == OTHER_PORT)
		in.sport = 4444;
	if (from == FORBIDDEN_PORT)
		in.sport = 7777;
	if (from == OTHER_ADDRESS) {
		in.src = f->remote2;
		in.sport = 4444;
	}
	return in;
}

/* 4787-8 */
static void test_filtering(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(filters); i++) {
			struct shape shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(6000 + i), 53), in;
			struct ran r;

			print_message("  %s %s\n", f.name, filters[i].name);
			s->settings.filtering = filters[i].filtering;
			must(maps_settings_set(s->m, &s->settings));
			r = out_of(s, &shape, 1);
			assert_sent(r);
			in = from_remote(&f, &shape, &r, filters[i].from);
			r = into(s, &in);
			assert_ran(r, filters[i].verdict, filters[i].reason);
			if (filters[i].verdict != REDIRECT)
				continue;
			assert_addr(frame_dst(&r.out), f.client);
			assert_int_equal(frame_dport(&r.out), shape.sport);
			assert_true(frame_checks(&r.out));
			/* Past the mapping's time nobody enters. */
			expire_all(s);
			assert_ran(into(s, &in), NEXT, DROP_NONE);
		}
	}
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

/* Inbound packets neither make flows nor keep a mapping (4787-6). */
static void test_inbound_makes_nothing(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_UDP, 4242, 53), in;
	struct ran r = out_of(s, &shape, 1);
	struct flow *m = mapping_of(s, &shape);
	uint32_t used = maps_flows_used(s->m);
	uint64_t expires;

	assert_non_null(m);
	assert_int_equal(used, 2);
	expires = m->expires;
	in = from_remote(&f, &shape, &r, OTHER_PORT);
	for (uint16_t i = 0; i < 100; i++) {
		in.sport = (uint16_t)(4000 + i);
		assert_sent(into(s, &in));
	}
	assert_int_equal(maps_flows_used(s->m), used);
	assert_int_equal(m->expires, expires);
	assert_int_equal(m->packets_in, 100);
}

/* A mapping outlives none of its flows, and a later flow keeps it. */
static void test_mapping_outlives(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape a = shape_of(&f, IPPROTO_UDP, 4242, 53), b = a;
	struct ran ra = out_of(s, &a, 1), rb;
	struct flow *m = mapping_of(s, &a);

	assert_true(m->expires >= slot_of(s, &a)->expires);
	slot_of(s, &a)->expires = m->expires = now_ns() + 2 * SECOND;
	b.dport = 4001;
	rb = out_of(s, &b, 1);
	assert_sent(rb);
	assert_int_equal(frame_sport(&ra.out), frame_sport(&rb.out));
	assert_expires_in(m, 300 * SECOND);
	assert_true(m->expires >= slot_of(s, &b)->expires);
	/* The first flow ends; what its client sends again finds the same mapping. */
	slot_of(s, &a)->expires = 1;
	sweep(s);
	assert_null(slot_of(s, &a));
	assert_int_equal(flow_state(m), FLOW_MAPPING);
	ra = out_of(s, &a, 1);
	assert_sent(ra);
	assert_int_equal(frame_sport(&ra.out), frame_sport(&rb.out));
}

/* ---- external addresses ------------------------------------------------------ */

/* An address that has gone ends its flows, and gets no new ones. */
static void test_egress_gone(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape tcp = shape_of(&f, IPPROTO_TCP, 901, 80), udp = shape_of(&f, IPPROTO_UDP, 902, 53), in_t, in_u;
	struct ran rt = out_of(s, &tcp, 1), ru = out_of(s, &udp, 1);
	struct pool two = {.n4 = 2, .n6 = 1, .v4 = {1, 3}, .v6 = {2}};
	struct addr other = addr_of("198.51.100.7");

	in_t = answer_to(&tcp, &rt);
	in_u = answer_to(&udp, &ru);
	scratch_egress(s, 1, f.external, 0, PORT_FIRST, PORT_COUNT);
	assert_dropped(into(s, &in_t), DROP_NO_EGRESS);
	assert_dropped(into(s, &in_u), DROP_NO_EGRESS);
	assert_ran(into(s, &in_t), NEXT, DROP_NONE);
	assert_ran(into(s, &in_u), NEXT, DROP_NONE);
	assert_dropped(out_of(s, &udp, 1), DROP_NO_EGRESS);
	assert_dropped(out_of(s, &tcp, 1), DROP_NO_EGRESS);
	sweep(s); /* the mapping, too */
	assert_empty(s);
	/* Another address of the pool takes over. */
	scratch_egress(s, 3, other, 2, PORT_FIRST, PORT_COUNT);
	must(maps_pool_set(s->m, 0, &two));
	ru = out_of(s, &udp, 1);
	assert_sent(ru);
	assert_addr(frame_src(&ru.out), other);
}

/* 4787-2: a client keeps its address. */
static void test_paired(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct pool two = {.n4 = 2, .n6 = 1, .v4 = {1, 3}, .v6 = {2}};
	struct addr first = {};

	scratch_egress(s, 3, addr_of("198.51.100.7"), 2, PORT_FIRST, PORT_COUNT);
	must(maps_pool_set(s->m, 0, &two));
	for (uint16_t i = 0; i < 50; i++) {
		struct shape shape =
			shape_of(&f, i & 1 ? IPPROTO_TCP : IPPROTO_UDP, (uint16_t)(900 + i), i & 1 ? 80 : 53);
		struct ran r = out_of(s, &shape, 1);

		assert_sent(r);
		if (i)
			assert_addr(frame_src(&r.out), first);
		first = frame_src(&r.out);
	}
}

/* 4787-3: a flow that outlived its mapping does not keep the port, nor get what its next owner's remote sends. */
static void test_port_changes_hands(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape first = shape_of(&f, IPPROTO_UDP, 4000, 53), second = shape_of(&f, IPPROTO_UDP, 4001, 53);
		struct shape answer;
		struct ran r;

		scratch_egress(s, v6 ? 2 : 1, f.external, 2, PORT_FIRST, 1);
		assert_sent(out_of(s, &first, 1));
		mapping_of(s, &first)->expires = 1;
		sweep(s);
		r = out_of(s, &second, 1);
		assert_sent(r);
		assert_int_equal(frame_sport(&r.out), PORT_FIRST);
		assert_non_null(slot_of(s, &second));
		assert_null(slot_of(s, &first));
		answer = answer_to(&second, &r);
		r = into(s, &answer);
		assert_sent(r);
		assert_int_equal(frame_dport(&r.out), 4001);
		expire_all(s);
		sweep(s);
		assert_empty(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_endpoint_independent), T(test_filtering),   T(test_inbound_makes_nothing),
		T(test_mapping_outlives),     T(test_egress_gone), T(test_paired),
		T(test_port_changes_hands),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
