/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The section "tests": reads its cases strictly, since an assertion that means
 * something else than its author thinks is worse than none, and asks the rules.
 */
#include <netinet/in.h>
#include <string.h>

#include "policy_parse.h"
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

static bool read_proto(struct cases *cs, const struct policy_assertion *a, struct policy_case *c)
{
	static const uint8_t any[4] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6 };
	const char *text = a->proto.text ? a->proto.text : "";
	uint8_t proto;

	if (!parse_proto(text, strlen(text), &proto) || !proto_has_ports(proto))
		return unsound(cs, a->proto.at, "proto", text, "expected tcp, udp or sctp, or nothing");
	memcpy(c->proto, any, sizeof(any));
	c->n_proto = sizeof(any);
	if (proto != POLICY_PROTO_DEFAULT) {
		c->proto[0] = proto;
		c->n_proto = 1;
	}
	return true;
}

static bool read_dst(struct cases *cs, const struct policy_text *to, struct policy_case *c)
{
	struct policy_dst dst = { 0 };
	const struct policy_sel *sel = &dst.sel;

	if (strchr(to->text, '/'))
		return unsound(cs, to->at, "dst", to->text, "expected a single host, not a range");
	if (!parse_target(&cs->x, "tests: dst", to->text, to->at, &dst) ||
	    !validator_check(cs->v, &dst.sel, STANDS_DST) || !single(cs, "dst", sel, to->text, to->at))
		return false;
	if (dst.ports.n != 1 || dst.ports.v[0].first != dst.ports.v[0].last)
		return unsound(cs, to->at, "dst", to->text, "expected a single port");
	c->to = *to;
	c->port = dst.ports.v[0].first;
	c->self = sel->kind == SEL_SELF;
	resolve_dst(cs->r, sel, &c->dst);
	return c->self || c->dst.n || absent(cs, to, "dst", "nothing has this address");
}

static void read_list(struct cases *cs, const struct policy_assertion *a, const struct policy_texts *list, bool accept)
{
	for (size_t i = 0; i < list->n; i++) {
		struct policy_case c = { .accept = accept };
		bool sound;

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
	read_list(cs, a, &a->accept, true);
	read_list(cs, a, &a->deny, false);
}

bool policy_each_case(const struct policy *p, const struct resolver *r,
		      void (*each)(const struct policy_case *c, void *arg), void *arg, struct diags *d)
{
	struct cases cs = { .scratch = *p, .r = r, .each = each, .arg = arg, .sound = true };

	cs.scratch.mem = (struct arena){ 0 };
	cs.x = (struct parser){ .p = &cs.scratch, .d = d };
	cs.v = validator_new(&cs.x);
	for (size_t i = 0; i < p->n_tests; i++)
		read_assertion(&cs, &p->tests[i]);
	validator_free(cs.v);
	arena_free(&cs.scratch.mem);
	return cs.sound;
}

/* ---- running them ------------------------------------------------------------------ */

struct run {
	const struct resolver *r;
	const struct filter *f;
	struct diags *d;
	size_t passed, failed;
};

/* One source address to any of @dst, by any protocol that will do. */
static bool reaches(const struct filter *f, const struct policy_case *c, const struct addr *src,
		    const struct prefixes *dst)
{
	struct filter_packet pkt = { .src = *src, .port = c->port };

	for (size_t i = 0; i < dst->n; i++)
		for (size_t j = 0; j < c->n_proto; j++) {
			pkt.dst = dst->v[i].addr;
			pkt.proto = c->proto[j];
			if (filter_match(f, &pkt).verdict == FILTER_ACCEPT)
				return true;
		}
	return false;
}

static bool source_reaches(const struct run *run, const struct policy_case *c, const struct addr *src)
{
	struct prefixes own = { 0 };
	bool reached;

	if (!c->self)
		return reaches(run->f, c, src, &c->dst);
	resolve_own(run->r, src, &own);
	reached = reaches(run->f, c, src, &own);
	prefixes_free(&own);
	return reached;
}

static void run_case(const struct policy_case *c, void *arg)
{
	struct run *run = arg;
	size_t reached = 0;
	bool allowed;

	for (size_t i = 0; i < c->src.n; i++)
		reached += source_reaches(run, c, &c->src.v[i].addr);
	allowed = reached == c->src.n;
	if (!c->accept && reached && !allowed)
		diag_warning(run->d, c->to.at, "tests: %zu of %zu addresses of %s do reach %s", reached, c->src.n,
			     c->from, c->to.text);
	if (allowed == c->accept) {
		run->passed++;
		return;
	}
	run->failed++;
	if (c->accept && reached)
		diag_error(run->d, c->to.at, "tests: %zu of %zu addresses of %s do not reach %s, expected accept",
			   c->src.n - reached, c->src.n, c->from, c->to.text);
	else
		diag_error(run->d, c->to.at, "tests: %s %s %s, expected %s", c->from,
			   allowed ? "reaches" : "does not reach", c->to.text, c->accept ? "accept" : "deny");
}

bool policy_run_tests(const struct policy *p, const struct resolver *r, const struct filter *f, size_t *passed,
		      struct diags *d)
{
	struct run run = { .r = r, .f = f, .d = d };
	size_t errors = d->errors, failed;

	policy_each_case(p, r, run_case, &run, d);
	*passed = run.passed;
	failed = d->errors - errors; /* the failed and the unsound */
	if (failed)
		diag_sum(d, (struct diag_at){ .file = p->doc->file }, "%zu of %zu test(s) failed", failed,
			 failed + run.passed);
	return !failed;
}
