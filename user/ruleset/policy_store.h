/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_STORE_H
#define SLUICE_POLICY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/kept.h"
#include "ruleset.h"

/*
 * The policies that ran here, the latest of them with a number each, and which of them runs: in the folder `state`,
 * policy.kept and policy.kept.2 (kept.h). It is what survives a reboot, and says who was taken out by hand; so where it
 * cannot be understood, nothing may pass.
 *
 * A policy comes from one source at a time: from the configured file, or by hand (`policy apply`, `policy rollback`).
 * One that was applied by hand goes on, over reloads and starts, until another is applied; applying what the
 * configured file holds returns to the file.
 */
#define POLICY_STORE_FILE "policy.kept"
#define POLICY_STORE_MAX  16 /* policies that are remembered */

struct policy_saved {
	uint32_t number; /* from 1, never given twice */
	uint32_t before; /* the one that ran when this one came; 0: none */
	char *file;	 /* as messages name it */
	char *text;
	size_t len;
	char hash[RULESET_HASH_LEN + 1];
	bool by_hand; /* or else from the configured file */
	int64_t time; /* when it came to run, Unix seconds */
};

struct policy_store {
	struct policy_saved *list; /* by number */
	size_t n;
	uint32_t running; /* its number; 0: none ran yet */
	uint32_t last;	  /* the greatest number that was given */
	uint64_t serial;  /* of the files */
	bool heal;	  /* a copy is missing or damaged: to be written although nothing has changed */
};

/* KEPT_OK, or KEPT_ABSENT with an empty store; else what kept.h says, with one line in @why, and what could be read. */
enum kept_result policy_store_load(const char *folder, struct policy_store *s, char *why, size_t size);
int policy_store_save(const char *folder, struct policy_store *s); /* 0 or -errno */
/* Marks the file on disk as not the newest, where it cannot be replaced. 0 or -errno. */
int policy_store_disown(const char *folder);

/* @r, which has a policy, runs from now on. @number: it is this one again; 0: whichever. True: that is something new
 * to be saved. */
bool policy_store_add(struct policy_store *s, const struct ruleset *r, uint32_t number, bool by_hand, int64_t now);

/* NULL: there is none. */
const struct policy_saved *policy_store_running(const struct policy_store *s);
const struct policy_saved *policy_store_before(const struct policy_store *s); /* what the running one replaced */
const struct policy_saved *policy_store_find(const struct policy_store *s, uint32_t number);
void policy_store_free(struct policy_store *s);

#endif
