/* SPDX-License-Identifier: BSD-2-Clause */
/* From texts to rulesets (rules_build.h). */
#include "rules_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/beneath.h"
#include "user/base/clock.h"
#include "user/base/file.h"
#include "user/process/trial.h"

/* The bounds of one policy's cost; a million blocked prefixes take 2 s and 180 MiB. */
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
	if (!c->result || !c->tests)
		return;
	if (ruleset_owners(c->result, c->d) && ruleset_test(c->result, c->place->config, &c->passed, c->d))
		return;
	ruleset_free(c->result);
	c->result = NULL;
}

/* First in a process that may die of it (trial.h): who writes a policy, or sends a netmap, ends or holds no gateway. */
static struct ruleset *rules_build_compile(struct compile *c)
{
	char *folder = ruleset_folder(c->place->config, c->given.file), *bound_folder = NULL, why[128];
	struct ruleset_source bound;
	enum trial_end end;

	c->given.folder = folder;
	c->given.now = (int64_t)(clock_wall() / NS_PER_SEC);
	if (c->given.bound) {
		bound = *c->given.bound;
		bound.folder = bound_folder = ruleset_folder(c->place->config, bound.file);
		c->given.bound = &bound;
	}
	end = trial_run(&compile_limits, compile_here, c);
	if (end == TRIAL_DONE)
		compile_here(c);
	else
		diag_error(c->d, (struct diag_at){.file = c->given.file}, "the policy %s",
			   trial_end_text(end, &compile_limits, why, sizeof(why)));
	free(folder);
	free(bound_folder);
	return c->result;
}

struct ruleset *rules_compile(const struct ruleset_place *place, struct ruleset_source given, struct diags *d)
{
	return rules_build_compile(&(struct compile){.place = place, .given = given, .d = d});
}

struct ruleset *rules_compile_tested(const struct config *config, struct ruleset_source given, size_t *passed,
				     struct diags *d)
{
	struct compile c = {.place = &(struct ruleset_place){.config = config}, .given = given, .tests = true, .d = d};

	rules_build_compile(&c);
	*passed = c.passed;
	return c.result;
}

struct ruleset *rules_compile_nothing(const struct config *config)
{
	struct ruleset_place place = {.config = config, .shut = true};
	struct diags ignored = {0};
	struct ruleset *r = ruleset_build(&place, NULL, &ignored);

	diags_free(&ignored);
	return r;
}

static char *rules_build_read_policy(const struct config *config, size_t *len, struct diags *d)
{
	char *text = file_read(config->policy, DOC_MAX_SIZE, len);
	const struct doc_node *root = config->n_docs ? &config->docs[0]->root : NULL;

	if (!text)
		diag_error(d, config_at(root, "policy", CONFIG_NO_ITEM), "policy: %s cannot be read: %s",
			   config->policy, beneath_error(-errno));
	return text;
}

struct ruleset *rules_compile_file(const struct config *config, const char *kept, struct diags *d)
{
	struct ruleset_source given = {.file = config->policy, .kept = kept};
	char *text = config->policy ? rules_build_read_policy(config, &given.len, d) : NULL;
	struct ruleset *r = NULL;
	size_t passed;

	given.text = text;
	if (text || !config->policy)
		r = rules_compile_tested(config, given, &passed, d);
	free(text);
	return r;
}

void rules_hash_file(const struct config *config, char hash[RULESET_HASH_LEN + 1])
{
	size_t len;
	char *text = config->policy ? file_read(config->policy, DOC_MAX_SIZE, &len) : NULL;

	hash[0] = '\0';
	if (text)
		ruleset_hash(text, len, hash);
	free(text);
}

/* ---- for a start --------------------------------------------------------------------- */

struct start {
	const struct config *config;
	struct rules_choice *out;
	struct diags *d;
};

/* Nothing passes. Takes @trouble over. */
static void close_all(struct start *s, char *trouble)
{
	s->out->rules = rules_compile_nothing(s->config);
	s->out->closed = true;
	s->out->trouble = trouble;
}

/* A policy's mistakes become warnings where the gateway starts all the same. Frees @from. */
static void warn_of(struct diags *from, struct diags *d)
{
	for (size_t i = 0; i < from->n; i++)
		if (from->list[i].level != DIAG_SUM)
			diag_warning(d, from->list[i].at, "%s", from->list[i].text);
	diags_free(from);
}

static struct ruleset_source rules_build_source_of(const struct start *s, const struct policy_saved *p)
{
	return (struct ruleset_source){.file = p->file, .text = p->text, .len = p->len, .kept = s->config->state};
}

/* Its tests were passed when it came, and fail only because of other clients: it is as good as it was. */
static void take_last(struct start *s, const struct policy_saved *last)
{
	struct diags why = {0};
	size_t passed;

	s->out->rules =
		rules_compile(&(struct ruleset_place){.config = s->config}, rules_build_source_of(s, last), &why);
	if (!s->out->rules)
		close_all(s, mem_printf("%s, which ran last, cannot be taken, so nothing passes: mend what the log "
					"names, then `sluice reload`, or `sluice policy apply` another",
					last->file));
	else
		ruleset_test(s->out->rules, s->config, &passed, &why);
	warn_of(&why, s->d);
}

/* Because of its tests, or of more than that. */
static void take_both(struct start *s, const struct policy_saved *last, struct ruleset_source file)
{
	struct ruleset_source bound = rules_build_source_of(s, last);
	struct diags ignored = {0};

	file.bound = &bound;
	s->out->rules = rules_compile(&(struct ruleset_place){.config = s->config}, file, &ignored);
	diags_free(&ignored);
	if (s->out->rules)
		s->out->trouble = mem_printf("%s fails its tests, so only what it and the policy before it both allow "
					     "passes: mend it, then `sluice reload`",
					     file.file);
	else
		close_all(s, mem_printf("%s has mistakes, so nothing passes: `sluice check` names them; then "
					"`sluice reload`",
					file.file));
}

static void take_file(struct start *s, const struct policy_saved *last)
{
	struct ruleset_source given = {.file = s->config->policy, .kept = s->config->state};
	char hash[RULESET_HASH_LEN + 1] = "", *text;
	struct diags why = {0};
	size_t passed;

	given.text = text = s->config->policy ? rules_build_read_policy(s->config, &given.len, &why) : NULL;
	if (text)
		ruleset_hash(text, given.len, hash);
	if (s->config->policy && !text) {
		close_all(s, mem_printf("%s cannot be read, so nothing passes: mend it, then `sluice reload`",
					s->config->policy));
	} else if (!strcmp(hash, last->hash)) {
		take_last(s, last);
	} else {
		s->out->rules = rules_compile_tested(s->config, given, &passed, &why);
		if (!s->out->rules)
			take_both(s, last, given);
	}
	warn_of(&why, s->d);
	free(text);
}

struct rules_choice rules_choose(const struct config *config, const struct policy_store *store, enum kept_result kept,
				 const char *why, struct diags *d)
{
	const struct policy_saved *last = policy_store_running(store);
	struct rules_choice out = {.by_hand = last && last->by_hand};
	struct start s = {config, &out, d};

	if (kept == KEPT_ABSENT) {
		out.rules = rules_compile_file(config, config->state, d);
	} else if (kept == KEPT_DISOWNED) {
		out.by_hand = true;
		close_all(&s, mem_printf("the policy that was applied last could not be written to %s, so nothing "
					 "passes: `sluice policy apply` it",
					 config->state));
	} else if (kept != KEPT_OK) {
		out.by_hand = true;
		close_all(&s, mem_printf("%s: which policy ran is not known, so nothing passes: `sluice policy apply` "
					 "the one that is wanted",
					 why));
	} else if (last->by_hand) {
		take_last(&s, last);
	} else {
		take_file(&s, last);
	}
	return out;
}
