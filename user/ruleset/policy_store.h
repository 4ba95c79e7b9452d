/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_STORE_H
#define SLUICE_POLICY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ruleset.h"

/*
 * The policy that was applied last, and the one before it, in the folder `state`:
 * policy.json, written anew as a whole and renamed into place.
 *
 * It is what survives a reboot. At a start the policy file is taken where it was
 * edited since (its hash is not the one remembered beside the last policy), and the
 * last applied one where it was not, or where the file cannot be read or has a
 * mistake. A reload always reads the file. Where the configuration names none, what was
 * applied is all there is, and goes on.
 */
#define POLICY_STORE_FILE "policy.json"

struct policy_saved {
	char *file; /* as messages name it; NULL: there is none */
	char *text;
	size_t len;
	char hash[RULESET_HASH_LEN + 1];
	char file_hash[RULESET_HASH_LEN + 1]; /* of the configured file at that moment; "": it was not there */
	int64_t time;			      /* Unix seconds */
};

struct policy_store {
	struct policy_saved last, previous;
};

/* An absent file is an empty store; one that cannot be understood too, with false and one line in @error. */
bool policy_store_load(const char *folder, struct policy_store *s, char *error, size_t size);
int policy_store_save(const char *folder,
		      const struct policy_store *s); /* 0 or -errno; the old file stays on failure */

/*
 * Remembers @r as the last one; the one before it becomes the previous, unless it has
 * the same text. @file_hash: of the configured file.
 */
void policy_store_add(struct policy_store *s, const struct ruleset *r, const char *file_hash, int64_t now);
void policy_store_free(struct policy_store *s);

#endif
