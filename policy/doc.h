/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DOC_H
#define SLUICE_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"

/*
 * A YAML or HuJSON file as a tree that remembers where everything stands. Both
 * the gateway's configuration and the policy are read through it, so that every
 * mistake can be named with file, line and column.
 *
 * Hostile input is bounded: size, depth, number of nodes. Anchors, aliases, tags
 * and merge keys are refused, as are duplicate keys, NUL bytes and invalid UTF-8.
 */
enum doc_kind { DOC_NULL, DOC_SCALAR, DOC_LIST, DOC_MAP };
enum doc_format { DOC_YAML, DOC_HUJSON };

#define DOC_MAX_SIZE  (16u << 20)
#define DOC_MAX_DEPTH 64
#define DOC_MAX_NODES (1u << 20)

struct doc_node {
	enum doc_kind kind;
	bool quoted; /* scalar: written in quotes, so never a number, boolean or null */
	struct diag_at at;
	char *text; /* scalar: terminated, holds no NUL */
	size_t len;
	size_t n;		/* list, map: children */
	struct doc_node *items; /* list: n nodes; map: n values */
	struct doc_node *keys;	/* map: n keys (scalars), in file order */
};

struct doc {
	char *file;
	enum doc_format format;
	struct doc_node root; /* DOC_NULL for an empty file */
};

/* Parses @text (@len bytes, need not be terminated). On mistakes reports them all
 * and returns NULL. The result is freed with doc_free() and does not refer to @text. */
struct doc *doc_parse(const char *file, const char *text, size_t len, enum doc_format format, struct diags *diags);

/* The format by the file's name (.json, .hujson: HuJSON; else YAML); YAML reads plain JSON too. */
enum doc_format doc_format_of(const char *file);
void doc_free(struct doc *doc);

/* Value of @key in a map, NULL when absent or when @map is no map. */
struct doc_node *doc_get(const struct doc_node *map, const char *key);

/* For messages: "a list", "a map", "nothing", or the scalar in quotes (shortened). Into @buf. */
const char *doc_found(const struct doc_node *n, char *buf, size_t size);

/* Typed reads of one node: on a mismatch report "WHAT: found ..., expected ..." and return false. */
bool doc_string(const struct doc_node *n, const char *what, const char **out, struct diags *d);
bool doc_bool(const struct doc_node *n, const char *what, bool *out, struct diags *d);
bool doc_uint(const struct doc_node *n, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct diags *d);
/* "300s", "5m", "2h", "1d", or "0s"; a bare number is refused with a hint. Seconds. */
bool doc_duration(const struct doc_node *n, const char *what, uint64_t *seconds, struct diags *d);

/* No key and no scalar beneath it has a character that nobody sees; each that has is reported with its code point. */
bool doc_is_visible(const struct doc_node *n, struct diags *d);

/* Reports every key of @map that is not in @known (NULL-terminated), with the nearest known one. */
void doc_only_keys(const struct doc_node *map, const char *what, const char *const *known, struct diags *d);

#endif
