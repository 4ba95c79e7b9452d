/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forwarding, packet by packet: translation out and back, for TCP, UDP and echo, IPv4
 * and IPv6 from the same tables.
 */
#include "scratch.h"

static const struct {
	const char *name;
	uint8_t proto;
	uint16_t sport, dport;
	uint8_t flags;
	size_t payload;
	bool no_checksum;
	enum flow_state state;
} protocols[] = {
	{"TCP", IPPROTO_TCP, 51044, 443, TH_SYN, 0, false, FLOW_NEW},
	{"TCP with data", IPPROTO_TCP, 51044, 8443, TH_SYN, 700, false, FLOW_NEW},
	{"TCP with an odd length", IPPROTO_TCP, 51044, 80, TH_SYN, 333, false, FLOW_NEW},
	{"UDP", IPPROTO_UDP, 51044, 53, 0, 40, false, FLOW_ESTABLISHED},
	{"UDP, empty", IPPROTO_UDP, 51044, 4999, 0, 0, false, FLOW_ESTABLISHED},
	{"UDP without checksum", IPPROTO_UDP, 51044, 4000, 0, 41, true, FLOW_ESTABLISHED},
	{"5508-1 echo", IPPROTO_ICMP, 4711, 0, 0, 56, false, FLOW_ESTABLISHED},
	{"5508-1 echo 0", IPPROTO_ICMP, 0, 0, 0, 57, false, FLOW_ESTABLISHED},
};

static struct shape shape_of(const struct family *f, size_t i)
{
	return (struct shape){
		.v6 = f->v6,
		.proto = protocols[i].proto,
		.src = f->client,
		.dst = f->remote,
		.sport = protocols[i].sport,
		.dport = protocols[i].dport,
		.flags = protocols[i].flags,
		.payload = protocols[i].payload,
		.no_checksum = protocols[i].no_checksum && !f->v6,
	};
}

static bool is_our_port(uint16_t port)
{
	return port >= PORT_FIRST && port < PORT_FIRST + PORT_COUNT;
}

/* The one live flow of what @shape describes. */
static struct flow the_flow(struct scratch *s, const struct shape *shape)
{
	struct flow f, found = {};
	struct flow_walk walk = {};
	uint32_t n = 0;
	uint8_t proto = shape->v6 && shape->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : shape->proto;

	while (maps_flow_next(s->m, &walk, &f)) {
		if (memcmp(&f.out.src, &shape->src, 16) || memcmp(&f.out.dst, &shape->dst, 16) ||
		    f.out.dport != htons(shape->dport))
			continue;
		if (f.out.proto != proto || f.out.sport != htons(shape->sport))
			continue;
		found = f;
		n++;
	}
	assert_int_equal(n, 1);
	return found;
}

/* What a program did to a frame besides addresses, ports, checksums and time to live: nothing. */
static void assert_rest_same(const struct frame *in, const struct frame *out)
{
	assert_int_equal(in->len, out->len);
	assert_memory_equal(in->b + in->payload, out->b + out->payload, in->len - in->payload);
	assert_memory_equal(in->b + 12, out->b + 12,
			    in->v6 ? 9 : 10); /* ethertype, and the header up to the time to live */
}

static void forward_and_back(struct scratch *s, const struct family *f, size_t i)
{
	struct shape shape = shape_of(f, i), back;
	struct frame in;
	struct flow seen;
	struct ran r;
	uint16_t port;

	frame_build(&in, &shape);
	from_client(&in, 1);
	r = run(s, PROGRAM_TAP_IN, &in);
	assert_sent(r);
	assert_addr(frame_src(&r.out), f->external);
	assert_addr(frame_dst(&r.out), f->remote);
	port = frame_sport(&r.out);
	assert_true(is_our_port(port));
	assert_int_equal(frame_ttl(&r.out), 63);
	assert_true(frame_checks(&r.out));
	assert_rest_same(&in, &r.out);
	seen = the_flow(s, &shape);
	assert_int_equal(flow_state(&seen), protocols[i].state);

	back = answer_to(&shape, &r);
	frame_build(&in, &back);
	r = run(s, PROGRAM_NIC_IN, &in);
	assert_sent(r);
	assert_addr(frame_src(&r.out), f->remote);
	assert_addr(frame_dst(&r.out), f->client);
	assert_int_equal(frame_dport(&r.out), protocols[i].sport);
	assert_int_equal(frame_ttl(&r.out), 63);
	assert_int_equal(r.mark, TAP_MARK | 2);
	assert_true(frame_checks(&r.out));
	assert_rest_same(&in, &r.out);

	/* The same again takes the same way. */
	r = out_of(s, &shape, 1);
	assert_sent(r);
	assert_int_equal(frame_sport(&r.out), port);
}

static void test_out_and_back(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(protocols); i++) {
			print_message("  %s %s\n", f.name, protocols[i].name);
			forward_and_back(*state, &f, i);
		}
	}
}

static void test_counters(void **state)
{
	struct family f = family_of(false);
	struct scratch *s = *state;
	struct shape shape = shape_of(&f, 1), back; /* 700 bytes of data */
	struct traffic before[TOTAL_MAX], after[TOTAL_MAX];
	struct rule_use rule_before, rule_after;
	struct client_use use_before, use_after;
	struct ran r;
	struct flow flow;

	must(maps_totals(s->m, before));
	must(maps_rule_use(s->m, RULE_WEB, &rule_before));
	must(maps_client_use(s->m, 1, &use_before));
	r = out_of(s, &shape, 1);
	assert_sent(r);
	back = answer_to(&shape, &r);
	back.payload = 100;
	assert_sent(into(s, &back));
	must(maps_totals(s->m, after));
	assert_int_equal(after[TOTAL_OUT].packets - before[TOTAL_OUT].packets, 1);
	assert_int_equal(after[TOTAL_OUT].bytes - before[TOTAL_OUT].bytes, 740);
	assert_int_equal(after[TOTAL_IN].packets - before[TOTAL_IN].packets, 1);
	assert_int_equal(after[TOTAL_IN].bytes - before[TOTAL_IN].bytes, 140);
	flow = the_flow(s, &shape);
	assert_int_equal(flow.rule, RULE_WEB);
	assert_int_equal(flow.client, 1);
	assert_int_equal(flow.route, 7);
	assert_int_equal(flow.packets_out, 1);
	assert_int_equal(flow.bytes_out, 740);
	assert_int_equal(flow.packets_in, 1);
	assert_int_equal(flow.bytes_in, 140);
	must(maps_rule_use(s->m, RULE_WEB, &rule_after));
	assert_int_equal(rule_after.flows - rule_before.flows, 1);
	must(maps_client_use(s->m, 1, &use_after));
	assert_int_equal(use_after.flows - use_before.flows, 1);
}

/* A super-packet counts as what it will be on the wire. */
static void test_gso(void **state)
{
	struct family f = family_of(false);
	struct scratch *s = *state;
	struct shape shape = shape_of(&f, 0);
	struct push push = {.gso_size = 1000, .gso_segs = 3};
	struct traffic before[TOTAL_MAX], after[TOTAL_MAX];
	struct frame in;
	struct ran r;

	shape.sport = 1234;
	assert_sent(out_of(s, &shape, 1));
	shape.flags = TH_ACK;
	shape.payload = 3000;
	frame_build(&in, &shape);
	from_client(&in, 1);
	must(maps_totals(s->m, before));
	r = run_with(s, PROGRAM_TAP_IN, &in, push);
	assert_sent(r);
	assert_true(frame_checks(&r.out));
	must(maps_totals(s->m, after));
	assert_int_equal(after[TOTAL_OUT].packets - before[TOTAL_OUT].packets, 3);
	/* One packet of that size is larger than the NIC's MTU, as is a segment. */
	assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_TOO_BIG);
	push.gso_size = EGRESS_MTU - 40;
	assert_sent(run_with(s, PROGRAM_TAP_IN, &in, push));
	push.gso_size++;
	assert_dropped(run_with(s, PROGRAM_TAP_IN, &in, push), DROP_TOO_BIG);
}

/* Larger than the tunnel: 4787-13. */
static void test_too_big_in(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, 3), back;
		struct ran r = out_of(s, &shape, 1);
		struct frame in;

		assert_sent(r);
		back = answer_to(&shape, &r);
		back.payload = TUNNEL_MTU - (v6 ? 48 : 28);
		assert_sent(into(s, &back));
		back.payload++;
		assert_dropped(into(s, &back), DROP_TOO_BIG);
		frame_build(&in, &back);
		assert_sent(run_with(s, PROGRAM_NIC_IN, &in, (struct push){.gso_size = 600, .gso_segs = 3}));
	}
}

static void test_ttl(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, 3), back;
		struct ran r;

		shape.sport = 999; /* no flow, then a flow */
		for (int i = 0; i < 2; i++) {
			shape.ttl = 1;
			assert_dropped(out_of(s, &shape, 1), DROP_TTL);
			shape.ttl = 2;
			r = out_of(s, &shape, 1);
			assert_sent(r);
			assert_int_equal(frame_ttl(&r.out), 1);
		}
		back = answer_to(&shape, &r);
		back.ttl = 1;
		assert_dropped(into(s, &back), DROP_TTL);
		back.ttl = 2;
		assert_sent(into(s, &back));
		/* For the gateway itself one is enough. */
		shape.dst = f.tunnel;
		shape.ttl = 1;
		assert_ran(out_of(s, &shape, 1), OK, DROP_NONE);
	}
}

static void test_no_tap(void **state)
{
	struct family f = family_of(false);
	struct scratch *s = *state;
	struct shape shape = shape_of(&f, 3), back;
	struct ran r = out_of(s, &shape, 1);

	assert_sent(r);
	back = answer_to(&shape, &r);
	s->settings.tap_ifindex = 0;
	must(maps_settings_set(s->m, &s->settings));
	assert_dropped(into(s, &back), DROP_NO_TAP);
	s->settings.tap_ifindex = TAP_IFINDEX;
	must(maps_settings_set(s->m, &s->settings));
	assert_sent(into(s, &back));
}

/* ---- MSS ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	uint8_t options[16];
	size_t n, mss_at; /* 0: no MSS */
	uint16_t mss;
} syns[] = {
	{"MSS", {2, 4, 0x05, 0xb4}, 4, 2, 1460},
	{"MSS behind another", {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0x23, 0x00}, 16, 14, 0x2300},
	{"MSS at an odd offset", {1, 2, 4, 0xff, 0xff, 0, 0, 0}, 8, 3, 0xffff},
	{"small MSS", {2, 4, 0x02, 0x18}, 4, 2, 536},
	{"no MSS", {1, 1, 1, 1}, 4, 0, 0},
	{"end before MSS", {0, 2, 4, 0x05, 0xb4, 0, 0, 0}, 8, 3, 0},
	{"MSS of a wrong length", {2, 3, 0x05, 1}, 4, 2, 0},
	{"option of length 0", {5, 0, 2, 4, 0x05, 0xb4, 0, 0}, 8, 4, 0},
	{"option of length 1", {5, 1, 2, 4, 0x05, 0xb4, 0, 0}, 8, 4, 0},
	{"option past the end", {1, 1, 5, 40}, 4, 0, 0},
	{"MSS cut off", {1, 1, 1, 2}, 4, 0, 0},
};

static void clamp_case(struct scratch *s, const struct family *f, size_t i)
{
	uint16_t limit = TUNNEL_MTU - (f->v6 ? 60 : 40), want = syns[i].mss > limit ? limit : syns[i].mss;
	struct shape shape = shape_of(f, 0), back;
	struct ran r;

	shape.sport = (uint16_t)(2000 + i);
	shape.tcp_options = syns[i].options;
	shape.n_tcp_options = syns[i].n;
	shape.payload = 1; /* an odd length, for the checksum */
	r = out_of(s, &shape, 1);
	assert_sent(r);
	assert_true(frame_checks(&r.out));
	if (syns[i].mss)
		assert_int_equal(get16(r.out.b + r.out.l4 + 20 + syns[i].mss_at), want);
	else
		assert_memory_equal(r.out.b + r.out.l4 + 20, syns[i].options, syns[i].n);
	back = answer_to(&shape, &r);
	r = into(s, &back);
	assert_sent(r);
	assert_true(frame_checks(&r.out));
	if (syns[i].mss)
		assert_int_equal(get16(r.out.b + r.out.l4 + 20 + syns[i].mss_at), want);
	/* Only a SYN is touched. */
	shape.flags = TH_ACK;
	r = out_of(s, &shape, 1);
	assert_sent(r);
	assert_memory_equal(r.out.b + r.out.l4 + 20, syns[i].options, syns[i].n);
}

static void test_mss(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(syns); i++) {
			print_message("  %s %s\n", f.name, syns[i].name);
			clamp_case(*state, &f, i);
		}
	}
}

/* ---- by which interfaces answers come ------------------------------------------------------ */

static const struct {
	const char *name;
	uint32_t answers[MAX_ANSWERS], mark;
	bool comes;
} arrivals[] = {
	{"its own", {TEST_IFINDEX}, 0, true},
	{"another's", {5}, 0, false},
	{"none, which is nobody's", {0}, 0, false},
	{"behind the end of the list", {5, 0, TEST_IFINDEX}, 0, false},
	{"the second", {5, TEST_IFINDEX}, 0, true},
	{"the last", {2, 3, 4, 5, 6, 7, 8, TEST_IFINDEX}, 0, true},
	{"fragments that came by it, put together", {5}, ROUND_MARK | ROUND_JOINED, true},
	{"with a mark near ours", {5}, ROUND_MARK + 0x10000, false},
};

static void answers_come_by(struct scratch *s, const struct family *f, const uint32_t answers[MAX_ANSWERS])
{
	uint32_t id = f->v6 ? 2 : 1;
	struct egress e;

	must(maps_egress_get(s->m, id, &e));
	memcpy(e.answers, answers, sizeof(e.answers));
	must(maps_egress_set(s->m, id, &e));
}

static struct ran by_wire(struct scratch *s, const struct shape *shape, uint32_t mark)
{
	struct frame frame;

	frame_build(&frame, shape);
	return run_with(s, PROGRAM_NIC_IN, &frame, (struct push){.mark = mark});
}

/* 19: whatever is right about a packet, it came by a wire that its flow has nothing to do with. */
static void test_fault_19_by_interface(void **state)
{
	static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	struct scratch *s = *state;

	for (size_t i = 0; i < 2 * N(with_ports) * N(arrivals); i++) {
		struct family f = family_of(i & 1);
		uint8_t proto = with_ports[i / 2 % N(with_ports)];
		size_t at = i / 2 / N(with_ports);
		struct shape shape = {.v6 = f.v6,
				      .proto = proto,
				      .src = f.client,
				      .dst = f.remote,
				      .seq = 1000,
				      .sport = (uint16_t)(7000 + i),
				      .dport = proto == IPPROTO_TCP ? 80 : 53,
				      .flags = TH_SYN};
		struct shape back, error = {.v6 = f.v6,
					    .proto = IPPROTO_ICMP,
					    .src = f.remote2,
					    .dst = f.external,
					    .type = f.v6 ? 1 : 3,
					    .code = f.v6 ? 4 : 3};
		enum drop_reason reason = arrivals[at].comes ? DROP_NONE : DROP_WRONG_WAY;
		struct ran sent;

		print_message("  %s %u %s\n", f.name, proto, arrivals[at].name);
		if (proto == IPPROTO_ICMP)
			shape.dport = 0;
		sent = out_of(s, &shape, 1);
		assert_sent(sent);
		answers_come_by(s, &f, arrivals[at].answers);
		back = answer_to(&shape, &sent);
		back.ack = 1001;
		assert_ran(by_wire(s, &back, arrivals[at].mark), reason ? SHOT : REDIRECT, reason);
		error.quote = sent.out.b + sent.out.l3;
		error.n_quote = sent.out.len - sent.out.l3;
		assert_ran(by_wire(s, &error, arrivals[at].mark), reason ? SHOT : REDIRECT, reason);
		back.src = f.remote2; /* to the mapping: the filter is not even asked; else the host's */
		if (proto == IPPROTO_UDP)
			assert_dropped(by_wire(s, &back, arrivals[at].mark), reason ?: DROP_FILTERED);
		back.flags = TH_ACK;
		if (proto == IPPROTO_TCP)
			assert_ran(by_wire(s, &back, arrivals[at].mark), NEXT, DROP_NONE);
	}
}

/* Fragments of it are not put together, but by the host, for itself. */
static void test_fault_19_fragments(void **state)
{
	struct scratch *s = *state;

	for (size_t i = 0; i < 2 * N(arrivals); i++) {
		struct family f = family_of(i & 1);
		struct shape shape = {.v6 = f.v6,
				      .proto = IPPROTO_UDP,
				      .src = f.remote,
				      .dst = f.external,
				      .sport = 53,
				      .dport = PORT_FIRST,
				      .payload = 64};
		struct frame frame;

		if (arrivals[i / 2].mark)
			continue;
		must(maps_reassemble(s->m, &f.external, UINT64_MAX));
		answers_come_by(s, &f, arrivals[i / 2].answers);
		frame_build(&frame, &shape);
		if (f.v6)
			frame.b[frame.l3 + 6] = 44;
		else
			put16(frame.b + frame.l3 + 6, 0x2000);
		assert_ran(run(s, PROGRAM_NIC_IN, &frame), arrivals[i / 2].comes ? REDIRECT : NEXT, DROP_NONE);
		must(maps_reassemble_none(s->m));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_out_and_back),
		T(test_counters),
		T(test_gso),
		T(test_too_big_in),
		T(test_ttl),
		T(test_no_tap),
		T(test_mss),
		T(test_fault_19_by_interface),
		T(test_fault_19_fragments),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
