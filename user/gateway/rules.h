/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RULES_H
#define SLUICE_RULES_H

#include "clients.h"
#include "user/ruleset/ruleset.h"

struct changes;
struct policy_store;

/* The policy, from file to maps. */
struct rules {
	struct rules_running *running; /* NULL: none, nothing is allowed */
	struct report_policy *report;  /* what `status` says of it; NULL: none */
};

/* Whether the configured policy can be read and compiled for @config's clients, and
 * passes its tests. Far from any gateway. */
bool rules_check(const struct config *config, struct diags *d);

/* For a start (rules_build.h tells which). NULL: mistakes, and no policy ran here before. */
struct rules_running *rules_prepare(const struct config *config, struct diags *d);
void rules_free(struct rules_running *r); /* NULL is fine */
/* Puts what is prepared into force. */
bool rules_start(struct rules *rules, const struct site *s, const struct clients *clients, struct diags *d);
/*
 * The running policy once more, for clients or a server's rules that have changed, with the block lists in
 * force: built on a change's thread, laid out there by rules_lay(), put into force. Where it does not fit
 * them any more, rules under which nothing passes. NULL: out of memory.
 */
struct ruleset *rules_build_again(const struct rules *rules, const struct config *config, struct diags *d);
/* Takes @r over, but not on failure; the tables that it replaces go as a change. */
bool rules_replace(struct rules *rules, const struct site *s, struct changes *changes, struct ruleset *r,
		   struct diags *d);
void rules_close(struct rules *rules);

/*
 * Three steps to another policy: build and test it, lay out what takes long, swap it in.
 * The first two change nothing that is in force, and are for a change's thread
 * (changes.c). Each is false or NULL with the mistakes in @d.
 *
 * From the text that a request brings; from the configured file, for @config's clients.
 */
struct ruleset *rules_build(const struct site *s, const char *file, const char *text, size_t len, size_t *passed,
			    struct diags *d);
/* *stays: the policy that runs does, for it was applied by hand; @d says so. */
struct ruleset *rules_build_configured(const struct rules *rules, const struct config *config, bool *stays,
				       struct diags *d);
bool rules_lay(const struct rules *rules, const struct site *s, const struct clients *clients,
	       const struct config *config, struct ruleset *r, struct diags *d);
/* Logs @d's warnings. Takes @r over, but not on failure. */
bool rules_swap(struct rules *rules, const struct site *s, struct ruleset *r, struct diags *d);
/* The policy in force is the configured file's: keeps it for the next start, or is degraded. */
void rules_took_file(struct rules *rules, const struct site *s);
/* Or it was applied by hand; @number: that policy of the history again, 0: another one. @keep: for the next start, too.
 * 0, or -errno: it runs, but cannot be kept, and a start will let nothing pass. */
int rules_took_by_hand(struct rules *rules, const struct site *s, uint32_t number, bool keep, bool *earlier);
/* Once a second; @idle: no change waits. True: the policy is to be compiled once more, for nothing passes. */
bool rules_second(struct rules *rules, const struct site *s, uint64_t time, bool idle);
/* Nothing passes, for the policy could not be compiled for the clients; it is tried again. */
bool rules_shut(const struct rules *rules);
/* Tells all that is not as it should be. */
void rules_each_note(const struct rules *rules, void (*each)(void *ctx, const char *line), void *ctx);

/* Have the files of the running policy's block lists changed since they were read? */
bool rules_lists_changed(const struct rules *rules, const struct site *s);
/* Reads them again, from any thread. False with the mistakes in @d; *out is to be freed in any case. */
bool rules_lists_read(const struct rules *rules, const struct site *s, struct blocklists *out, struct diags *d);
/* Until their next change, rules_lists_changed() is false: what they hold now cannot be put into force. */
void rules_lists_seen(struct rules *rules, const struct site *s);
/* @lists, taken over, are in force now, in the maps as @generation (0: nothing changed there). */
void rules_lists_swap(struct rules *rules, struct blocklists *lists, uint32_t generation);

void rules_log(const struct diags *d);
const struct ruleset *rules_running(const struct rules *rules); /* NULL: not started */
const struct policy_store *rules_history(const struct rules *rules);
uint32_t rules_number(const struct rules *rules); /* of the running policy in it; 0: it is not there */

/* Names who approved a configured route (its index); false: nobody did. */
bool rules_approved(const struct rules *rules, size_t route, const char **by);
/* Looks whether the file still is what runs, for the report. */
void rules_compare(const struct rules *rules, const struct site *s);

#endif
