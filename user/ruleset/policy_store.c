/* SPDX-License-Identifier: BSD-2-Clause */
/* The policies that ran here, over a restart (policy_store.h). */
#include "policy_store.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMER_FILE "policy.json"
#define SCHEMA	    2
#define TEXT_MOST   (2u * DOC_MAX_SIZE)	 /* of all policies together, but for the last two */
#define STORE_MAX   (16u * DOC_MAX_SIZE) /* escaped */

static void saved_free(struct policy_saved *p)
{
	free(p->file);
	free(p->text);
	*p = (struct policy_saved){0};
}

void policy_store_free(struct policy_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		saved_free(&s->list[i]);
	free(s->list);
	*s = (struct policy_store){0};
}

static char *file_name(const char *folder)
{
	return mem_printf("%s/" POLICY_STORE_FILE, folder);
}

/* ---- asking ------------------------------------------------------------------------- */

const struct policy_saved *policy_store_find(const struct policy_store *s, uint32_t number)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].number == number)
			return &s->list[i];
	return NULL;
}

const struct policy_saved *policy_store_running(const struct policy_store *s)
{
	return policy_store_find(s, s->running);
}

const struct policy_saved *policy_store_before(const struct policy_store *s)
{
	const struct policy_saved *now = policy_store_running(s), *one = now ? policy_store_find(s, now->before) : NULL;

	for (size_t i = s->n; now && !one && i--;) /* that one is forgotten */
		if (s->list[i].number < now->number)
			one = &s->list[i];
	return one;
}

/* ---- reading ------------------------------------------------------------------------ */

static bool read_saved(const json_t *j, struct policy_saved *out)
{
	const char *file, *text, *hash;
	json_int_t number, before, when;
	size_t len;
	int by_hand;

	if (json_unpack((json_t *)j, "{s:I, s:I, s:s, s:s%, s:s, s:b, s:I}", "number", &number, "before", &before,
			"file", &file, "text", &text, &len, "hash", &hash, "by_hand", &by_hand, "time", &when))
		return false;
	if (len > DOC_MAX_SIZE || number < 1 || number > UINT32_MAX || before < 0 || before > UINT32_MAX)
		return false;
	ruleset_hash(text, len, out->hash);
	if (strcmp(out->hash, hash))
		return false;
	out->number = (uint32_t)number;
	out->before = (uint32_t)before;
	out->file = mem_strdup(file);
	out->text = mem_strndup(text, len);
	out->len = len;
	out->by_hand = by_hand;
	out->time = when;
	return true;
}

static bool policy_store_parse(const char *text, size_t len, struct policy_store *s)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *j;
	const json_t *list = json_object_get(root, "policies");
	json_int_t running = json_integer_value(json_object_get(root, "running"));
	bool ok = json_integer_value(json_object_get(root, "schema")) == SCHEMA &&
		  json_array_size(list) <= POLICY_STORE_MAX;
	size_t i;

	s->list = mem_alloc(POLICY_STORE_MAX, sizeof(*s->list));
	json_array_foreach (list, i, j) {
		ok = ok && read_saved(j, &s->list[s->n]) && s->list[s->n].number > s->last;
		if (!ok)
			break;
		s->last = s->list[s->n++].number;
	}
	if (ok)
		s->running = running > 0 && running <= UINT32_MAX ? (uint32_t)running : 0;
	ok = ok && policy_store_running(s);
	json_decref(root);
	return ok;
}

/* What an earlier build kept is not read, and that is not left to be found out. */
static void say_former(const char *folder, char *why, size_t size)
{
	char *path = mem_printf("%s/" FORMER_FILE, folder);

	if (!access(path, F_OK))
		snprintf(why, size,
			 "%s is of an earlier build and is not read: a policy that was applied by hand runs no longer, "
			 "until "
			 "`sluice policy apply` does it again; then remove that file",
			 path);
	free(path);
}

enum kept_result policy_store_load(const char *folder, struct policy_store *s, char *why, size_t size)
{
	char *path = file_name(folder), *text;
	enum kept_result result;
	uint64_t serial = 0;
	size_t len;

	*s = (struct policy_store){0};
	result = kept_read(path, 2, STORE_MAX, &text, &len, &serial, why, size);
	if (text && !policy_store_parse(text, len, s)) {
		snprintf(why, size, "%s: not understood", path);
		policy_store_free(s);
		result = KEPT_DAMAGED;
	}
	if (result == KEPT_ABSENT)
		say_former(folder, why, size);
	s->serial = serial;
	s->heal = *why && result == KEPT_OK; /* what is not to be taken is not made whole */
	free(text);
	free(path);
	return result;
}

/* ---- writing -------------------------------------------------------------------------- */

static json_t *print_saved(const struct policy_saved *p)
{
	return json_pack("{s:I, s:I, s:s, s:s%, s:s, s:b, s:I}", "number", (json_int_t)p->number, "before",
			 (json_int_t)p->before, "file", p->file, "text", p->text, p->len, "hash", p->hash, "by_hand",
			 p->by_hand, "time", (json_int_t)p->time);
}

int policy_store_save(const char *folder, struct policy_store *s)
{
	json_t *list = json_array(), *root;
	char *text, *path = file_name(folder);
	int err = -ENOMEM;

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(list, print_saved(&s->list[i]));
	root = json_array_size(list) == s->n ? json_pack("{s:i, s:I, s:O}", "schema", SCHEMA, "running",
							 (json_int_t)s->running, "policies", list)
					     : NULL;
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	if (text)
		err = kept_write(path, 2, ++s->serial, text, strlen(text));
	s->heal = s->heal && err;
	json_decref(list);
	json_decref(root);
	free(text);
	free(path);
	return err;
}

int policy_store_disown(const char *folder)
{
	char *path = file_name(folder);
	int err = kept_disown(path, 2);

	free(path);
	return err;
}

static void forget_at(struct policy_store *s, size_t i)
{
	saved_free(&s->list[i]);
	s->n--;
	memmove(&s->list[i], &s->list[i + 1], (s->n - i) * sizeof(*s->list));
}

/* The oldest go, but for the running one. */
static void policy_store_make_room(struct policy_store *s, size_t len)
{
	for (;;) {
		size_t all = len, oldest = s->n && s->list[0].number == s->running;

		for (size_t i = 0; i < s->n; i++)
			all += s->list[i].len;
		if (s->n < POLICY_STORE_MAX && (all <= TEXT_MOST || s->n <= 1))
			return;
		forget_at(s, oldest < s->n ? oldest : 0);
	}
}

static struct policy_saved *policy_store_append(struct policy_store *s, const struct ruleset *r)
{
	struct policy_saved *p;

	if (!s->list)
		s->list = mem_alloc(POLICY_STORE_MAX, sizeof(*s->list));
	policy_store_make_room(s, r->len);
	p = &s->list[s->n++];
	*p = (struct policy_saved){.number = ++s->last, .before = s->running, .len = r->len};
	p->text = mem_strndup(r->text, r->len);
	strcpy(p->hash, r->hash);
	return p;
}

bool policy_store_add(struct policy_store *s, const struct ruleset *r, uint32_t number, bool by_hand, int64_t now)
{
	struct policy_saved *p = (struct policy_saved *)policy_store_find(s, number ? number : s->running);

	if (p && strcmp(p->hash, r->hash))
		p = NULL;
	if (p && p->number == s->running && p->by_hand == by_hand && !strcmp(p->file, r->file))
		return false;
	if (!p)
		p = policy_store_append(s, r);
	free(p->file);
	p->file = mem_strdup(r->file);
	p->by_hand = by_hand;
	p->time = now;
	s->running = p->number;
	return true;
}
