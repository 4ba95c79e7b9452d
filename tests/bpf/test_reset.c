/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Item 38 of the second faults: who has lost a flow hears of it. The table of bpf/stray.h,
 * row by row: which segments go to a worker to be answered with a reset, which do not, and
 * how often.
 */
#include "slots.h"

#define OURS	  (PORT_FIRST + 7)
#define NOT_RANGE 22

static void set_resets(struct scratch *s, bool on)
{
	s->settings.resets = on;
	must(maps_settings_set(s->m, &s->settings));
}

static void reset_exclusive(struct scratch *s, const struct family *f, bool exclusive)
{
	struct egress e = {
		.addr = f->external,
		.state = EGRESS_HERE,
		.ifindex = 2,
		.mtu = EGRESS_MTU,
		.exclusive = exclusive,
		.range = {{PORT_FIRST, PORT_COUNT}},
		.answers = {TEST_IFINDEX},
	};

	must(maps_egress_set(s->m, f->v6 ? 2 : 1, &e));
}

/* A worker gets the segment as it came, for a reset to whom @kind and @id say. */
static void assert_reset(struct scratch *s, struct ran r, const struct frame *in, enum drop_reason reason,
			 enum tap_mac_kind kind, uint32_t id)
{
	struct frame want = {};

	assert_ran(r, REDIRECT, reason);
	from_client(&want, id);
	want.b[7] = (uint8_t)kind;
	assert_memory_equal(r.out.b + 6, want.b + 6, 6);
	assert_int_equal(get16(r.out.b + 12), ETH_P_RESET);
	assert_memory_equal(r.out.b + in->l3, in->b + in->l3, in->len - in->l3);
	assert_in_range(r.mark, TAP_MARK, TAP_MARK + s->settings.workers - 1u);
}

static void refill(struct scratch *s)
{
	uint64_t full = 0;

	for (uint32_t i = 0; i < MAX_CLIENTS + 64; i = i == 63 ? MAX_CLIENTS : i + 1)
		must(bpf_map_update_elem(bpf_map__fd(s->m->skel->maps.resets), &i, &full, 0));
}

/* ---- from a client ------------------------------------------------------------------------ */

enum from_whom { REMOTE, HOST, MANY };

static const struct {
	const char *name;
	uint8_t proto, flags;
	enum from_whom to;
	enum drop_reason reason; /* with resets on or off */
	bool reset;
} segments[] = {
	{"ACK", IPPROTO_TCP, TH_ACK, REMOTE, DROP_NO_FLOW, true},
	{"data", IPPROTO_TCP, TH_ACK | TH_PUSH, REMOTE, DROP_NO_FLOW, true},
	{"FIN", IPPROTO_TCP, TH_FIN | TH_ACK, REMOTE, DROP_NO_FLOW, true},
	{"SYN ACK", IPPROTO_TCP, TH_SYN | TH_ACK, REMOTE, DROP_NO_FLOW, true},
	{"nothing", IPPROTO_TCP, 0, REMOTE, DROP_NO_FLOW, true},
	{"RST", IPPROTO_TCP, TH_RST, REMOTE, DROP_NO_FLOW, false},
	{"RST ACK", IPPROTO_TCP, TH_RST | TH_ACK, REMOTE, DROP_NO_FLOW, false},
	{"ACK to a host's port that no rule allows", IPPROTO_TCP, TH_ACK, HOST, DROP_POLICY, true},
	{"SYN to it", IPPROTO_TCP, TH_SYN, HOST, DROP_POLICY, false},
	{"RST to it", IPPROTO_TCP, TH_RST, HOST, DROP_POLICY, false},
	{"ACK to many", IPPROTO_TCP, TH_ACK, MANY, DROP_NO_FLOW, false},
	{"datagram", IPPROTO_UDP, 0, HOST, DROP_POLICY, false},
};

static struct shape segment_shape(const struct family *f, size_t i)
{
	struct shape shape = shape_of(f, segments[i].proto, (uint16_t)(7000 + i), 81);

	shape.flags = segments[i].flags;
	if (segments[i].to == HOST)
		shape.dst = f->tunnel;
	else if (segments[i].to == MANY)
		shape.dst = addr_of(f->v6 ? "ff0e::1" : "224.1.1.1");
	return shape;
}

static void test_fault_38_clients(void **state)
{
	struct scratch *s = *state;

	refill(s);
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(segments); i++) {
			struct family f = family_of(v6);
			struct shape shape = segment_shape(&f, i);
			struct frame frame;

			print_message("  %s %s\n", f.name, segments[i].name);
			frame_build(&frame, &shape);
			from_client(&frame, 1);
			set_resets(s, true);
			if (segments[i].reset)
				assert_reset(s, run(s, PROGRAM_TAP_IN, &frame), &frame, segments[i].reason, TAP_CLIENT,
					     1);
			else
				assert_dropped(run(s, PROGRAM_TAP_IN, &frame), segments[i].reason);
			set_resets(s, false);
			assert_dropped(run(s, PROGRAM_TAP_IN, &frame), segments[i].reason);
			assert_int_equal(maps_flows_used(s->m), 0);
		}
}

/* ---- from outside -------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t proto, flags;
	uint16_t dport;
	const char *src4, *src6; /* NULL: a service */
	int shared;		 /* verdict */
	enum drop_reason shared_reason;
	bool exclusive; /* a reset: else dropped */
} arrivals[] = {
	{"ACK", IPPROTO_TCP, TH_ACK, OURS, NULL, NULL, NEXT, DROP_NONE, true},
	{"FIN", IPPROTO_TCP, TH_FIN | TH_ACK, OURS, NULL, NULL, NEXT, DROP_NONE, true},
	{"SYN ACK", IPPROTO_TCP, TH_SYN | TH_ACK, OURS, NULL, NULL, NEXT, DROP_NONE, true},
	{"5382-4 SYN", IPPROTO_TCP, TH_SYN, OURS, NULL, NULL, SHOT, DROP_UNSOLICITED, false},
	{"SYN FIN", IPPROTO_TCP, TH_SYN | TH_FIN, OURS, NULL, NULL, NEXT, DROP_NONE, false},
	{"RST", IPPROTO_TCP, TH_RST, OURS, NULL, NULL, NEXT, DROP_NONE, false},
	{"RST ACK", IPPROTO_TCP, TH_RST | TH_ACK, OURS, NULL, NULL, NEXT, DROP_NONE, false},
	{"ACK to the host's port", IPPROTO_TCP, TH_ACK, NOT_RANGE, NULL, NULL, NEXT, DROP_NONE, false},
	{"datagram", IPPROTO_UDP, 0, OURS, NULL, NULL, NEXT, DROP_NONE, false},
	{"ACK in our own name", IPPROTO_TCP, TH_ACK, OURS, "198.51.100.1", "2001:db8:1::1", NEXT, DROP_NONE, false},
	{"ACK of many", IPPROTO_TCP, TH_ACK, OURS, "224.0.0.9", "ff02::9", NEXT, DROP_NONE, false},
	{"ACK of everybody", IPPROTO_TCP, TH_ACK, OURS, "255.255.255.255", "::", NEXT, DROP_NONE, false},
	{"ACK of the loopback", IPPROTO_TCP, TH_ACK, OURS, "127.0.0.1", "::1", NEXT, DROP_NONE, false},
};

static struct frame arrival(const struct family *f, size_t i)
{
	const char *src = f->v6 ? arrivals[i].src6 : arrivals[i].src4;
	struct shape shape = {.v6 = f->v6,
			      .proto = arrivals[i].proto,
			      .src = src ? addr_of(src) : f->remote,
			      .dst = f->external,
			      .sport = 443,
			      .dport = arrivals[i].dport,
			      .flags = arrivals[i].flags,
			      .payload = 8};
	struct frame frame;

	frame_build(&frame, &shape);
	return frame;
}

static void test_fault_38_outside(void **state)
{
	struct scratch *s = *state;

	refill(s);
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(arrivals); i++) {
			struct family f = family_of(v6);
			struct frame frame = arrival(&f, i);

			print_message("  %s %s\n", f.name, arrivals[i].name);
			set_resets(s, true);
			reset_exclusive(s, &f, false);
			assert_ran(run(s, PROGRAM_NIC_IN, &frame), arrivals[i].shared, arrivals[i].shared_reason);
			reset_exclusive(s, &f, true);
			if (arrivals[i].exclusive)
				assert_reset(s, run(s, PROGRAM_NIC_IN, &frame), &frame, DROP_EXCLUSIVE, TAP_PIECE,
					     (v6 ? 2u : 1u) << 16);
			else
				assert_dropped(run(s, PROGRAM_NIC_IN, &frame), DROP_EXCLUSIVE);
			set_resets(s, false);
			assert_dropped(run(s, PROGRAM_NIC_IN, &frame), DROP_EXCLUSIVE);
		}
}

/* By an interface that no answer comes by nobody hears anything. */
static void test_fault_38_wrong_way(void **state)
{
	struct scratch *s = *state;

	set_resets(s, true);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct egress e = {.addr = f.external,
				   .state = EGRESS_HERE,
				   .ifindex = 2,
				   .exclusive = 1,
				   .range = {{PORT_FIRST, PORT_COUNT}},
				   .answers = {TEST_IFINDEX + 1}};
		struct frame frame = arrival(&f, 0);

		must(maps_egress_set(s->m, v6 ? 2 : 1, &e));
		assert_dropped(run(s, PROGRAM_NIC_IN, &frame), DROP_EXCLUSIVE);
	}
}

/* ---- flows that end ------------------------------------------------------------------------ */

enum ending { EXPIRED, KILLED, REFUSED, GONE, HELD };

static const struct {
	const char *name;
	enum ending how;
	bool client; /* its next segment gets a reset */
	enum drop_reason client_reason;
	int service; /* verdict on the service's next segment, the first after the end */
	enum drop_reason service_reason;
} endings[] = {
	{"idle", EXPIRED, true, DROP_NO_FLOW, NEXT, DROP_NONE},
	{"killed", KILLED, true, DROP_NO_FLOW, NEXT, DROP_NONE},
	{"refused by another policy", REFUSED, true, DROP_POLICY, REDIRECT, DROP_POLICY},
	{"address gone", GONE, true, DROP_NO_FLOW, SHOT, DROP_NO_EGRESS},
	{"address held", HELD, false, DROP_NO_EGRESS, SHOT, DROP_NO_EGRESS},
};

static void reset_presence(struct scratch *s, const struct family *f, enum egress_presence state)
{
	uint32_t id = f->v6 ? 2 : 1;
	struct egress e;

	must(maps_egress_get(s->m, id, &e));
	e.state = (uint8_t)state;
	must(maps_egress_set(s->m, id, &e));
}

/* A flow that both sides have spoken on, then ended. */
static void begin_and_end(struct scratch *s, const struct family *f, enum ending how, struct shape *out,
			  struct shape *back)
{
	struct ran r;

	scratch_policy(s, false);
	reset_exclusive(s, f, false);
	*out = shape_of(f, IPPROTO_TCP, 7777, 443);
	r = out_of(s, out, 1);
	assert_sent(r);
	*back = answer_to(out, &r);
	assert_sent(into(s, back));
	out->flags = back->flags = TH_ACK;
	assert_sent(out_of(s, out, 1));
	if (how == EXPIRED)
		expire_all(s);
	else if (how == KILLED)
		slot_of(s, out)->life = LIFE(LIFE_ID(slot_of(s, out)->life), FLOW_KILLED);
	else if (how == REFUSED)
		scratch_policy(s, true);
	else
		reset_presence(s, f, how == GONE ? EGRESS_GONE : EGRESS_HELD);
}

static void test_fault_38_endings(void **state)
{
	struct scratch *s = *state;
	struct shape out, back;
	struct frame frame;

	refill(s);
	set_resets(s, true);
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(endings); i++) {
			struct family f = family_of(v6);

			print_message("  %s %s\n", f.name, endings[i].name);
			begin_and_end(s, &f, endings[i].how, &out, &back);
			frame_build(&frame, &out);
			from_client(&frame, 1);
			if (endings[i].client)
				assert_reset(s, run(s, PROGRAM_TAP_IN, &frame), &frame, endings[i].client_reason,
					     TAP_CLIENT, 1);
			else
				assert_dropped(run(s, PROGRAM_TAP_IN, &frame), endings[i].client_reason);
			empty_table(s);

			begin_and_end(s, &f, endings[i].how, &out, &back);
			assert_ran(into(s, &back), endings[i].service, endings[i].service_reason);
			empty_table(s);
		}
	s->default_generation = 0;
}

/* Kept out by the filter of a client's mapping: the port is the client's, so we speak for it. */
static void test_fault_38_filtered(void **state)
{
	struct scratch *s = *state;

	refill(s);
	s->settings.tcp_endpoint_independent = 1;
	set_resets(s, true);
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape out = shape_of(&f, IPPROTO_TCP, 7777, 443), back;
		struct frame frame;
		struct ran r;

		reset_exclusive(s, &f, false);
		r = out_of(s, &out, 1);
		assert_sent(r);
		back = answer_to(&out, &r);
		back.src = f.remote2;
		back.flags = TH_ACK;
		frame_build(&frame, &back);
		assert_reset(s, run(s, PROGRAM_NIC_IN, &frame), &frame, DROP_FILTERED, TAP_PIECE, (v6 ? 2u : 1u) << 16);
		back.flags = TH_SYN;
		assert_dropped(into(s, &back), DROP_FILTERED);
		empty_table(s);
	}
}

/* ---- how often ------------------------------------------------------------------------------ */

/* Runs @program @times on @frame, at once. How many resets of @total were asked for? */
static uint64_t resets_of(struct scratch *s, const struct frame *frame, enum program program, int times,
			  enum total total)
{
	struct traffic before[TOTAL_MAX], after[TOTAL_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->b, .data_size_in = (uint32_t)frame->len,
		    .repeat = times);

	must(maps_totals(s->m, before));
	must(bpf_prog_test_run_opts(maps_program(s->m, program), &opts));
	must(maps_totals(s->m, after));
	return after[total].packets - before[total].packets;
}

/* One client's flood costs no other client a reset, nor the services theirs; a source's no other source. */
static void test_fault_38_budgets(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 7777, 81);
	struct frame frame, in = arrival(&f, 0), other;

	refill(s);
	set_resets(s, true);
	reset_exclusive(s, &f, true);
	shape.flags = TH_ACK;
	frame_build(&frame, &shape);
	from_client(&frame, 1);
	assert_in_range(resets_of(s, &frame, PROGRAM_TAP_IN, 4000, TOTAL_RESET_OUT), 1000, 2000);
	from_client(&frame, 2);
	assert_int_equal(resets_of(s, &frame, PROGRAM_TAP_IN, 1, TOTAL_RESET_OUT), 1);
	assert_in_range(resets_of(s, &in, PROGRAM_NIC_IN, 4000, TOTAL_RESET_IN), 1000, 2000);
	other = in;
	other.b[other.l3 + 15] ^= 4; /* another source, with a broken sum, which the worker judges */
	assert_int_equal(resets_of(s, &other, PROGRAM_NIC_IN, 1, TOTAL_RESET_IN), 1);
	for (int i = 0; i < 64; i++) { /* all together have their budget, too */
		other.b[other.l3 + 15] = (uint8_t)i;
		resets_of(s, &other, PROGRAM_NIC_IN, 1000, TOTAL_RESET_IN);
	}
	assert_in_range(resets_of(s, &in, PROGRAM_NIC_IN, 1000, TOTAL_RESET_IN), 0, 500);
}

/* What a worker gives back leaves by the NIC, as ours and nobody else's. */
static void test_fault_38_leaves(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = {.v6 = v6,
				      .proto = IPPROTO_TCP,
				      .src = f.external,
				      .dst = f.remote,
				      .sport = OURS,
				      .dport = 443,
				      .flags = TH_RST};
		struct frame frame;

		reset_exclusive(s, &f, true);
		for (int forged = 0; forged < 2; forged++) {
			shape.src = forged ? f.client : f.external;
			frame_build(&frame, &shape);
			from_client(&frame, (v6 ? 2u : 1u) << 16);
			frame.b[7] = TAP_PIECE;
			assert_ran(run(s, PROGRAM_TAP_IN, &frame), forged ? SHOT : REDIRECT,
				   forged ? DROP_GUARD : DROP_NONE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fault_38_clients), T(test_fault_38_outside),  T(test_fault_38_wrong_way),
		T(test_fault_38_endings), T(test_fault_38_filtered), T(test_fault_38_budgets),
		T(test_fault_38_leaves),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
