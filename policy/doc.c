/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree that YAML and HuJSON files are read into: bounds, building, freeing.
 * doc_parse.c reads it, by doc_yaml.c or doc_hujson.c; typed reads are in doc_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "doc_build.h"

bool doc_room(struct doc_builder *b, struct diag_at at, unsigned depth)
{
	if (depth > DOC_MAX_DEPTH) {
		diag_error(b->diags, at, "nested too deeply: more than %d levels", DOC_MAX_DEPTH);
		return false;
	}
	if (++b->nodes > DOC_MAX_NODES) {
		diag_error(b->diags, at, "too large: more than %u values", DOC_MAX_NODES);
		return false;
	}
	return true;
}

struct doc_node *doc_add_item(struct doc_node *list)
{
	struct doc_node *item;

	list->items = mem_grow(list->items, list->n, sizeof(*list->items));
	item = &list->items[list->n++];
	*item = (struct doc_node){0};
	return item;
}

void doc_add_pair(struct doc_node *map, struct doc_node **key, struct doc_node **value)
{
	map->keys = mem_grow(map->keys, map->n, sizeof(*map->keys));
	*key = &map->keys[map->n];
	**key = (struct doc_node){0};
	*value = doc_add_item(map);
}

static int doc_by_text(const void *pa, const void *pb)
{
	const struct doc_node *a = *(struct doc_node *const *)pa, *b = *(struct doc_node *const *)pb;
	int order = strcmp(a->text, b->text);

	return order ? order : (a > b) - (a < b); /* of equal ones the first in the file first */
}

static void report_duplicates(struct doc_builder *b, const struct doc_node *map)
{
	struct doc_node **sorted;
	size_t n = 0;

	if (map->n < 2)
		return;
	sorted = mem_alloc(map->n, sizeof(struct doc_node *));
	for (size_t i = 0; i < map->n; i++)
		if (map->keys[i].text)
			sorted[n++] = &map->keys[i];
	qsort(sorted, n, sizeof(struct doc_node *), doc_by_text);
	for (size_t i = 1, first = 0; i < n; i++) {
		if (strcmp(sorted[i]->text, sorted[first]->text))
			first = i;
		else
			diag_error(b->diags, sorted[i]->at, "duplicate key \"%s\", first on line %u", sorted[i]->text,
				   sorted[first]->at.line);
	}
	free(sorted);
}

static void *shrink(void *list, size_t n, size_t size)
{
	void *smaller = n ? reallocarray(list, n, size) : NULL;

	return smaller ? smaller : list;
}

void doc_close(struct doc_builder *b, struct doc_node *n)
{
	n->items = shrink(n->items, n->n, sizeof(*n->items));
	if (n->kind == DOC_MAP) {
		n->keys = shrink(n->keys, n->n, sizeof(*n->keys));
		report_duplicates(b, n);
	}
}

static void free_node(struct doc_node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		free_node(&n->items[i]);
		if (n->keys)
			free_node(&n->keys[i]);
	}
	free(n->items);
	free(n->keys);
	free(n->text);
}

void doc_free(struct doc *doc)
{
	if (!doc)
		return;
	free_node(&doc->root);
	free(doc->file);
	free(doc);
}
