/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing leaves with a tunnel address (LEAK): the guard at the NIC, and random packets
 * through all of the programs.
 */
#include "slots.h"

enum end { CLIENT, GATEWAY, UNKNOWN, REMOTE, EXTERNAL };

static struct addr end_of(const struct family *f, enum end e)
{
	switch (e) {
	case CLIENT:
		return f->client2;
	case GATEWAY:
		return f->tunnel;
	case UNKNOWN: /* inside the tunnel's prefix, but nobody's here: a provider's, another overlay's */
		return addr_of(f->v6 ? "fd7a:115c:a1e0:ffff::1" : "100.127.255.254");
	case REMOTE:
		return f->remote;
	case EXTERNAL:
		return f->external;
	}
	return f->remote;
}

static const struct {
	enum end src, dst;
	bool dies;
} ends[] = {
	{CLIENT, REMOTE, true},	   {REMOTE, CLIENT, true},    {GATEWAY, REMOTE, true},	{REMOTE, GATEWAY, true},
	{GATEWAY, CLIENT, true},   {CLIENT, UNKNOWN, true},   {UNKNOWN, CLIENT, true},	{EXTERNAL, CLIENT, true},
	{EXTERNAL, REMOTE, false}, {REMOTE, EXTERNAL, false}, {UNKNOWN, REMOTE, false}, {EXTERNAL, UNKNOWN, false},
};

static const uint8_t guard_protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE};

static void test_guard(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(ends) * N(guard_protocols); i++) {
			struct shape shape = {
				.v6 = v6,
				.proto = guard_protocols[i / N(ends)],
				.src = end_of(&f, ends[i % N(ends)].src),
				.dst = end_of(&f, ends[i % N(ends)].dst),
				.payload = 8,
			};
			bool dies = ends[i % N(ends)].dies;
			struct frame in;

			frame_build(&in, &shape);
			assert_ran(run(*state, PROGRAM_NIC_OUT, &in), dies ? SHOT : NEXT,
				   dies ? DROP_GUARD : DROP_NONE);
			/* Fragments, too: their addresses are where they always are. */
			if (!v6)
				put16(in.b + in.l3 + 6, 0x2010);
			assert_ran(run(*state, PROGRAM_NIC_OUT, &in), dies ? SHOT : NEXT,
				   dies ? DROP_GUARD : DROP_NONE);
			/* And what a VLAN within a VLAN sends, whose inner tag is in the frame. */
			frame_tag(&in, ETHERTYPE_VLAN, 200);
			frame_tag(&in, 0x88a8, 100);
			assert_ran(run(*state, PROGRAM_NIC_OUT, &in), dies ? SHOT : NEXT,
				   dies ? DROP_GUARD : DROP_NONE);
		}
	}
}

/* The mirror on the way in, at egress NICs and at all others: who says that he is a client is none. */
static void test_guard_in(void **state)
{
	static const enum program programs[] = {PROGRAM_NIC_IN, PROGRAM_NIC_FENCE};
	static const struct {
		enum end src, dst;
		bool dies;
	} from[] = {
		{CLIENT, EXTERNAL, true},   {CLIENT, GATEWAY, true},   {CLIENT, REMOTE, true},
		{GATEWAY, EXTERNAL, true},  {GATEWAY, GATEWAY, true},  {CLIENT, CLIENT, true},
		{UNKNOWN, EXTERNAL, false}, {REMOTE, EXTERNAL, false}, {REMOTE, UNKNOWN, false},
		{REMOTE, GATEWAY, false}, /* the host's routes are its own affair */
	};

	for (size_t i = 0; i < 2 * N(from) * N(guard_protocols) * N(programs); i++) {
		struct family f = family_of(i & 1);
		enum program program = programs[i / 2 % N(programs)];
		size_t end = i / 2 / N(programs) % N(from);
		enum drop_reason reason = from[end].dies ? DROP_FORGED : DROP_NONE;
		struct shape shape = {
			.v6 = f.v6,
			.proto = guard_protocols[i / 2 / N(programs) / N(from)],
			.src = end_of(&f, from[end].src),
			.dst = end_of(&f, from[end].dst),
			.dport = WG_PORT, /* even there: who sends to us through us goes round for ever */
			.flags = TH_SYN,
			.payload = 8,
		};
		struct frame in;

		frame_build(&in, &shape);
		assert_ran(run(*state, program, &in), reason ? SHOT : NEXT, reason);
		put16(in.b + in.l3 + 6, f.v6 ? 44 << 8 | 64 : 0x2010); /* fragments */
		assert_ran(run(*state, program, &in), reason ? SHOT : NEXT, reason);
		in.b[in.l3] = 0x5f; /* nonsense */
		assert_ran(run(*state, program, &in), reason ? SHOT : NEXT, reason);
	}
}

/* Prefixes of every length are compared to the bit. */
static void test_guard_prefixes(void **state)
{
	static const struct {
		const char *tunnel, *inside, *outside;
	} cases[] = {
		{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
		{"10.1.2.0/23", "10.1.3.255", "10.1.4.0"},
		{"10.1.2.3/32", "10.1.2.3", "10.1.2.2"},
		{"0.0.0.0/1", "127.255.255.255", "128.0.0.0"},
		{"fd00::/8", "fdff::1", "fe00::1"},
		{"fd00::/63", "fd00:0:0:1::1", "fd00:0:0:2::1"},
		{"fd00:0:0:7::/64", "fd00:0:0:7:ffff::", "fd00:0:0:6:ffff::"},
		{"fd00::/65", "fd00::7fff:0:0:1", "fd00::8000:0:0:1"},
		{"fd00::8/127", "fd00::9", "fd00::a"},
		{"fd00::8/128", "fd00::8", "fd00::9"},
	};
	struct scratch *s = *state;

	for (size_t i = 0; i < N(cases); i++) {
		struct addr inside = addr_of(cases[i].inside), outside = addr_of(cases[i].outside);
		struct prefix all[] = {prefix_of("0.0.0.0/0"), prefix_of("::/0")};
		struct shape shape = {.v6 = !addr_is_v4(&inside), .proto = IPPROTO_UDP, .src = inside};
		struct frame in;

		shape.dst = addr_of(shape.v6 ? "2001:db8::1" : "203.0.113.1");
		print_message("  %s\n", cases[i].tunnel);
		memset(s->settings.tunnel, 0, sizeof(s->settings.tunnel));
		s->settings.tunnel[3] = prefix_of(cases[i].tunnel);
		must(maps_settings_set(s->m, &s->settings));
		must(maps_client_set(s->m, &all[shape.v6], 1, 0)); /* everybody is one: only the prefix tells */
		frame_build(&in, &shape);
		assert_ran(run(s, PROGRAM_NIC_OUT, &in), SHOT, DROP_GUARD);
		shape.src = outside;
		frame_build(&in, &shape);
		assert_ran(run(s, PROGRAM_NIC_OUT, &in), NEXT, DROP_NONE);
	}
}

#define PACKETS 20000 /* of each test: seconds even under emulation */

/* ---- random packets ------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *seed) /* xorshift: a failing run can be repeated */
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(random_next(seed) >> 33) % n;
}

static struct addr random_addr(const struct family *f, uint64_t *seed)
{
	struct addr a;

	switch (below(seed, 8)) {
	case 0:
		return f->client;
	case 1:
		return f->tunnel;
	case 2:
		return f->external;
	case 3:
		return f->metadata;
	case 4:
		for (int i = 0; i < 16; i++)
			a.b[i] = (uint8_t)random_next(seed);
		return a;
	case 5:
		return f->remote2;
	default:
		return f->remote;
	}
}

/* A packet that is nearly right: then bytes are changed, or it is cut. */
static void random_frame(struct frame *out, const struct family *f, uint64_t *seed)
{
	static const uint8_t protocols[] = {IPPROTO_TCP,  IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP,
					    IPPROTO_ICMP, 47,	       0,	    255};
	static const uint16_t ports[] = {443, 80, 53, 4000, 0, 65535};
	static const uint8_t flags[] = {TH_SYN, TH_SYN, TH_ACK, TH_FIN | TH_ACK, TH_RST, 0xff, 0};
	struct shape shape = {
		.v6 = f->v6,
		.proto = protocols[below(seed, N(protocols))],
		.src = below(seed, 4) ? f->client : random_addr(f, seed),
		.dst = random_addr(f, seed),
		.sport = (uint16_t)(1024 + below(seed, 64)),
		.dport = ports[below(seed, N(ports))],
		.flags = flags[below(seed, N(flags))],
		.payload = below(seed, 200),
		.ttl = (uint8_t)random_next(seed),
		.reply = !below(seed, 4),
	};

	frame_build(out, &shape);
	for (uint32_t n = below(seed, 3) ? 0 : below(seed, 6); n; n--)
		out->b[14 + below(seed, (uint32_t)out->len - 14)] = (uint8_t)random_next(seed);
	if (!below(seed, 8))
		out->len = out->l4 + below(seed, (uint32_t)(out->len - out->l4) + 1);
}

static bool is_tunnel(const struct family *f, const struct addr *a)
{
	return !memcmp(a, &f->client, 16) || !memcmp(a, &f->client2, 16) || !memcmp(a, &f->tunnel, 16);
}

static int push_raw(struct scratch *s, enum program program, const struct frame *f, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = (uint32_t)f->len, .data_out = out->b,
		    .data_size_out = sizeof(out->b));

	if (bpf_prog_test_run_opts(maps_program(s->m, program), &opts))
		return SHOT; /* refused before the program: too short for an IP header */
	frame_like(out, f);
	out->len = opts.data_size_out;
	return (int)opts.retval;
}

/*
 * Whatever a client sends: what is redirected to the NIC bears the external address,
 * and the guard lets it pass; what is not is dropped, or the host's.
 */
static void test_random_out(void **state)
{
	uint64_t seed = 0x5171ce5171ce;
	uint32_t sent = 0, dropped = 0;
	struct scratch *s = *state;

	for (uint32_t i = 0; i < PACKETS; i++) {
		struct family f = family_of(i & 1);
		struct frame in, out, last;
		struct addr src;
		int verdict;

		random_frame(&in, &f, &seed);
		from_client(&in, 1);
		verdict = push_raw(s, PROGRAM_TAP_IN, &in, &out);
		if (verdict == SHOT || verdict == OK) {
			dropped += verdict == SHOT;
			continue;
		}
		assert_int_equal(verdict, REDIRECT);
		sent++;
		assert_int_equal(out.len, in.len);
		src = frame_src(&out);
		if (memcmp(&src, &f.external, 16))
			fail_msg("packet %u left with another source", i);
		assert_int_equal(push_raw(s, PROGRAM_NIC_OUT, &out, &last), NEXT);
	}
	print_message("  %u sent, %u dropped\n", sent, dropped);
	assert_true(sent > 500 && dropped > 1000); /* both are tried */
}

static bool has_flow_from(struct scratch *s, const struct addr *src)
{
	struct flow_walk walk = {};
	struct flow f;

	while (maps_flow_next(s->m, &walk, &f))
		if (!memcmp(&f.out.src, src, 16))
			return true;
	return false;
}

/* Whatever arrives: it goes to the client that asked, unchanged to the host, or nowhere. */
static void test_random_in(void **state)
{
	uint64_t seed = 0xc0ffee1234;
	uint32_t sent = 0, passed = 0;
	struct scratch *s = *state;

	for (uint32_t i = 0; i < PACKETS; i++) {
		struct family f = family_of(i & 1);
		struct frame in, out;
		struct addr dst;
		int verdict;

		random_frame(&in, &f, &seed);
		from_client(&in, 1);
		verdict = push_raw(s, PROGRAM_TAP_IN, &in, &out);
		if (verdict == REDIRECT && below(&seed, 2)) { /* an answer, nearly */
			struct shape asked = {.v6 = f.v6,
					      .proto = in.proto,
					      .src = frame_src(&in),
					      .dst = frame_dst(&in),
					      .sport = get16(in.b + in.l4),
					      .dport = get16(in.b + in.l4 + 2)};
			struct ran r = {.out = out};
			struct shape back = answer_to(&asked, &r);

			if (in.proto == IPPROTO_ICMPV6)
				back.proto = IPPROTO_ICMP;
			frame_build(&in, &back);
			if (below(&seed, 2))
				in.b[14 + below(&seed, (uint32_t)in.len - 14)] = (uint8_t)random_next(&seed);
		}
		verdict = push_raw(s, PROGRAM_NIC_IN, &in, &out);
		if (verdict == NEXT) {
			passed++;
			assert_memory_equal(out.b, in.b, in.len);
		}
		if (verdict != REDIRECT)
			continue;
		sent++;
		dst = frame_dst(&out);
		if (!has_flow_from(s, &dst))
			fail_msg("packet %u went to an address that never sent", i);
	}
	print_message("  %u to clients, %u to the host\n", sent, passed);
	assert_true(sent > 100 && passed > 1000);
}

/* The same through the guard alone: no client's address gets by. */
static void test_random_guard(void **state)
{
	uint64_t seed = 0xdeadbeef77;
	struct scratch *s = *state;
	uint32_t died = 0;

	for (uint32_t i = 0; i < PACKETS; i++) {
		struct family f = family_of(i & 1);
		struct addr src, dst;
		struct frame in, out;
		bool tunnel;
		int verdict;

		random_frame(&in, &f, &seed);
		verdict = push_raw(s, PROGRAM_NIC_OUT, &in, &out);
		src = frame_src(&in);
		dst = frame_dst(&in);
		tunnel = is_tunnel(&f, &src) || is_tunnel(&f, &dst);
		assert_int_equal(verdict, tunnel ? SHOT : NEXT);
		died += tunnel;
	}
	assert_true(died > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_guard),	    T(test_guard_in),  T(test_guard_prefixes),
		T(test_random_out), T(test_random_in), T(test_random_guard),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
