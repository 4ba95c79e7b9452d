/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists and maps of a document, as the sections of a policy want them. */
#include <string.h>
#include <strings.h>

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

void hint_old(struct parser *x, struct diag_at at, const char *old, const char *now)
{
	for (size_t i = 0; i < PARSER_TOLD_MAX; i++) {
		if (x->told[i] && !strcmp(x->told[i], now))
			return;
		if (x->told[i])
			continue;
		x->told[i] = now;
		diag_warning(x->d, at, "\"%s\" is an old word: write \"%s\"", old, now);
		return;
	}
}

static const char *fields_same_but_capitals(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (!strcasecmp(key, *known))
			return strcmp(key, *known) ? *known : NULL;
	return NULL;
}

/* Old files have capitals ("ACLs", "Users"): their service never looked at them. The key becomes what it is read as. */
void want_keys(struct parser *x, const struct doc_node *map, const char *what, const char *const *known)
{
	for (size_t i = 0; map->kind == DOC_MAP && i < map->n; i++) {
		struct doc_node *key = &map->keys[i]; /* of the policy's own document */
		const char *now = fields_same_but_capitals(key->text, known);

		if (!now)
			continue;
		if (doc_get(map, now))
			diag_error(x->d, key->at, "%s: \"%s\" and \"%s\" are the same field: found both", what,
				   key->text, now);
		else if (!x->told_capitals)
			diag_warning(x->d, key->at, "%s: \"%s\" is read as \"%s\": keys have these capitals today",
				     what, key->text, now);
		x->told_capitals = true;
		memcpy(key->text, now, key->len);
	}
	doc_only_keys(map, what, known, x->d);
}

const struct doc_node *get_renamed(struct parser *x, const struct doc_node *map, const char *name, const char *old)
{
	const struct doc_node *now = doc_get(map, name), *before = doc_get(map, old);

	if (now && before)
		diag_error(x->d, before->at, "\"%s\" is the old name of \"%s\": found both", old, name);
	else if (before)
		hint_old(x, before->at, old, name);
	return now ? now : before;
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
