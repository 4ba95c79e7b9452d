/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block lists that change under a running policy: somebody's timer writes them anew.
 * Their files are looked at every few seconds; one that changed, vanished or grew too
 * old has all of them read again and swapped in, the last good copy in its place where
 * it is not sound (blocklists.h). Each such case is said in the log once.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define LOOK_SECONDS 2

struct refresh {
	struct change change;
	struct blocklists lists;
	struct maps_blocked *laid; /* NULL: they are the same, or could not be had */
	struct diags d;
	char *why; /* they cannot be laid out */
	bool read;
};

static void refresh_begin(struct change *c)
{
	struct refresh *f = (struct refresh *)c;

	maps_blocked_free(f->laid);
	f->laid = NULL;
	blocklists_free(&f->lists);
	diags_free(&f->d);
	free(f->why);
	f->why = NULL;
}

static void refresh_work(struct change *c)
{
	struct refresh *f = (struct refresh *)c;
	const struct ruleset *now = rules_running(c->g);

	f->read = now->policy && rules_lists_read(c->g, &f->lists, &f->d);
	if (!f->read || blocklists_same(&f->lists, &now->blocked))
		return;
	f->laid = maps_blocked_make(c->g->maps, f->lists.all.v, f->lists.all.n, &f->why);
}

static int refresh_finish(struct change *c, json_t **result, char **error)
{
	struct refresh *f = (struct refresh *)c;
	struct gateway *g = c->g;
	uint32_t generation = 0;

	g->changing.refreshing = false;
	rules_log(&f->d);
	if (!f->read || (!f->laid && f->why) || (f->laid && maps_blocked_put(g->maps, f->laid, &generation, &f->why))) {
		if (rules_running(g)->policy)
			rules_lists_seen(g);
		return exit_fail(error, EXIT_NO, "the lists that are in force stay%s%s", f->why ? ": " : "",
				 f->why ?: "");
	}
	if (f->laid)
		log_info("block lists: %zu prefixes instead of %zu", f->lists.all.n, rules_running(g)->blocked.all.n);
	if (blocklists_keep(&f->lists, g->config->state))
		log_warning("%s: the copies of the block lists cannot be written", g->config->state);
	rules_lists_swap(g, &f->lists, generation);
	return EXIT_YES;
}

static void free_refresh(struct change *c)
{
	refresh_begin(c);
	free(c);
}

static const struct change_kind refreshing = {"block lists", refresh_begin, refresh_work, refresh_finish, free_refresh};

void refresh_lists(struct gateway *g)
{
	struct refresh *f;

	if (g->changing.refreshing || g->second < g->changing.look_after)
		return;
	g->changing.look_after = g->second + LOOK_SECONDS * NS_PER_SEC;
	if (!rules_lists_changed(g))
		return;
	f = mem_alloc(1, sizeof(*f));
	f->change.kind = &refreshing;
	g->changing.refreshing = changes_add(g, &f->change);
}
