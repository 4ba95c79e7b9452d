/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy's tests, asked of the engine that explains and decides: what this gateway carries, of this gateway. */
#include "decide.h"

#include "policy/compile.h"
#include "policy/test.h"

struct test_place {
	struct decide_place place;
	bool all; /* an inventory: nobody knows who carries what, so the rules of all are asked */
};

static bool test_carries(void *ctx, const struct addr *dst)
{
	const struct test_place *t = ctx;

	return t->all || config_is_own(t->place.config, dst) ||
	       ruleset_route_to(t->place.rules, t->place.config, dst) != DECIDE_NO_ROUTE;
}

static bool test_passes(void *ctx, uint32_t class, const struct addr *dst, uint8_t proto, uint16_t port)
{
	const struct test_place *t = ctx;

	return !ruleset_decide(&t->place, &(struct decide_packet){class, proto, port, *dst}).reason;
}

bool ruleset_test(const struct ruleset *r, const struct config *config, size_t *passed, struct diags *d)
{
	struct test_place ctx = {.place = {.rules = r, .config = config}, .all = !config};
	struct policy_test_gateway gateway = {r->reach.t, &ctx, test_carries, test_passes};
	struct policy_test_place place = {.inv = &r->inventory, .blocked = &r->blocked.all};
	struct budget budget = budget_usual();
	struct resolver *resolver;
	struct filter *everywhere;
	bool ok;

	*passed = 0;
	if (!r->policy || !r->policy->n_tests)
		return true;
	/* in a tailnet the server's rules have their say, too: the tests are about what the policy says */
	if (!config || !config->tailnet.node)
		place.gateway = &gateway;
	resolver = resolver_new(r->policy, &r->inventory, &budget);
	everywhere = policy_compile(resolver, r->policy, NULL, POLICY_DENY_ALL);
	place.f = everywhere;
	ok = policy_run_tests(r->policy, resolver, &place, passed, d);
	filter_free(everywhere);
	resolver_free(resolver);
	return ok;
}
