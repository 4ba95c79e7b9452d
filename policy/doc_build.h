/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DOC_BUILD_H
#define SLUICE_DOC_BUILD_H

#include "doc.h"

/*
 * Private to doc*.c: what both readers do to make a tree. A reader fills nodes
 * from the root down; a node belongs to its parent as soon as it is added, so
 * doc_free() takes back a tree that was left half-built.
 */
struct doc_builder {
	struct doc *doc;
	struct diags *diags;
	size_t nodes;
};

/* Counts one more node; false, reported, when there are too many or it stands too deep. */
bool doc_room(struct doc_builder *b, struct diag_at at, unsigned depth);

/* A new last child of a list or a map. Pointers to its siblings are void after it. */
struct doc_node *doc_add_item(struct doc_node *list);
void doc_add_pair(struct doc_node *map, struct doc_node **key, struct doc_node **value);

/* All children of a list or a map are there: gives back spare memory, reports duplicate keys. */
void doc_close(struct doc_builder *b, struct doc_node *n);

/* The two readers: the root of b->doc from @text, which is valid UTF-8 without NUL. */
void doc_read_yaml(struct doc_builder *b, const char *text, size_t len);
void doc_read_hujson(struct doc_builder *b, const char *text, size_t len);

#endif
