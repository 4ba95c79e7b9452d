/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block lists that change under a running policy: somebody's timer writes them anew.
 * Their files are looked at every few seconds; one that changed, vanished or grew too
 * old has all of them read again and swapped in, the last good copy in its place where
 * it is not sound (blocklists.h). Each such case is said in the log once.
 */
#include <stdlib.h>
#include <string.h>

#include "change_blocklists.h"
#include "running.h"
#include "user/base/log.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define LOOK_SECONDS 2

struct refreshing {
	struct change change;
	struct refresh *owner;
	struct blocklists lists;
	struct maps_blocked *laid; /* NULL: they are the same, or could not be had */
	struct diags d;
	char *why; /* they cannot be laid out */
	bool read;
};

static void refresh_clear(struct refreshing *f)
{
	maps_blocked_free(f->laid);
	f->laid = NULL;
	blocklists_free(&f->lists);
	diags_free(&f->d);
	free(f->why);
	f->why = NULL;
}

static void refresh_begin(struct change *c, const struct running *now)
{
	refresh_clear((struct refreshing *)c);
}

static void refresh_work(struct change *c, const struct running *now)
{
	struct refreshing *f = (struct refreshing *)c;
	const struct ruleset *rules = rules_running(&now->rules);

	f->read = rules->policy && rules_lists_read(&now->rules, now->site, &f->lists, &f->d);
	if (!f->read || blocklists_same(&f->lists, &rules->blocked))
		return;
	f->laid = maps_blocked_make(now->site->maps, f->lists.all.v, f->lists.all.n, &f->why);
}

static int refresh_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct refreshing *f = (struct refreshing *)c;
	const struct site *s = now->site;
	uint32_t generation = 0;

	f->owner->under_way = false;
	rules_log(&f->d);
	if (!f->read || (!f->laid && f->why) || (f->laid && maps_blocked_put(s->maps, f->laid, &generation, &f->why))) {
		if (rules_running(&now->rules)->policy)
			rules_lists_seen(&now->rules, s);
		return exit_fail(error, EXIT_NO, "the lists that are in force stay%s%s", f->why ? ": " : "",
				 f->why ?: "");
	}
	if (f->laid)
		log_info("block lists: %zu prefixes instead of %zu", f->lists.all.n,
			 rules_running(&now->rules)->blocked.all.n);
	if (blocklists_keep(&f->lists, now->site->config->state))
		log_warning("%s: the copies of the block lists cannot be written", now->site->config->state);
	rules_lists_swap(&now->rules, &f->lists, generation);
	return EXIT_YES;
}

static void free_refresh(struct change *c)
{
	refresh_clear((struct refreshing *)c);
	free(c);
}

static const struct change_kind refreshing = {"block lists", refresh_begin, refresh_work, refresh_finish, free_refresh};

void refresh_second(struct refresh *r, struct changes *q, uint64_t now)
{
	struct refreshing *f;

	if (r->under_way || now < r->look_after)
		return;
	r->look_after = now + LOOK_SECONDS * NS_PER_SEC;
	if (!rules_lists_changed(&q->running->rules, q->running->site))
		return;
	f = mem_alloc(1, sizeof(*f));
	f->change.kind = &refreshing;
	f->owner = r;
	r->under_way = changes_add(q, &f->change);
}
