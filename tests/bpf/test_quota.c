/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quotas: one client is held, the others notice nothing. Rates are judged by the clock:
 * what passed must be what the time that passed allows, however slow the machine is.
 */
#include "slots.h"

#define OTHER 4 /* a client like client 1, without a quota */

static void with_quota(struct scratch *s, struct quota q)
{
	s->quota = q;
	scratch_policy(s, false);
}

static struct shape nth(const struct family *f, uint8_t proto, uint32_t client, uint32_t i)
{
	struct shape shape = shape_of(f, proto, (uint16_t)(1024 + i), proto == IPPROTO_TCP ? 80 : 53);

	if (proto == IPPROTO_ICMP)
		shape.dport = 0;
	shape.src.b[14] = (uint8_t)client; /* everybody has an address of their own */
	return shape;
}

static struct client_use use_of(struct scratch *s, uint32_t client)
{
	struct client_use u;

	must(maps_client_use(s->m, client, &u));
	return u;
}

/* ---- flows --------------------------------------------------------------------------------- */

static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};

/* As many as allowed, not one more; one that ends makes room. */
static void test_flows(void **state)
{
	struct scratch *s = *state;

	with_quota(s, (struct quota){.flows = 3});
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t k = 0; k < N(protos); k++) {
			struct family f = family_of(v6);
			uint64_t refused = use_of(s, 1).refused, held = use_of(s, 1).held;
			struct shape shape;

			for (uint32_t i = 0; i < 3; i++) {
				shape = nth(&f, protos[k], 1, i);
				assert_sent(out_of(s, &shape, 1));
			}
			assert_int_equal(maps_client_flows(s->m, 1), 3);
			shape = nth(&f, protos[k], 1, 3);
			assert_dropped(out_of(s, &shape, 1), DROP_QUOTA_FLOWS);
			assert_int_equal(use_of(s, 1).refused, refused + 1);
			assert_int_equal(use_of(s, 1).held, held + 1);
			shape = nth(&f, protos[k], OTHER, 3);
			assert_sent(out_of(s, &shape, OTHER));
			shape = nth(&f, protos[k], 1, 0);
			assert_sent(out_of(s, &shape, 1));
			slot_of(s, &shape)->expires = 1;
			sweep(s);
			assert_int_equal(maps_client_flows(s->m, 1), 2);
			shape = nth(&f, protos[k], 1, 3);
			assert_sent(out_of(s, &shape, 1));
			empty_table(s);
			assert_int_equal(maps_client_flows(s->m, 1), 0);
		}
}

/* A flow that does not come to be counts nothing. */
static void test_flows_that_fail(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape;

	scratch_egress(s, 1, f.external, 2, PORT_FIRST, 1);
	for (uint32_t i = 0; i < 5; i++) {
		shape = nth(&f, IPPROTO_TCP, 1, i);
		assert_ran(out_of(s, &shape, 1), i ? SHOT : REDIRECT, i ? DROP_PORTS_FULL : DROP_NONE);
		assert_int_equal(maps_client_flows(s->m, 1), 1);
	}
}

/* ---- a second ------------------------------------------------------------------------------- */

enum limit { NEW_FLOWS, PACKETS_OUT, PACKETS_IN, BYTES_OUT, BYTES_IN, SEGMENTS };

static const struct {
	const char *name;
	enum limit limit;
	struct quota quota;
	uint64_t rate; /* packets a second that it comes to */
	enum drop_reason reason;
} rates[] = {
	{"new flows", NEW_FLOWS, {.new_flows = 5}, 5, DROP_QUOTA_NEW_FLOWS},
	{"packets out", PACKETS_OUT, {.packets = 10}, 10, DROP_QUOTA_PACKETS},
	{"packets in", PACKETS_IN, {.packets = 10}, 10, DROP_QUOTA_PACKETS},
	{"bytes out", BYTES_OUT, {.bytes = 10000}, 10, DROP_QUOTA_BYTES},
	{"bytes in", BYTES_IN, {.bytes = 10000}, 10, DROP_QUOTA_BYTES},
	{"segments", SEGMENTS, {.packets = 50}, 10, DROP_QUOTA_PACKETS}, /* of five each */
};

struct established {
	struct shape out, in;
};

static struct established establish(struct scratch *s, const struct family *f, uint32_t client)
{
	struct established e = {.out = nth(f, IPPROTO_UDP, client, 999)};
	struct ran r;

	e.out.payload = 1000 - (f->v6 ? 48 : 28);
	r = out_of(s, &e.out, client);
	assert_sent(r);
	e.in = answer_to(&e.out, &r);
	return e;
}

static struct ran attempt(struct scratch *s, const struct family *f, const struct established *e, enum limit limit,
			  uint32_t client, uint32_t i)
{
	struct push push = {.gso_size = 200, .gso_segs = 5};
	struct shape shape = nth(f, IPPROTO_UDP, client, i);
	struct frame frame;

	switch (limit) {
	case NEW_FLOWS:
		return out_of(s, &shape, client);
	case PACKETS_IN:
	case BYTES_IN:
		return into(s, &e->in);
	case SEGMENTS:
		frame_build(&frame, &e->out);
		from_client(&frame, client);
		return run_with(s, PROGRAM_TAP_IN, &frame, push);
	default:
		return out_of(s, &e->out, client);
	}
}

static void check_rate(struct scratch *s, const struct family *f, size_t row)
{
	struct established mine, theirs = establish(s, f, OTHER);
	uint64_t start, sent = 0, most;

	with_quota(s, (struct quota){});
	mine = establish(s, f, 1);
	with_quota(s, rates[row].quota); /* of live flows, too */
	start = now_ns();
	for (uint32_t i = 0; i < 60; i++) {
		struct ran r = attempt(s, f, &mine, rates[row].limit, 1, i);

		if (r.verdict != REDIRECT)
			assert_dropped(r, rates[row].reason);
		sent += r.verdict == REDIRECT;
		assert_sent(attempt(s, f, &theirs, rates[row].limit, OTHER, i));
	}
	most = rates[row].rate * (now_ns() - start + SECOND) / SECOND + 1;
	if (sent < rates[row].rate || sent > most)
		fail_msg("%llu passed, %llu to %llu may", (unsigned long long)sent, (unsigned long long)rates[row].rate,
			 (unsigned long long)most);
}

static void test_rates(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < N(rates); i++) {
			struct family f = family_of(v6);

			print_message("  %s %s\n", f.name, rates[i].name);
			check_rate(s, &f, i);
			empty_table(s);
			fill_buckets(s);
		}
}

/* One way does not use up the other. */
static void test_ways_are_apart(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);

	with_quota(s, (struct quota){.packets = 1});
	assert_sent(out_of(s, &e.out, 1));
	assert_dropped(out_of(s, &e.out, 1), DROP_QUOTA_PACKETS);
	assert_sent(into(s, &e.in));
	assert_dropped(into(s, &e.in), DROP_QUOTA_PACKETS);
}

/* What one quota stops does not cost the other. */
static void test_both_or_none(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);

	with_quota(s, (struct quota){.packets = 100, .bytes = 1000});
	assert_sent(out_of(s, &e.out, 1));
	for (int i = 0; i < 200; i++)
		if (out_of(s, &e.out, 1).reason == DROP_QUOTA_PACKETS)
			fail_msg("dropped packets used up the quota of packets");
}

/* Larger than a second's worth: it waits for a full bucket and leaves it in debt. */
static void test_super_packet_at_a_low_rate(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);
	struct client_state after;
	uint32_t one = 1;

	with_quota(s, (struct quota){.bytes = 10});
	assert_sent(out_of(s, &e.out, 1));
	assert_dropped(out_of(s, &e.out, 1), DROP_QUOTA_BYTES);
	must(bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.client_state), &one, &after));
	assert_true(after.full_at[BUCKET_BYTES_OUT] > now_ns() + 60 * SECOND); /* 100 s, less this test's */
}

/* A policy without the quota lets go at once; live flows are not touched. */
static void test_lifted(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);

	with_quota(s, (struct quota){.packets = 1, .flows = 1, .new_flows = 1});
	assert_sent(out_of(s, &e.out, 1));
	assert_dropped(out_of(s, &e.out, 1), DROP_QUOTA_PACKETS);
	with_quota(s, (struct quota){});
	for (uint32_t i = 0; i < 10; i++) {
		struct shape shape = nth(&f, IPPROTO_TCP, 1, i);

		assert_sent(out_of(s, &e.out, 1));
		assert_sent(into(s, &e.in));
		assert_sent(out_of(s, &shape, 1));
	}
	assert_true(slot_of(s, &e.out) != NULL);
}

/* To a mapping without a flow, and errors about a flow: the same quota. */
static void test_every_way_in(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);

	with_quota(s, (struct quota){.packets = 1});
	e.in.sport = 4001; /* another port of the same remote */
	assert_sent(into(s, &e.in));
	assert_dropped(into(s, &e.in), DROP_QUOTA_PACKETS);
}

/* ---- the share of everybody ------------------------------------------------------------------ */

static void share(struct scratch *s, uint8_t percent)
{
	s->settings.client_share = percent;
	must(maps_settings_set(s->m, &s->settings));
}

/* Of the table a quarter; what the policy says goes first. */
static void test_share_of_the_table(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t quarter = (maps_flows_max(s->m) + 1) / 4;
	struct shape shape;

	share(s, 25);
	for (uint32_t i = 0; i < quarter; i++) {
		shape = nth(&f, IPPROTO_TCP, 1, i % 1000);
		shape.dport = (uint16_t)(8000 + i / 500);
		shape.sport = (uint16_t)(1024 + i);
		assert_sent(out_of(s, &shape, 1));
	}
	shape = nth(&f, IPPROTO_TCP, 1, 60000);
	assert_dropped(out_of(s, &shape, 1), DROP_QUOTA_FLOWS);
	shape = nth(&f, IPPROTO_TCP, OTHER, 0);
	assert_sent(out_of(s, &shape, OTHER));
	with_quota(s, (struct quota){.flows = 2 * quarter});
	shape = nth(&f, IPPROTO_TCP, 1, 60000);
	assert_sent(out_of(s, &shape, 1));
}

/* What a flow takes up besides itself counts: its mapping, and what has ended until it is free. */
static void test_share_of_mappings(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint32_t quarter = (maps_flows_max(s->m) + 1) / 4;
	struct shape shape;

	share(s, 25);
	for (uint32_t i = 0; i < quarter / 2; i++) {
		shape = nth(&f, IPPROTO_UDP, 1, i);
		assert_sent(out_of(s, &shape, 1));
	}
	shape = nth(&f, IPPROTO_UDP, 1, quarter);
	assert_dropped(out_of(s, &shape, 1), DROP_QUOTA_FLOWS);
	expire_all(s);
	sweep(s);
	assert_dropped(out_of(s, &shape, 1), DROP_QUOTA_FLOWS);
	empty_table(s);
	assert_sent(out_of(s, &shape, 1));
}

/* Of a remote's ports all but the last quarter, which is for those who have fewer flows; all are used. */
static void test_share_of_the_ports(void **state)
{
	struct scratch *s = *state;

	share(s, 25);
	with_quota(s, (struct quota){.flows = 4 * PORT_COUNT}); /* the share of the table is another matter */
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t k = 0; k < N(protos); k++) {
			struct family f = family_of(v6);
			struct shape shape;

			for (uint32_t i = 0; i < PORT_COUNT; i++) {
				struct ran r;

				shape = nth(&f, protos[k], 1, i);
				r = out_of(s, &shape, 1);
				assert_ran(r, i < 750 ? REDIRECT : SHOT, i < 750 ? DROP_NONE : DROP_QUOTA_PORTS);
			}
			for (uint32_t i = 0; i < 250; i++) {
				shape = nth(&f, protos[k], OTHER, i);
				assert_sent(out_of(s, &shape, OTHER));
			}
			shape = nth(&f, protos[k], 5, 0);
			assert_dropped(out_of(s, &shape, 5), DROP_PORTS_FULL);
			shape = nth(&f, protos[k], 1, 0);
			assert_sent(out_of(s, &shape, 1));
			empty_table(s);
		}
}

/* ---- what is told ------------------------------------------------------------------------------ */

struct told {
	uint32_t icmp, full;
	uint32_t client;
	enum drop_reason reason;
};

static int keep(void *ctx, void *data, size_t size)
{
	const struct notice *n = data;
	struct told *t = ctx;

	t->icmp += n->kind == NOTICE_ICMP;
	if (n->kind == NOTICE_FULL) {
		t->full++;
		t->client = n->client;
		t->reason = n->reason;
	}
	return 0;
}

static struct told told(struct scratch *s)
{
	struct told t = {};
	struct ring_buffer *ring = ring_buffer__new(maps_notices_fd(s->m), keep, &t, NULL);

	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	return t;
}

/* One event a minute for a client, its own; refusals of new flows are answered, packets are not. */
static void test_one_event_a_minute(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct established e = establish(s, &f, 1);
	struct shape shape;
	struct told t;

	with_quota(s, (struct quota){.packets = 1, .flows = 1});
	for (uint32_t i = 0; i < 20; i++)
		out_of(s, &e.out, 1);
	t = told(s);
	assert_int_equal(t.full, 1);
	assert_int_equal(t.client, 1);
	assert_int_equal(t.reason, DROP_QUOTA_PACKETS);
	assert_int_equal(t.icmp, 0);
	for (uint32_t i = 0; i < 20; i++) {
		shape = nth(&f, IPPROTO_TCP, 1, i);
		assert_dropped(out_of(s, &shape, 1), DROP_QUOTA_FLOWS);
	}
	t = told(s);
	assert_int_equal(t.full, 0);
	assert_int_equal(t.icmp, 20);
}

/* Who floods gets a hundred answers a second and takes none from others. */
static void test_notices_are_limited(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	uint64_t start = now_ns(), most;
	struct shape shape = shape_of(&f, IPPROTO_TCP, 1, 22);
	struct told t;

	for (uint32_t i = 0; i < 1000; i++)
		assert_dropped(out_of(s, &shape, 1), DROP_POLICY);
	most = NOTICES_A_SECOND * (now_ns() - start + SECOND) / SECOND + 1;
	t = told(s);
	assert_in_range(t.icmp, NOTICES_A_SECOND, most);
	assert_dropped(out_of(s, &shape, OTHER), DROP_POLICY);
	assert_int_equal(told(s).icmp, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_flows),
		T(test_flows_that_fail),
		T(test_rates),
		T(test_ways_are_apart),
		T(test_both_or_none),
		T(test_super_packet_at_a_low_rate),
		T(test_lifted),
		T(test_every_way_in),
		T(test_share_of_the_table),
		T(test_share_of_mappings),
		T(test_share_of_the_ports),
		T(test_one_event_a_minute),
		T(test_notices_are_limited),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
