/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of flows: states, times, ends, new policies, slots, the sweep.
 */
#include "slots.h"

/* ---- TCP: a script of segments ----------------------------------------------------- */

enum dir { OUT, IN };

struct segment {
	enum dir dir;
	uint8_t flags;
	uint32_t seq, ack; /* the client's begin at 1000, the remote's at 5000; 10 bytes of data where not SYN or RST */
	enum flow_state state; /* then */
	uint64_t seconds;      /* to live then; 0: unchanged */
};

#define TRANSITORY  240
#define ESTABLISHED 7440

/* The client's next byte is 1001 then, the remote's 5001. */
#define HANDSHAKE                                                                                     \
	{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY}, {IN, TH_SYN | TH_ACK, 5000, 1001, FLOW_NEW, 0}, \
	{                                                                                             \
		OUT, TH_ACK, 1001, 5001, FLOW_ESTABLISHED, ESTABLISHED                                \
	}

static const struct {
	const char *name;
	struct segment segments[12];
} scripts[] = {
	{"opens", {HANDSHAKE}},
	{"5382-2 simultaneous open",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN, 5000, 0, FLOW_NEW, 0},
	  {OUT, TH_SYN | TH_ACK, 1000, 5001, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_ACK, 5001, 1001, FLOW_ESTABLISHED, 0}}},
	{"an ACK alone opens nothing",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_ACK, 5000, 1001, FLOW_NEW, 0},
	  {OUT, TH_ACK, 1001, 5001, FLOW_NEW, 0}}},
	{"closes from the client",
	 {HANDSHAKE,
	  {OUT, TH_FIN | TH_ACK, 1011, 5001, FLOW_CLOSING, ESTABLISHED},
	  {IN, TH_ACK, 5001, 1022, FLOW_CLOSING, ESTABLISHED},
	  {IN, TH_FIN | TH_ACK, 5011, 1022, FLOW_CLOSING, TRANSITORY},
	  {OUT, TH_ACK, 1022, 5022, FLOW_CLOSING, TRANSITORY}}},
	{"closes from the remote",
	 {HANDSHAKE,
	  {IN, TH_FIN | TH_ACK, 5001, 1011, FLOW_CLOSING, ESTABLISHED},
	  {OUT, TH_FIN | TH_ACK, 1011, 5012, FLOW_CLOSING, TRANSITORY}}},
	{"opens again after both FINs",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 5000, 1001, FLOW_NEW, 0},
	  {OUT, TH_FIN | TH_ACK, 1001, 5001, FLOW_CLOSING, ESTABLISHED},
	  {IN, TH_FIN | TH_ACK, 5001, 1012, FLOW_CLOSING, TRANSITORY},
	  {OUT, TH_SYN, 9000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 700, 9001, FLOW_NEW, 0},
	  {OUT, TH_ACK, 9001, 701, FLOW_ESTABLISHED, ESTABLISHED}}},
	{"5382-2 opens again after a FIN that nobody answered",
	 {HANDSHAKE,
	  {OUT, TH_FIN | TH_ACK, 1011, 5001, FLOW_CLOSING, ESTABLISHED},
	  {OUT, TH_SYN, 9000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 700, 9001, FLOW_NEW, 0},
	  {OUT, TH_ACK, 9001, 701, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_FIN | TH_ACK, 701, 9011, FLOW_CLOSING, ESTABLISHED},
	  {OUT, TH_ACK, 9011, 712, FLOW_CLOSING, ESTABLISHED}}},
	{"7857 refused at once",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_RST | TH_ACK, 0, 1001, FLOW_RESET, TRANSITORY},
	  {OUT, TH_SYN, 1500, 0, FLOW_NEW, TRANSITORY}}},
	{"7857 a refusal that does not know us",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY}, {IN, TH_RST | TH_ACK, 0, 77777, FLOW_NEW, 0}}},
	{"fault 16 a refusal that acknowledges nothing", /* the field is there, and an attacker's */
	 {{OUT, TH_SYN, 0xffffffff, 0, FLOW_NEW, TRANSITORY}, {IN, TH_RST, 0, 0, FLOW_NEW, 0}}},
	{"7857 reset in sequence", {HANDSHAKE, {IN, TH_RST, 5001, 0, FLOW_RESET, TRANSITORY}}},
	{"7857 reset behind data in flight",
	 {HANDSHAKE, {IN, TH_ACK, 5001, 1011, FLOW_ESTABLISHED, 0}, {IN, TH_RST, 5011, 0, FLOW_RESET, TRANSITORY}}},
	{"7857 reset out of sequence",
	 {HANDSHAKE,
	  {IN, TH_RST, 5002, 0, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_RST, 5000, 0, FLOW_ESTABLISHED, ESTABLISHED},
	  {OUT, TH_RST, 900, 0, FLOW_ESTABLISHED, ESTABLISHED}}},
	{"reset by the client", {HANDSHAKE, {OUT, TH_RST, 1011, 0, FLOW_RESET, TRANSITORY}}},
	{"5382-2 opens again after a reset that met a FIN",
	 {HANDSHAKE,
	  {OUT, TH_RST, 1001, 0, FLOW_RESET, TRANSITORY},
	  {IN, TH_FIN | TH_ACK, 5001, 1001, FLOW_RESET, TRANSITORY},
	  {OUT, TH_SYN, 9000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 700, 9001, FLOW_NEW, 0},
	  {OUT, TH_ACK, 9001, 701, FLOW_ESTABLISHED, ESTABLISHED},
	  {OUT, TH_FIN | TH_ACK, 9011, 701, FLOW_CLOSING, ESTABLISHED}}},
	{"7857 reset before the client's first ACK",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 0x90000000, 1001, FLOW_NEW, 0},
	  {IN, TH_RST, 0x90000001, 0, FLOW_RESET, TRANSITORY}}},
	{"7857 reset out of sequence before the client's first ACK",
	 {{OUT, TH_SYN, 1000, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 5000, 1001, FLOW_NEW, 0},
	  {IN, TH_RST, 77, 0, FLOW_NEW, 0}}},
	{"6146 a client that lost its state opens anew",
	 {HANDSHAKE,
	  {OUT, TH_SYN, 0x90000000, 0, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_SYN | TH_ACK, 0xc0000000, 0x90000001, FLOW_ESTABLISHED, 0},
	  {OUT, TH_ACK, 0x90000001, 0xc0000001, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_RST, 5001, 0, FLOW_ESTABLISHED, 0}, /* the old connection's */
	  {IN, TH_RST, 0xc0000001, 0, FLOW_RESET, TRANSITORY}}},
	{"7857 the same, reset by the client",
	 {HANDSHAKE,
	  {OUT, TH_SYN, 0x90000000, 0, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_SYN | TH_ACK, 0xc0000000, 0x90000001, FLOW_ESTABLISHED, 0},
	  {OUT, TH_RST, 0x90000001, 0, FLOW_RESET, TRANSITORY}}},
	{"9293 3.5.1 a service that remembers, and is reset",
	 {HANDSHAKE,
	  {OUT, TH_SYN, 0x90000000, 0, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_ACK, 5001, 1011, FLOW_ESTABLISHED, 0},
	  {OUT, TH_RST, 1011, 0, FLOW_RESET, TRANSITORY},
	  {OUT, TH_SYN, 0x90000000, 0, FLOW_NEW, TRANSITORY}}},
	{"7857 an answer to no SYN of the client's",
	 {HANDSHAKE,
	  {IN, TH_SYN | TH_ACK, 0xc0000000, 77, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_RST, 0xc0000001, 0, FLOW_ESTABLISHED, ESTABLISHED}}},
	{"6146 goes on after a reset",
	 {HANDSHAKE,
	  {IN, TH_RST, 5001, 0, FLOW_RESET, TRANSITORY},
	  {OUT, TH_ACK, 1011, 5001, FLOW_ESTABLISHED, ESTABLISHED}}},
	{"sequence numbers wrap",
	 {{OUT, TH_SYN, 0xfffffff8, 0, FLOW_NEW, TRANSITORY},
	  {IN, TH_SYN | TH_ACK, 0xfffffffe, 0xfffffff9, FLOW_NEW, 0},
	  {OUT, TH_ACK, 0xfffffff9, 0xffffffff, FLOW_ESTABLISHED, ESTABLISHED},
	  {IN, TH_ACK, 0xffffffff, 3, FLOW_ESTABLISHED, 0},
	  {OUT, TH_RST, 3, 0, FLOW_RESET, TRANSITORY}}},
};

static void play(struct scratch *s, const struct family *f, size_t script)
{
	struct shape out = shape_of(f, IPPROTO_TCP, (uint16_t)(3000 + script), 443), in = {};
	const struct segment *g = scripts[script].segments;

	for (size_t i = 0; i < N(scripts[0].segments) && g[i].flags; i++) {
		struct shape *shape = g[i].dir == OUT ? &out : &in;
		struct flow *flow;
		struct ran r;

		shape->flags = g[i].flags;
		shape->seq = g[i].seq;
		shape->ack = g[i].ack;
		shape->payload = g[i].flags & (TH_SYN | TH_RST) ? 0 : 10;
		r = g[i].dir == OUT ? out_of(s, shape, 1) : into(s, shape);
		assert_sent(r);
		if (i == 0)
			in = answer_to(&out, &r);
		flow = slot_of(s, &out);
		assert_non_null(flow);
		if (flow_state(flow) != (uint32_t)g[i].state)
			fail_msg("segment %zu: state %u, wanted %u", i, flow_state(flow), g[i].state);
		if (g[i].seconds)
			assert_expires_in(flow, g[i].seconds * SECOND);
	}
}

static void test_tcp_states(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(scripts); i++) {
			print_message("  %s %s\n", f.name, scripts[i].name);
			play(s, &f, i);
		}
	}
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

/* ---- time --------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t proto;
	uint16_t dport;
	uint64_t seconds;
} idle[] = {
	{"4787-5 UDP", IPPROTO_UDP, 53, 300},
	{"5508-2 echo", IPPROTO_ICMP, 0, 60},
	{"5382-5 TCP, opening", IPPROTO_TCP, 443, TRANSITORY},
};

static void test_idle_times(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family fam = family_of(v6);

		for (size_t i = 0; i < N(idle); i++) {
			struct shape shape = shape_of(&fam, idle[i].proto, 777, idle[i].dport), back;
			struct ran r = out_of(s, &shape, 1);
			struct flow *f = slot_of(s, &shape);

			print_message("  %s %s\n", fam.name, idle[i].name);
			assert_sent(r);
			assert_non_null(f);
			assert_expires_in(f, idle[i].seconds * SECOND);
			/* 4787-6: outbound refreshes, inbound does not */
			f->expires = now_ns() + 5 * SECOND;
			back = answer_to(&shape, &r);
			assert_sent(into(s, &back));
			assert_expires_in(f, 5 * SECOND);
			assert_sent(out_of(s, &shape, 1));
			assert_expires_in(f, idle[i].seconds * SECOND);
			/* Past its time it is none, swept or not. */
			expire_all(s);
			assert_ran(into(s, &back), NEXT, DROP_NONE);
			r = out_of(s, &shape, 1);
			assert_sent(r); /* a new one */
			back = answer_to(&shape, &r);
			assert_sent(into(s, &back));
			expire_all(s);
		}
	}
	sweep(s);
	assert_empty(s);
}

/* A TCP flow past its time is not revived by what does not open one. */
static void test_expired_tcp(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 900, 443);

	assert_sent(out_of(s, &shape, 1));
	shape.flags = TH_ACK;
	assert_sent(out_of(s, &shape, 1));
	expire_all(s);
	assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
	assert_empty(s);
}

/* ---- ends ------------------------------------------------------------------------------- */

static void test_kill(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 900, 443), back;
	struct ran r = out_of(s, &shape, 1);
	struct flow_walk walk = {};
	struct flow copy;

	assert_sent(r);
	back = answer_to(&shape, &r);
	assert_true(maps_flow_next(s->m, &walk, &copy));
	assert_int_equal(maps_flow_kill(s->m, walk.slot, LIFE_ID(copy.life) + 1), -ENOENT);
	assert_int_equal(maps_flow_kill(s->m, 0, LIFE_ID(copy.life)), -ENOENT);
	assert_int_equal(maps_flow_kill(s->m, UINT32_MAX, LIFE_ID(copy.life)), -ENOENT);
	assert_sent(into(s, &back));
	must(maps_flow_kill(s->m, walk.slot, LIFE_ID(copy.life)));
	assert_ran(into(s, &back), NEXT, DROP_NONE);
	shape.flags = TH_ACK;
	assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
	assert_int_equal(maps_flow_kill(s->m, walk.slot, LIFE_ID(copy.life)), -ENOENT);
	assert_empty(s);
}

#define MAPPING_ENTRIES 2

/* A flow ended by hand takes its permission along; so does a change of filtering, for all. */
static void test_kill_permission(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_UDP, 900, 53), back;
	struct flow copy;
	struct flow_walk walk = {};
	struct ran r;

	assert_sent(out_of(s, &shape, 1));
	assert_true(maps_flow_next(s->m, &walk, &copy));
	assert_int_equal(entries(s->m->skel->maps.flow_index), MAPPING_ENTRIES + 2);
	must(maps_flow_kill(s->m, walk.slot, LIFE_ID(copy.life)));
	sweep(s);
	assert_int_equal(entries(s->m->skel->maps.flow_index), MAPPING_ENTRIES);
	r = out_of(s, &shape, 1);
	assert_sent(r);
	assert_int_equal(entries(s->m->skel->maps.flow_index), MAPPING_ENTRIES + 2);
	back = answer_to(&shape, &r);
	s->settings.filtering = FILTER_ADDRESS_AND_PORT;
	must(maps_settings_set(s->m, &s->settings));
	assert_dropped(into(s, &back), DROP_FILTERED);
	sweep(s);
	assert_int_equal(entries(s->m->skel->maps.flow_index), MAPPING_ENTRIES);
	assert_sent(out_of(s, &shape, 1));
	assert_sent(into(s, &back));
}

/* What another policy allows goes on, with its port; what it does not ends, in both directions. */
static void test_new_policy(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape kept = shape_of(&f, IPPROTO_TCP, 901, 80), gone = shape_of(&f, IPPROTO_TCP, 902, 443),
			     back;
		struct ran rk = out_of(s, &kept, 1), rg = out_of(s, &gone, 1), r;
		uint32_t generation = s->generation;
		struct rule_use use;

		scratch_policy(s, true);
		assert_true(s->generation != generation);
		kept.flags = gone.flags = TH_ACK;
		r = out_of(s, &kept, 1);
		assert_sent(r);
		assert_int_equal(frame_sport(&r.out), frame_sport(&rk.out));
		assert_int_equal(slot_of(s, &kept)->generation, s->generation);
		if (v6) {
			assert_dropped(out_of(s, &gone, 1), DROP_POLICY);
		} else {
			back = answer_to(&gone, &rg);
			assert_dropped(into(s, &back), DROP_POLICY);
			assert_ran(into(s, &back), NEXT, DROP_NONE);
		}
		assert_dropped(out_of(s, &gone, 1), DROP_NO_FLOW);
		must(maps_rule_use(s->m, RULE_WEB, &use));
		assert_true(use.out.packets >= 1); /* what it carried is the rule's now */
		scratch_policy(s, false);
	}
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

/* The sweep ends what the policy no longer allows, without a packet. */
static void test_sweep_decides(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape kept = shape_of(&f, IPPROTO_TCP, 901, 80), gone = shape_of(&f, IPPROTO_TCP, 902, 443);

	assert_sent(out_of(s, &kept, 1));
	assert_sent(out_of(s, &gone, 1));
	scratch_policy(s, true);
	sweep(s);
	assert_non_null(slot_of(s, &kept));
	assert_null(slot_of(s, &gone));
	assert_int_equal(entries(s->m->skel->maps.flow_index), 2);
}

static void test_no_policy(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 901, 80);
	struct maps_policy empty = {};
	char *error = NULL;

	assert_sent(out_of(s, &shape, 1));
	must(maps_policy_apply(s->m, &empty, NULL, &error));
	assert_dropped(out_of(s, &shape, 1), DROP_CLIENT);
	sweep(s);
	assert_empty(s);
}

/* An inner address that another client has now is not that client's old flow. */
static void test_address_moves(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 901, 80);

	assert_sent(out_of(s, &shape, 1));
	shape.flags = TH_ACK;
	assert_dropped(out_of(s, &shape, 2), DROP_NO_FLOW);
	assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
	assert_empty(s);
}

/*
 * An external address that is held: nothing passes, neither of flows nor of the host, but
 * the sweep leaves them alone, and they go on when it is here again. Gone, they end.
 */
static void test_layout_7_held_address(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape tcp = shape_of(&f, IPPROTO_TCP, 901, 80), udp = shape_of(&f, IPPROTO_UDP, 901, 53), back;
		struct shape other = shape_of(&f, IPPROTO_TCP, 902, 80);
		uint32_t id = v6 ? 2 : 1;
		struct egress e;
		struct ran r = out_of(s, &tcp, 1);

		assert_sent(r);
		assert_sent(out_of(s, &udp, 1));
		back = answer_to(&tcp, &r);
		tcp.flags = TH_ACK;
		must(maps_egress_get(s->m, id, &e));
		e.state = EGRESS_HELD;
		must(maps_egress_set(s->m, id, &e));
		assert_dropped(out_of(s, &tcp, 1), DROP_NO_EGRESS);
		assert_dropped(out_of(s, &udp, 1), DROP_NO_EGRESS);
		assert_dropped(out_of(s, &other, 1), DROP_NO_EGRESS);
		assert_dropped(into(s, &back), DROP_NO_EGRESS);
		sweep(s);
		assert_non_null(slot_of(s, &tcp));
		e.state = EGRESS_HERE;
		must(maps_egress_set(s->m, id, &e));
		assert_sent(into(s, &back));
		assert_sent(out_of(s, &tcp, 1));
		assert_sent(out_of(s, &udp, 1));
		e.state = EGRESS_GONE;
		must(maps_egress_set(s->m, id, &e));
		assert_dropped(into(s, &back), DROP_NO_EGRESS);
		sweep(s);
		assert_empty(s);
	}
}

/* An index entry whose slot holds another flow by now speaks of nobody. */
static void test_leftover(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 901, 80), back;
	struct ran r = out_of(s, &shape, 1);
	struct flow *flow = slot_of(s, &shape);
	struct tuple other = flow->back;
	struct flow_ref ref = {.slot = (uint32_t)(flow - s->m->flows), .serial = flow_serial(flow)};
	int index = bpf_map__fd(s->m->skel->maps.flow_index);

	assert_sent(r);
	back = answer_to(&shape, &r);
	back.sport = 81;
	other.sport = htons(81);
	must(bpf_map_update_elem(index, &other, &ref, BPF_NOEXIST));
	assert_sent(into(s, &back));
	ref.serial--;
	must(bpf_map_update_elem(index, &other, &ref, BPF_EXIST));
	assert_ran(into(s, &back), NEXT, DROP_NONE);
	must(bpf_map_delete_elem(index, &other));
}

/* ---- slots --------------------------------------------------------------------------------- */

static void test_slots_are_reused(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t high;

	for (int round = 0; round < 5; round++) {
		for (uint16_t i = 0; i < 100; i++) {
			struct shape shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(1000 + i), 80);

			assert_sent(out_of(s, &shape, 1));
		}
		expire_all(s);
		sweep(s);
		assert_empty(s);
	}
	maps_flows(s->m, &high);
	assert_true(high <= 102);
}

/* A dead slot stays so for a second: somebody may still be looking at it. */
static void test_dead_for_a_second(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 1000, 80);
	struct flow *flow;

	assert_sent(out_of(s, &shape, 1));
	flow = slot_of(s, &shape);
	expire_all(s);
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_DEAD);
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_DEAD);
	assert_int_equal(maps_flows_used(s->m), 1);
	flow->expires -= SECOND;
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_FREE);
	assert_int_equal(maps_flows_used(s->m), 0);
}

static uint32_t dead_slots(struct scratch *s)
{
	uint32_t n, dead = 0;

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++)
		dead += flow_state(&s->m->flows[i]) == FLOW_DEAD;
	return dead;
}

/* However many end at once: a tick, in which its core forwards nothing, does its share and no more. */
static void test_sweep_is_bounded(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);

	for (uint16_t i = 0; i < 2 * SWEEP_DONE + 1; i++) {
		struct shape shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(1000 + i), 80);

		assert_sent(out_of(s, &shape, 1));
	}
	sweep(s); /* up to the last slot: the next tick begins anew */
	expire_all(s);
	for (uint32_t done = SWEEP_DONE; done <= 2 * SWEEP_DONE; done += SWEEP_DONE) {
		sweep_tick(s);
		assert_int_equal(dead_slots(s), done);
	}
	sweep_tick(s);
	assert_int_equal(dead_slots(s), 2 * SWEEP_DONE + 1);
}

/* 4787-11: a full table refuses new flows, harms no live one, and recovers. */
static void test_table_full(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t max = maps_flows_max(s->m), made = 0;
	struct shape shape;
	struct ran r;

	for (uint32_t i = 0; i < max + 10; i++) {
		shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(1024 + i % 900), (uint16_t)(8000 + i / 900));
		r = out_of(s, &shape, 1);
		if (r.verdict == REDIRECT)
			made++;
		else
			assert_dropped(r, DROP_FLOWS_FULL);
	}
	assert_int_equal(made, max);
	assert_int_equal(maps_flows_used(s->m), max);
	shape = shape_of(&f, IPPROTO_TCP, 1024, 8000);
	shape.flags = TH_ACK;
	assert_sent(out_of(s, &shape, 1));
	expire_all(s);
	sweep(s);
	assert_empty(s);
	shape.flags = TH_SYN;
	assert_sent(out_of(s, &shape, 1));
}

/* The timer itself: state ages with nobody there to ask. */
static void test_timer(void **state)
{
	struct maps_options o = {.flows = 2048};
	struct family f = family_of(false);
	struct scratch *s = calloc(1, sizeof(*s));
	struct shape shape = shape_of(&f, IPPROTO_TCP, 1000, 80);
	char *error = NULL;

	s->m = maps_open(&o, &error);
	assert_non_null(s->m);
	scratch_settings(s);
	scratch_addresses(s);
	scratch_policy(s, false);
	assert_sent(out_of(s, &shape, 1));
	expire_all(s);
	for (int i = 0; i < 80 && maps_flows_used(s->m); i++)
		usleep(100000);
	assert_empty(s);
	maps_close(s->m);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_tcp_states),	   T(test_idle_times),
		T(test_expired_tcp),	   T(test_kill),
		T(test_kill_permission),   T(test_new_policy),
		T(test_sweep_decides),	   T(test_no_policy),
		T(test_address_moves),	   T(test_layout_7_held_address),
		T(test_leftover),	   T(test_slots_are_reused),
		T(test_dead_for_a_second), T(test_sweep_is_bounded),
		T(test_table_full),	   cmocka_unit_test(test_timer),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
