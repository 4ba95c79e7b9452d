/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The running policy, compiled once more: after there was no memory or no process for it, and nothing passes since.
 */
#include <stdlib.h>

#include "change_compile.h"
#include "running.h"
#include "user/base/log.h"
#include "user/base/exit.h"

struct again {
	struct change change;
	struct ruleset *rules;
	struct diags d;
};

static void again_begin(struct change *c, const struct running *now)
{
}

static void again_work(struct change *c, const struct running *now)
{
	struct again *a = (struct again *)c;

	if (!rules_shut(&now->rules))
		return;
	a->rules = rules_build_again(&now->rules, now->site->config, &a->d);
	if (!a->rules || rules_lay(&now->rules, now->site, &now->clients, now->site->config, a->rules, &a->d))
		return;
	ruleset_free(a->rules);
	a->rules = NULL;
}

static int again_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct again *a = (struct again *)c;

	if (!a->rules || !rules_replace(&now->rules, now->site, now->changes, a->rules, &a->d))
		return EXIT_YES; /* it is said in status, and tried again */
	a->rules = NULL;
	if (!rules_shut(&now->rules))
		log_info("the policy is in force again");
	return EXIT_YES;
}

static void again_free(struct change *c)
{
	struct again *a = (struct again *)c;

	ruleset_free(a->rules);
	diags_free(&a->d);
	free(a);
}

void change_compile(struct changes *q)
{
	static const struct change_kind kind = {"the policy once more", again_begin, again_work, again_finish,
						again_free};
	struct again *a = mem_alloc(1, sizeof(*a));

	a->change.kind = &kind;
	changes_add(q, &a->change);
}
