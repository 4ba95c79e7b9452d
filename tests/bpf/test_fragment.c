/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 4787-13 and 4787-14 in the programs: which fragments go to the daemon, what may come
 * back from it, which packets are cut and which answered, and errors about fragments.
 */
#include "slots.h"

#define LOOPBACK 1 /* the interface of BPF_PROG_TEST_RUN */

/* Makes the frame's packet a fragment at @at, which must hold no more than it did. */
static void be_fragment(struct frame *f, uint16_t at, bool more)
{
	uint8_t *ip = f->b + f->l3;
	uint8_t header[8] = {ip[6]};

	if (!f->v6) {
		put16(ip + 6, (uint16_t)(at / 8 | more << 13));
		frame_checksum(f);
		return;
	}
	put16(header + 2, at | more);
	put32(header + 4, 0x12345678);
	memmove(ip + 48, ip + 40, f->len - f->l3 - 40);
	memcpy(ip + 40, header, 8);
	ip[6] = IPPROTO_FRAGMENT;
	f->len += 8;
	put16(ip + 4, (uint16_t)(f->len - f->l3 - 40));
}

static void from_kind(struct frame *f, enum tap_mac_kind kind, uint32_t id)
{
	from_client(f, id);
	f->b[7] = (uint8_t)kind;
}

static void assert_head(const struct ran *r, uint16_t type, enum tap_mac_kind kind, uint32_t id)
{
	struct frame want = {};

	from_kind(&want, kind, id);
	assert_memory_equal(r->out.b + 6, want.b + 6, 6);
	assert_int_equal(get16(r->out.b + 12), type);
}

static struct frame fragment_from_remote(const struct family *f, struct addr dst, uint16_t at, bool more)
{
	struct shape shape = shape_of(f, IPPROTO_UDP, 53, 20000);
	struct frame frame;

	shape.src = f->remote;
	shape.dst = dst;
	shape.payload = 800;
	frame_build(&frame, &shape);
	memset(frame.b, 0, 6); /* for the loopback, by which BPF_PROG_TEST_RUN lets it in */
	memcpy(frame.b + 6, "\x02route", 6);
	be_fragment(&frame, at, more);
	return frame;
}

/* ---- which go to the daemon ---------------------------------------------------------- */

static void test_4787_14_to_the_daemon(void **state)
{
	static const struct {
		uint16_t at;
		bool more;
	} pieces[] = {{0, true}, {800, true}, {1600, false}};
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		uint32_t mark = 0;

		must(maps_reassemble(s->m, &f.external, now_ns() + 60 * SECOND));
		for (size_t i = 0; i < N(pieces); i++) {
			struct frame in = fragment_from_remote(&f, f.external, pieces[i].at, pieces[i].more);
			struct ran r;

			if (i == 1) /* by a router whose link address looks like a frame of the daemon's */
				from_kind(&in, TAP_RETURN, LOOPBACK);
			r = run(s, PROGRAM_NIC_IN, &in);
			assert_sent(r);
			assert_head(&r, ETH_P_REASSEMBLE, TAP_RETURN, LOOPBACK);
			assert_memory_equal(r.out.b, in.b, 6); /* needed again at the NIC */
			assert_int_equal(r.out.len, in.len);
			assert_memory_equal(r.out.b + in.l3, in.b + in.l3, in.len - in.l3);
			assert_in_range(r.mark, TAP_MARK, TAP_MARK + s->settings.workers - 1u);
			assert_true(!i || r.mark == mark); /* all meet */
			mark = r.mark;
		}
		must(maps_reassemble_none(s->m));
	}
}

/* Not to an egress address; nobody there who joins them, or no more. */
static void test_4787_14_left_to_the_host(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct frame in = fragment_from_remote(&f, f.external, 0, true), own;

		assert_ran(run(s, PROGRAM_NIC_IN, &in), NEXT, DROP_NONE);
		must(maps_reassemble(s->m, &f.external, now_ns() - 1));
		assert_ran(run(s, PROGRAM_NIC_IN, &in), NEXT, DROP_NONE);
		must(maps_reassemble(s->m, &f.external, now_ns() + 60 * SECOND));
		assert_sent(run(s, PROGRAM_NIC_IN, &in));
		own = fragment_from_remote(&f, f.remote2, 0, true);
		assert_ran(run(s, PROGRAM_NIC_IN, &own), NEXT, DROP_NONE);
		s->settings.tap_ifindex = 0;
		must(maps_settings_set(s->m, &s->settings));
		assert_ran(run(s, PROGRAM_NIC_IN, &in), NEXT, DROP_NONE);
		scratch_settings(s);
		must(maps_reassemble_none(s->m));
	}
}

/* A source gets its share a window, and no other's; all together have theirs. */
static void test_4787_14_budget(void **state)
{
	enum { RUNS = 100000, SHARE = 1024, ALL = 4096, WINDOWS = 20 }; /* they take less than one */
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct frame in = fragment_from_remote(&f, f.external, 0, true);
	uint64_t before[DROP_MAX], after[DROP_MAX], one, many;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.b, .data_size_in = (uint32_t)in.len, .repeat = RUNS);

	must(maps_reassemble(s->m, &f.external, now_ns() + 60 * SECOND));
	must(maps_drops(s->m, before));
	must(bpf_prog_test_run_opts(maps_program(s->m, PROGRAM_NIC_IN), &opts));
	must(maps_drops(s->m, after));
	one = after[DROP_FRAGMENT_RATE] - before[DROP_FRAGMENT_RATE];
	assert_in_range(one, RUNS - WINDOWS * SHARE, RUNS - SHARE / 2);
	in.b[in.l3 + 15]++; /* the next source */
	assert_sent(run(s, PROGRAM_NIC_IN, &in));
	opts.repeat = RUNS / 200;
	must(maps_drops(s->m, before));
	for (int i = 0; i < 200; i++) {
		in.b[in.l3 + 15] = (uint8_t)i;
		must(bpf_prog_test_run_opts(maps_program(s->m, PROGRAM_NIC_IN), &opts));
	}
	must(maps_drops(s->m, after));
	many = after[DROP_FRAGMENT_RATE] - before[DROP_FRAGMENT_RATE];
	assert_in_range(many, RUNS - WINDOWS * ALL, RUNS - ALL / 2);
	must(maps_reassemble_none(s->m));
}

/* ---- what comes back ------------------------------------------------------------------- */

static void test_4787_14_back_to_the_nic(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, 53, 20000);
		struct frame in;
		struct ran r;

		shape.src = f.remote;
		shape.dst = f.external;
		frame_build(&in, &shape);
		from_kind(&in, TAP_RETURN, LOOPBACK);
		r = run(s, PROGRAM_TAP_IN, &in);
		assert_sent(r);
		assert_memory_equal(r.out.b, in.b, in.len); /* the NIC's program does the rest */
		assert_int_equal(r.mark, ROUND_MARK | ROUND_JOINED | ROUND_CUT);
		r = run_with(s, PROGRAM_NIC_IN, &in, (struct push){.mark = r.mark});
		assert_ran(r, NEXT, DROP_NONE); /* of no flow: the host's, who is not to see the mark */
		assert_int_equal(r.mark, 0);
	}
}

/* Fragments within fragments: each header would be another round. */
static void test_4787_14_joined_once(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct frame in = fragment_from_remote(&f, f.external, 0, v6 == 0); /* IPv6: an atomic one, too */

		must(maps_reassemble(s->m, &f.external, now_ns() + 60 * SECOND));
		assert_sent(run(s, PROGRAM_NIC_IN, &in));
		assert_dropped(run_with(s, PROGRAM_NIC_IN, &in, (struct push){.mark = ROUND_MARK | ROUND_JOINED}),
			       DROP_FRAGMENT);
		must(maps_reassemble_none(s->m));
	}
}

/* A piece leaves only with the address that translation gives, which no client has. */
static void test_4787_13_pieces_leave(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, 20000, 53);
		uint32_t egress = v6 ? 2 : 1;
		struct frame in;

		shape.payload = 800;
		shape.src = f.external;
		frame_build(&in, &shape);
		be_fragment(&in, 800, true);
		from_kind(&in, TAP_PIECE, egress << 16 | EGRESS_MTU);
		assert_sent(run(s, PROGRAM_TAP_IN, &in));
		from_kind(&in, TAP_PIECE, (3 - egress) << 16 | EGRESS_MTU);
		assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_GUARD);
		from_kind(&in, TAP_PIECE, 9 << 16);
		assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_NO_EGRESS);
		from_kind(&in, TAP_PIECE, 0xffffffff);
		assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_NO_EGRESS);
		shape.src = f.client;
		frame_build(&in, &shape);
		be_fragment(&in, 800, true);
		from_kind(&in, TAP_PIECE, egress << 16 | EGRESS_MTU);
		assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_GUARD);
		/* and from a client, who sends none: the daemon joins them */
		from_client(&in, 1);
		assert_dropped(run(s, PROGRAM_TAP_IN, &in), DROP_FRAGMENT);
	}
}

/* ---- too large ---------------------------------------------------------------------------- */

enum { WHOLE, ANSWERED, CUT };

static const struct {
	const char *name;
	bool v6, df;
	uint16_t fragments; /* how large they were that it came in; 0: whole */
	uint16_t len;	    /* of the packet */
	int becomes;
	uint16_t pieces; /* at most so large, of what is cut on its way out */
} sizes[] = {
	{"4787-13 IPv4 that fits", false, true, 0, EGRESS_MTU, WHOLE, 0},
	{"4787-13 IPv4 with DF", false, true, 0, EGRESS_MTU + 1, ANSWERED, 0},
	{"4787-13 IPv4 without DF", false, false, 0, EGRESS_MTU + 1, CUT, EGRESS_MTU},
	{"4787-14 IPv4 that came in fragments", false, true, FRAGMENTS_ANY, EGRESS_MTU + 1, CUT, EGRESS_MTU},
	{"4787-14 IPv4 in fragments that fits", false, true, FRAGMENTS_ANY, EGRESS_MTU, WHOLE, 0},
	{"4787-13 IPv6 that fits", true, true, 0, EGRESS_MTU, WHOLE, 0},
	{"4787-13 IPv6", true, true, 0, EGRESS_MTU + 1, ANSWERED, 0},
	{"4787-14 IPv6 that came in fragments", true, true, 1420, EGRESS_MTU + 1, CUT, 1420},
	{"4787-14 IPv6 in fragments for a narrow path", true, true, 1280, 1281, CUT, 1280},
	{"4787-14 IPv6 in fragments larger than ours", true, true, 9000, EGRESS_MTU + 1, CUT, EGRESS_MTU},
	{"4787-14 IPv6 in fragments that fits them", true, true, 1280, 1280, WHOLE, 0},
};

static struct frame large(const struct shape *shape, bool df)
{
	struct frame f;

	frame_build(&f, shape);
	if (!f.v6 && !df) {
		put16(f.b + f.l3 + 6, 0);
		frame_checksum(&f);
	}
	return f;
}

static void test_4787_13_too_large_out(void **state)
{
	struct scratch *s = *state;

	for (size_t i = 0; i < N(sizes); i++) {
		struct family f = family_of(sizes[i].v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(5000 + i), 53);
		struct frame in;
		struct ran r;

		print_message("  %s\n", sizes[i].name);
		shape.payload = sizes[i].len - (f.v6 ? 48 : 28);
		in = large(&shape, sizes[i].df);
		from_kind(&in, TAP_CLIENT, (uint32_t)sizes[i].fragments << 16 | 1);
		r = run(s, PROGRAM_TAP_IN, &in);
		if (sizes[i].becomes == ANSWERED) {
			assert_dropped(r, DROP_TOO_BIG);
			continue;
		}
		assert_sent(r);
		assert_addr(frame_src(&r.out), f.external);
		assert_true(frame_checks(&r.out));
		if (sizes[i].becomes == WHOLE) {
			assert_int_equal(get16(r.out.b + 12), f.v6 ? 0x86dd : 0x0800);
			continue;
		}
		assert_head(&r, ETH_P_CUT, TAP_PIECE, (f.v6 ? 2u : 1u) << 16 | sizes[i].pieces);
		assert_int_equal(r.mark, TAP_MARK | 2); /* its client's worker */
	}
}

static void test_4787_13_too_large_in(void **state)
{
	struct scratch *s = *state;

	for (size_t i = 0; i < N(sizes); i++) {
		struct family f = family_of(sizes[i].v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(6000 + i), 53), back;
		struct ran r = out_of(s, &shape, 1);
		struct frame in;

		print_message("  %s\n", sizes[i].name);
		assert_sent(r);
		back = answer_to(&shape, &r);
		back.payload = sizes[i].len + TUNNEL_MTU - EGRESS_MTU - (f.v6 ? 48 : 28);
		in = large(&back, sizes[i].df);
		from_kind(&in, TAP_RETURN, LOOPBACK); /* a router's link address, which says nothing */
		r = run_with(s, PROGRAM_NIC_IN, &in,
			     (struct push){.mark = sizes[i].fragments ? ROUND_MARK | ROUND_JOINED | ROUND_CUT : 0});
		if (sizes[i].becomes == ANSWERED) {
			assert_dropped(r, DROP_TOO_BIG);
			continue;
		}
		assert_sent(r); /* the worker cuts what is larger than the tunnel */
		assert_addr(frame_dst(&r.out), f.client);
		assert_int_equal(r.out.len, in.len);
		assert_true(frame_checks(&r.out));
	}
}

/* ---- errors about fragments ------------------------------------------------------------------ */

/* An error that quotes a first fragment is its flow's (5508-3); one about a later names none. */
static void test_5508_4_quotes_of_fragments(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_UDP, 7000, 53), error;
		struct ran r, sent = out_of(s, &shape, 1);
		struct frame quoted, in;

		assert_sent(sent);
		for (int later = 0; later < 2; later++) {
			quoted = sent.out;
			be_fragment(&quoted, later ? 800 : 0, true);
			error = (struct shape){
				.v6 = v6,
				.proto = IPPROTO_ICMP,
				.src = f.remote,
				.dst = f.external,
				.type = v6 ? 1 : 3,
				.code = v6 ? 4 : 3,
				.quote = quoted.b + quoted.l3,
				.n_quote = quoted.len - quoted.l3,
			};
			frame_build(&in, &error);
			r = run(s, PROGRAM_NIC_IN, &in);
			if (later) {
				assert_ran(r, NEXT, DROP_NONE);
				continue;
			}
			assert_sent(r);
			assert_addr(frame_dst(&r.out), f.client);
			assert_true(frame_checks(&r.out));
			r.out.l3 = in.l4 + 8; /* the quote: what the client sent, as a fragment */
			assert_addr(frame_src(&r.out), f.client);
			assert_int_equal(get16(r.out.b + r.out.l3 + (v6 ? 48 : 20)), 7000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_4787_14_to_the_daemon), T(test_4787_14_left_to_the_host), T(test_4787_14_joined_once),
		T(test_4787_14_budget),	       T(test_4787_14_back_to_the_nic),	 T(test_4787_13_pieces_leave),
		T(test_4787_13_too_large_out), T(test_4787_13_too_large_in),	 T(test_5508_4_quotes_of_fragments),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
