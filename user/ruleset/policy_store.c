/* SPDX-License-Identifier: BSD-2-Clause */
/* What was applied last, over a restart (policy_store.h). */
#include "policy_store.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/gateway/state.h"

#define SCHEMA	  1
#define STORE_MAX (8u * DOC_MAX_SIZE) /* two policies, escaped */

static void saved_free(struct policy_saved *p)
{
	free(p->file);
	free(p->text);
	*p = (struct policy_saved){0};
}

void policy_store_free(struct policy_store *s)
{
	saved_free(&s->last);
	saved_free(&s->previous);
}

static char *file_name(const char *folder)
{
	return mem_printf("%s/" POLICY_STORE_FILE, folder);
}

/* ---- reading ------------------------------------------------------------------------ */

static bool read_saved(const json_t *j, struct policy_saved *out)
{
	const char *file, *text, *hash, *file_hash;
	size_t len;
	json_int_t when;

	if (json_is_null(j))
		return true;
	if (json_unpack((json_t *)j, "{s:s, s:s%, s:s, s:s, s:I}", "file", &file, "text", &text, &len, "hash", &hash,
			"file_hash", &file_hash, "time", &when))
		return false;
	if (len > DOC_MAX_SIZE || strlen(file_hash) > RULESET_HASH_LEN)
		return false;
	ruleset_hash(text, len, out->hash);
	if (strcmp(out->hash, hash))
		return false;
	out->file = mem_strdup(file);
	out->text = mem_strndup(text, len);
	out->len = len;
	out->time = when;
	strcpy(out->file_hash, file_hash);
	return true;
}

static bool parse(const char *text, size_t len, struct policy_store *s)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	bool ok = json_integer_value(json_object_get(root, "schema")) == SCHEMA &&
		  read_saved(json_object_get(root, "last"), &s->last) &&
		  read_saved(json_object_get(root, "previous"), &s->previous);

	json_decref(root);
	return ok;
}

bool policy_store_load(const char *folder, struct policy_store *s, char *error, size_t size)
{
	char *path = file_name(folder), *text;
	bool ok = true;
	size_t len;

	*s = (struct policy_store){0};
	text = state_read_file(path, STORE_MAX, &len);
	if (!text && errno != ENOENT) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		ok = false;
	} else if (text && !parse(text, len, s)) {
		snprintf(error, size, "%s: damaged", path);
		policy_store_free(s);
		ok = false;
	}
	free(text);
	free(path);
	return ok;
}

/* ---- writing -------------------------------------------------------------------------- */

static json_t *print_saved(const struct policy_saved *p)
{
	if (!p->file)
		return json_null();
	return json_pack("{s:s, s:s%, s:s, s:s, s:I}", "file", p->file, "text", p->text, p->len, "hash", p->hash,
			 "file_hash", p->file_hash, "time", (json_int_t)p->time);
}

int policy_store_save(const char *folder, const struct policy_store *s)
{
	json_t *root = json_pack("{s:i, s:o, s:o}", "schema", SCHEMA, "last", print_saved(&s->last), "previous",
				 print_saved(&s->previous));
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL, *path = file_name(folder);
	int err = text ? state_write_file(path, text, strlen(text)) : -ENOMEM;

	json_decref(root);
	free(text);
	free(path);
	return err;
}

void policy_store_add(struct policy_store *s, const struct ruleset *r, const char *file_hash, int64_t now)
{
	struct policy_saved next = {.time = now, .len = r->len};

	next.file = mem_strdup(r->file);
	next.text = mem_strndup(r->text, r->len);
	strcpy(next.hash, r->hash);
	snprintf(next.file_hash, sizeof(next.file_hash), "%s", file_hash);
	if (s->last.file && strcmp(s->last.hash, r->hash)) {
		saved_free(&s->previous);
		s->previous = s->last;
	} else {
		saved_free(&s->last);
	}
	s->last = next;
}
