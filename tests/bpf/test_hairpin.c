/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From one client to another by the external endpoint (RFC 4787 REQ-9, RFC 5382 REQ-8,
 * RFC 5508 REQ-7): both see each other's external endpoint, never the inner one. What
 * tap_in lets out is given to nic_in, as the kernel does (test_live.c shows that it does).
 *
 *   client 1, alice --.                .-- 198.51.100.1:a
 *                      tap_in, nic_in <                     both may reach 198.51.100.1
 *   client 4, bob ----'                '-- 198.51.100.1:b
 */
#include "slots.h"

#define ALICE 1
#define BOB   4
#define CAROL 5 /* may not reach the external address */

struct pair_up { /* two clients, who have talked to a service */
	struct scratch *s;
	struct family f;
	uint8_t proto;
	struct shape alice, bob; /* from their sockets, to the service */
	uint16_t alices, bobs;	 /* external ports */
};

static struct pair_up pair_up(struct scratch *s, bool v6, uint8_t proto)
{
	struct pair_up p = {.s = s, .f = family_of(v6), .proto = proto};
	struct ran r;

	s->settings.tcp_endpoint_independent = 1;
	must(maps_settings_set(s->m, &s->settings));
	allow_external(s, proto);
	p.alice = shape_of(&p.f, proto, 1111, 3478);
	p.bob = shape_of(&p.f, proto, 2222, 3478);
	p.bob.src = p.f.client2;
	r = out_of(s, &p.alice, ALICE);
	assert_sent(r);
	p.alices = frame_sport(&r.out);
	r = out_of(s, &p.bob, BOB);
	assert_sent(r);
	p.bobs = frame_sport(&r.out);
	assert_int_not_equal(p.alices, p.bobs);
	return p;
}

/* @shape, but to an external port. */
static struct shape to_external(const struct pair_up *p, const struct shape *shape, uint16_t port)
{
	struct shape to = *shape;

	to.dst = p->f.external;
	to.dport = port;
	return to;
}

/* What left turns round. */
static struct ran turn(struct scratch *s, const struct ran *sent)
{
	struct frame f = sent->out;

	assert_int_equal(sent->mark, ROUND_MARK | ROUND_TURNED);
	return run_with(s, PROGRAM_NIC_IN, &f, (struct push){.mark = sent->mark});
}

static void assert_arrives(const struct pair_up *p, struct ran r, uint16_t sport, const struct shape *at)
{
	assert_sent(r);
	assert_addr(frame_src(&r.out), p->f.external);
	assert_int_equal(frame_sport(&r.out), sport);
	assert_addr(frame_dst(&r.out), at->src);
	assert_int_equal(frame_dport(&r.out), at->sport);
	assert_true(frame_checks(&r.out));
	assert_int_equal(frame_ttl(&r.out), 62);
}

/* Each way, and what is the filter's and the policy's is theirs. */
static void test_4787_9_udp(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_UDP);
		struct shape there = to_external(&p, &p.alice, p.bobs), back = to_external(&p, &p.bob, p.alices);
		struct ran r = out_of(p.s, &there, ALICE);

		assert_sent(r);
		assert_addr(frame_src(&r.out), p.f.external); /* 4787-9: the external source */
		assert_int_equal(frame_sport(&r.out), p.alices);
		r = turn(p.s, &r);
		assert_dropped(r, DROP_FILTERED); /* bob has not talked to that address yet */
		r = out_of(p.s, &back, BOB);
		assert_sent(r);
		assert_arrives(&p, turn(p.s, &r), p.bobs, &p.alice);
		r = out_of(p.s, &there, ALICE);
		assert_arrives(&p, turn(p.s, &r), p.alices, &p.bob);
		r = out_of(p.s, &there, ALICE); /* a known flow, too */
		assert_arrives(&p, turn(p.s, &r), p.alices, &p.bob);
		empty_table(p.s);
	}
}

/* One who may not reach the external address reaches nobody behind it, and is not reached. */
static void test_policy_both_ways(void **state)
{
	struct scratch *s = *state;

	s->settings.filtering = FILTER_ENDPOINT_INDEPENDENT;
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(s, v6, IPPROTO_UDP);
		struct shape carol = p.alice, there;
		struct ran r;

		carol.src.b[15] = 0x77;
		r = out_of(s, &carol, CAROL);
		assert_sent(r);
		there = to_external(&p, &p.alice, frame_sport(&r.out));
		carol = to_external(&p, &carol, p.alices);
		assert_dropped(out_of(s, &carol, CAROL), DROP_RESERVED);
		r = out_of(s, &there, ALICE);
		assert_sent(r);
		assert_dropped(turn(s, &r), DROP_RESERVED);
		empty_table(s);
	}
}

/* To no mapping: the host's, if its policy says so. */
static void test_to_the_host(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_UDP);
		struct shape there = to_external(&p, &p.alice, PORT_FIRST + PORT_COUNT + 1);
		uint32_t used = maps_flows_used(p.s->m);

		assert_ran(out_of(p.s, &there, ALICE), OK, DROP_NONE);
		assert_int_equal(maps_flows_used(p.s->m), used);
		empty_table(p.s);
	}
}

/* The mapping ended meanwhile: dropped and counted, never the host's. */
static void test_mapping_ended(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_UDP);
		struct shape there = to_external(&p, &p.alice, p.bobs);
		struct ran r = out_of(p.s, &there, ALICE);

		assert_sent(r);
		slot_of(p.s, &p.bob)->expires = 1;
		mapping_of(p.s, &p.bob)->expires = 1;
		sweep(p.s);
		r = out_of(p.s, &there, ALICE);
		assert_sent(r);
		assert_dropped(turn(p.s, &r), DROP_NO_FLOW);
		empty_table(p.s);
	}
}

/* One step before the end: the sender hears of it while he still can. */
static void test_ttl(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_UDP);
		struct shape there = to_external(&p, &p.alice, p.bobs);
		struct ran r;

		there.ttl = 2;
		assert_dropped(out_of(p.s, &there, ALICE), DROP_TTL);
		there.ttl = 3;
		r = out_of(p.s, &there, ALICE);
		assert_sent(r);
		there.ttl = 2; /* of a known flow */
		assert_dropped(out_of(p.s, &there, ALICE), DROP_TTL);
		empty_table(p.s);
	}
}

/* 5382-8: where TCP's mappings are for every remote, a whole connection. */
static void test_5382_8_tcp(void **state)
{
	struct scratch *s = *state;

	s->settings.filtering = FILTER_ENDPOINT_INDEPENDENT;
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(s, v6, IPPROTO_TCP);
		struct shape there = to_external(&p, &p.alice, p.bobs), back = to_external(&p, &p.bob, p.alices);
		struct ran r = out_of(s, &there, ALICE);

		assert_arrives(&p, turn(s, &r), p.alices, &p.bob);
		back.flags = TH_SYN | TH_ACK;
		back.seq = 5000;
		back.ack = 1001;
		back.payload = 0;
		r = out_of(s, &back, BOB); /* 5382-3: opened from outside */
		assert_arrives(&p, turn(s, &r), p.bobs, &p.alice);
		there.flags = TH_ACK;
		there.seq = 1001;
		there.ack = 5001;
		r = out_of(s, &there, ALICE);
		assert_arrives(&p, turn(s, &r), p.alices, &p.bob);
		back.flags = TH_ACK;
		back.seq = 5001;
		back.ack = 1011;
		r = out_of(s, &back, BOB);
		assert_arrives(&p, turn(s, &r), p.bobs, &p.alice);
		assert_int_equal(flow_state(slot_of(s, &there)), FLOW_ESTABLISHED);
		assert_int_equal(flow_state(slot_of(s, &back)), FLOW_ESTABLISHED);
		empty_table(s);
	}
}

/* Where they are not, there is no external endpoint: the host's. */
static void test_tcp_for_one_remote(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_TCP);
		struct shape there = to_external(&p, &p.alice, p.bobs);

		p.s->settings.tcp_endpoint_independent = 0;
		must(maps_settings_set(p.s->m, &p.s->settings));
		assert_ran(out_of(p.s, &there, ALICE), OK, DROP_NONE);
		there.flags = TH_SYN | TH_ACK;
		there.dst = p.f.remote;
		there.sport = 4444;
		assert_dropped(out_of(p.s, &there, ALICE), DROP_NO_FLOW);
		empty_table(p.s);
	}
}

/* 5508-7, 4787-9: bob's error about alice's packet reaches her with what she sent in it. */
static void test_5508_7_error(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair_up p = pair_up(*state, v6, IPPROTO_UDP);
		struct shape there = to_external(&p, &p.alice, p.bobs), back = to_external(&p, &p.bob, p.alices);
		struct shape error = {.v6 = v6,
				      .proto = IPPROTO_ICMP,
				      .src = p.f.client2,
				      .dst = p.f.external,
				      .type = v6 ? 1 : 3,
				      .code = v6 ? 4 : 3};
		struct frame sent, got;
		struct ran r;

		r = out_of(p.s, &back, BOB);
		assert_sent(r);
		frame_build(&sent, &there);
		r = out_of(p.s, &there, ALICE);
		r = turn(p.s, &r);
		assert_sent(r);
		got = r.out;
		error.quote = got.b + got.l3;
		error.n_quote = got.len - got.l3;
		r = out_of(p.s, &error, BOB);
		assert_sent(r);
		assert_addr(frame_src(&r.out), p.f.external);
		r = turn(p.s, &r);
		assert_sent(r);
		assert_addr(frame_src(&r.out), p.f.external);
		assert_addr(frame_dst(&r.out), p.f.client);
		assert_true(frame_checks(&r.out));
		/* Her addresses and ports, and her payload. */
		assert_memory_equal(r.out.b + r.out.l4 + 8 + (v6 ? 8 : 12), sent.b + sent.l3 + (v6 ? 8 : 12),
				    v6 ? 32 : 8);
		assert_memory_equal(r.out.b + r.out.l4 + 8 + (sent.l4 - sent.l3), sent.b + sent.l4, sent.len - sent.l4);
		empty_table(p.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_4787_9_udp), T(test_policy_both_ways), T(test_to_the_host),	  T(test_mapping_ended),
		T(test_ttl),	    T(test_5382_8_tcp),	      T(test_tcp_for_one_remote), T(test_5508_7_error),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
