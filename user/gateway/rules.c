/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy of the running gateway: which one it is, and how another one takes its
 * place. A ruleset is built aside, tested, and swapped into the maps as a whole; until
 * then nothing has changed, and one with a mistake never gets that far. What was swapped
 * in is remembered over restarts (policy_store.h tells which one a start takes).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "user/base/beneath.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "user/process/trial.h"
#include "user/ruleset/policy_store.h"
#include "user/answers/report.h"
#include "user/ruleset/ruleset.h"

struct rules_running {
	struct ruleset *rules;
	struct policy_store store;
	struct report_policy report;
};

static int64_t wall_seconds(void)
{
	return (int64_t)(loop_wall() / NS_PER_SEC);
}

/* ---- building: nothing outside is touched ---------------------------------------------- */

/* What one policy may cost; a million blocked prefixes take 2 s and 180 MiB. */
static const struct trial_limits compile_limits = {.seconds = 20, .bytes = 1ul << 30};

struct compile {
	const struct ruleset_place *place;
	struct ruleset_source given; /* without a file: there is no policy */
	bool tests;		     /* it must pass them */
	size_t passed;
	struct diags *d;
	struct ruleset *result; /* NULL: mistakes in @d */
};

static void compile_here(void *ctx)
{
	struct compile *c = ctx;

	c->result = ruleset_build(c->place, c->given.file ? &c->given : NULL, c->d);
	if (!c->result || !c->tests || ruleset_test(c->result, &c->passed, c->d))
		return;
	ruleset_free(c->result);
	c->result = NULL;
}

/*
 * First in a process that may die of it (trial.h): who writes a policy, or sends a netmap, ends or holds no gateway.
 * @c->given: a policy's file, text and length, and a gateway's state folder (NULL: far from any).
 */
static struct ruleset *compile(struct compile *c)
{
	char *folder = ruleset_folder(c->place->config, c->given.file), why[128];
	enum trial_end end;

	c->given.folder = folder;
	c->given.now = wall_seconds();
	end = trial_run(&compile_limits, compile_here, c);
	if (end == TRIAL_DONE)
		compile_here(c);
	else
		diag_error(c->d, (struct diag_at){.file = c->given.file}, "the policy %s",
			   trial_end_text(end, &compile_limits, why, sizeof(why)));
	free(folder);
	return c->result;
}

/* And its tests. */
static struct ruleset *build(const struct config *config, const char *file, const char *text, size_t len,
			     const char *kept, size_t *passed, struct diags *d)
{
	struct compile c = {.place = &(struct ruleset_place){.config = config},
			    .given = {.file = file, .text = text, .len = len, .kept = kept},
			    .tests = true,
			    .d = d};

	compile(&c);
	*passed = c.passed;
	return c.result;
}

static char *read_policy(const struct config *config, size_t *len, struct diags *d)
{
	char *text = state_read_file(config->policy, DOC_MAX_SIZE, len);
	const struct doc_node *root = config->n_docs ? &config->docs[0]->root : NULL;

	if (!text)
		diag_error(d, config_at(root, "policy", CONFIG_NO_ITEM), "policy: %s cannot be read: %s",
			   config->policy, beneath_error(-errno));
	return text;
}

/* From the configured file. Without one, what was applied by hand goes on. */
static struct ruleset *build_configured(const struct config *config, const struct policy_store *store, const char *kept,
					struct diags *d)
{
	const struct policy_saved *last = &store->last;
	size_t len = 0, passed;
	struct ruleset *r;
	char *text;

	if (!config->policy && last->file && !*last->file_hash)
		return build(config, last->file, last->text, last->len, kept, &passed, d);
	if (!config->policy)
		return build(config, NULL, NULL, 0, kept, &passed, d);
	text = read_policy(config, &len, d);
	r = text ? build(config, config->policy, text, len, kept, &passed, d) : NULL;
	free(text);
	return r;
}

/* Of the configured file as it is now; "": there is none. */
static void hash_file(const struct config *config, char hash[RULESET_HASH_LEN + 1])
{
	size_t len;
	char *text = config->policy ? state_read_file(config->policy, DOC_MAX_SIZE, &len) : NULL;

	hash[0] = '\0';
	if (text)
		ruleset_hash(text, len, hash);
	free(text);
}

/* What stood in the way of the file is only a warning then. */
static struct ruleset *build_last(const struct config *config, const struct policy_saved *last, struct diags *file,
				  struct diags *d)
{
	size_t passed;
	struct ruleset *r = build(config, last->file, last->text, last->len, config->state, &passed, d);

	for (size_t i = 0; i < file->n; i++)
		(r ? diag_warning : diag_error)(d, file->list[i].at, "%s", file->list[i].text);
	if (r && file->errors)
		diag_warning(d, (struct diag_at){.file = config->policy},
			     "not taken for its mistakes: the policy that was applied last runs");
	return r;
}

/* The rule of policy_store.h. */
static struct ruleset *build_for_start(const struct config *config, const struct policy_store *store, struct diags *d)
{
	const struct policy_saved *last = &store->last;
	char hash[RULESET_HASH_LEN + 1];
	struct diags file = {0};
	struct ruleset *r = NULL;

	if (!last->file)
		return build_configured(config, store, config->state, d);
	hash_file(config, hash);
	if (strcmp(hash, last->file_hash))
		r = build_configured(config, store, config->state, &file);
	if (!r)
		r = build_last(config, last, &file, d);
	diags_free(&file);
	return r;
}

static void load_store(const char *folder, struct policy_store *store)
{
	char why[512];

	if (!policy_store_load(folder, store, why, sizeof(why)))
		log_warning("%s: the policy that was applied last is lost", why);
}

bool rules_check(const struct config *config, struct diags *d)
{
	static const struct policy_store none;
	struct ruleset *r = build_configured(config, &none, NULL, d);

	ruleset_free(r);
	return r;
}

struct ruleset *rules_build(const struct gateway *g, const char *file, const char *text, size_t len, size_t *passed,
			    struct diags *d)
{
	return build(g->config, file, text, len, g->config->state, passed, d);
}

struct ruleset *rules_build_configured(const struct gateway *g, const struct config *config, struct diags *d)
{
	return build_configured(config, &g->rules.running->store, config->state, d);
}

static bool blocks_other(const struct gateway *g, const struct ruleset *r)
{
	const struct ruleset *now = g->rules.running->rules;

	return !r->lists_stay && (!now || !blocklists_same(&now->blocked, &r->blocked));
}

bool rules_lay(const struct gateway *g, const struct config *config, struct ruleset *r, struct diags *d)
{
	uint32_t *ids = clients_ids(g, config);
	char *why = NULL;
	bool ok = (!blocks_other(g, r) || ruleset_lay_blocked(r, g->maps, &why)) &&
		  ruleset_lay(r, config, ids, g->maps, &why);
	int err;

	free(ids);
	if (!ok) {
		diag_error(d, (struct diag_at){.file = r->file}, "the policy cannot be put into the maps: %s",
			   why ? why : "out of memory");
		free(why);
		return false;
	}
	err = blocklists_keep(&r->blocked, g->config->state);
	if (err)
		diag_warning(d, (struct diag_at){.file = g->config->state},
			     "the block lists are in force, but their copies cannot be written: %s", strerror(-err));
	return true;
}

/* ---- into the maps ----------------------------------------------------------------------- */

static bool put_into_maps(struct gateway *g, struct ruleset *r, struct diags *d)
{
	uint32_t generation = 0;
	char *why = NULL;
	int err = ruleset_switch(r, &generation, &why);

	if (err)
		diag_error(d, (struct diag_at){.file = r->file}, "the policy cannot be put into the maps: %s",
			   why ? why : strerror(-err));
	else
		g->rules.running->report.generation = generation;
	free(why);
	return !err;
}

/* For the next start. That it cannot be written ends nothing. */
static void remember(struct rules_running *now, const struct config *config, struct diags *d)
{
	char hash[RULESET_HASH_LEN + 1];
	int err;

	if (!now->rules->policy)
		return;
	hash_file(config, hash);
	policy_store_add(&now->store, now->rules, hash, wall_seconds());
	err = policy_store_save(config->state, &now->store);
	if (err)
		diag_warning(d, (struct diag_at){.file = config->state},
			     "the policy runs, but a restart will not know it: %s", strerror(-err));
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
	bool same = old && old->n_left_out == r->n_left_out &&
		    (!r->n_left_out || !strcmp(old->left_out, r->left_out));

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

static void tidy(struct change *c)
{
	struct tidying *t = (struct tidying *)c;

	ruleset_unlay(t->laid);
	t->laid = NULL;
}

static void tidy_begin(struct change *c)
{
}

static int tidy_finish(struct change *c, json_t **result, char **error)
{
	return EXIT_YES;
}

static void tidy_free(struct change *c)
{
	tidy(c);
	free(c);
}

static void tidy_up(struct gateway *g, struct ruleset *r)
{
	static const struct change_kind kind = {"old tables", tidy_begin, tidy, tidy_finish, tidy_free};
	struct tidying *t = mem_alloc(1, sizeof(*t));

	t->change.kind = &kind;
	t->laid = ruleset_take_laid(r);
	changes_add_first(g, &t->change);
}

/* Into the maps, and in the place of the running one, whose tables are the caller's to remove. */
static bool install(struct gateway *g, struct ruleset *r, struct diags *d)
{
	struct rules_running *now = g->rules.running;

	if (!put_into_maps(g, r, d))
		return false;
	if (r->lists_stay && now->rules)
		hand_lists_over(now->rules, r);
	tell_left_out(now->rules, r);
	ruleset_free(now->rules);
	now->rules = r;
	now->report.file = r->file;
	now->report.hash = r->hash;
	g->rules.report = r->policy ? &now->report : NULL;
	return true;
}

bool rules_swap(struct gateway *g, const struct config *config, struct ruleset *r, struct diags *d)
{
	struct rules_running *now = g->rules.running;

	if (!install(g, r, d))
		return false;
	ruleset_unlay(ruleset_take_laid(r)); /* who asked for it is answered when no program knows the old ones */
	now->report.applied_ns = loop_now();
	remember(now, config, d);
	rules_log(d);
	if (r->policy)
		log_info("policy %u: %s, %.12s", now->report.generation, r->file, r->hash);
	return true;
}

/* Its tests are not asked: they were about the policy, and who is there must count at once. */
struct ruleset *rules_build_again(const struct gateway *g, const struct config *config, struct diags *d)
{
	const struct ruleset *old = g->rules.running->rules;
	struct ruleset_place place = {.config = config};
	struct compile c = {.place = &place,
			    .given = {.file = old->policy ? old->file : NULL,
				      .text = old->text,
				      .len = old->len,
				      .kept = config->state,
				      .lists_stay = true},
			    .d = d};
	struct ruleset *r = compile(&c);

	if (!r) { /* the former rules would let pass what the netmap revokes */
		log_error("the policy does not fit the netmap, so nothing passes: %s", d->n ? d->list[0].text : "");
		place.shut = true;
		r = compile(&c);
	}
	return r;
}

bool rules_replace(struct gateway *g, struct ruleset *r, struct diags *d)
{
	if (!install(g, r, d))
		return false;
	tidy_up(g, r);
	return true;
}

/* ---- start ---------------------------------------------------------------------------------- */

struct rules_running *rules_prepare(const struct config *config, struct diags *d)
{
	struct rules_running *next = mem_alloc(1, sizeof(*next));

	load_store(config->state, &next->store);
	next->rules = build_for_start(config, &next->store, d);
	if (next->rules)
		return next;
	rules_free(next);
	return NULL;
}

bool rules_start(struct gateway *g, struct diags *d)
{
	struct ruleset *r = g->rules.running->rules;

	g->rules.running->rules = NULL; /* nothing of it is in the maps yet */
	if (g->config->netmap) { /* it was not known then */
		ruleset_free(r);
		r = build_for_start(g->config, &g->rules.running->store, d);
	}
	if (r && rules_lay(g, g->config, r, d) && rules_swap(g, g->config, r, d))
		return true;
	ruleset_free(r);
	return false;
}

void rules_free(struct rules_running *r)
{
	if (!r)
		return;
	ruleset_free(r->rules);
	policy_store_free(&r->store);
	free(r);
}

void rules_close(struct gateway *g)
{
	rules_free(g->rules.running);
	g->rules = (struct rules){0};
}

/* ---- block lists that change ------------------------------------------------------------------ */

/* To be closed by lists_leave(). */
static struct blocklists_where lists_place(const struct gateway *g)
{
	return (struct blocklists_where){ruleset_folder(g->config, rules_running(g)->file),
					 &g->config->blocklist_folders, g->config->state, wall_seconds()};
}

static void lists_leave(struct blocklists_where *where)
{
	free((char *)where->folder);
}

bool rules_lists_changed(const struct gateway *g)
{
	const struct ruleset *r = rules_running(g);
	struct blocklists_where where;
	bool changed;

	if (!r || !r->policy || !r->blocked.n) /* the usual: asked again and again, it allocates nothing */
		return false;
	where = lists_place(g);
	changed = blocklists_changed(r->policy, &where, &r->blocked);
	lists_leave(&where);
	return changed;
}

bool rules_lists_read(const struct gateway *g, struct blocklists *out, struct diags *d)
{
	struct blocklists_where where = lists_place(g);
	bool ok = blocklists_read(rules_running(g)->policy, &where, out, d);

	lists_leave(&where);
	return ok;
}

void rules_lists_seen(struct gateway *g)
{
	struct ruleset *r = g->rules.running->rules;
	struct blocklists_where where = lists_place(g);

	blocklists_seen(r->policy, &where, &r->blocked);
	lists_leave(&where);
}

void rules_lists_swap(struct gateway *g, struct blocklists *lists, uint32_t generation)
{
	struct rules_running *now = g->rules.running;

	blocklists_free(&now->rules->blocked);
	now->rules->blocked = *lists;
	*lists = (struct blocklists){0};
	if (generation)
		now->report.generation = generation;
}

/* ---- for reports ---------------------------------------------------------------------------- */

const struct ruleset *rules_running(const struct gateway *g)
{
	return g->rules.running ? g->rules.running->rules : NULL;
}

const struct policy_saved *rules_previous(const struct gateway *g)
{
	const struct policy_saved *p = g->rules.running ? &g->rules.running->store.previous : NULL;

	return p && p->file ? p : NULL;
}

bool rules_approved(const struct gateway *g, size_t route, const char **by)
{
	const struct ruleset *r = rules_running(g);

	*by = r ? r->approved_by[route] : NULL;
	return *by;
}

void rules_compare(struct gateway *g)
{
	const struct ruleset *r = rules_running(g);
	char hash[RULESET_HASH_LEN + 1];

	if (!r || !r->policy)
		return;
	hash_file(g->config, hash);
	g->rules.running->report.differs = g->config->policy && strcmp(hash, r->hash);
}
