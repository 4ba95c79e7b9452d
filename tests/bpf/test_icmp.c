/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors in both directions (RFC 5508 REQ-3 to 5): the quote is un-translated,
 * checksums and all, whatever its shape; nothing is refreshed or ended by them.
 */
#include "slots.h"

static const uint8_t quoted_options[8] = {148, 4, 0, 0, 1, 1, 1, 0};
static const uint8_t quoted_extension[2][8] = {{IPPROTO_TCP, 0, 1, 4}, {IPPROTO_UDP, 0, 1, 4}};

static const struct {
	const char *name;
	uint8_t proto;
	uint16_t dport;
	size_t payload; /* of the quoted packet */
	size_t keep;	/* bytes of its transport that are quoted; 0: all */
	bool options;	/* it has IP options, or an extension header */
	uint8_t type4, code4, type6, code6;
} errors[] = {
	{"5508-4 TCP, 8 bytes quoted", IPPROTO_TCP, 443, 100, 8, false, 3, 1, 1, 0},
	{"5508-4 TCP, all quoted", IPPROTO_TCP, 443, 100, 0, false, 3, 1, 1, 0},
	{"5508-4 TCP, cut before its checksum", IPPROTO_TCP, 443, 100, 16, false, 3, 13, 1, 1},
	{"5508-4 TCP, cut behind its checksum", IPPROTO_TCP, 443, 100, 18, false, 3, 13, 1, 1},
	{"5508-4 TCP with options", IPPROTO_TCP, 443, 100, 8, true, 3, 1, 1, 0},
	{"4787-13 fragmentation needed", IPPROTO_TCP, 443, 1000, 28, false, 3, 4, 2, 0},
	{"time exceeded", IPPROTO_UDP, 53, 12, 0, false, 11, 0, 3, 0},
	{"port unreachable", IPPROTO_UDP, 53, 33, 0, false, 3, 3, 1, 4},
	{"port unreachable, 8 bytes", IPPROTO_UDP, 53, 33, 8, false, 3, 3, 1, 4},
	{"UDP with options", IPPROTO_UDP, 53, 33, 0, true, 3, 3, 1, 4},
	{"parameter problem", IPPROTO_UDP, 53, 33, 8, false, 12, 0, 4, 0},
	{"5508-3 about an echo", IPPROTO_ICMP, 0, 40, 0, false, 11, 0, 3, 0},
	{"5508-3 about an echo, 8 bytes", IPPROTO_ICMP, 0, 40, 8, false, 3, 1, 1, 0},
};

/* The IP packet in @f, cut as case @i says, as what an error quotes. */
static size_t quote_of(const struct frame *f, size_t i, uint8_t *out)
{
	size_t len = f->len - f->l3, keep = f->l4 - f->l3 + errors[i].keep;

	if (errors[i].keep && keep < len)
		len = keep;
	memcpy(out, f->b + f->l3, len);
	return len;
}

static struct shape flow_shape(const struct family *f, size_t i)
{
	struct shape shape = shape_of(f, errors[i].proto, (uint16_t)(2000 + i), errors[i].dport);

	shape.payload = errors[i].payload;
	if (errors[i].options) {
		shape.options = f->v6 ? quoted_extension[errors[i].proto == IPPROTO_UDP] : quoted_options;
		shape.n_options = 8;
		shape.first_extension = 60;
	}
	return shape;
}

static struct shape error_shape(const struct family *f, size_t i, struct addr src, struct addr dst,
				const uint8_t *quote, size_t n)
{
	return (struct shape){
		.v6 = f->v6,
		.proto = IPPROTO_ICMP,
		.src = src,
		.dst = dst,
		.type = f->v6 ? errors[i].type6 : errors[i].type4,
		.code = f->v6 ? errors[i].code6 : errors[i].code4,
		.quote = quote,
		.n_quote = n,
	};
}

/* What the error quotes after its translation is what @sent was, in every byte. */
static void assert_quote(const struct ran *r, const struct frame *sent, size_t n, uint8_t ttl)
{
	const uint8_t *q = r->out.b + r->out.l4 + 8;
	uint8_t want[2048];

	memcpy(want, sent->b + sent->l3, n);
	want[sent->v6 ? 7 : 8] = ttl; /* as the quoting router saw it */
	if (!sent->v6) {
		struct frame f = *sent;

		f.b[f.l3 + 8] = ttl;
		f.proto = 0; /* only the IP header's */
		frame_checksum(&f);
		memcpy(want + 10, f.b + f.l3 + 10, 2);
	}
	assert_memory_equal(q, want, n);
}

/* From @router out there to the client, who sees it come from @seen. */
static void error_from(struct scratch *s, const struct family *f, size_t i, struct addr router, struct addr seen)
{
	struct shape shape = flow_shape(f, i), error;
	uint8_t quote[2048], before[8];
	struct frame sent, in;
	struct flow *flow;
	struct ran r;
	size_t n;

	frame_build(&sent, &shape);
	from_client(&sent, 1);
	r = run(s, PROGRAM_TAP_IN, &sent);
	assert_sent(r);
	n = quote_of(&r.out, i, quote);
	flow = slot_of(s, &shape);
	flow->expires = now_ns() + 7 * SECOND;
	error = error_shape(f, i, router, f->external, quote, n);
	frame_build(&in, &error);
	memcpy(before, in.b + in.l4, 2);
	r = run(s, PROGRAM_NIC_IN, &in);
	assert_sent(r);
	assert_addr(frame_src(&r.out), seen);
	assert_addr(frame_dst(&r.out), f->client);
	assert_memory_equal(r.out.b + r.out.l4, before, 2); /* type and code */
	assert_true(frame_checks(&r.out));
	assert_quote(&r, &sent, n, 63);
	assert_int_equal(r.mark, TAP_MARK | 2);
	assert_int_equal(frame_ttl(&r.out), 63);
	/* 4787-12, 5382-10, 5508-6 */
	assert_expires_in(flow, 7 * SECOND - SECOND / 4);
	assert_true(flow_is_live(flow_state(flow)));
}

static void error_in(struct scratch *s, const struct family *f, size_t i)
{
	struct addr router = addr_of(f->v6 ? "2001:db8:77::1" : "192.0.2.77");

	bool exceeded = (f->v6 ? errors[i].type6 == 3 : errors[i].type4 == 11);

	error_from(s, f, i, f->remote2, f->remote2); /* 5508-5: who says it stays, within what we serve */
	/* Item 9 of the second faults: else what the sender must hear comes from the service, and a hop is a router. */
	error_from(s, f, i, router, exceeded ? router : f->remote);
	s->settings.hide_routers = 1;
	must(maps_settings_set(s->m, &s->settings));
	error_from(s, f, i, router, f->remote);
	scratch_settings(s);
}

/* From the client, about something that a service sent it. */
static void error_out(struct scratch *s, const struct family *f, size_t i)
{
	struct shape shape = flow_shape(f, i), back, error;
	struct frame answer, in;
	uint8_t quote[2048];
	struct flow *flow;
	struct ran r;
	size_t n;

	r = out_of(s, &shape, 1);
	assert_sent(r);
	back = answer_to(&shape, &r);
	frame_build(&answer, &back);
	r = run(s, PROGRAM_NIC_IN, &answer);
	assert_sent(r);
	n = quote_of(&r.out, i, quote);
	flow = slot_of(s, &shape);
	flow->expires = now_ns() + 7 * SECOND;
	error = error_shape(f, i, f->client, f->remote, quote, n);
	frame_build(&in, &error);
	from_client(&in, 1);
	r = run(s, PROGRAM_TAP_IN, &in);
	assert_sent(r);
	assert_addr(frame_src(&r.out), f->external);
	assert_addr(frame_dst(&r.out), f->remote);
	assert_true(frame_checks(&r.out));
	assert_quote(&r, &answer, n, 63);
	assert_expires_in(flow, 7 * SECOND - SECOND / 4);
	/* To nobody but the one who sent what it quotes: no way around the policy. */
	error.dst = f->denied;
	assert_dropped(out_of(s, &error, 1), DROP_NO_FLOW);
	/* Another client's errors about it are not taken. */
	assert_dropped(run_as(s, &in, 2), DROP_NO_FLOW);
}

/* 5508-5: about what came in past all flows, by the client's mapping; to whom the policy lets it speak. */
static void test_errors_out_by_the_mapping(void **state)
{
	static const struct {
		const char *name;
		uint16_t sport; /* of the quoted packet's sender */
		bool other;	/* address */
		bool sent;
	} cases[] = {
		{"another port", 4444, false, true},
		{"another address", 4444, true, true},
		{"a port the policy forbids", 7777, false, false},
	};
	struct scratch *s = *state;

	s->settings.filtering = FILTER_ENDPOINT_INDEPENDENT;
	must(maps_settings_set(s->m, &s->settings));
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(cases); i++) {
			struct shape shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(6000 + i), 53), in, error;
			struct ran r = out_of(s, &shape, 1);
			struct frame sent, got;

			print_message("  %s %s\n", f.name, cases[i].name);
			assert_sent(r);
			in = answer_to(&shape, &r);
			in.src = cases[i].other ? f.remote2 : f.remote;
			in.sport = cases[i].sport;
			frame_build(&sent, &in);
			got = sent; /* as the client gets it */
			memcpy(got.b + got.l3 + (v6 ? 24 : 16), v6 ? (void *)&f.client : (void *)&f.client.w[3],
			       v6 ? 16 : 4);
			got.b[got.l4 + 2] = (uint8_t)(shape.sport >> 8);
			got.b[got.l4 + 3] = (uint8_t)shape.sport;
			frame_checksum(&got);
			if (cases[i].sent)
				assert_sent(into(s, &in));
			error = error_shape(&f, 7, f.client, in.src, got.b + got.l3, got.len - got.l3);
			r = out_of(s, &error, 1);
			if (!cases[i].sent) {
				assert_dropped(r, DROP_NO_FLOW);
				continue;
			}
			assert_sent(r);
			assert_addr(frame_src(&r.out), f.external);
			assert_addr(frame_dst(&r.out), in.src);
			assert_true(frame_checks(&r.out));
			assert_quote(&r, &sent, sent.len - sent.l3, sent.b[sent.l3 + (v6 ? 7 : 8)]);
			assert_dropped(out_of(s, &error, 2), DROP_NO_FLOW); /* not his */
			/* Past the mapping's time there is none. */
			expire_all(s);
			assert_dropped(out_of(s, &error, 1), DROP_NO_FLOW);
		}
	}
	s->settings.filtering = FILTER_ADDRESS;
	must(maps_settings_set(s->m, &s->settings));
}

static void each(void **state, void (*test)(struct scratch *s, const struct family *f, size_t i))
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(errors); i++) {
			print_message("  %s %s\n", f.name, errors[i].name);
			test(*state, &f, i);
		}
	}
}

static void test_errors_in(void **state)
{
	each(state, error_in);
}

static void test_errors_out(void **state)
{
	each(state, error_out);
}

/* An error goes to who sent what it quotes, and to nobody else: that would be a way around the policy. */
static void error_astray(struct scratch *s, const struct family *f, size_t i)
{
	struct shape shape = flow_shape(f, i), back, error;
	struct ran r = out_of(s, &shape, 1);
	struct addr elsewhere[] = {f->remote2, f->denied,   f->unrouted, f->metadata,
				   f->client2, f->external, f->tunnel,	 addr_of(f->v6 ? "ff02::1" : "224.0.0.1")};
	uint8_t quote[2048];
	size_t n;

	assert_sent(r);
	n = quote_of(&r.out, i, quote);
	error = error_shape(f, i, f->remote, f->tunnel, quote, n);
	assert_ran(into(s, &error), NEXT, DROP_NONE);
	back = answer_to(&shape, &r);
	r = into(s, &back);
	assert_sent(r);
	n = quote_of(&r.out, i, quote);
	for (size_t k = 0; k < N(elsewhere); k++) {
		error = error_shape(f, i, f->client, elsewhere[k], quote, n);
		assert_dropped(out_of(s, &error, 1), DROP_NO_FLOW);
	}
}

static void test_errors_astray(void **state)
{
	each(state, error_astray);
}

/* A flow that the new policy does not allow has no errors any more, in no direction. */
static void test_revoked(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		for (int out = 0; out < 2; out++) {
			struct family f = family_of(v6);
			struct shape shape = flow_shape(&f, 0), back, error;
			struct ran r = out_of(s, &shape, 1);
			uint8_t quote[2048];

			assert_sent(r);
			if (out) {
				back = answer_to(&shape, &r);
				r = into(s, &back);
			}
			error = error_shape(&f, 0, out ? f.client : f.remote, out ? f.remote : f.external, quote,
					    quote_of(&r.out, 0, quote));
			assert_sent(out ? out_of(s, &error, 1) : into(s, &error));
			scratch_policy(s, true);
			assert_dropped(out ? out_of(s, &error, 1) : into(s, &error), DROP_POLICY);
			scratch_policy(s, false);
		}
	}
}

/* To the gateway itself: about what it sent to this client, or the kernel would believe a lie about others. */
static void test_errors_to_host(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		const struct {
			const char *name;
			struct addr from, to, error_to;
			bool taken;
		} cases[] = {
			{"to this client", f.tunnel, f.client, f.tunnel, true},
			{"to another client", f.tunnel, f.client2, f.tunnel, false},
			{"to the outside", f.external, f.remote, f.external, false},
			{"to another's endpoint, told to the tunnel address", f.external, f.remote, f.tunnel, false},
			{"to this client, told to another address", f.tunnel, f.client, f.external, false},
			{"of somebody else", f.remote, f.client, f.tunnel, false},
		};

		for (size_t i = 0; i < N(cases); i++) {
			struct shape sent = {.v6 = v6,
					     .proto = IPPROTO_UDP,
					     .src = cases[i].from,
					     .dst = cases[i].to,
					     .sport = WG_PORT,
					     .dport = 4242,
					     .payload = 64};
			struct shape error;
			struct frame frame;
			uint8_t quote[2048];

			print_message("  %s %s\n", f.name, cases[i].name);
			frame_build(&frame, &sent);
			error = error_shape(&f, 5, f.client, cases[i].error_to, quote, quote_of(&frame, 5, quote));
			if (cases[i].taken)
				assert_ran(out_of(s, &error, 1), OK, DROP_NONE);
			else
				assert_dropped(out_of(s, &error, 1), DROP_NO_FLOW);
		}
	}
}

/* Without a flow an error is the host's, or nobody's. */
static void test_no_flow(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(errors); i++) {
			struct shape shape = flow_shape(&f, i), error;
			uint8_t quote[2048];
			struct frame sent;
			size_t n;

			frame_build(&sent, &shape);
			n = quote_of(&sent, i, quote);
			error = error_shape(&f, i, f.remote, f.external, quote, n);
			assert_ran(into(s, &error), NEXT, DROP_NONE);
			error.src = f.client;
			error.dst = f.remote;
			assert_dropped(out_of(s, &error, 1), DROP_NO_FLOW);
		}
	}
}

/* Quotes that are too short, lie, or quote an error: not taken, in both directions. */
static void test_hostile_quotes(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		size_t header = v6 ? 40 : 20;
		struct shape shape = flow_shape(&f, 0), error;
		struct ran r = out_of(s, &shape, 1);
		uint8_t quote[2048], spoilt[2048];
		size_t n = quote_of(&r.out, 0, quote);

		assert_sent(r);
		for (size_t cut = 0; cut < header + 8; cut++) {
			error = error_shape(&f, 0, f.remote, f.external, quote, cut);
			if (!cut)
				error.quote = (const uint8_t *)""; /* none, but an error */
			assert_ran(into(s, &error), NEXT, DROP_NONE);
		}
		/* Each byte of what names the flow. */
		for (size_t at = 0; at < header + 4; at++) {
			if (v6 ? at >= 1 && at < 6 : at == 1 || (at >= 2 && at < 6) || at == 8 || at == 10 || at == 11)
				continue;
			if (v6 && at == 7)
				continue; /* hop limit */
			if (!v6 && at == 6)
				continue; /* bits that mean nothing to us */
			memcpy(spoilt, quote, n);
			spoilt[at] ^= 0x41;
			error = error_shape(&f, 0, f.remote, f.external, spoilt, n);
			assert_ran(into(s, &error), NEXT, DROP_NONE);
		}
	}
}

/* An error whose own header has options. */
static void test_outer_options(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct shape shape = flow_shape(&f, 0), error;
	struct ran r = out_of(s, &shape, 1);
	uint8_t quote[2048];

	error = error_shape(&f, 0, f.remote, f.external, quote, quote_of(&r.out, 0, quote));
	error.options = quoted_options;
	error.n_options = 8;
	r = into(s, &error);
	assert_sent(r);
	assert_addr(frame_dst(&r.out), f.client);
	assert_true(frame_checks(&r.out));
}

/* The remote pings the gateway: not ours, even with an identifier that is. */
static void test_remote_pings(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct shape shape = shape_of(&f, IPPROTO_ICMP, 4711, 0), in;
		struct ran r = out_of(s, &shape, 1);

		assert_sent(r);
		in = answer_to(&shape, &r);
		assert_sent(into(s, &in));
		in.reply = false;
		in.sport = in.dport;
		assert_ran(into(s, &in), NEXT, DROP_NONE);
		/* and a client's answer to an echo that nobody sent it */
		shape.reply = true;
		shape.dport = 4711;
		assert_dropped(out_of(s, &shape, 1), DROP_NO_FLOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_errors_in),	T(test_errors_out),
		T(test_no_flow),	T(test_errors_astray),
		T(test_revoked),	T(test_errors_to_host),
		T(test_hostile_quotes), T(test_outer_options),
		T(test_remote_pings),	T(test_errors_out_by_the_mapping),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
