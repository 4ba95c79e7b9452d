/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's word on what is wrong (remarks.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remarks.h"
#include "policy/alloc.h"
#include "user/base/text.h"
#include "user/base/url.h"

static const char *const severities[REMARK_SEVERITIES] = {
	[REMARK_LOW] = "low", [REMARK_MEDIUM] = "medium", [REMARK_HIGH] = "high"};

const char *remark_severity_name(enum remark_severity s)
{
	return severities[s];
}

static enum remark_severity severity_of(const char *name)
{
	for (int s = 0; name && s < REMARK_SEVERITIES; s++)
		if (!strcmp(name, severities[s]))
			return (enum remark_severity)s;
	return REMARK_MEDIUM;
}

static void free_remark(struct remark *n)
{
	free(n->id);
	free(n->text);
}

void remarks_free(struct remarks *list)
{
	for (size_t i = 0; i < list->n; i++)
		free_remark(&list->v[i]);
	free(list->v);
	*list = (struct remarks){0};
}

/* ---- reading ------------------------------------------------------------------ */

void remarks_add(struct remarks *list, const char *id, enum remark_severity severity, const char *text)
{
	char shown[REMARK_TEXT_MAX + 1];

	if (list->n == REMARKS_SAID_MAX)
		return;
	list->v = mem_grow(list->v, list->n, sizeof(*list->v));
	list->v[list->n++] = (struct remark){mem_strndup(id, strnlen(id, REMARK_TEXT_MAX)), severity,
					     text ? mem_strdup(text_escape(text, shown, sizeof(shown))) : NULL};
}

/* "Title: Text (URL)", of what there is. */
static void add_message(struct remarks *list, const char *id, const json_t *message)
{
	struct fields f = {0};
	const char *title = field_string(&f, message, "Title"), *body = field_string(&f, message, "Text");
	const char *url = field_string(&f, field_object(&f, message, "PrimaryAction"), "URL");
	const char *severity = field_string(&f, message, "Severity");
	char *text;

	title = title ? title : "";
	body = body ? body : "";
	if (fields_bad(&f) || (!*title && !*body))
		return;
	text = mem_printf("%s%s%s%s%s%s", title, *title && *body ? ": " : "", body, url && *url ? " (" : "",
			  url && *url ? url : "", url && *url ? ")" : "");
	remarks_add(list, id, severity_of(severity), text);
	free(text);
}

void remarks_read(const json_t *message, struct remarks_change *out)
{
	json_t *health = json_object_get(message, "Health"), *messages = json_object_get(message, "DisplayMessages");
	json_t *value;
	const char *id;
	size_t i;

	out->clear = json_is_array(health) || json_is_null(json_object_get(messages, "*"));
	json_array_foreach (health, i, value) {
		if (json_is_string(value))
			remarks_add(&out->list, json_string_value(value), REMARK_MEDIUM, json_string_value(value));
	}
	json_object_foreach (messages, id, value) {
		if (strcmp(id, "*") && json_is_object(value))
			add_message(&out->list, id, value);
		else if (strcmp(id, "*") && json_is_null(value))
			remarks_add(&out->list, id, REMARK_LOW, NULL);
	}
}

void remarks_read_page(const json_t *message, struct remarks_change *out)
{
	static const char key[] = "PopBrowserURL";
	const char *page = json_string_value(json_object_get(message, key));
	struct url url;
	char *text;

	if (!page || !url_parse(page, &url))
		return;
	text = mem_printf("somebody has to open %s", page);
	remarks_add(&out->list, key, REMARK_MEDIUM, text);
	free(text);
}

/* ---- changing ------------------------------------------------------------------ */

static size_t remarks_find(const struct remarks *list, const char *id)
{
	size_t i;

	for (i = 0; i < list->n && strcmp(list->v[i].id, id); i++)
		;
	return i;
}

static void remarks_put(struct remarks *to, struct remark *n)
{
	size_t i = remarks_find(to, n->id);

	if (i < to->n) {
		free_remark(&to->v[i]);
	} else if (to->n < REMARKS_MAX) {
		to->v = mem_grow(to->v, to->n, sizeof(*to->v));
		to->n++;
	} else {
		return;
	}
	to->v[i] = *n;
	*n = (struct remark){0};
}

static void remarks_drop(struct remarks *from, const char *id)
{
	size_t i = remarks_find(from, id);

	if (i == from->n)
		return;
	free_remark(&from->v[i]);
	memmove(&from->v[i], &from->v[i + 1], (from->n - i - 1) * sizeof(*from->v));
	from->n--;
}

static struct remarks remarks_copy_of(const struct remarks *list)
{
	struct remarks copy = {.v = mem_alloc(list->n + 1, sizeof(*copy.v)), .n = list->n};

	for (size_t i = 0; i < list->n; i++)
		copy.v[i] =
			(struct remark){mem_strdup(list->v[i].id), list->v[i].severity, mem_strdup(list->v[i].text)};
	return copy;
}

bool remarks_equal(const struct remarks *a, const struct remarks *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].severity != b->v[i].severity || strcmp(a->v[i].text, b->v[i].text))
			return false;
	return true;
}

bool remarks_apply(struct remarks *to, struct remarks_change *change)
{
	struct remarks before;
	bool changed;

	if (!change->clear && !change->list.n)
		return false;
	before = remarks_copy_of(to);
	if (change->clear)
		remarks_free(to);
	for (size_t i = 0; i < change->list.n; i++) {
		if (change->list.v[i].text)
			remarks_put(to, &change->list.v[i]);
		else
			remarks_drop(to, change->list.v[i].id);
	}
	changed = !remarks_equal(&before, to);
	remarks_free(&before);
	remarks_free(&change->list);
	return changed;
}
