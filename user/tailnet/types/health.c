/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's word on what is wrong (health.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health.h"
#include "policy/alloc.h"
#include "user/base/text.h"
#include "user/base/url.h"

static const char *const severities[HEALTH_SEVERITIES] = {
	[HEALTH_LOW] = "low", [HEALTH_MEDIUM] = "medium", [HEALTH_HIGH] = "high"};

const char *health_severity_name(enum health_severity s)
{
	return severities[s];
}

static enum health_severity severity_of(const char *name)
{
	for (int s = 0; name && s < HEALTH_SEVERITIES; s++)
		if (!strcmp(name, severities[s]))
			return (enum health_severity)s;
	return HEALTH_MEDIUM;
}

static void free_remark(struct health_message *n)
{
	free(n->id);
	free(n->text);
}

void health_free(struct health *list)
{
	for (size_t i = 0; i < list->n; i++)
		free_remark(&list->v[i]);
	free(list->v);
	*list = (struct health){0};
}

/* ---- reading ------------------------------------------------------------------ */

void health_add(struct health *list, const char *id, enum health_severity severity, const char *text)
{
	char shown[HEALTH_TEXT_MAX + 1];

	if (list->n == REMARKS_SAID_MAX)
		return;
	list->v = mem_grow(list->v, list->n, sizeof(*list->v));
	list->v[list->n++] = (struct health_message){mem_strndup(id, strnlen(id, HEALTH_TEXT_MAX)), severity,
						     text ? mem_strdup(text_escape(text, shown, sizeof(shown))) : NULL};
}

/* "Title: Text (URL)", of what there is. */
static void add_message(struct health *list, const char *id, const json_t *message)
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
	health_add(list, id, severity_of(severity), text);
	free(text);
}

void health_read(const json_t *message, struct health_change *out)
{
	json_t *health = json_object_get(message, "Health"), *messages = json_object_get(message, "DisplayMessages");
	json_t *value;
	const char *id;
	size_t i;

	out->clear = json_is_array(health) || json_is_null(json_object_get(messages, "*"));
	json_array_foreach (health, i, value) {
		if (json_is_string(value))
			health_add(&out->list, json_string_value(value), HEALTH_MEDIUM, json_string_value(value));
	}
	json_object_foreach (messages, id, value) {
		if (strcmp(id, "*") && json_is_object(value))
			add_message(&out->list, id, value);
		else if (strcmp(id, "*") && json_is_null(value))
			health_add(&out->list, id, HEALTH_LOW, NULL);
	}
}

void health_read_page(const json_t *message, struct health_change *out)
{
	static const char key[] = "PopBrowserURL";
	const char *page = json_string_value(json_object_get(message, key));
	struct url url;
	char *text;

	if (!page || !url_parse(page, &url))
		return;
	text = mem_printf("somebody has to open %s", page);
	health_add(&out->list, key, HEALTH_MEDIUM, text);
	free(text);
}

/* ---- changing ------------------------------------------------------------------ */

static size_t health_find(const struct health *list, const char *id)
{
	size_t i;

	for (i = 0; i < list->n && strcmp(list->v[i].id, id); i++)
		;
	return i;
}

static void health_put(struct health *to, struct health_message *n)
{
	size_t i = health_find(to, n->id);

	if (i < to->n) {
		free_remark(&to->v[i]);
	} else if (to->n < HEALTH_MAX) {
		to->v = mem_grow(to->v, to->n, sizeof(*to->v));
		to->n++;
	} else {
		return;
	}
	to->v[i] = *n;
	*n = (struct health_message){0};
}

static void health_drop(struct health *from, const char *id)
{
	size_t i = health_find(from, id);

	if (i == from->n)
		return;
	free_remark(&from->v[i]);
	memmove(&from->v[i], &from->v[i + 1], (from->n - i - 1) * sizeof(*from->v));
	from->n--;
}

static struct health health_copy_of(const struct health *list)
{
	struct health copy = {.v = mem_alloc(list->n + 1, sizeof(*copy.v)), .n = list->n};

	for (size_t i = 0; i < list->n; i++)
		copy.v[i] = (struct health_message){mem_strdup(list->v[i].id), list->v[i].severity,
						    mem_strdup(list->v[i].text)};
	return copy;
}

bool health_equal(const struct health *a, const struct health *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].severity != b->v[i].severity || strcmp(a->v[i].text, b->v[i].text))
			return false;
	return true;
}

bool health_apply(struct health *to, struct health_change *change)
{
	struct health before;
	bool changed;

	if (!change->clear && !change->list.n)
		return false;
	before = health_copy_of(to);
	if (change->clear)
		health_free(to);
	for (size_t i = 0; i < change->list.n; i++) {
		if (change->list.v[i].text)
			health_put(to, &change->list.v[i]);
		else
			health_drop(to, change->list.v[i].id);
	}
	changed = !health_equal(&before, to);
	health_free(&before);
	health_free(&change->list);
	return changed;
}
