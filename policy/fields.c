/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists and maps of a document, as the sections of a policy want them. */
#include <string.h>

#include "policy_parse.h"

static const struct doc_node *fields_want(struct parser *x, const struct doc_node *n, enum doc_kind kind,
					  const char *what)
{
	char found[80];

	if (!n || n->kind == DOC_NULL || n->kind == kind)
		return n && n->kind == kind ? n : NULL;
	diag_error(x->d, n->at, "%s: found %s, expected %s", what, doc_found(n, found, sizeof(found)),
		   kind == DOC_LIST ? "a list" : "a map");
	return NULL;
}

const struct doc_node *want_list(struct parser *x, const struct doc_node *n, const char *what)
{
	return fields_want(x, n, DOC_LIST, what);
}

const struct doc_node *want_map(struct parser *x, const struct doc_node *n, const char *what)
{
	return fields_want(x, n, DOC_MAP, what);
}

bool is_empty(const struct doc_node *n)
{
	return !n || n->kind == DOC_NULL || (n->kind != DOC_SCALAR && !n->n);
}

void read_texts(struct parser *x, const struct doc_node *n, const char *what, struct policy_texts *out)
{
	const struct doc_node *list = want_list(x, n, what);

	if (!list)
		return;
	out->v = arena_alloc(&x->p->mem, list->n, sizeof(*out->v));
	for (size_t i = 0; i < list->n; i++) {
		struct policy_text *t = &out->v[out->n];

		t->at = list->items[i].at;
		out->n += doc_string(&list->items[i], what, &t->text, x->d);
	}
}

void read_selectors(struct parser *x, const struct doc_node *n, const char *what, struct policy_sels *out)
{
	struct policy_texts texts = {0};

	read_texts(x, n, what, &texts);
	out->v = arena_alloc(&x->p->mem, texts.n, sizeof(*out->v));
	for (size_t i = 0; i < texts.n; i++)
		out->n += parse_selector(x, what, texts.v[i].text, strlen(texts.v[i].text), texts.v[i].at,
					 &out->v[out->n]);
}
