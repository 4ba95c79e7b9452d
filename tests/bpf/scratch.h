/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_SCRATCH_H
#define TESTS_BPF_SCRATCH_H

/*
 * A gateway without a network: the real programs and maps, not pinned, into which
 * tests push frames (BPF_PROG_TEST_RUN) and see what comes out.
 *
 *   client 1 100.64.0.5, fd7a:115c:a1e0::5   may reach 203.0.113.0/24 and 2001:db8:9::/48
 *   client 2 100.64.0.6, fd7a:115c:a1e0::6   may reach nothing
 *   client 3 is known to the maps, not to the policy
 *   clients 4 to 63 may reach what client 1 may
 *   external 198.51.100.1, 2001:db8:1::1     ports 20000-20999
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <linux/bpf.h>
#include <unistd.h>

#include "frame.h"
#include "user/kernel/maps_private.h"

#define SECOND	     1000000000ull
#define TAP_IFINDEX  77
#define TEST_IFINDEX 1 /* by which frames of BPF_PROG_TEST_RUN come in */
#define WG_PORT	     51820
#define PORT_FIRST   20000
#define PORT_COUNT   1000
#define TUNNEL_MTU   1420
#define EGRESS_MTU   1500

enum { RULE_WEB = 1, RULE_DNS, RULE_PING, RULE_HOST, RULE_METADATA, RULE_DENY, RULE_GRE };

struct family {
	const char *name;
	bool v6;
	struct addr client, client2, remote, remote2, denied, unrouted, external, tunnel, metadata;
};

static inline struct family family_of(bool v6)
{
	return v6 ? (struct family){"IPv6",
				    true,
				    addr_of("fd7a:115c:a1e0::5"),
				    addr_of("fd7a:115c:a1e0::6"),
				    addr_of("2001:db8:9::9"),
				    addr_of("2001:db8:9::10"),
				    addr_of("2001:db8:9::66"),
				    addr_of("2001:db8:aaaa::1"),
				    addr_of("2001:db8:1::1"),
				    addr_of("fd7a:115c:a1e0::1"),
				    addr_of("fd00:ec2::254")}
		  : (struct family){"IPv4",
				    false,
				    addr_of("100.64.0.5"),
				    addr_of("100.64.0.6"),
				    addr_of("203.0.113.9"),
				    addr_of("203.0.113.10"),
				    addr_of("203.0.113.66"),
				    addr_of("192.0.2.1"),
				    addr_of("198.51.100.1"),
				    addr_of("100.64.0.1"),
				    addr_of("169.254.169.254")};
}

#define CLIENTS 64

struct scratch {
	struct maps *m;
	struct settings settings;
	struct quota quota; /* of client 1, from the next scratch_policy() on */
	uint32_t generation, default_generation;
	struct ring_buffer *notices; /* throws them away */
};

#define N(table) (sizeof(table) / sizeof(*(table)))
#define T(name)	 cmocka_unit_test_setup(name, scratch_reset)

#define must(call)                                                      \
	do {                                                            \
		int must_err = (call);                                  \
		if (must_err)                                           \
			fail_msg("%s: %s", #call, strerror(-must_err)); \
	} while (0)

static inline void host_prefix(struct prefix *p, const struct addr *a)
{
	p->addr = *a;
	p->len = 128;
}

static inline struct acl_rule rule_of(uint8_t proto, uint16_t first, uint16_t last, uint8_t verdict, uint32_t id)
{
	return (struct acl_rule){.first = first, .last = last, .proto = proto, .verdict = verdict, .id = id};
}

static inline int throw_away(void *ctx, void *data, size_t size)
{
	return 0;
}

/*
 * The policy of the drawing above. @strict: client 1 may no longer reach port 443.
 * Rules of one entry are sorted by protocol and port, as the compiler makes them.
 */
static inline void scratch_policy(struct scratch *s, bool strict)
{
	struct client_class classes[CLIENTS] = {[1] = {.class = 1, .quota = s->quota}, [2] = {.class = 2}};
	struct acl_rule rules[] = {
		/* 0: services */
		rule_of(IPPROTO_ICMP, 0, 65535, VERDICT_ACCEPT, RULE_PING),
		rule_of(IPPROTO_TCP, 80, 80, VERDICT_ACCEPT, RULE_WEB),
		rule_of(IPPROTO_TCP, 443, strict ? 443 : 444, strict ? VERDICT_DENY : VERDICT_ACCEPT, RULE_WEB),
		rule_of(IPPROTO_TCP, 8000, 8999, VERDICT_ACCEPT, RULE_WEB),
		rule_of(IPPROTO_TCP, 9000, 9000, VERDICT_DENY, RULE_DENY),
		rule_of(IPPROTO_UDP, 53, 53, VERDICT_ACCEPT, RULE_DNS),
		rule_of(IPPROTO_UDP, 4000, 4999, VERDICT_ACCEPT, RULE_DNS),
		rule_of(IPPROTO_GRE, 0, 65535, VERDICT_ACCEPT, RULE_GRE),
		/* 8: the gateway itself */
		rule_of(IPPROTO_TCP, 22, 22, VERDICT_ACCEPT, RULE_HOST),
		rule_of(IPPROTO_UDP, 53, 53, VERDICT_ACCEPT, RULE_HOST),
		/* 10: metadata */
		rule_of(IPPROTO_TCP, 80, 80, VERDICT_ACCEPT, RULE_METADATA),
		/* 11: all denied */
		rule_of(IPPROTO_TCP, 0, 65535, VERDICT_DENY, RULE_DENY),
	};
	struct maps_acl acl[8];
	struct maps_route routes[4];
	struct maps_policy p = {.classes = classes,
				.n_classes = CLIENTS,
				.acl = acl,
				.rules = rules,
				.n_rules = sizeof(rules) / sizeof(*rules),
				.routes = routes};
	char *error = NULL;

	for (int i = 4; i < CLIENTS; i++)
		classes[i].class = 1;
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);

		acl[p.n_acl] =
			(struct maps_acl){1, prefix_of(v6 ? "2001:db8:9::/48" : "203.0.113.0/24"), 0, 8, ACL_ACCEPTS};
		acl[p.n_acl + 1] = (struct maps_acl){1, {f.tunnel, 128}, 8, 2, ACL_EXACT | ACL_ACCEPTS};
		acl[p.n_acl + 2] = (struct maps_acl){1, {f.denied, 128}, 11, 1, 0};
		acl[p.n_acl + 3] = (struct maps_acl){2, {f.metadata, 128}, 10, 1, ACL_EXACT | ACL_ACCEPTS};
		p.n_acl += 4;
		routes[p.n_routes++] = (struct maps_route){acl[p.n_acl - 4].dst, {ROUTE_POOL_OF_CLIENT, 7}};
		routes[p.n_routes++] = (struct maps_route){{f.metadata, 128}, {0, 8}};
	}
	if (maps_policy_apply(s->m, &p, &s->generation, &error))
		fail_msg("%s", error);
}

/* Clients 1 and 4 may reach the remote and the external address by @proto, client 5 just the remote. */
static inline void allow_external(struct scratch *s, uint8_t proto)
{
	struct client_class classes[] = {[1] = {.class = 1}, [4] = {.class = 1}, [5] = {.class = 2}};
	struct acl_rule rules[] = {rule_of(proto, 0, 65535, VERDICT_ACCEPT, RULE_WEB)};
	struct maps_acl acl[6];
	struct maps_route routes[2];
	struct maps_policy p = {.classes = classes,
				.n_classes = N(classes),
				.acl = acl,
				.rules = rules,
				.n_rules = N(rules),
				.routes = routes};
	char *error = NULL;

	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct prefix service = {f.remote, 128};

		for (uint32_t class = 1; class <= 2; class ++)
			acl[p.n_acl++] = (struct maps_acl){class, service, 0, 1, ACL_ACCEPTS};
		acl[p.n_acl++] = (struct maps_acl){1, {f.external, 128}, 0, 1, ACL_EXACT | ACL_ACCEPTS};
		routes[p.n_routes++] = (struct maps_route){service, {ROUTE_POOL_OF_CLIENT, 7}};
	}
	if (maps_policy_apply(s->m, &p, &s->generation, &error))
		fail_msg("%s", error);
}

static inline void scratch_settings(struct scratch *s)
{
	s->settings = (struct settings){
		.tap_ifindex = TAP_IFINDEX,
		.wg_port = WG_PORT,
		.filtering = FILTER_ADDRESS,
		.mtu = TUNNEL_MTU,
		.mss4 = TUNNEL_MTU - 40,
		.mss6 = TUNNEL_MTU - 60,
		.workers = 4,
		.udp_ns = 300 * SECOND,
		.tcp_established_ns = 7440 * SECOND,
		.tcp_transitory_ns = 240 * SECOND,
		.icmp_ns = 60 * SECOND,
		.other_ns = 60 * SECOND,
		.tunnel = {prefix_of("100.64.0.0/10"), prefix_of("fd7a:115c:a1e0::/48")},
	};
	must(maps_settings_set(s->m, &s->settings));
}

static inline void scratch_egress(struct scratch *s, uint32_t id, struct addr a, uint32_t ifindex, uint16_t first,
				  uint16_t count)
{
	struct egress e = {.addr = a,
			   .state = ifindex ? EGRESS_HERE : EGRESS_GONE,
			   .ifindex = ifindex,
			   .mtu = EGRESS_MTU,
			   .range = {{first, count}},
			   .answers = {TEST_IFINDEX, ifindex}};

	must(maps_egress_set(s->m, id, &e));
}

static inline void scratch_addresses(struct scratch *s)
{
	struct pool pool = {.n4 = 1, .n6 = 1, .v4 = {1}, .v6 = {2}};

	must(maps_reserved_defaults(s->m));
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct prefix p;

		host_prefix(&p, &f.client);
		must(maps_client_set(s->m, &p, 1, 2));
		host_prefix(&p, &f.client2);
		must(maps_client_set(s->m, &p, 2, 3));
		host_prefix(&p, &f.tunnel);
		must(maps_reserved_set(s->m, &p, RESERVED_TUNNEL));
		host_prefix(&p, &f.external);
		must(maps_reserved_set(s->m, &p, RESERVED_OWN));
		scratch_egress(s, v6 ? 2 : 1, f.external, 2, PORT_FIRST, PORT_COUNT);
	}
	must(maps_pool_set(s->m, 0, &pool));
}

#define SWEEP_DONE 64 /* slots that one tick ends, frees or decides again, at most */

static inline void sweep_tick(struct scratch *s)
{
	uint8_t frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	must(bpf_prog_test_run_opts(bpf_program__fd(s->m->skel->progs.sweep_once), &opts));
}

/* All slots there are, from where the last tick ended. */
static inline void sweep(struct scratch *s)
{
	uint32_t n;

	maps_flows(s->m, &n);
	for (uint32_t i = 0; i < 3 + n / SWEEP_DONE; i++)
		sweep_tick(s);
}

static inline void expire_all(struct scratch *s)
{
	uint32_t n;

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++)
		if (flow_state(&s->m->flows[i]) != FLOW_DEAD)
			s->m->flows[i].expires = 1;
}

/* Every slot back, at once. */
static inline void empty_table(struct scratch *s)
{
	uint32_t n;

	expire_all(s);
	sweep(s);
	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++) /* dead for more than a second */
		if (flow_state(&s->m->flows[i]) == FLOW_DEAD)
			s->m->flows[i].expires -= 2 * SECOND;
	sweep(s);
	assert_int_equal(maps_flows_used(s->m), 0);
}

static inline void clear_map(struct bpf_map *map)
{
	uint8_t key[256];

	while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
		must(bpf_map_delete_elem(bpf_map__fd(map), key));
}

/* Full buckets for everybody. */
static inline void fill_buckets(struct scratch *s)
{
	struct client_state state;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		must(bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.client_state), &i, &state));
		assert_int_equal(state.flows, 0);
		must(bpf_map_update_elem(bpf_map__fd(s->m->skel->maps.client_state), &i, &(struct client_state){}, 0));
	}
}

/* Before each test: as after scratch_open(), which takes a while. */
static inline int scratch_reset(void **state)
{
	struct scratch *s = *state;

	empty_table(s);
	fill_buckets(s);
	s->quota = (struct quota){};
	clear_map(s->m->skel->maps.clients);
	clear_map(s->m->skel->maps.reserved);
	clear_map(s->m->skel->maps.sessions);
	scratch_settings(s);
	scratch_addresses(s);
	if (!s->default_generation || maps_generation(s->m) != s->default_generation)
		scratch_policy(s, false);
	s->default_generation = maps_generation(s->m);
	ring_buffer__consume(s->notices);
	return 0;
}

static inline int scratch_open_with(void **state, uint32_t flows)
{
	struct maps_options o = {.flows = flows, .no_sweep = true};
	struct scratch *s = calloc(1, sizeof(*s));
	char *error = NULL;

	s->m = maps_open(&o, &error);
	if (!s->m) {
		print_error("%s\n", error);
		free(error);
		free(s);
		return -1;
	}
	s->notices = ring_buffer__new(maps_notices_fd(s->m), throw_away, NULL, NULL);
	*state = s;
	return scratch_reset(state);
}

/* For a whole file. */
static inline int scratch_open(void **state)
{
	return scratch_open_with(state, 4096);
}

static inline int scratch_close(void **state)
{
	struct scratch *s = *state;

	ring_buffer__free(s->notices);
	maps_close(s->m);
	free(s);
	return 0;
}

/* ---- running ------------------------------------------------------------------- */

enum { OK = 0, SHOT = 2, REDIRECT = 7, NEXT = -1 };

struct ran {
	int verdict;
	enum drop_reason reason; /* that was counted; DROP_NONE: none */
	uint32_t mark;
	struct frame out;
};

struct push { /* what a frame comes with */
	uint32_t gso_size, gso_segs, mark;
	uint32_t from; /* interface it came in by, 0: made here */
};

static inline enum drop_reason counted(const uint64_t *before, const uint64_t *after)
{
	enum drop_reason reason = DROP_NONE;

	for (int i = 0; i < DROP_MAX; i++) {
		if (before[i] == after[i])
			continue;
		if (reason || after[i] != before[i] + 1)
			fail_msg("more than one drop was counted");
		reason = (enum drop_reason)i;
	}
	return reason;
}

/* @xdp: the program takes no context. */
static inline struct ran run_fd(struct scratch *s, int program, bool xdp, const struct frame *f, struct push push)
{
	struct __sk_buff ctx = {.gso_size = push.gso_size,
				.gso_segs = push.gso_segs,
				.mark = push.mark,
				.ingress_ifindex = push.from},
			 ctx_out = {};
	uint64_t before[DROP_MAX], after[DROP_MAX];
	struct ran r = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = (uint32_t)f->len, .data_out = r.out.b,
		    .data_size_out = sizeof(r.out.b));

	if (!xdp) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
		opts.ctx_out = &ctx_out;
		opts.ctx_size_out = sizeof(ctx_out);
	}
	must(maps_drops(s->m, before));
	must(bpf_prog_test_run_opts(program, &opts));
	must(maps_drops(s->m, after));
	r.verdict = (int)opts.retval;
	r.reason = counted(before, after);
	r.mark = ctx_out.mark;
	r.out.len = opts.data_size_out;
	frame_like(&r.out, f);
	return r;
}

static inline struct ran run_with(struct scratch *s, enum program program, const struct frame *f, struct push push)
{
	return run_fd(s, maps_program(s->m, program), program == PROGRAM_FRONT, f, push);
}

static inline struct ran run(struct scratch *s, enum program program, const struct frame *f)
{
	return run_with(s, program, f, (struct push){});
}

/* A program of the TAP's own. BPF_PROG_TEST_RUN takes the first 14 bytes off: the frame stands behind them. */
static inline struct ran at_tap(struct scratch *s, enum program program, const struct frame *frame, struct push push)
{
	struct frame f = {.len = frame->len + 14};

	memcpy(f.b + 12, frame->b + 12, 2);
	memcpy(f.b + 14, frame->b, frame->len);
	return run_with(s, program, &f, push);
}

/* The frame as the daemon gives it to the TAP for @client. */
static inline void from_client(struct frame *f, uint32_t client)
{
	struct tap_mac mac = {.local = TAP_MAC_0, .kind = TAP_CLIENT};

	memset(f->b, 0, 6);
	put32(mac.id, client);
	memcpy(f->b + 6, &mac, 6);
}

/* The same frame, as if another client had sent it. */
static inline struct ran run_as(struct scratch *s, const struct frame *frame, uint32_t client)
{
	struct frame f = *frame;

	from_client(&f, client);
	return run(s, PROGRAM_TAP_IN, &f);
}

static inline struct ran out_of(struct scratch *s, const struct shape *shape, uint32_t client)
{
	struct frame f;

	frame_build(&f, shape);
	from_client(&f, client);
	return run(s, PROGRAM_TAP_IN, &f);
}

static inline struct ran into(struct scratch *s, const struct shape *shape)
{
	struct frame f;

	frame_build(&f, shape);
	return run(s, PROGRAM_NIC_IN, &f);
}

/* What the remote sends back to a packet that went out as @sent. */
static inline struct shape answer_to(const struct shape *asked, const struct ran *sent)
{
	struct shape a = *asked;

	a.src = asked->dst;
	a.dst = frame_src(&sent->out);
	a.sport = asked->dport;
	a.dport = frame_sport(&sent->out);
	a.reply = true;
	a.flags = TH_SYN | TH_ACK;
	a.ttl = 0;
	return a;
}

/* ---- judging --------------------------------------------------------------------- */

#define assert_addr(a, b)                                                                             \
	do {                                                                                          \
		struct addr addr_a = (a), addr_b = (b);                                               \
		char buf_a[ADDR_STRLEN], buf_b[ADDR_STRLEN];                                          \
		if (memcmp(&addr_a, &addr_b, sizeof(addr_a)))                                         \
			fail_msg("%s:%d: %s is not %s", __FILE__, __LINE__, addr_str(&addr_a, buf_a), \
				 addr_str(&addr_b, buf_b));                                           \
	} while (0)

static const char *const reason_names[DROP_MAX] = {"none",
#define X(id, name, text) name,
						   DROP_REASONS(X)
#undef X
};

#define assert_ran(r, want_verdict, want_reason)                                                              \
	do {                                                                                                  \
		struct ran ran_r = (r);                                                                       \
		if (ran_r.verdict != (want_verdict) || ran_r.reason != (want_reason))                         \
			fail_msg("%s:%d: verdict %d (%s), wanted %d (%s)", __FILE__, __LINE__, ran_r.verdict, \
				 reason_names[ran_r.reason], want_verdict, reason_names[want_reason]);        \
	} while (0)

#define assert_dropped(r, want_reason) assert_ran(r, SHOT, want_reason)
#define assert_sent(r)		       assert_ran(r, REDIRECT, DROP_NONE)

#endif
