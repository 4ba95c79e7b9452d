/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_FILES_H
#define SLUICE_POLICY_FILES_H

#include <jansson.h>

#include "command.h"
#include "user/ruleset/ruleset.h"

/*
 * What the policy commands read, far from a gateway: the policy's file, and who is
 * who, from a configuration (--config) or an inventory (--inventory).
 */
struct policy_files {
	struct config *config;
	struct doc *inventory;
	struct ruleset_place place;
	struct diags d; /* every mistake and warning so far */
};

/*
 * By the options of @a. Without either of them the configuration at its usual place
 * is taken when it is there; @needed: somebody must be known. False: mistakes are in
 * @f->d. To be closed in any case.
 */
bool policy_files_open(struct policy_files *f, const struct command_args *a, bool needed);
void policy_files_close(struct policy_files *f);

/* A policy's text: a file's, or with "-" of standard input. *name as messages shall
 * have it, its ending telling the format. To be freed, as *name. NULL: reported. */
char *policy_files_text(const char *file, char **name, size_t *len, struct diags *d);

/* The ruleset of one file; NULL: mistakes are in @f->d. */
struct ruleset *policy_files_build(struct policy_files *f, const char *file);

/* cmd_policy_inventory.c: an inventory in the form of its file, and as YAML. */
json_t *policy_inventory_json(const struct inventory *inv);
void print_policy_inventory(const json_t *inventory, FILE *out);

#endif
