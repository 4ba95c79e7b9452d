/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The section "tests": reads its cases strictly, since an assertion that means
 * something else than its author thinks is worse than none, and asks the rules.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "policy_parse.h"
#include "tables.h"
#include "test.h"

struct cases {
	struct parser x;
	struct policy scratch; /* memory for what is read here; the policy itself is not changed */
	struct validator *v;
	const struct resolver *r;
	void (*each)(const struct policy_case *c, void *arg);
	void *arg;
	bool sound;
	const struct policy_text *absent; /* of the case that is read: this is nobody here; NULL: somebody */
	const struct policy_text *told;	  /* the last of these that was said: an entry has many cases */
};

/* Somebody who was removed is no mistake of the policy's: it would keep the removal itself from being applied. */
static bool absent(struct cases *cs, const struct policy_text *it, const char *what, const char *why)
{
	if (cs->told != it)
		diag_warning(cs->x.d, it->at, "tests: %s=\"%s\": %s, so this was not asked", what, it->text, why);
	cs->told = cs->absent = it;
	return false;
}

static bool unsound(struct cases *cs, struct diag_at at, const char *what, const char *text, const char *why)
{
	diag_error(cs->x.d, at, "tests: %s=\"%s\": %s", what, text, why);
	return false;
}

/* A selector that may stand for somebody or something, not for a range. */
static bool single(struct cases *cs, const char *what, const struct policy_sel *sel, const char *text,
		   struct diag_at at)
{
	if (sel->kind == SEL_ANY || sel->kind == SEL_INTERNET || sel->kind == SEL_DANGER_ALL || sel->kind == SEL_IPSET)
		return unsound(cs, at, what, text, "expected a single host");
	if (sel->kind == SEL_HOST && cs->x.p->hosts[sel->def].prefix.len < 128)
		return unsound(cs, at, what, text, "this host is a range, expected a single address");
	return true;
}

static bool read_src(struct cases *cs, const struct policy_assertion *a, struct policy_case *c)
{
	const char *text = a->src.text;
	struct policy_sel sel;

	if (!text || !*text) {
		diag_error(cs->x.d, a->at, "tests: \"src\" is missing");
		return false;
	}
	if (strchr(text, '/'))
		return unsound(cs, a->src.at, "src", text, "expected a single host, not a range");
	if (!parse_selector(&cs->x, "tests: src", text, strlen(text), a->src.at, &sel) ||
	    !validator_check(cs->v, &sel, STANDS_SRC) || !single(cs, "src", &sel, text, a->src.at))
		return false;
	resolve_src(cs->r, &sel, &c->src);
	c->from = text;
	return c->src.n || absent(cs, &a->src, "src", "nobody has this address");
}

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static bool read_proto(struct cases *cs, const struct policy_assertion *a, struct policy_case *c)
{
	static const uint8_t any[2] = {IPPROTO_TCP, IPPROTO_UDP}, icmp[2] = {IPPROTO_ICMP, IPPROTO_ICMPV6};
	const char *text = a->proto.text ? a->proto.text : "";
	uint8_t proto;

	if (!parse_proto(text, strlen(text), &proto) || (!proto_has_ports(proto) && !is_icmp(proto)))
		return unsound(cs, a->proto.at, "proto", text,
			       "expected tcp, udp, sctp or icmp, or nothing: other protocols never pass a gateway");
	memcpy(c->proto, is_icmp(proto) ? icmp : any, sizeof(any));
	c->n_proto = sizeof(any);
	if (is_icmp(proto))
		return true; /* each family has its own, whichever of them was written */
	if (proto != POLICY_PROTO_DEFAULT) {
		c->proto[0] = proto;
		c->n_proto = 1;
	}
	return true;
}

static bool read_dst(struct cases *cs, const struct policy_text *to, struct policy_case *c)
{
	static struct policy_ports no_port;
	struct policy_dst dst = {0};
	const struct policy_sel *sel = &dst.sel;
	bool icmp = is_icmp(c->proto[0]);

	if (strchr(to->text, '/'))
		return unsound(cs, to->at, "dst", to->text, "expected a single host, not a range");
	if (!(icmp ? parse_icmp_target : parse_target)(&cs->x, "tests: dst", to->text, to->at, &dst) ||
	    !validator_check(cs->v, &dst.sel, STANDS_DST) || !single(cs, "dst", sel, to->text, to->at))
		return false;
	if (icmp)
		dst.ports = (struct policy_portlist){&no_port, 1};
	if (dst.ports.n != 1 || dst.ports.v[0].first != dst.ports.v[0].last)
		return unsound(cs, to->at, "dst", to->text, "expected a single port");
	c->to = *to;
	c->port = dst.ports.v[0].first;
	c->self = sel->kind == SEL_SELF;
	resolve_dst(cs->r, sel, &c->dst);
	return c->self || c->dst.n || absent(cs, to, "dst", "nothing has this address");
}

static void policy_test_read_list(struct cases *cs, const struct policy_assertion *a, const struct policy_texts *list,
				  bool accept)
{
	if (accept && a->posture && list->n) {
		diag_warning(cs->x.d, list->v[0].at,
			     "tests: \"srcPostureAttrs\" is a condition that a gateway cannot check, so what it lets "
			     "pass was not asked");
		return;
	}
	for (size_t i = 0; i < list->n && !budget_is_spent(resolver_budget(cs->r)); i++) {
		struct policy_case c = {.accept = accept};
		bool sound;

		budget_at(resolver_budget(cs->r), list->v[i].at);
		cs->absent = NULL;
		sound = read_src(cs, a, &c) && read_proto(cs, a, &c) && read_dst(cs, &list->v[i], &c);
		cs->sound &= sound || cs->absent;
		if (sound && cs->each)
			cs->each(&c, cs->arg);
		prefixes_free(&c.src);
		prefixes_free(&c.dst);
	}
}

static void read_assertion(struct cases *cs, const struct policy_assertion *a)
{
	if (!a->accept.n && !a->deny.n) {
		diag_error(cs->x.d, a->at, "tests: no assertion: expected \"accept\" or \"deny\"");
		cs->sound = false;
	}
	policy_test_read_list(cs, a, &a->accept, true);
	policy_test_read_list(cs, a, &a->deny, false);
}

bool policy_each_case(const struct policy *p, const struct resolver *r,
		      void (*each)(const struct policy_case *c, void *arg), void *arg, struct diags *d)
{
	struct cases cs = {.scratch = *p, .r = r, .each = each, .arg = arg, .sound = true};

	cs.scratch.mem = (struct arena){0};
	cs.x = (struct parser){.p = &cs.scratch, .d = d};
	cs.v = validator_new(&cs.x);
	for (size_t i = 0; i < p->n_tests; i++)
		read_assertion(&cs, &p->tests[i]);
	validator_free(cs.v);
	arena_free(&cs.scratch.mem);
	return cs.sound;
}

/* ---- running them ------------------------------------------------------------------ */

struct reached { /* by a source: of the destinations of its family */
	size_t asked, allowed, blocked;
};

struct known_reach {   /* what the sources of a class and family reach, worked out once a case */
	size_t number; /* of the case */
	struct reached reached;
};

struct run {
	const struct resolver *r;
	const struct policy_test_place *place;
	struct diags *d;
	struct budget *budget;
	struct prefixes strangers; /* sources that are no node's: clients of their own, behind the nodes */
	struct tables *t;
	struct known_reach *known;     /* two for each class */
	struct known_reach *known_own; /* the same for the gateway's classes */
	struct prefixes own, others;   /* destinations of the case: what the gateway carries, and what not */
	size_t number, passed;
};

static void take_index(uint32_t node, void *arg)
{
	*(uint32_t *)arg = node;
}

/* The node that has an address; UINT32_MAX: none. */
static uint32_t node_of(const struct run *run, const struct prefix *address)
{
	struct policy_sel sel = {.kind = SEL_PREFIX, .prefix = *address};
	uint32_t node = UINT32_MAX;

	resolve_each_node(run->r, &sel, take_index, &node);
	return node;
}

static void add_strangers(const struct policy_case *c, void *arg)
{
	struct run *run = arg;

	for (size_t i = 0; i < c->src.n && budget_pay(run->budget, 16); i++)
		if (node_of(run, &c->src.v[i]) == UINT32_MAX)
			prefixes_add(&run->strangers, &c->src.v[i]);
}

/* A tailnet's routers speak for addresses that are no node's; a gateway has packets of its clients alone. */
static bool is_nobody(const struct run *run, const struct policy_case *c)
{
	return !run->place->inv->tailnet && c->src.n == 1 && node_of(run, &c->src.v[0]) == UINT32_MAX;
}

static bool policy_test_lay_out(struct run *run)
{
	const struct inventory *inv = run->place->inv;
	size_t n = inv->n_nodes + run->strangers.n;
	struct tables_client *clients = mem_alloc(n, sizeof(*clients));
	struct tables_limits limits = {.budget = run->budget};

	for (size_t i = 0; i < inv->n_nodes; i++)
		clients[i] = (struct tables_client){inv->nodes[i].addrs.v, inv->nodes[i].addrs.n};
	for (size_t i = 0; i < run->strangers.n; i++)
		clients[inv->n_nodes + i] = (struct tables_client){&run->strangers.v[i], 1};
	run->t = tables_build(run->place->f, clients, n, &limits, run->d);
	if (run->t)
		run->known = mem_alloc(2 * (run->t->n_classes + 1), sizeof(*run->known));
	if (run->t && run->place->gateway)
		run->known_own = mem_alloc(2 * (run->place->gateway->t->n_classes + 1), sizeof(*run->known_own));
	free(clients);
	return run->t;
}

static uint32_t policy_test_class_of(const struct run *run, const struct prefix *src)
{
	uint32_t node = node_of(run, src);
	size_t low = 0, high = run->strangers.n;

	if (node != UINT32_MAX)
		return run->t->class_of[node];
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (prefix_cmp(&run->strangers.v[mid], src) <= 0)
			low = mid;
		else
			high = mid;
	}
	return run->t->class_of[run->place->inv->n_nodes + low];
}

bool policy_case_asks(const struct policy_case *c, size_t k, bool v4)
{
	return !is_icmp(c->proto[k]) || (c->proto[k] == IPPROTO_ICMP) == v4;
}

/* Who asks: a class of the rules' tables, or one of the gateway's. */
struct asker {
	uint32_t class;
	bool own, v4;
};

static bool policy_test_passes(const struct run *run, const struct policy_case *c, const struct asker *who,
			       const struct addr *dst)
{
	const struct policy_test_gateway *g = run->place->gateway;
	bool passes = false;

	for (size_t k = 0; k < c->n_proto && !passes; k++)
		if (policy_case_asks(c, k, who->v4))
			passes = who->own ? g->passes(g->ctx, who->class, dst, c->proto[k], c->port)
					  : tables_decide(run->t, who->class, dst, c->proto[k], c->port).accept;
	return passes;
}

static struct reached reach_of(const struct run *run, const struct policy_case *c, const struct asker *who,
			       const struct prefixes *dst)
{
	struct reached out = {0};

	for (size_t i = 0; i < dst->n && budget_pay(run->budget, 16); i++) {
		bool blocked;

		if (prefix_is_v4(&dst->v[i]) != who->v4)
			continue;
		blocked = run->place->blocked && prefixes_overlap(run->place->blocked, &dst->v[i]);
		out.asked++;
		if (blocked)
			out.blocked++;
		else
			out.allowed += policy_test_passes(run, c, who, &dst->v[i].addr);
	}
	return out;
}

static struct reached known_reach(const struct run *run, const struct policy_case *c, const struct asker *who)
{
	struct known_reach *known = &(who->own ? run->known_own : run->known)[2 * who->class + who->v4];

	if (known->number != run->number)
		*known = (struct known_reach){run->number, reach_of(run, c, who, who->own ? &run->own : &run->others)};
	return known->reached;
}

/* What one source reaches of all that the case is about. */
static struct reached source_reach(const struct run *run, const struct policy_case *c, const struct prefix *src)
{
	struct asker who = {.class = policy_test_class_of(run, src), .v4 = prefix_is_v4(src)};
	uint32_t node = run->place->gateway ? node_of(run, src) : UINT32_MAX;
	struct prefixes own = {0};
	struct reached out, more;

	if (c->self) {
		resolve_own(run->r, &src->addr, &own);
		out = reach_of(run, c, &who, &own);
		prefixes_free(&own);
		return out;
	}
	if (node == UINT32_MAX && run->own.n) /* a router's network: no client of the gateway */
		return reach_of(run, c, &who, &c->dst);
	out = known_reach(run, c, &who);
	if (!run->own.n)
		return out;
	who = (struct asker){.class = run->place->gateway->t->class_of[node], .own = true, .v4 = who.v4};
	more = known_reach(run, c, &who);
	return (struct reached){out.asked + more.asked, out.allowed + more.allowed, out.blocked + more.blocked};
}

/* What the gateway carries is its to decide, whatever another one could carry. */
static void divide_destinations(struct run *run, const struct policy_case *c)
{
	const struct policy_test_gateway *g = run->place->gateway;

	run->own.n = run->others.n = 0;
	for (size_t i = 0; i < c->dst.n && budget_pay(run->budget, 16); i++)
		prefixes_add(g && g->carries(g->ctx, &c->dst.v[i].addr) ? &run->own : &run->others, &c->dst.v[i]);
}

struct outcome { /* of a case, in sources */
	size_t asked, all, some, blocked;
};

static const char *never_passes(const struct run *run, const struct policy_case *c)
{
	if (!run->own.n || !c->accept || filter_can_carry(c->proto[0]))
		return "";
	return ": this protocol never passes a gateway, which translates TCP, UDP and ICMP";
}

static void report_case(const struct run *run, const struct policy_case *c, const struct outcome *o)
{
	const char *why = o->blocked ? ": a block list has it" : never_passes(run, c), *to = c->to.text, *expected;
	size_t n = c->accept ? o->asked - o->all : o->some;

	expected = c->accept ? "accept" : "deny";
	if (!o->asked)
		diag_warning(run->d, c->to.at,
			     "tests: %s and %s have no addresses of the same family, so this was not asked", c->from,
			     to);
	else if (n == o->asked && (!c->accept || !o->some))
		diag_error(run->d, c->to.at, "tests: %s %s %s, expected %s%s", c->from,
			   c->accept ? "does not reach" : "reaches", to, expected, why);
	else
		diag_error(run->d, c->to.at, "tests: %zu of %zu addresses of %s %s %s, expected %s%s", n, o->asked,
			   c->from, c->accept ? "do not reach all of" : "reach", to, expected, why);
}

static void policy_test_run_case(const struct policy_case *c, void *arg)
{
	struct run *run = arg;
	struct outcome o = {0};

	if (is_nobody(run, c)) {
		diag_warning(run->d, c->to.at, "tests: src=\"%s\": no client has this address, so this was not asked",
			     c->from);
		return;
	}
	run->number++;
	divide_destinations(run, c);
	for (size_t i = 0; i < c->src.n && budget_pay(run->budget, 16); i++) {
		struct reached r = source_reach(run, c, &c->src.v[i]);

		o.asked += r.asked != 0;
		o.all += r.asked && r.allowed == r.asked;
		o.some += r.allowed != 0;
		o.blocked += r.blocked != 0;
	}
	if (o.asked && (c->accept ? o.all == o.asked : !o.some))
		run->passed++;
	else if (!budget_is_spent(run->budget))
		report_case(run, c, &o);
}

bool policy_run_tests(const struct policy *p, const struct resolver *r, const struct policy_test_place *place,
		      size_t *passed, struct diags *d)
{
	struct run run = {.r = r, .place = place, .d = d, .budget = resolver_budget(r)};
	size_t errors = d->errors, failed;
	struct diags told_later = {0};

	policy_each_case(p, r, add_strangers, &run, &told_later);
	diags_free(&told_later);
	prefixes_sort(&run.strangers);
	if (policy_test_lay_out(&run)) {
		policy_each_case(p, r, policy_test_run_case, &run, d);
		budget_report(run.budget, d);
	}
	tables_free(run.t);
	free(run.known);
	free(run.known_own);
	prefixes_free(&run.own);
	prefixes_free(&run.others);
	prefixes_free(&run.strangers);
	*passed = run.passed;
	failed = d->errors - errors; /* the failed and the unsound */
	if (failed)
		diag_sum(d, (struct diag_at){.file = p->doc->file}, "%zu of %zu test(s) failed", failed,
			 failed + run.passed);
	return !failed;
}
