/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Permissions: several flows of one mapping to ports of one remote share the index entry
 * that lets the remote in. It is there as long as one of them is, whatever becomes of the
 * others and their slots, and no longer; and no flow outlives its mapping.
 */
#include "slots.h"

#define OTHER_PORT 4444 /* of a remote that was asked by another */

/* What comes from the remote that @asked went to, but not from the port. */
static struct shape from_other_port(const struct shape *asked, const struct ran *r)
{
	struct shape in = answer_to(asked, r);

	in.sport = OTHER_PORT;
	return in;
}

/* The permission of a remote stays while one of several flows to it lives. */
static void test_permission_shared(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape a = shape_of(&f, IPPROTO_UDP, 4242, 53), b = a, in;
	struct ran r;

	b.dport = 4001;
	assert_sent(out_of(s, &a, 1));
	r = out_of(s, &b, 1);
	assert_int_equal(entries(s->m->skel->maps.flow_index), 2 + 2 + 1); /* mapping, the flows, their permission */
	slot_of(s, &a)->expires = 1;
	sweep(s);
	assert_int_equal(entries(s->m->skel->maps.flow_index), 2 + 1 + 1);
	in = from_other_port(&b, &r);
	assert_sent(into(s, &in));
	expire_all(s);
	sweep(s);
	assert_empty(s);
}

#define SHARING 4

/* Each answer counts for its own flow, in whatever order those that share a permission come and go, swept or not. */
static void test_permission_handed_on(void **state)
{
	static const int orders[][SHARING] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
	struct scratch *s = *state;

	for (size_t i = 0; i < 4 * N(orders); i++) {
		struct family f = family_of(i & 1);
		const int *order = orders[i / 4];
		bool swept = i & 2;
		struct shape out[SHARING], in[SHARING];
		struct flow *flow[SHARING];

		for (int k = 0; k < SHARING; k++) {
			struct ran r;

			out[k] = shape_of(&f, IPPROTO_UDP, 4242, (uint16_t)(4000 + k));
			r = out_of(s, &out[k], 1);
			assert_sent(r);
			in[k] = answer_to(&out[k], &r);
			flow[k] = slot_of(s, &out[k]);
		}
		for (int gone = 0; gone < SHARING; gone++) {
			for (int k = gone; k < SHARING; k++) {
				uint64_t before = flow[order[k]]->packets_in;

				assert_sent(into(s, &in[order[k]]));
				assert_int_equal(flow[order[k]]->packets_in, before + 1);
			}
			flow[order[gone]]->expires = 1;
			if (swept)
				sweep(s);
			if (gone < SHARING - 1) /* past the flow, by the mapping */
				assert_sent(into(s, &in[order[gone]]));
			else
				assert_dropped(into(s, &in[order[gone]]), DROP_FILTERED);
		}
		expire_all(s);
		sweep(s);
		assert_empty(s);
	}
}

/* What comes in by one external address is no answer of the flow that leaves by another. */
static void test_permission_of_one_egress(void **state)
{
	struct pool first = {.n4 = 1, .v4 = {1}}, second = {.n4 = 1, .v4 = {3}};
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape a = shape_of(&f, IPPROTO_UDP, 4242, 4000), b = shape_of(&f, IPPROTO_UDP, 4242, 4001), in;
	struct flow *mapping;
	struct ran r;

	scratch_egress(s, 3, addr_of("198.51.100.7"), 2, PORT_FIRST, PORT_COUNT);
	must(maps_pool_set(s->m, 0, &first));
	r = out_of(s, &a, 1);
	assert_sent(r);
	mapping = mapping_of(s, &a);
	in = answer_to(&a, &r);
	in.sport = 4001;
	must(maps_pool_set(s->m, 0, &second));
	r = out_of(s, &b, 1);
	assert_sent(r);
	assert_addr(frame_src(&r.out), addr_of("198.51.100.7"));
	assert_sent(into(s, &in));
	assert_int_equal(slot_of(s, &b)->packets_in, 0);
	assert_int_equal(mapping->packets_in, 1);
}

/* A permission has its own time: the mapping may live on for other remotes. */
static void test_permission_expires(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape a = shape_of(&f, IPPROTO_UDP, 4242, 53), b = a, in;
	struct ran r = out_of(s, &a, 1);

	in = from_other_port(&a, &r);
	assert_sent(into(s, &in));
	slot_of(s, &a)->expires = 1;
	b.dst = f.remote2;
	assert_sent(out_of(s, &b, 1));
	assert_dropped(into(s, &in), DROP_FILTERED);
	in.src = f.remote2;
	assert_sent(into(s, &in));
}

/* Ends the flow; a second later. */
static void end_and_free(struct scratch *s, struct flow *flow)
{
	flow->expires = 1;
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_DEAD);
	flow->expires -= 2 * SECOND;
	sweep(s);
}

/* Others' flows, until one has the slot. */
static void reuse(struct scratch *s, const struct family *f, const struct flow *slot)
{
	struct shape shape = shape_of(f, IPPROTO_TCP, 1000, 80);

	assert_int_equal(flow_state(slot), FLOW_FREE);
	for (; flow_state(slot) == FLOW_FREE && shape.sport < 2000; shape.sport++)
		assert_sent(out_of(s, &shape, 1));
	assert_int_equal(flow_state(slot), FLOW_NEW);
}

/* The flows between end, and their slots go to others: the first and its answers have nothing to do with that. */
static void test_permission_and_reused_slots(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shapes[3], in;
		struct flow *flow[3];

		for (uint16_t i = 0; i < 3; i++) {
			struct ran r;

			shapes[i] = shape_of(&f, IPPROTO_UDP, 4242, (uint16_t)(4000 + i));
			r = out_of(s, &shapes[i], 1);
			assert_sent(r);
			flow[i] = slot_of(s, &shapes[i]);
			if (!i)
				in = answer_to(&shapes[i], &r);
		}
		end_and_free(s, flow[1]);
		reuse(s, &f, flow[1]);
		end_and_free(s, flow[2]);
		assert_sent(into(s, &in));
		assert_int_equal(flow[0]->packets_in, 1);
		empty_table(s);
		assert_empty(s);
	}
}

#define MANY 20

/* However many came after it. */
static void test_permission_of_many(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape first = shape_of(&f, IPPROTO_UDP, 4242, 4000), next = first, in;
	struct ran r = out_of(s, &first, 1);

	in = answer_to(&first, &r);
	for (uint16_t i = 1; i < MANY; i++) {
		next.dport = (uint16_t)(4000 + i);
		assert_sent(out_of(s, &next, 1));
	}
	for (uint16_t i = 1; i < MANY; i++) {
		next.dport = (uint16_t)(4000 + i);
		slot_of(s, &next)->expires = 1;
	}
	sweep(s);
	assert_sent(into(s, &in));
	assert_int_equal(slot_of(s, &first)->packets_in, 1);
}

/* The first ends, others live by its entry: its slot stays so long, and one that is made anew is found. */
static void test_permission_of_the_dead(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape first = shape_of(&f, IPPROTO_UDP, 4242, 4000), second = first, in;
	struct ran r = out_of(s, &first, 1);
	struct flow *dead = slot_of(s, &first);

	in = answer_to(&first, &r);
	second.dport = 4001;
	assert_sent(out_of(s, &second, 1));
	end_and_free(s, dead);
	assert_int_equal(flow_state(dead), FLOW_DEAD);
	assert_sent(into(s, &in)); /* by the mapping */
	assert_int_equal(dead->packets_in, 0);
	assert_sent(out_of(s, &first, 1));
	assert_true(slot_of(s, &first) != dead);
	assert_sent(into(s, &in));
	assert_int_equal(slot_of(s, &first)->packets_in, 1);
	slot_of(s, &first)->expires = slot_of(s, &second)->expires = 1;
	sweep(s);
	assert_dropped(into(s, &in), DROP_FILTERED);
	assert_int_equal(flow_state(dead), FLOW_DEAD); /* a second from when the last has gone */
	dead->expires -= 2 * SECOND;
	sweep(s);
	assert_int_equal(flow_state(dead), FLOW_FREE);
	empty_table(s);
	assert_empty(s);
}

/* A source that no mapping has sent to, nor ever will: its entry would be the mapping's own. */
static void test_unspecified_remote(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(true);
	struct shape shape = shape_of(&f, IPPROTO_UDP, 4242, 53), in;
	struct ran r = out_of(s, &shape, 1);

	in = answer_to(&shape, &r);
	in.src = addr_of("::");
	for (in.sport = 0; in.sport < 2; in.sport++) {
		assert_int_equal(into(s, &in).verdict, SHOT);
		assert_non_null(mapping_of(s, &shape));
		assert_non_null(slot_of(s, &shape));
	}
}

/* 16: under another filtering port 0 stood for any: now it is one, which the client has not sent to. */
static void test_fault_16_port_zero(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, 4243, 53), in;
		struct ran r = out_of(s, &shape, 1);

		assert_sent(r);
		in = answer_to(&shape, &r);
		s->settings.filtering = FILTER_ADDRESS_AND_PORT;
		must(maps_settings_set(s->m, &s->settings));
		in.sport = 0;
		assert_dropped(into(s, &in), DROP_FILTERED);
		scratch_settings(s);
	}
}

/* ---- what TCP does to its mapping --------------------------------------------------- */

static struct shape segment(const struct shape *like, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct shape shape = *like;

	shape.flags = flags;
	shape.seq = seq;
	shape.ack = ack;
	shape.payload = 0;
	return shape;
}

/* A connection by a mapping; *@in: its answers. */
static struct flow *connect_by_mapping(struct scratch *s, struct shape *out, struct shape *in)
{
	struct shape shape;
	struct ran r;

	s->settings.tcp_endpoint_independent = 1;
	must(maps_settings_set(s->m, &s->settings));
	shape = segment(out, TH_SYN, 1000, 0);
	r = out_of(s, &shape, 1);
	assert_sent(r);
	*in = answer_to(&shape, &r);
	shape = segment(in, TH_SYN | TH_ACK, 5000, 1001);
	assert_sent(into(s, &shape));
	shape = segment(out, TH_ACK, 1001, 5001);
	assert_sent(out_of(s, &shape, 1));
	return slot_of(s, out);
}

/* 7857: a reset keeps the flow for another while, and so the mapping; a SYN after it does, too. */
static void test_mapping_outlives_resets(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape out = shape_of(&f, IPPROTO_TCP, 901, 80), in, shape;
	struct flow *flow = connect_by_mapping(s, &out, &in), *m = mapping_of(s, &out);

	flow->expires = m->expires = now_ns() + 5 * SECOND;
	shape = segment(&in, TH_RST, 5001, 0);
	assert_sent(into(s, &shape));
	assert_int_equal(flow_state(flow), FLOW_RESET);
	assert_true(m->expires >= flow->expires);
	flow->expires = m->expires = now_ns() + 5 * SECOND;
	shape = segment(&out, TH_SYN, 9000, 0);
	assert_sent(out_of(s, &shape, 1));
	assert_int_equal(flow_state(flow), FLOW_NEW);
	assert_expires_in(flow, 240 * SECOND);
	assert_true(m->expires >= flow->expires);
}

/* 7857, 4787-6: what only the remote sends does not keep a flow, resets and data in turn neither. */
static void test_remote_keeps_nothing(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape out = shape_of(&f, IPPROTO_TCP, 901, 80), in, shape;
	struct flow *flow = connect_by_mapping(s, &out, &in);

	shape = segment(&in, TH_RST, 5001, 0);
	assert_sent(into(s, &shape));
	flow->expires = now_ns() + 5 * SECOND;
	for (int i = 0; i < 3; i++) {
		shape = segment(&in, TH_ACK, 5001, 1001);
		assert_sent(into(s, &shape));
		shape = segment(&in, TH_RST, 5001, 0);
		assert_sent(into(s, &shape));
	}
	assert_expires_in(flow, 5 * SECOND);
	shape = segment(&out, TH_ACK, 1001, 5001);
	assert_sent(out_of(s, &shape, 1));
	assert_int_equal(flow_state(flow), FLOW_ESTABLISHED);
}

/* 5382-2: a client refuses the SYN that its mapping let in: the reset goes out, and makes nothing. */
static void test_reset_by_the_mapping(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape out = shape_of(&f, IPPROTO_TCP, 901, 80), in, shape;
		struct flow *m;
		uint32_t used;
		struct ran r, r2;

		connect_by_mapping(s, &out, &in);
		m = mapping_of(s, &out);
		used = maps_flows_used(s->m);
		in.sport = 443;
		shape = segment(&in, TH_SYN, 7000, 0);
		r = into(s, &shape);
		assert_sent(r);
		assert_int_equal(frame_dport(&r.out), 901);
		m->expires = now_ns() + 9 * SECOND;
		out.dport = 443;
		shape = segment(&out, TH_RST | TH_ACK, 0, 7001);
		r2 = out_of(s, &shape, 1);
		assert_sent(r2);
		assert_addr(frame_src(&r2.out), f.external);
		assert_addr(frame_dst(&r2.out), f.remote);
		assert_int_equal(frame_sport(&r2.out), in.dport);
		assert_int_equal(frame_dport(&r2.out), 443);
		assert_true(frame_checks(&r2.out));
		assert_int_equal(maps_flows_used(s->m), used);
		assert_expires_in(m, 9 * SECOND);
		/* Not another client's, nor from another port, nor where the policy does not let him speak. */
		assert_dropped(out_of(s, &shape, 2), DROP_NO_FLOW);
		shape.sport++;
		assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
		shape.sport--;
		shape.dport = 7777;
		assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
		/* Nor where each remote has a port of its own, and nothing comes in unasked. */
		shape.dport = 443;
		s->settings.tcp_endpoint_independent = 0;
		must(maps_settings_set(s->m, &s->settings));
		assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
	}
}

/* 4787-3: from before and after, two connections to one remote never have one port. */
static void test_tcp_of_both_kinds(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape before = shape_of(&f, IPPROTO_TCP, 901, 80), after = shape_of(&f, IPPROTO_TCP, 902, 80), in;
	struct ran r;

	scratch_egress(s, 1, f.external, 2, PORT_FIRST, 1);
	r = out_of(s, &before, 1);
	assert_sent(r);
	in = answer_to(&before, &r);
	for (int strict = 0; strict < 2; strict++) {
		s->settings.tcp_endpoint_independent = 1;
		s->settings.filtering = strict ? FILTER_ADDRESS_AND_PORT : FILTER_ADDRESS;
		must(maps_settings_set(s->m, &s->settings));
		assert_dropped(out_of(s, &after, 1), DROP_PORTS_FULL);
		assert_sent(into(s, &in));
		assert_non_null(slot_of(s, &before));
	}
	after.dst = f.remote2;
	assert_sent(out_of(s, &after, 1));
	slot_of(s, &before)->expires = 1;
	after.dst = f.remote;
	assert_sent(out_of(s, &after, 1));
	empty_table(s);
	assert_empty(s);
}

/* Connections go on when TCP becomes endpoint-independent; those that were end when it is no more. */
static void test_tcp_changes_kind(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape before = shape_of(&f, IPPROTO_TCP, 901, 80), with = shape_of(&f, IPPROTO_TCP, 902, 80), in;
	struct ran r = out_of(s, &before, 1);

	s->settings.tcp_endpoint_independent = 1;
	must(maps_settings_set(s->m, &s->settings));
	in = answer_to(&before, &r);
	assert_sent(into(s, &in));
	r = out_of(s, &with, 1);
	assert_sent(r);
	s->settings.tcp_endpoint_independent = 0;
	must(maps_settings_set(s->m, &s->settings));
	assert_sent(into(s, &in));
	in = answer_to(&with, &r);
	assert_ran(into(s, &in), NEXT, DROP_NONE);
	sweep(s);
	assert_null(slot_of(s, &with));
	assert_non_null(slot_of(s, &before));
}

/* ---- what must not be touched -------------------------------------------------------- */

/* A flow that lost its mapping does not keep whoever has the slot now. */
static void test_slot_of_a_lost_mapping(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_UDP, 4242, 53);
	struct flow *flow, *m;

	assert_sent(out_of(s, &shape, 1));
	flow = slot_of(s, &shape);
	m = mapping_of(s, &shape);
	end_and_free(s, m);
	reuse(s, &f, m);
	flow->expires = now_ns() + 5 * SECOND;
	assert_sent(out_of(s, &shape, 1));
	assert_expires_in(flow, 300 * SECOND);
	assert_expires_in(m, 240 * SECOND);
}

/* A packet that keeps a flow just as it ends holds up its slot for a second, not for the flow's time. */
static void test_dead_is_not_kept(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 901, 80);
	struct flow *flow;

	assert_sent(out_of(s, &shape, 1));
	flow = slot_of(s, &shape);
	flow->expires = 1;
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_DEAD);
	flow->expires = now_ns() + 7440 * SECOND;
	sweep(s);
	assert_true(flow->expires <= now_ns());
	flow->expires -= 2 * SECOND;
	sweep(s);
	assert_int_equal(flow_state(flow), FLOW_FREE);
}

static bool is_of_client(const void *client, const struct flow *f)
{
	return f->client == *(const uint32_t *)client;
}

/* A client that is removed or kicked has no mapping any more by which a remote could still send to it. */
static void test_fault_24_mapping_ends(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_UDP, 700, 53), back;
	const uint32_t other = 2, client = 1;
	struct ran r;

	s->settings.filtering = FILTER_ENDPOINT_INDEPENDENT;
	must(maps_settings_set(s->m, &s->settings));
	r = out_of(s, &shape, 1);
	assert_sent(r);
	back = answer_to(&shape, &r);
	back.sport = 4500; /* by the mapping alone */
	maps_flows_end(s->m, is_of_client, &other);
	assert_sent(into(s, &back));
	maps_flows_end(s->m, is_of_client, &client);
	assert_ran(into(s, &back), NEXT, DROP_NONE);
	assert_sent(out_of(s, &shape, 1)); /* at once, with a mapping of its own */
	maps_flows_end(s->m, is_of_client, &client);
	sweep(s);
	assert_empty(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_permission_shared),	     T(test_permission_expires),
		T(test_permission_handed_on),	     T(test_permission_of_one_egress),
		T(test_permission_and_reused_slots), T(test_permission_of_many),
		T(test_permission_of_the_dead),	     T(test_unspecified_remote),
		T(test_mapping_outlives_resets),     T(test_remote_keeps_nothing),
		T(test_reset_by_the_mapping),	     T(test_tcp_of_both_kinds),
		T(test_fault_16_port_zero),	     T(test_tcp_changes_kind),
		T(test_slot_of_a_lost_mapping),	     T(test_dead_is_not_kept),
		T(test_fault_24_mapping_ends),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
