/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random policies three times: as plain rules, evaluated one by one (filter_verdict() and
 * the lists here: the reference), compiled into tables (policy/tables.c), and in the maps
 * under the real programs. For each random packet all three must say the same, down to
 * the deciding rule, the route and the reason of a refusal.
 *
 * After each change of the policy, packets of live flows are pushed again: they must be
 * decided as if they were new. A small world makes prefixes nest and rules contradict
 * each other all the time (random_filter.h).
 *
 *	PACKETS=10000000 SEED=1 test_differential	(make differential)
 */
#include "policy/prefixes.h"
#include "policy/tables.h"
#include "slots.h"
#include "tests/unit/policy/random_filter.h"

#define NODES	      12
#define SHORT	      30000
#define ROUND_SHORT   2500 /* packets of one policy */
#define ROUND_LONG    20000
#define AGAIN	      500 /* of the last policy's packets that are pushed once more */
#define ROUTES_MAX    6
#define BLOCKED_MAX   5
#define RESERVED_LIST 3
#define RULES_MAX     24
#define CPUS_MAX      256

struct sent { /* a packet, and who sent it */
	struct filter_packet packet;
	unsigned client; /* index; NODES: one that the policy does not know */
	uint16_t sport;
};

struct world {
	struct scratch *s;
	struct rng rng;
	struct prefix addrs[NODES + 1][2]; /* IPv4, IPv6 */
	struct tables_client clients[NODES];
	struct prefix reserved[RESERVED_LIST]; /* on top of maps_reserved_default(); the last is the host's */
	struct filter *f;
	struct tables *t;
	struct prefix routes[ROUTES_MAX];
	size_t n_routes;
	struct prefixes blocked;
	uint64_t drops[DROP_MAX], refused[RULES_MAX]; /* as counted so far, by reason and by rule */
	uint64_t packets, allowed;
	struct sent last[AGAIN];
	size_t n_last;
};

struct answer { /* what becomes of a packet */
	enum drop_reason reason;
	bool host;
	uint32_t rule, route;
};

/* ---- the reference ------------------------------------------------------------------------ */

static enum reserved reserved_of(const struct world *w, const struct addr *a)
{
	for (int i = 0; i < RESERVED_LIST; i++)
		if (prefix_contains(&w->reserved[i], a))
			return i == RESERVED_LIST - 1 ? RESERVED_OWN : RESERVED_METADATA;
	return maps_reserved_default(a);
}

/* Some rule that accepts something names just this address. */
static bool is_named(const struct world *w, const struct filter_packet *p)
{
	for (size_t i = 0; i < w->f->n; i++) {
		const struct filter_rule *r = &w->f->rules[i];

		for (size_t k = 0; k < r->n_dst; k++)
			if (r->verdict == FILTER_ACCEPT && filter_rule_from(r, &p->src) &&
			    r->dst[k].prefix.len == 128 && !addr_cmp(&r->dst[k].prefix.addr, &p->dst))
				return true;
	}
	return false;
}

/* Index of the longest route, n_routes: none. */
static size_t route_of(const struct world *w, const struct addr *a)
{
	size_t best = w->n_routes;

	for (size_t i = 0; i < w->n_routes; i++)
		if (prefix_contains(&w->routes[i], a) &&
		    (best == w->n_routes || w->routes[i].len > w->routes[best].len))
			best = i;
	return best;
}

static bool is_listed(const struct world *w, const struct addr *a)
{
	for (size_t i = 0; i < w->blocked.n; i++)
		if (prefix_contains(&w->blocked.v[i], a))
			return true;
	return false;
}

static bool is_zero(const struct addr *a)
{
	return !a->d[0] && !a->d[1];
}

static bool is_translated(const struct filter_packet *p)
{
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_ICMP ||
	       p->proto == IPPROTO_ICMPV6;
}

static struct answer reference(const struct world *w, const struct sent *sent)
{
	const struct filter_packet *p = &sent->packet;
	enum reserved kind = reserved_of(w, &p->dst);
	struct filter_answer a = filter_verdict(w->f, p);
	size_t route = route_of(w, &p->dst);
	struct answer x = {.host = kind == RESERVED_OWN};

	if (is_zero(&p->dst))
		x.reason = DROP_MULTICAST;
	else if (sent->client == NODES)
		x.reason = DROP_CLIENT;
	else if (kind && !is_named(w, p))
		x.reason = DROP_RESERVED;
	else if (!x.host && route == w->n_routes)
		x.reason = DROP_NO_ROUTE;
	else if (is_listed(w, &p->dst))
		x.reason = DROP_BLOCKED;
	else
		x = (struct answer){.reason = a.verdict == FILTER_ACCEPT ? DROP_NONE : DROP_POLICY,
				    .host = x.host,
				    .rule = a.rule ? a.rule->id : 0,
				    .route = (uint32_t)route};
	if (x.reason)
		x.host = false;
	else if (!x.host && !is_translated(p))
		x.reason = DROP_PROTOCOL;
	return x;
}

/* ---- the programs -------------------------------------------------------------------------- */

/* The reason that was counted since the last call; one system call for all counters. */
static enum drop_reason counted_drop(struct world *w)
{
	static uint64_t now[DROP_MAX * CPUS_MAX];
	uint32_t keys[DROP_MAX], n = DROP_MAX, next;
	enum drop_reason reason = DROP_NONE;

	must(bpf_map_lookup_batch(bpf_map__fd(w->s->m->skel->maps.drops), NULL, &next, keys, now, &n, NULL));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t sum = 0;

		for (size_t cpu = 0; cpu < w->s->m->cpus; cpu++)
			sum += now[i * w->s->m->cpus + cpu];
		if (sum != w->drops[keys[i]])
			reason = (enum drop_reason)keys[i];
		w->drops[keys[i]] = sum;
	}
	return reason;
}

/* Has @rule refused one more since the last call? */
static bool counted_refusal(struct world *w, uint32_t rule)
{
	struct rule_use use;
	bool more;

	must(maps_rule_use(w->s->m, rule, &use));
	more = use.refused != w->refused[rule];
	w->refused[rule] = use.refused;
	return more;
}

static struct shape shape_of_sent(const struct sent *sent)
{
	const struct filter_packet *p = &sent->packet;
	bool icmp = p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;

	return (struct shape){
		.v6 = !addr_is_v4(&p->dst),
		.proto = icmp ? IPPROTO_ICMP : p->proto,
		.src = p->src,
		.dst = p->dst,
		.sport = sent->sport,
		.dport = icmp ? 0 : p->port,
		.flags = TH_SYN,
		.payload = 12,
	};
}

/* The live flow of a packet that passed. */
static const struct flow *flow_of(struct world *w, const struct shape *shape)
{
	struct tuple t = {.src = shape->src,
			  .dst = shape->dst,
			  .sport = htons(shape->sport),
			  .dport = htons(shape->dport),
			  .proto = shape->v6 && shape->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : shape->proto,
			  .side = SIDE_CLIENT};
	struct flow_ref ref;

	if (bpf_map_lookup_elem(bpf_map__fd(w->s->m->skel->maps.flow_index), &t, &ref))
		fail_msg("a packet passed without a flow");
	return &w->s->m->flows[ref.slot];
}

/* @rule: that is to refuse it, if it is refused. */
static struct answer by_programs(struct world *w, const struct sent *sent, uint32_t rule)
{
	struct shape shape = shape_of_sent(sent);
	const struct flow *flow;
	struct frame f;
	uint8_t out[256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.b, .data_out = out, .data_size_out = sizeof(out));

	frame_build(&f, &shape);
	if (shape.proto == IPPROTO_SCTP) /* its header begins with the ports, too */
		put16(f.b + f.l4 + 2, shape.dport);
	from_client(&f, sent->client + 1);
	opts.data_size_in = (uint32_t)f.len;
	must(bpf_prog_test_run_opts(maps_program(w->s->m, PROGRAM_TAP_IN), &opts));
	if (opts.retval == SHOT)
		return (struct answer){.reason = counted_drop(w), .rule = counted_refusal(w, rule) ? rule : UINT32_MAX};
	if (opts.retval == OK)
		return (struct answer){.host = true};
	assert_int_equal(opts.retval, REDIRECT);
	flow = flow_of(w, &shape);
	return (struct answer){.rule = flow->rule, .route = flow->route};
}

/* ---- comparing --------------------------------------------------------------------------------- */

static void disagree(const struct world *w, const struct sent *sent, const char *who, const struct answer *want,
		     const struct answer *got)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	fail_msg("packet %llu: %s -> %s proto %u port %u: %s, rule %u, route %u; %s: %s, rule %u, route %u",
		 (unsigned long long)w->packets, addr_str(&sent->packet.src, src), addr_str(&sent->packet.dst, dst),
		 sent->packet.proto, sent->packet.port, reason_names[want->reason], want->rule, want->route, who,
		 reason_names[got->reason], got->rule, got->route);
}

/* The tables hold the rules alone. */
static void compare_tables(const struct world *w, const struct sent *sent)
{
	struct filter_answer a = filter_verdict(w->f, &sent->packet);
	const struct acl_rule *r = tables_find(w->t, w->t->class_of[sent->client], &sent->packet.dst,
					       sent->packet.proto, sent->packet.port);
	struct answer want = {.rule = a.rule ? a.rule->id : 0,
			      .reason = a.verdict == FILTER_ACCEPT ? DROP_NONE : DROP_POLICY};
	struct answer got = {.rule = r ? r->id : 0,
			     .reason = r && r->verdict == VERDICT_ACCEPT ? DROP_NONE : DROP_POLICY};

	if (want.rule != got.rule || want.reason != got.reason)
		disagree(w, sent, "the tables", &want, &got);
}

/* Of what is refused nobody knows the route, of what is the host's not even the rule. */
static void compare_programs(struct world *w, const struct sent *sent)
{
	struct answer want = reference(w, sent), got = by_programs(w, sent, want.rule);
	bool same = want.reason == got.reason && want.host == got.host;

	if (same && !want.host)
		same = want.rule == got.rule && (want.reason || want.route == got.route);
	if (!same)
		disagree(w, sent, "the programs", &want, &got);
	w->packets++;
	w->allowed += !want.reason;
}

static void compare(struct world *w, const struct sent *sent)
{
	if (sent->client < NODES)
		compare_tables(w, sent);
	compare_programs(w, sent);
}

/* ---- the world ---------------------------------------------------------------------------------- */

/* Any but the unspecified address, which nobody sends from. */
static struct prefix random_host(struct rng *rng, bool v4)
{
	struct prefix p = {random_addr(rng, v4), 128};

	if (is_zero(&p.addr))
		p.addr.b[15] = 7;
	return p;
}

static void world_open(struct world *w, struct scratch *s, uint64_t seed)
{
	*w = (struct world){.s = s, .rng = {seed}};
	for (int i = 0; i <= NODES; i++) {
		w->addrs[i][0] = random_host(&w->rng, true);
		w->addrs[i][1] = random_host(&w->rng, false);
		if (i < NODES)
			w->clients[i] = (struct tables_client){w->addrs[i], 2};
	}
	for (int i = 0; i < RESERVED_LIST; i++) {
		w->reserved[i] = random_host(&w->rng, i & 1);
		must(maps_reserved_set(s->m, &w->reserved[i],
				       i == RESERVED_LIST - 1 ? RESERVED_OWN : RESERVED_METADATA));
	}
	assert_in_range(s->m->cpus, 1, CPUS_MAX);
	for (int v6 = 0; v6 < 2; v6++)
		scratch_egress(s, v6 ? 2 : 1, family_of(v6).external, 2, 1024, 60000);
}

static void add_route(struct world *w, struct prefix p)
{
	for (size_t i = 0; i < w->n_routes; i++)
		if (!prefix_cmp(&w->routes[i], &p))
			return;
	w->routes[w->n_routes++] = p;
}

static void random_lists(struct world *w)
{
	size_t routes = rng_below(&w->rng, ROUTES_MAX - 1), blocked = rng_below(&w->rng, BLOCKED_MAX);

	w->n_routes = 0;
	prefixes_free(&w->blocked);
	if (rng_below(&w->rng, 4)) { /* mostly everything is routed: the rules are to be asked */
		add_route(w, prefix_of("0.0.0.0/0"));
		add_route(w, prefix_of("::/0"));
	}
	while (routes-- && w->n_routes < ROUTES_MAX)
		add_route(w, random_prefix(&w->rng));
	while (blocked--) {
		struct prefix p = random_prefix(&w->rng);

		if (p.len > (addr_is_v4(&p.addr) ? 104 : 16)) /* not the whole small world */
			prefixes_add(&w->blocked, &p);
	}
}

static void apply_world(struct world *w)
{
	struct maps_acl *acl = calloc(w->t->n_entries + 1, sizeof(*acl));
	struct client_class classes[NODES + 2] = {};
	struct maps_route routes[ROUTES_MAX];
	struct maps_blocked *blocked;
	struct prefixes merged = {};
	struct maps_policy p = {.classes = classes,
				.n_classes = NODES + 2,
				.acl = acl,
				.n_acl = w->t->n_entries,
				.rules = w->t->rules,
				.n_rules = w->t->n_rules,
				.routes = routes,
				.n_routes = w->n_routes};
	char *error = NULL;

	prefixes_add_all(&merged, w->blocked.v, w->blocked.n);
	prefixes_merge(&merged);
	p.blocked = blocked = maps_blocked_make(w->s->m, merged.v, merged.n, &error);
	if (!blocked)
		fail_msg("%s", error);
	for (int i = 0; i < NODES; i++)
		classes[i + 1].class = w->t->class_of[i];
	for (size_t i = 0; i < w->t->n_entries; i++) {
		const struct tables_entry *e = &w->t->entries[i];

		acl[i] = (struct maps_acl){ntohl(e->key.class),
					   {e->key.dst, e->key.prefixlen - KEY_BITS},
					   e->value.first,
					   e->value.count,
					   e->value.flags};
	}
	for (size_t i = 0; i < w->n_routes; i++)
		routes[i] = (struct maps_route){w->routes[i], {ROUTE_POOL_OF_CLIENT, (uint32_t)i}};
	if (maps_policy_apply(w->s->m, &p, NULL, &error))
		fail_msg("%s", error);
	maps_blocked_free(blocked);
	prefixes_free(&merged);
	free(acl);
}

static void drop_policy(struct world *w)
{
	tables_free(w->t);
	filter_free(w->f);
	w->t = NULL;
	w->f = NULL;
}

static void next_policy(struct world *w)
{
	struct diags d = {0};

	drop_policy(w);
	w->f = random_filter(&w->rng, rng_below(&w->rng, RULES_MAX));
	w->t = tables_build(w->f, w->clients, NODES, NULL, &d);
	assert_non_null(w->t);
	diags_free(&d);
	random_lists(w);
	apply_world(w);
}

/* ICMP is the family's own. */
static struct sent random_sent(struct world *w)
{
	struct sent sent = {.client = rng_below(&w->rng, NODES * 50) ? rng_below(&w->rng, NODES) : NODES,
			    .sport = (uint16_t)(1024 + rng_below(&w->rng, 16))};

	sent.packet = random_packet(&w->rng, &w->addrs[sent.client][rng_below(&w->rng, 2)].addr);
	if (sent.packet.proto == IPPROTO_ICMP || sent.packet.proto == IPPROTO_ICMPV6)
		sent.packet.proto = addr_is_v4(&sent.packet.dst) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return sent;
}

/* Ends all flows, and gives their slots back. */
static void forget_flows(struct world *w)
{
	uint32_t n;

	maps_flows(w->s->m, &n);
	for (uint32_t i = 1; i < n; i++)
		w->s->m->flows[i].expires = 1;
	empty_table(w->s);
}

static void one_round(struct world *w, uint32_t packets)
{
	next_policy(w);
	for (size_t i = 0; i < w->n_last; i++)
		compare(w, &w->last[i]);
	forget_flows(w);
	for (uint32_t i = 0; i < packets; i++) {
		struct sent sent = random_sent(w);

		compare(w, &sent);
		w->last[i % AGAIN] = sent;
	}
	w->n_last = packets < AGAIN ? packets : AGAIN;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_three_agree(void **state)
{
	uint64_t packets = number_of("PACKETS", SHORT), seed = number_of("SEED", 20261122);
	unsigned policies = 0;
	struct world w;

	world_open(&w, *state, seed ? seed : 1);
	for (; w.packets < packets; policies++)
		one_round(&w, packets > SHORT ? ROUND_LONG : ROUND_SHORT);
	print_message("  %llu packets under %u policies, %llu of them allowed\n", (unsigned long long)w.packets,
		      policies, (unsigned long long)w.allowed);
	assert_true(w.allowed > w.packets / 20);
	assert_true(w.allowed < w.packets * 19 / 20);
	drop_policy(&w);
	prefixes_free(&w.blocked);
}

/* Room for the flows of a round. */
static int open_large(void **state)
{
	return scratch_open_with(state, 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_three_agree)};

	return cmocka_run_group_tests(tests, open_large, scratch_close);
}
