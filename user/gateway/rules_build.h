/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RULES_BUILD_H
#define SLUICE_RULES_BUILD_H

#include "user/config/config.h"
#include "user/ruleset/policy_store.h"
#include "user/ruleset/ruleset.h"

/*
 * From texts to rulesets, far from any gateway: which policy a start takes, and what becomes of one with mistakes.
 */

/* @given: a policy's file, text and length, with what else the source says; no file: no policy. */
struct ruleset *rules_compile(const struct ruleset_place *place, struct ruleset_source given, struct diags *d);
/* Under which nothing passes. */
struct ruleset *rules_compile_nothing(const struct config *config);
/* And its tests. */
struct ruleset *rules_compile_tested(const struct config *config, struct ruleset_source given, size_t *passed,
				     struct diags *d);
/* The configured file, or no policy where none is configured. @kept: a gateway's state folder; NULL: far from any. */
struct ruleset *rules_compile_file(const struct config *config, const char *kept, struct diags *d);

/* Of the configured file as it is now; "": there is none. */
void rules_hash_file(const struct config *config, char hash[RULESET_HASH_LEN + 1]);

struct rules_choice {
	struct ruleset *rules; /* NULL: mistakes, and no policy ran here before */
	bool by_hand;	       /* it is not the configured file's; or nobody knows whose */
	bool closed;	       /* nothing is to pass, whatever the policy says */
	char *trouble;	       /* why less passes than a policy says, for people; NULL: it does not */
};

/*
 * For a start. The last good policy @store is @kept (@why, where it is not). A policy that was applied by hand goes on,
 * and so does the file's where the file is the same. A file that was edited is taken; where its tests fail, only what
 * it and the last good policy both allow passes, and where it cannot be understood, nothing: the last good one alone
 * would let pass who was taken out since.
 */
struct rules_choice rules_choose(const struct config *config, const struct policy_store *store, enum kept_result kept,
				 const char *why, struct diags *d);

#endif
