/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RULESET_H
#define SLUICE_RULESET_H

#include "policy/reach.h"
#include "blocklists.h"
#include "user/config/config.h"

/*
 * A policy worked out for a place: everything that the maps are filled from and
 * that people ask about. Commands build it from files, far from any gateway; the
 * gateway builds it aside, and swaps it in once there is no mistake in it.
 */
#define RULESET_HASH_LEN 64 /* hexadecimal digits of BLAKE2b-256 */

struct ruleset_source {	  /* borrowed for the call */
	const char *file; /* as messages name it; its ending says the format */
	const char *text;
	size_t len;
	const char *folder; /* the policy's, where block lists may be; NULL: it came by standard input */
	const char *kept;   /* folder with the block lists' last good copies; NULL: not on a gateway,
			     * where a missing list is only a warning */
	int64_t now;	    /* Unix seconds, for max_age */
	bool lists_stay;    /* the block lists in force are not read again */
	const struct ruleset_source *bound; /* nothing may pass that this policy does not allow, too; NULL: none */
};

/* The people and nodes. With @config the clients of a gateway; without it a file's nodes. */
struct ruleset_place {
	const struct config *config;
	bool shut;		     /* nothing is to pass, whatever rules say */
	const struct budget *budget; /* what it may cost; NULL: the usual */
	const struct doc *inventory; /* NULL with @config; both NULL: nobody is there */
};

struct ruleset {
	struct policy *policy; /* NULL: none is configured, nothing is allowed */
	struct inventory inventory;
	const struct inventory_node *gateway; /* its last node; NULL without a configuration */
	const char **approved_by;	      /* by configured route; NULL: nobody */
	struct reach reach;
	struct blocklists blocked;
	bool shut;		     /* nothing passes, whatever the policy says */
	bool lists_stay;	     /* those that are in force: blocked is empty */
	struct maps_blocked *laid;   /* in tables that wait for ruleset_apply(); NULL: not laid out */
	struct ruleset_laid *tables; /* all of it, waiting for ruleset_switch(); NULL: not laid out */
	/*
	 * Of a coordination server, rules that are not in force: they cannot be understood, or do not
	 * fit. All of them only allow, so that less passes than it means; never more.
	 */
	size_t n_left_out;
	char *left_out;	   /* why, of the first; NULL: there are none */
	char *file, *text; /* the source's */
	size_t len;
	struct policy *bound; /* nothing passes that this one does not allow, too; NULL: none */
	char *bound_file, *bound_text;
	size_t bound_len;
	char hash[RULESET_HASH_LEN + 1]; /* of text; "" without a policy */
};

/*
 * Reads, resolves and compiles; touches nothing but the block lists' files. @source
 * NULL: no policy. NULL when there was a mistake: all of them are in @d. Does not
 * run the policy's tests. Nothing in the result points into @place.
 */
struct ruleset *ruleset_build(const struct ruleset_place *place, const struct ruleset_source *source, struct diags *d);
void ruleset_free(struct ruleset *r); /* NULL is fine */

/* Whether the logins that the policy names are somebody's (policy_check_owners()): asked before it goes live. */
bool ruleset_owners(const struct ruleset *r, struct diags *d);
/* The policy's own tests: what @config's gateway carries by it alone (NULL: an inventory), all else by any. False: a
 * failed one is in @d. */
bool ruleset_test(const struct ruleset *r, const struct config *config, size_t *passed, struct diags *d);

/* A policy's document without anything in it: a pipe that broke, a file that was cut. */
bool ruleset_is_empty(const struct ruleset *r);

/* The hash by which a policy's text is known. */
void ruleset_hash(const char *text, size_t len, char hash[RULESET_HASH_LEN + 1]);

/* Index of the client's pool in @config; the default one when the policy names one that is not there. */
uint32_t ruleset_pool(const struct ruleset *r, const struct config *config, size_t client);

/* What the policy grants the client at most; NULL: it says nothing. */
const struct policy_quota *ruleset_quota(const struct ruleset *r, size_t client);

/* The rule of the policy with this id, NULL: the default deny. */
const struct filter_rule *ruleset_rule(const struct ruleset *r, uint32_t id);

/* A policy of standard input, which no folder is beside. The other name tells the format. */
#define RULESET_STDIN	     "stdin"
#define RULESET_STDIN_HUJSON "stdin.hujson"

/* The folder of a gateway's policy that is named @policy: of the configured file, else of the configuration; NULL
 * when it came by standard input. To be freed. */
char *ruleset_folder(const struct config *config, const char *policy);

/* ---- ruleset_apply.c ---------------------------------------------------------------- */

struct maps;

/* Lays the block lists out ahead of ruleset_apply(), from any thread. False with *error (from malloc). */
bool ruleset_lay_blocked(struct ruleset *r, struct maps *maps, char **error);

/*
 * Lays all of it out ahead of ruleset_switch(), where no program looks: this takes long, the switch does not. From any
 * thread, but not while another policy is on its way into the maps. @ids: the clients' ids in the order of @config.
 */
bool ruleset_lay(struct ruleset *r, const struct config *config, const uint32_t *ids, struct maps *maps, char **error);
/* 0 or -errno with *error. The tables that it replaces go with ruleset_unlay(), which waits until no program reads it.
 */
int ruleset_switch(struct ruleset *r, uint32_t *generation, char **error);
/* Gives what is laid out to the caller, to be ended. */
struct ruleset_laid *ruleset_take_laid(struct ruleset *r);
void ruleset_unlay(struct ruleset_laid *laid); /* any thread, in its turn; NULL is fine */

/*
 * Puts the tables into the maps: one swap for all. @ids: the clients' ids in the
 * order of @config. @blocked: the block lists, too, if they are not laid out already;
 * else those in the maps stay. 0 or -errno with *error (from malloc).
 */
int ruleset_apply(struct ruleset *r, const struct config *config, const uint32_t *ids, bool blocked, struct maps *maps,
		  uint32_t *generation, char **error);

#endif
