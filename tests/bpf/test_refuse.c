/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must not pass: malformed packets, addresses that are never forwarded, what the
 * policy does not allow. From the NIC nothing that is malformed is touched: it is the
 * host's.
 */
#include "ends.h"

/* ---- decisions ----------------------------------------------------------------- */

enum who { CLIENT_1 = 1, CLIENT_2, CLIENT_3, CLIENT_NOBODY = 0, CLIENT_OUT_OF_RANGE = MAX_CLIENTS };
static const struct {
	const char *name;
	enum who client;
	enum where dst;
	uint8_t proto;
	uint16_t dport;
	uint8_t flags;
	int verdict;
	enum drop_reason reason;
} decisions[] = {
	{"allowed port", CLIENT_1, SERVICE, IPPROTO_TCP, 443, TH_SYN, REDIRECT, DROP_NONE},
	{"first port of a range", CLIENT_1, SERVICE, IPPROTO_TCP, 8000, TH_SYN, REDIRECT, DROP_NONE},
	{"last port of a range", CLIENT_1, SERVICE, IPPROTO_TCP, 8999, TH_SYN, REDIRECT, DROP_NONE},
	{"before a range", CLIENT_1, SERVICE, IPPROTO_TCP, 7999, TH_SYN, SHOT, DROP_POLICY},
	{"behind all ranges", CLIENT_1, SERVICE, IPPROTO_TCP, 9001, TH_SYN, SHOT, DROP_POLICY},
	{"port 0", CLIENT_1, SERVICE, IPPROTO_TCP, 0, TH_SYN, SHOT, DROP_POLICY},
	{"denied port", CLIENT_1, SERVICE, IPPROTO_TCP, 9000, TH_SYN, SHOT, DROP_POLICY},
	{"denied address", CLIENT_1, DENIED, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_POLICY},
	{"the other protocol's port", CLIENT_1, SERVICE, IPPROTO_UDP, 443, 0, SHOT, DROP_POLICY},
	{"allowed UDP port", CLIENT_1, SERVICE, IPPROTO_UDP, 53, 0, REDIRECT, DROP_NONE},
	{"echo where something is allowed", CLIENT_1, SERVICE, IPPROTO_ICMP, 0, 0, REDIRECT, DROP_NONE},
	{"echo where nothing is", CLIENT_1, DENIED, IPPROTO_ICMP, 0, 0, SHOT, DROP_POLICY},
	{"protocol that cannot be translated", CLIENT_1, SERVICE, IPPROTO_GRE, 0, 0, SHOT, DROP_PROTOCOL},
	{"protocol without a rule", CLIENT_1, SERVICE, IPPROTO_SCTP, 0, 0, SHOT, DROP_POLICY},
	{"segment that opens nothing", CLIENT_1, SERVICE, IPPROTO_TCP, 443, TH_ACK, SHOT, DROP_NO_FLOW},
	{"SYN with ACK", CLIENT_1, SERVICE, IPPROTO_TCP, 443, TH_SYN | TH_ACK, SHOT, DROP_NO_FLOW},
	{"SYN with RST", CLIENT_1, SERVICE, IPPROTO_TCP, 443, TH_SYN | TH_RST, SHOT, DROP_NO_FLOW},
	{"SYN with FIN", CLIENT_1, SERVICE, IPPROTO_TCP, 443, TH_SYN | TH_FIN, SHOT, DROP_NO_FLOW},
	{"no flag at all", CLIENT_1, SERVICE, IPPROTO_TCP, 443, 0, SHOT, DROP_NO_FLOW},
	{"outside every route", CLIENT_1, UNROUTED, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_NO_ROUTE},
	{"client without a rule", CLIENT_2, SERVICE, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_POLICY},
	{"client unknown to the policy", CLIENT_3, SERVICE, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_CLIENT},
	{"nobody", CLIENT_NOBODY, SERVICE, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_CLIENT},
	{"number past the last client", CLIENT_OUT_OF_RANGE, SERVICE, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_CLIENT},
	{"multicast", CLIENT_1, MULTICAST, IPPROTO_UDP, 5353, 0, SHOT, DROP_MULTICAST},
	{"broadcast", CLIENT_1, BROADCAST, IPPROTO_UDP, 53, 0, SHOT, DROP_MULTICAST},
	{"address zero", CLIENT_1, ZERO, IPPROTO_TCP, 443, TH_SYN, SHOT, DROP_MULTICAST},
	{"link-local", CLIENT_1, LINK_LOCAL, IPPROTO_TCP, 80, TH_SYN, SHOT, DROP_LINK_LOCAL},
	{"loopback", CLIENT_1, LOOPBACK, IPPROTO_TCP, 80, TH_SYN, SHOT, DROP_RESERVED},
	{"metadata, not named", CLIENT_1, METADATA, IPPROTO_TCP, 80, TH_SYN, SHOT, DROP_RESERVED},
	{"metadata, named", CLIENT_2, METADATA, IPPROTO_TCP, 80, TH_SYN, REDIRECT, DROP_NONE},
	{"metadata, another port", CLIENT_2, METADATA, IPPROTO_TCP, 81, TH_SYN, SHOT, DROP_POLICY},
	{"the gateway, allowed", CLIENT_1, TUNNEL, IPPROTO_TCP, 22, TH_SYN, OK, DROP_NONE},
	{"the gateway, not allowed", CLIENT_1, TUNNEL, IPPROTO_TCP, 23, TH_SYN, SHOT, DROP_POLICY},
	{"the gateway, a connection that it has not", CLIENT_1, TUNNEL, IPPROTO_TCP, 23, TH_ACK, SHOT, DROP_POLICY},
	{"the gateway, UDP allowed", CLIENT_1, TUNNEL, IPPROTO_UDP, 53, 0, OK, DROP_NONE},
	{"the gateway, UDP not allowed", CLIENT_1, TUNNEL, IPPROTO_UDP, 54, 0, SHOT, DROP_POLICY},
	{"the gateway, echo", CLIENT_1, TUNNEL, IPPROTO_ICMP, 0, 0, OK, DROP_NONE},
	{"the gateway, for whom no rule names it", CLIENT_2, TUNNEL, IPPROTO_ICMP, 0, 0, SHOT, DROP_RESERVED},
	{"the external address, not named", CLIENT_1, EXTERNAL, IPPROTO_TCP, 22, TH_SYN, SHOT, DROP_RESERVED},
};

static void test_decisions(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(decisions); i++) {
			struct shape shape = tcp_shape(&f);

			print_message("  %s %s\n", f.name, decisions[i].name);
			shape.sport = (uint16_t)(1100 + i);
			shape.proto = decisions[i].proto;
			shape.dst = address(&f, decisions[i].dst);
			shape.dport = decisions[i].proto == IPPROTO_ICMP ? 0 : decisions[i].dport;
			shape.flags = decisions[i].flags;
			assert_ran(out_of(*state, &shape, decisions[i].client), decisions[i].verdict,
				   decisions[i].reason);
		}
	}
}

/* The kernel's trie takes IPv4 for part of ::/0; a route or a block list of IPv6 does not. */
static void test_families_stay_apart(void **state)
{
	struct family f = family_of(false), f6 = family_of(true);
	struct client_class classes[] = {{}, {.class = 1}};
	struct acl_rule all = rule_of(IPPROTO_TCP, 0, 65535, VERDICT_ACCEPT, RULE_WEB);
	struct maps_acl acl[] = {{1, prefix_of("0.0.0.0/0"), 0, 1, ACL_ACCEPTS},
				 {1, prefix_of("::/0"), 0, 1, ACL_ACCEPTS}};
	struct maps_route route = {prefix_of("::/0"), {ROUTE_POOL_OF_CLIENT, 7}};
	struct maps_policy policy = {.classes = classes,
				     .n_classes = 2,
				     .acl = acl,
				     .n_acl = 2,
				     .rules = &all,
				     .n_rules = 1,
				     .routes = &route,
				     .n_routes = 1};
	struct shape v4 = tcp_shape(&f), v6 = tcp_shape(&f6);
	struct prefix everything = prefix_of("::/0");
	struct scratch *s = *state;
	char *error = NULL;

	must(maps_policy_apply(s->m, &policy, NULL, &error));
	assert_ran(out_of(s, &v4, 1), SHOT, DROP_NO_ROUTE);
	assert_ran(out_of(s, &v6, 1), REDIRECT, DROP_NONE);
	scratch_policy(s, false);
	v4.sport = v6.sport = 1099;
	must(maps_blocked_apply(s->m, &everything, 1, NULL, &error));
	assert_ran(out_of(s, &v4, 1), REDIRECT, DROP_NONE);
	assert_ran(out_of(s, &v6, 1), SHOT, DROP_BLOCKED);
	must(maps_blocked_apply(s->m, NULL, 0, NULL, &error));
}

/* A frame that the daemon did not make: the host's own, bridged, or forged. */
static void test_frames_without_client(void **state)
{
	struct family f = family_of(false);
	struct shape shape = tcp_shape(&f);
	struct frame in;

	frame_build(&in, &shape);
	assert_dropped(run(*state, PROGRAM_TAP_IN, &in), DROP_CLIENT);
	from_client(&in, 1);
	in.b[6] = TAP_MAC_0 + 1;
	assert_dropped(run(*state, PROGRAM_TAP_IN, &in), DROP_CLIENT);
	for (int kind = 0; kind < 256; kind++) {
		if (kind == TAP_CLIENT || kind == TAP_RETURN || kind == TAP_PIECE)
			continue;
		from_client(&in, 1);
		in.b[7] = (uint8_t)kind;
		assert_dropped(run(*state, PROGRAM_TAP_IN, &in), DROP_CLIENT);
	}
}

/* ---- block lists ------------------------------------------------------------------ */

static void test_blocked(void **state)
{
	struct scratch *s = *state;
	char *error = NULL;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct prefix lists[][2] = {
			{{f.remote, 128}, prefix_of("192.0.2.0/24")},
			{prefix_of(v6 ? "2001:db8:9::/120" : "203.0.113.8/31"), prefix_of("192.0.2.0/24")},
			{prefix_of(v6 ? "2001:db8::/32" : "203.0.112.0/20"), prefix_of("192.0.2.0/24")},
		};
		struct shape shape = tcp_shape(&f), other = shape;

		other.dst = f.remote2;
		for (size_t i = 0; i < N(lists); i++) {
			shape.sport++;
			assert_sent(out_of(s, &shape, 1));
			must(maps_blocked_apply(s->m, lists[i], 2, NULL, &error));
			assert_dropped(out_of(s, &shape, 1), DROP_BLOCKED); /* the live flow, too */
			assert_dropped(out_of(s, &shape, 1), DROP_BLOCKED);
			if (i < 2 && !(v6 && i == 1))
				assert_sent(out_of(s, &other, 1));
			must(maps_blocked_apply(s->m, NULL, 0, NULL, &error));
			assert_sent(out_of(s, &shape, 1));
		}
	}
}

/* ---- malformed packets --------------------------------------------------------------- */

static void spoil_version(struct frame *f)
{
	f->b[f->l3] = (uint8_t)((f->b[f->l3] & 15) | 0x50);
}

static void spoil_total_length(struct frame *f)
{
	put16(f->b + f->l3 + (f->v6 ? 4 : 2), (uint16_t)(f->len - f->l3 - (f->v6 ? 40 : 0) + 1));
}

static void spoil_header_length(struct frame *f)
{
	if (!f->v6)
		f->b[f->l3] = 0x44;
	else
		spoil_version(f);
}

static void spoil_transport_cut(struct frame *f)
{
	f->len = f->l4 + 7;
	put16(f->b + f->l3 + (f->v6 ? 4 : 2), (uint16_t)(f->len - f->l3 - (f->v6 ? 40 : 0)));
}

/* The header is there, but behind what the IP header calls the end. */
static void spoil_transport_is_padding(struct frame *f)
{
	put16(f->b + f->l3 + (f->v6 ? 4 : 2), (uint16_t)(f->v6 ? 4 : 24));
}

static void spoil_data_offset(struct frame *f)
{
	f->b[f->l4 + 12] = 0x40;
}

static void spoil_data_offset_long(struct frame *f)
{
	f->len = f->l4 + 24;
	put16(f->b + f->l3 + (f->v6 ? 4 : 2), (uint16_t)(f->len - f->l3 - (f->v6 ? 40 : 0)));
	f->b[f->l4 + 12] = 0xf0;
}

static void spoil_mapped(struct frame *f)
{
	struct addr mapped = addr_of("203.0.113.9");

	if (f->v6)
		memcpy(f->b + f->l3 + 24, &mapped, 16);
	else
		spoil_version(f);
}

static void spoil_mapped_source(struct frame *f)
{
	struct addr mapped = addr_of("100.64.0.5");

	if (f->v6)
		memcpy(f->b + f->l3 + 8, &mapped, 16);
	else
		spoil_version(f);
}

static void spoil_fragment(struct frame *f)
{
	if (f->v6)
		f->b[f->l3 + 6] = 44;
	else
		put16(f->b + f->l3 + 6, 0x2000);
}

static void spoil_later_fragment(struct frame *f)
{
	if (f->v6)
		f->b[f->l3 + 6] = 44;
	else
		put16(f->b + f->l3 + 6, 8);
}

static void spoil_ethertype(struct frame *f)
{
	put16(f->b + 12, 0x0806);
}

/* An IP header cut off is not among them: BPF_PROG_TEST_RUN itself refuses that. */
static const struct {
	const char *name;
	void (*spoil)(struct frame *f);
	enum drop_reason reason;
} spoilt[] = {
	{"version 5", spoil_version, DROP_MALFORMED},
	{"longer than the frame", spoil_total_length, DROP_MALFORMED},
	{"header length of 16", spoil_header_length, DROP_MALFORMED},
	{"transport cut off", spoil_transport_cut, DROP_MALFORMED},
	{"transport behind the end", spoil_transport_is_padding, DROP_MALFORMED},
	{"TCP header of 16", spoil_data_offset, DROP_MALFORMED},
	{"TCP header past the end", spoil_data_offset_long, DROP_MALFORMED},
	{"IPv4 destination in IPv6", spoil_mapped, DROP_MALFORMED},
	{"IPv4 source in IPv6", spoil_mapped_source, DROP_MALFORMED},
	{"first fragment", spoil_fragment, DROP_FRAGMENT},
	{"later fragment", spoil_later_fragment, DROP_FRAGMENT},
	{"ARP", spoil_ethertype, DROP_NOT_IP},
};

static void test_malformed(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(spoilt); i++) {
			struct shape shape = tcp_shape(&f), back;
			struct frame in;
			struct ran r = out_of(*state, &shape, 1); /* the flow is there */

			print_message("  %s %s\n", f.name, spoilt[i].name);
			assert_sent(r);
			frame_build(&in, &shape);
			from_client(&in, 1);
			spoilt[i].spoil(&in);
			assert_dropped(run(*state, PROGRAM_TAP_IN, &in), spoilt[i].reason);

			back = answer_to(&shape, &r);
			frame_build(&in, &back);
			spoilt[i].spoil(&in);
			r = run(*state, PROGRAM_NIC_IN, &in);
			if (f.v6 && spoilt[i].spoil == spoil_mapped_source) { /* a client's, too */
				assert_dropped(r, DROP_FORGED);
				continue;
			}
			assert_ran(r, NEXT, DROP_NONE);
			assert_int_equal(r.out.len, in.len);
			assert_memory_equal(r.out.b, in.b, in.len);
		}
	}
}

/* UDP lengths that do not add up, and ones that leave padding. */
static void test_udp_length(void **state)
{
	static const struct {
		int change;
		enum drop_reason reason;
	} cases[] = {{0, DROP_NONE}, {-1, DROP_NONE}, {1, DROP_MALFORMED}, {-41, DROP_MALFORMED}};

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		for (size_t i = 0; i < N(cases); i++) {
			struct shape shape = tcp_shape(&f);
			struct frame in;

			shape.proto = IPPROTO_UDP;
			shape.dport = 53;
			frame_build(&in, &shape);
			from_client(&in, 1);
			put16(in.b + in.l4 + 4, (uint16_t)(40 + cases[i].change));
			assert_ran(run(*state, PROGRAM_TAP_IN, &in), cases[i].reason ? SHOT : REDIRECT,
				   cases[i].reason);
		}
	}
}

/* ---- options and extension headers ------------------------------------------------------ */

/* Refused for @reason; or it passes, and so does its answer, both with good checksums. */
static void there_and_back(struct scratch *s, const struct shape *shape, enum drop_reason reason)
{
	struct ran r = out_of(s, shape, 1);
	struct shape back;

	assert_ran(r, reason ? SHOT : REDIRECT, reason);
	if (reason)
		return;
	assert_true(frame_checks(&r.out));
	back = answer_to(shape, &r);
	r = into(s, &back);
	assert_sent(r);
	assert_true(frame_checks(&r.out));
}

static const struct {
	const char *name;
	uint8_t bytes[40];
	size_t n;
	enum drop_reason reason;
} options[] = {
	{"no operation", {1, 1, 1, 0}, 4, DROP_NONE},
	{"router alert", {148, 4, 0, 0}, 4, DROP_NONE},
	{"loose source route", {131, 7, 4, 192, 0, 2, 1, 0}, 8, DROP_SOURCE_ROUTE},
	{"strict source route", {137, 7, 4, 192, 0, 2, 1, 0}, 8, DROP_SOURCE_ROUTE},
	{"source route behind others", {1, 1, 148, 4, 0, 0, 131, 3, 4, 0, 0, 0}, 12, DROP_SOURCE_ROUTE},
	{"source route behind the end", {0, 131, 3, 4}, 4, DROP_NONE},
	{"record route", {7, 39, 4}, 40, DROP_NONE},
	{"length 0", {148, 0, 0, 0}, 4, DROP_MALFORMED},
	{"length 1", {148, 1, 131, 3}, 4, DROP_MALFORMED},
	{"past the end", {1, 148, 4, 0}, 4, DROP_MALFORMED},
	{"cut off", {1, 1, 1, 148}, 4, DROP_MALFORMED},
};

static void test_ipv4_options(void **state)
{
	struct family f = family_of(false);

	for (size_t i = 0; i < N(options); i++) {
		struct shape shape = tcp_shape(&f);

		print_message("  %s\n", options[i].name);
		shape.options = options[i].bytes;
		shape.n_options = options[i].n;
		shape.sport = (uint16_t)(5000 + i);
		there_and_back(*state, &shape, options[i].reason);
	}
}

enum { HBH = 0, ROUTING = 43, FRAGMENT = 44, AUTH = 51, NO_NEXT = 59, DST = 60 };

static const struct {
	const char *name;
	uint8_t first;
	uint8_t bytes[80]; /* the last header's next is 6, TCP */
	size_t n;
	enum drop_reason reason;
} extensions[] = {
	{"hop-by-hop", HBH, {6, 0, 1, 4}, 8, DROP_NONE},
	{"destination options of 16", DST, {6, 1, 1, 12}, 16, DROP_NONE},
	{"both", HBH, {DST, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, DROP_NONE},
	{"seven",
	 DST,
	 {DST, 0, 0, 0, 0, 0, 0, 0,   DST, 0, 0, 0, 0, 0, 0, 0,	  DST, 0, 0, 0, 0, 0, 0, 0, DST,
	  0,   0, 0, 0, 0, 0, 0, DST, 0,   0, 0, 0, 0, 0, 0, DST, 0,   0, 0, 0, 0, 0, 0, 6, 0},
	 56,
	 DROP_NONE},
	{"eight",
	 DST,
	 {DST, 0, 0, 0,	  0, 0, 0, 0, DST, 0, 0, 0,   0, 0, 0, 0, DST, 0, 0, 0,	  0, 0, 0, 0, DST, 0, 0, 0, 0,
	  0,   0, 0, DST, 0, 0, 0, 0, 0,   0, 0, DST, 0, 0, 0, 0, 0,   0, 0, DST, 0, 0, 0, 0, 0,   0, 0, 6, 0},
	 64,
	 DROP_EXTENSION},
	{"routing", ROUTING, {6, 0, 0, 0}, 8, DROP_ROUTING_HEADER},
	{"routing, type 4", ROUTING, {6, 2, 4, 0}, 24, DROP_ROUTING_HEADER},
	{"routing behind another", DST, {ROUTING, 0, 1, 4, 0, 0, 0, 0, 6, 0, 4, 0}, 16, DROP_ROUTING_HEADER},
	{"atomic fragment", FRAGMENT, {6, 0, 0, 0}, 8, DROP_FRAGMENT},
	{"fragment behind another", HBH, {FRAGMENT, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1}, 16, DROP_FRAGMENT},
	{"past the end", HBH, {6, 255, 1, 4}, 8, DROP_MALFORMED},
	{"nothing follows", NO_NEXT, {0}, 8, DROP_POLICY},
	{"authentication", AUTH, {6, 4}, 24, DROP_POLICY},
};

static void test_ipv6_extensions(void **state)
{
	struct family f = family_of(true);

	for (size_t i = 0; i < N(extensions); i++) {
		struct shape shape = tcp_shape(&f);

		print_message("  %s\n", extensions[i].name);
		shape.first_extension = extensions[i].first;
		shape.options = extensions[i].bytes;
		shape.n_options = extensions[i].n;
		shape.sport = (uint16_t)(5000 + i);
		there_and_back(*state, &shape, extensions[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_decisions), T(test_families_stay_apart), T(test_frames_without_client), T(test_blocked),
		T(test_malformed), T(test_udp_length),		T(test_ipv4_options),	       T(test_ipv6_extensions),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
