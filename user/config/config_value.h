/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONFIG_VALUE_H
#define SLUICE_CONFIG_VALUE_H

#include "config.h"

/*
 * The values of gateway.yaml, one small reader each, and the tables that say
 * which key has which. Private to config*.c.
 */
struct config_reader {
	struct config *cfg;
	struct diags *d;
	const char *dir; /* relative paths start here; "" is the working folder */
};

/* Reads @n into @out, or reports what is wrong and leaves @out alone. @what is the
 * key as messages name it. */
typedef void config_read_fn(struct config_reader *r, const char *what, const struct doc_node *n, void *out);

struct config_field {
	const char *key; /* NULL ends a table */
	config_read_fn *read;
	size_t offset; /* into the struct that the map fills */
};

/* clang-format off */
#define CONFIG_FIELD(type, member, key, read) {key, read, offsetof(struct type, member)}
/* clang-format on */

/* Reads the keys of a map by a table; unknown ones are reported. @prefix ("tunnel.",
 * or "") stands before the keys in messages. False: not a map. */
bool config_read_map(struct config_reader *r, const char *what, const char *prefix, const struct doc_node *n,
		     const struct config_field *fields, void *out);

/* Reports "WHAT: found ..., expected EXPECTED". */
void config_mismatch(struct config_reader *r, const char *what, const struct doc_node *n, const char *expected);
/* Reports a list's items one by one when @n is a list of at least @least and at most @most items. */
bool config_is_list(struct config_reader *r, const char *what, const struct doc_node *n, size_t least, size_t most,
		    const char *expected);
/* Index of the word in @words (NULL-terminated), or -1 with a report. */
int config_read_word(struct config_reader *r, const char *what, const struct doc_node *n, const char *const *words);

config_read_fn config_read_name;    /* const char *: of a gateway, client or pool */
config_read_fn config_read_ifname;  /* const char * */
config_read_fn config_read_path;    /* const char * */
config_read_fn config_read_paths;   /* struct config_names */
config_read_fn config_read_user;    /* const char *: alice@example.com */
config_read_fn config_read_port;    /* uint16_t */
config_read_fn config_read_bool;    /* bool */
config_read_fn config_read_seconds; /* uint32_t, from a duration */
config_read_fn config_read_addrs;   /* struct config_addrs; zeros where an item is none */
config_read_fn config_read_ifnames; /* struct config_names */
config_read_fn config_read_tags;    /* struct config_names */
config_read_fn config_read_roles;   /* struct config_names */
config_read_fn config_read_key;	    /* uint8_t[32]: a public key */

/* From now on owned by the configuration. */
const char *config_keep(struct config *cfg, char *made);
void config_own(struct config *cfg, struct doc *doc);

/* The folder of a file, "" when the name has none. Freed by the caller. */
char *config_folder(const char *file);

config_read_fn config_read_clients; /* a folder or a list, into the configuration (config_clients.c) */
config_read_fn config_read_users;

/* config_tailnet.c: the section, and, after all sections, what it means for the others. */
config_read_fn config_read_tailnet;
void config_settle_tailnet(struct config_reader *r, const struct doc_node *root);

#endif
