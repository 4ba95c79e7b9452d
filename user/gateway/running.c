/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration in force, and the rules and clients that were made of it. */
#include "running.h"

void running_exchange(struct running *now, struct config *other)
{
	struct config old = *now->config;

	*now->config = *other;
	*other = old;
}

bool running_take(struct running *now, enum running_why why, struct config *next, struct ruleset *rules,
		  struct diags *d)
{
	struct clients_plan *plan = clients_plan(&now->clients, now->site, next);
	bool ok = plan && (why == RUNNING_RELOADED ? rules_swap(&now->rules, now->site, rules, d)
						   : rules_replace(&now->rules, now->site, now->changes, rules, d));

	if (!ok) {
		clients_plan_free(plan);
		return false;
	}
	clients_take(&now->clients, now->site, plan);
	running_exchange(now, next);
	return true;
}

void running_taken(struct running *now, enum running_why why, const struct config *old)
{
	now->taken(now->ctx, why, old);
}
