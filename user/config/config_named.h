/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONFIG_NAMED_H
#define SLUICE_CONFIG_NAMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "user/base/key.h"

/*
 * Which clients a configuration still names that has mistakes and is not taken. Removing a client works whatever else
 * is wrong with the files, and a slip of the hand does not remove everybody: a client is named as long as its public
 * key stands anywhere in their text, comments aside; and what its own entry says counts where that entry has no
 * mistake. A file that cannot be read, or that ends in the middle of a line, may be half of what was meant: then a
 * client that is not found may be named all the same.
 */
struct config_named {
	struct config *read; /* of its clients those count that have no mistakes (`mistaken`); NULL: none was read */
	uint8_t (*keys)[KEY_LEN]; /* in the text; sorted by config_named_settle() */
	size_t n, cap;
	bool whole;   /* the list of clients, or their folder, was found and has no mistakes */
	char *unsure; /* why who is not found may be named all the same; NULL: it is not */
};

/* One file: @root as it was parsed, or NULL where it could not be; @mistakes: there were some in it. Pure. */
void config_named_file(struct config_named *n, const char *file, const struct doc_node *root, const char *text,
		       size_t len, bool mistakes);
/* A file that could not be read. */
void config_named_unread(struct config_named *n, const char *file);
/* The part that was read so far holds no clients: doubts about it do not matter. */
void config_named_elsewhere(struct config_named *n);
/* After the last file. */
void config_named_settle(struct config_named *n);
bool config_named_has(const struct config_named *n, const uint8_t key[KEY_LEN]);
void config_named_free(struct config_named *n);

#endif
