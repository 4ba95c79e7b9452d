/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy of the running gateway: which one it is, and how another one takes its
 * place. A ruleset is built aside, tested, and swapped into the maps as a whole; until
 * then nothing has changed, and one with a mistake never gets that far. What was swapped
 * in is remembered over restarts (policy_store.h; rules_build.h tells which one a start takes).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"
#include "changes.h"
#include "rules_build.h"
#include "user/base/log.h"
#include "user/process/trial.h"
#include "user/ruleset/policy_store.h"
#include "user/answers/report.h"
#include "user/ruleset/ruleset.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define SAVE_AGAIN_SECONDS    5
#define COMPILE_AGAIN_SECONDS 5

struct rules_running {
	struct ruleset *rules;
	struct policy_store store;
	enum kept_result kept; /* how the store was found at the start, */
	char why[512];	       /* and what was wrong with it; "": nothing */
	struct report_policy report;
	bool by_hand, closed; /* as rules_build.h says of a choice */
	char *trouble;
	bool shut;    /* nothing passes, for the policy could not be compiled for the clients: tried again */
	bool unkept;  /* the store could not be written: tried again */
	bool passing; /* until the next start only, as was asked for */
	uint64_t save_after, compile_after; /* monotonic ns */
};

static int64_t rules_wall_seconds(void)
{
	return (int64_t)(clock_wall() / NS_PER_SEC);
}

bool rules_check(const struct config *config, struct diags *d)
{
	struct ruleset *r = rules_compile_file(config, NULL, d);

	ruleset_free(r);
	return r;
}

struct ruleset *rules_build(const struct site *s, const char *file, const char *text, size_t len, size_t *passed,
			    struct diags *d)
{
	struct ruleset_source given = {.file = file, .text = text, .len = len, .kept = s->config->state};

	return rules_compile_tested(s->config, given, passed, d);
}

static void say_stays(const struct rules_running *now, const struct config *config, struct diags *d)
{
	struct diag_at at = {.file = config->policy};
	char hash[RULESET_HASH_LEN + 1];

	if (!config->policy)
		return;
	rules_hash_file(config, hash);
	if (now->closed)
		diag_warning(d, at, "not taken: %s", now->trouble);
	else if (strcmp(hash, now->rules->hash))
		diag_warning(d, at,
			     "not taken: %s, which was applied by hand, goes on; `sluice policy apply %s` "
			     "returns to the file",
			     now->rules->file, config->policy);
}

struct ruleset *rules_build_configured(const struct rules *rules, const struct config *config, bool *stays,
				       struct diags *d)
{
	*stays = rules->running->by_hand;
	if (!*stays)
		return rules_compile_file(config, config->state, d);
	say_stays(rules->running, config, d);
	return rules_build_again(rules, config, d);
}

static bool blocks_other(const struct rules *rules, const struct ruleset *r)
{
	const struct ruleset *now = rules->running->rules;

	return !r->lists_stay && (!now || !blocklists_same(&now->blocked, &r->blocked));
}

bool rules_lay(const struct rules *rules, const struct site *s, const struct clients *clients,
	       const struct config *config, struct ruleset *r, struct diags *d)
{
	uint32_t *ids = clients_ids(clients, config);
	char *why = NULL;
	bool ok = (!blocks_other(rules, r) || ruleset_lay_blocked(r, s->maps, &why)) &&
		  ruleset_lay(r, config, ids, s->maps, &why);
	int err;

	free(ids);
	if (!ok) {
		diag_error(d, (struct diag_at){.file = r->file}, "the policy cannot be put into the maps: %s",
			   why ? why : "out of memory");
		free(why);
		return false;
	}
	err = blocklists_keep(&r->blocked, s->config->state);
	if (err)
		diag_warning(d, (struct diag_at){.file = s->config->state},
			     "the block lists are in force, but their copies cannot be written: %s", strerror(-err));
	return true;
}

/* ---- into the maps ----------------------------------------------------------------------- */

static bool put_into_maps(struct rules *rules, struct ruleset *r, struct diags *d)
{
	uint32_t generation = 0;
	char *why = NULL;
	int err = ruleset_switch(r, &generation, &why);

	if (err)
		diag_error(d, (struct diag_at){.file = r->file}, "the policy cannot be put into the maps: %s",
			   why ? why : strerror(-err));
	else
		rules->running->report.generation = generation;
	free(why);
	return !err;
}

/* ---- for the next start -------------------------------------------------------------------- */

/* Writes all that can be written; the rest is tried again (rules_second()). 0 or -errno. */
static int save(struct rules *rules, const struct site *s)
{
	struct rules_running *now = rules->running;
	int err = policy_store_save(s->config->state, &now->store);

	if (err && !now->unkept)
		log_warning("%s: the policy runs, but cannot be kept for the next start: %s", s->config->state,
			    strerror(-err));
	else if (!err && now->unkept)
		log_info("%s: the policy is kept", s->config->state);
	now->unkept = err;
	if (!err)
		now->kept = KEPT_OK;
	now->save_after = clock_now() + SAVE_AGAIN_SECONDS * NS_PER_SEC;
	return err;
}

/* The policy that was swapped in is whole, and another's. */
static void rules_settle(struct rules_running *now, bool by_hand)
{
	now->by_hand = by_hand;
	now->closed = now->passing = false;
	free(now->trouble);
	now->trouble = NULL;
	now->report.source = by_hand ? "apply" : "file";
}

/* A store that could not be read at the start may be readable now: keeps its history and its serial. */
static void read_store_again(struct rules *rules, const struct site *s)
{
	struct rules_running *now = rules->running;
	struct policy_store store;
	char why[512];

	if (now->kept != KEPT_FAILED)
		return;
	if (policy_store_load(s->config->state, &store, why, sizeof(why)) == KEPT_OK) {
		policy_store_free(&now->store);
		now->store = store;
	} else {
		policy_store_free(&store);
	}
}

/* The running policy is the one of the next start. Whether it has to be written. */
static bool rules_enter(struct rules *rules, const struct site *s, uint32_t number)
{
	struct rules_running *now = rules->running;

	read_store_again(rules, s);
	return policy_store_add(&now->store, now->rules, number, now->by_hand, rules_wall_seconds()) || now->unkept ||
	       now->kept != KEPT_OK;
}

void rules_took_file(struct rules *rules, const struct site *s)
{
	struct rules_running *now = rules->running;

	rules_settle(now, false);
	if (now->rules->policy && rules_enter(rules, s, 0))
		save(rules, s);
}

int rules_took_by_hand(struct rules *rules, const struct site *s, uint32_t number, bool keep, bool *earlier)
{
	struct rules_running *now = rules->running;
	char hash[RULESET_HASH_LEN + 1];
	int err;

	rules_hash_file(s->config, hash);
	*earlier = false;
	rules_settle(now, !keep || strcmp(hash, now->rules->hash));
	now->passing = !keep;
	if (!keep || !rules_enter(rules, s, number))
		return 0;
	err = save(rules, s);
	*earlier = err && policy_store_disown(s->config->state);
	if (*earlier)
		log_error("%s: what a restart will run is an earlier policy: its file cannot be changed at all",
			  s->config->state);
	return err;
}

bool rules_second(struct rules *rules, const struct site *s, uint64_t time, bool idle)
{
	struct rules_running *now = rules->running;

	if ((now->unkept || now->store.heal) && now->store.n && time >= now->save_after)
		save(rules, s);
	if (!now->shut || !idle || time < now->compile_after)
		return false;
	now->compile_after = time + COMPILE_AGAIN_SECONDS * NS_PER_SEC;
	return true;
}

bool rules_shut(const struct rules *rules)
{
	return rules->running->shut;
}

void rules_each_note(const struct rules *rules, void (*each)(void *ctx, const char *line), void *ctx)
{
	const struct rules_running *now = rules->running;

	if (now->trouble)
		each(ctx, now->trouble);
	if (now->shut)
		each(ctx, "nothing passes: the policy could not be compiled for the clients (see the log); it is tried "
			  "again");
	if (now->unkept)
		each(ctx, "the policy cannot be kept for the next start: see the log; make room on the disk");
	if (now->passing)
		each(ctx, "the policy runs until the next start only: it was applied with --not-kept");
}

void rules_log(const struct diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct diag_at *at = &d->list[i].at;

		if (at->line)
			log_warning("%s:%u: %s", at->file ? at->file : "policy", at->line, d->list[i].text);
		else
			log_warning("%s: %s", at->file ? at->file : "policy", d->list[i].text);
	}
}

/* Once, not with every netmap. */
static void tell_left_out(const struct ruleset *old, const struct ruleset *r)
{
	bool same = old && old->n_left_out == r->n_left_out && (!r->n_left_out || !strcmp(old->left_out, r->left_out));

	if (r->n_left_out && !same)
		log_warning("tailnet: %zu of the server's rules are left out, so that less is allowed: %s",
			    r->n_left_out, r->left_out);
}

/* The lists of the running rules are those of the next: it has the same policy. */
static void hand_lists_over(struct ruleset *from, struct ruleset *to)
{
	to->blocked = from->blocked;
	from->blocked = (struct blocklists){0};
	for (size_t i = 0; i < to->blocked.n; i++)
		to->blocked.list[i].name = to->policy->blocklists[i].name;
	to->lists_stay = false;
}

/* The tables that were replaced go on a thread, for that has to wait for the programs. */
struct tidying {
	struct change change;
	struct ruleset_laid *laid;
};

static void tidy(struct tidying *t)
{
	ruleset_unlay(t->laid);
	t->laid = NULL;
}

static void tidy_work(struct change *c, const struct running *now)
{
	tidy((struct tidying *)c);
}

static void tidy_begin(struct change *c, const struct running *now)
{
}

static int tidy_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	return EXIT_YES;
}

static void tidy_free(struct change *c)
{
	tidy((struct tidying *)c);
	free(c);
}

static void tidy_up(struct changes *changes, struct ruleset *r)
{
	static const struct change_kind kind = {"old tables", tidy_begin, tidy_work, tidy_finish, tidy_free};
	struct tidying *t = mem_alloc(1, sizeof(*t));

	t->change.kind = &kind;
	t->laid = ruleset_take_laid(r);
	changes_add_first(changes, &t->change);
}

/* Into the maps, and in the place of the running one, whose tables are the caller's to remove. */
static bool rules_install(struct rules *rules, struct ruleset *r, struct diags *d)
{
	struct rules_running *now = rules->running;

	if (!put_into_maps(rules, r, d))
		return false;
	if (r->lists_stay && now->rules)
		hand_lists_over(now->rules, r);
	tell_left_out(now->rules, r);
	ruleset_free(now->rules);
	now->rules = r;
	now->report.file = r->file;
	now->report.hash = r->hash;
	now->shut = r->shut && !now->closed;
	rules->report = r->policy ? &now->report : NULL;
	return true;
}

bool rules_swap(struct rules *rules, const struct site *s, struct ruleset *r, struct diags *d)
{
	struct rules_running *now = rules->running;

	if (!rules_install(rules, r, d))
		return false;
	ruleset_unlay(ruleset_take_laid(r)); /* who asked for it is answered when no program knows the old ones */
	now->report.applied_ns = clock_now();
	rules_log(d);
	if (r->policy)
		log_info("policy %u: %s, %.12s", now->report.generation, r->file, r->hash);
	return true;
}

/* Its tests are not asked: they were about the policy, and who is there must count at once. */
struct ruleset *rules_build_again(const struct rules *rules, const struct config *config, struct diags *d)
{
	const struct ruleset *old = rules->running->rules;
	struct ruleset_place place = {.config = config, .shut = rules->running->closed};
	struct ruleset_source bound = {.file = old->bound_file, .text = old->bound_text, .len = old->bound_len};
	struct ruleset_source given = {.file = old->policy ? old->file : NULL,
				       .text = old->text,
				       .len = old->len,
				       .kept = config->state,
				       .lists_stay = true,
				       .bound = old->bound ? &bound : NULL};
	struct ruleset *r = rules_compile(&place, given, d);

	if (!r) { /* the former rules would let pass what the netmap revokes */
		log_error("the policy does not fit the clients, so nothing passes: %s", d->n ? d->list[0].text : "");
		place.shut = true;
		r = rules_compile(&place, given, d);
	}
	return r;
}

bool rules_replace(struct rules *rules, const struct site *s, struct changes *changes, struct ruleset *r,
		   struct diags *d)
{
	if (!rules_install(rules, r, d))
		return false;
	tidy_up(changes, r);
	return true;
}

/* ---- start ---------------------------------------------------------------------------------- */

static void rules_take_choice(struct rules_running *next, const struct config *config, struct diags *d)
{
	struct rules_choice choice = rules_choose(config, &next->store, next->kept, next->why, d);

	ruleset_free(next->rules);
	free(next->trouble);
	next->rules = choice.rules;
	next->trouble = choice.trouble;
	next->by_hand = choice.by_hand;
	next->closed = choice.closed;
	next->report.source = choice.by_hand ? "apply" : "file";
}

struct rules_running *rules_prepare(const struct config *config, struct diags *d)
{
	struct rules_running *next = mem_alloc(1, sizeof(*next));

	next->kept = policy_store_load(config->state, &next->store, next->why, sizeof(next->why));
	if (*next->why)
		log_warning("%s", next->why);
	rules_take_choice(next, config, d);
	if (next->rules)
		return next;
	rules_free(next);
	return NULL;
}

bool rules_start(struct rules *rules, const struct site *s, const struct clients *clients, struct diags *d)
{
	struct rules_running *now = rules->running;
	struct ruleset *r;

	if (s->config->netmap) /* it was not known then */
		rules_take_choice(now, s->config, d);
	r = now->rules;
	now->rules = NULL; /* nothing of it is in the maps yet */
	if (!r || !rules_lay(rules, s, clients, s->config, r, d) || !rules_swap(rules, s, r, d)) {
		ruleset_free(r);
		return false;
	}
	if (now->trouble)
		log_error("%s", now->trouble);
	else if (now->by_hand)
		rules_settle(now, true);
	else
		rules_took_file(rules, s);
	return true;
}

void rules_free(struct rules_running *r)
{
	if (!r)
		return;
	ruleset_free(r->rules);
	policy_store_free(&r->store);
	free(r->trouble);
	free(r);
}

void rules_close(struct rules *rules)
{
	rules_free(rules->running);
	*rules = (struct rules){0};
}

/* ---- block lists that change ------------------------------------------------------------------ */

/* To be closed by lists_leave(). */
static struct blocklists_where lists_place(const struct rules *rules, const struct site *s)
{
	return (struct blocklists_where){ruleset_folder(s->config, rules_running(rules)->file),
					 &s->config->blocklist_folders, s->config->state, rules_wall_seconds()};
}

static void lists_leave(struct blocklists_where *where)
{
	free((char *)where->folder);
}

bool rules_lists_changed(const struct rules *rules, const struct site *s)
{
	const struct ruleset *r = rules_running(rules);
	struct blocklists_where where;
	bool changed;

	if (!r || !r->policy || !r->blocked.n) /* the usual: asked again and again, it allocates nothing */
		return false;
	if (r->bound) /* what is in force is blocked by two policies */
		return false;
	where = lists_place(rules, s);
	changed = blocklists_changed(r->policy, &where, &r->blocked);
	lists_leave(&where);
	return changed;
}

bool rules_lists_read(const struct rules *rules, const struct site *s, struct blocklists *out, struct diags *d)
{
	struct blocklists_where where = lists_place(rules, s);
	bool ok = blocklists_read(rules_running(rules)->policy, &where, out, d);

	lists_leave(&where);
	return ok;
}

void rules_lists_seen(struct rules *rules, const struct site *s)
{
	struct ruleset *r = rules->running->rules;
	struct blocklists_where where = lists_place(rules, s);

	blocklists_seen(r->policy, &where, &r->blocked);
	lists_leave(&where);
}

void rules_lists_swap(struct rules *rules, struct blocklists *lists, uint32_t generation)
{
	struct rules_running *now = rules->running;

	blocklists_free(&now->rules->blocked);
	now->rules->blocked = *lists;
	*lists = (struct blocklists){0};
	if (generation)
		now->report.generation = generation;
}

/* ---- for reports ---------------------------------------------------------------------------- */

const struct ruleset *rules_running(const struct rules *rules)
{
	return rules->running ? rules->running->rules : NULL;
}

const struct policy_store *rules_history(const struct rules *rules)
{
	return &rules->running->store;
}

uint32_t rules_number(const struct rules *rules)
{
	const struct policy_saved *p = policy_store_running(&rules->running->store);

	return p && !strcmp(p->hash, rules->running->rules->hash) ? p->number : 0;
}

bool rules_approved(const struct rules *rules, size_t route, const char **by)
{
	const struct ruleset *r = rules_running(rules);

	*by = r ? r->approved_by[route] : NULL;
	return *by;
}

void rules_compare(const struct rules *rules, const struct site *s)
{
	const struct ruleset *r = rules_running(rules);
	char hash[RULESET_HASH_LEN + 1];

	if (!r || !r->policy)
		return;
	rules->running->report.number = rules_number(rules);
	rules->running->report.kept = !rules->running->unkept && !rules->running->passing;
	rules_hash_file(s->config, hash);
	rules->running->report.differs = s->config->policy && strcmp(hash, r->hash);
}
