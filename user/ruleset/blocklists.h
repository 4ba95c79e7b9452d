/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BLOCKLISTS_H
#define SLUICE_BLOCKLISTS_H

#include "policy/policy.h"
#include "policy/prefixes.h"
#include "user/config/config.h"

/*
 * The files that a policy's section "blocklists" names. They come from elsewhere, by
 * a timer that may fail, so a gateway keeps a copy of each as it last was good (kept.h): a
 * list that is missing, broken or older than its max_age is replaced by its copy,
 * and that is said. Without a copy an old list is better than none, but a missing
 * or broken one refuses the policy: less would be blocked than its author thinks.
 * While a policy runs, change_blocklists.c looks after the files.
 *
 * A policy's author may name the gateway's lists, and no other file of it: a list is a
 * regular file beneath the policy's folder or one that the configuration names. A
 * relative name is looked for in each of them, an absolute one must begin with one.
 */
#define BLOCKLIST_MAX (256u << 20)

struct blocklist_stamp { /* what tells that a file is another one, or has grown too old */
	bool there, old;
	uint64_t device, inode;
	int64_t size, seconds, nanoseconds; /* of its last change */
};

struct blocklist { /* one of them, as it was read */
	const char *name;
	char *text; /* NULL: taken from the copy, or not there */
	size_t len;
	char *trouble;		      /* why it is not the list that its author meant, for people; NULL: it is */
	struct blocklist_stamp stamp; /* of the file, a moment before */
};

struct blocklists {
	struct blocklist *list;
	size_t n;
	struct prefixes all; /* merged */
};

struct blocklists_where {
	const char *folder;		    /* of the policy; NULL: it came by standard input */
	const struct config_names *folders; /* more of them, by the configuration; NULL: none is known */
	const char *kept; /* folder of the copies; NULL: there are none, and a missing list is a warning */
	int64_t now;	  /* Unix seconds */
};

/* False when a list cannot be had: reported. *out is to be freed in any case; it points into @p. */
bool blocklists_read(const struct policy *p, const struct blocklists_where *where, struct blocklists *out,
		     struct diags *d);

/* Whether the files are others than @b was read from, or older than they may be by now.
 * One that was written to in the last moments may not be whole yet: it has not changed so far. */
bool blocklists_changed(const struct policy *p, const struct blocklists_where *where, const struct blocklists *b);
/* The files are as they are, whatever became of them: not to be asked again before the next change. */
void blocklists_seen(const struct policy *p, const struct blocklists_where *where, struct blocklists *b);

/* Writes the copies of what was read. 0 or -errno of the first failure. */
int blocklists_keep(const struct blocklists *b, const char *kept);
bool blocklists_same(const struct blocklists *a, const struct blocklists *b);
void blocklists_free(struct blocklists *b);

#endif
