/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request of the control socket and its answer, without the socket: what is
 * asked, who may, and the line that goes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_private.h"
#include "user/base/log.h"
#include "user/base/exit.h"

#define ANSWER_STEP 16384u

json_t *control_refusal(int status, const char *error)
{
	json_t *text = json_string(error ? error : "failed");

	/* an error may quote bytes that are no text */
	return json_pack("{s:i, s:b, s:o, s:i}", "schema", CONTROL_SCHEMA, "ok", 0, "error",
			 text ? text : json_string("failed"), "exit", status);
}

static const struct control_verb *find_verb(const struct control_verb *verbs, const char *name)
{
	for (; verbs->name; verbs++)
		if (!strcmp(verbs->name, name))
			return verbs;
	return NULL;
}

json_t *control_answer_of(int status, json_t *result, char *error)
{
	json_t *answer;

	if (status == EXIT_YES)
		answer = json_pack("{s:i, s:b, s:o}", "schema", CONTROL_SCHEMA, "ok", 1, "result",
				   result ? result : json_null());
	else
		answer = control_refusal(status, error);
	if (status != EXIT_YES)
		json_decref(result);
	free(error);
	return answer;
}

static uint32_t asker; /* one thread answers one request after the other */

uint32_t control_asker(void)
{
	return asker;
}

static json_t *control_answer_run(const struct control_verb *verb, void *gateway, uid_t uid, const json_t *args)
{
	json_t *result = NULL;
	char *error = NULL;
	int status;

	asker = uid;
	status = verb->handler(gateway, args, &result, &error);
	asker = 0;
	return status == EXIT_LATER ? NULL : control_answer_of(status, result, error);
}

#define LOG_WORD_MAX 128 /* what is longer is a policy */
#define LOG_ARGS_MAX 512

/* Of what is long, how long it is: a dry run is to be told from what was applied. */
static char *args_text(const json_t *args)
{
	json_t *copy = json_copy((json_t *)args), *value;
	char *text, size[32];
	const char *key;

	json_object_foreach (copy, key, value)
		if (json_string_length(value) > LOG_WORD_MAX) {
			snprintf(size, sizeof(size), "(%zu bytes)", json_string_length(value));
			json_object_set_new_nocheck(copy, key, json_string(size));
		}
	text = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	if (text && strlen(text) <= LOG_ARGS_MAX)
		return text;
	free(text);
	return NULL;
}

static void log_change(const char *command, uid_t uid, const json_t *args)
{
	char *text = args ? args_text(args) : NULL;

	log_info("control: %s %s uid %u%s%s", command, uid ? "refused to" : "by", uid, text ? ": " : "",
		 text ? text : "");
	free(text);
}

static json_t *dispatch(const struct control_verb *verbs, void *gateway, uid_t uid, const json_t *request)
{
	const json_t *args = json_object_get(request, "args");
	const char *command = json_string_value(json_object_get(request, "command"));
	json_int_t schema = json_integer_value(json_object_get(request, "schema"));
	const struct control_verb *verb = command ? find_verb(verbs, command) : NULL;
	json_t *empty, *answer;

	if (schema != CONTROL_SCHEMA)
		return control_refusal(EXIT_USAGE, "this gateway speaks schema 1: the command is of another version");
	if (!command || (args && !json_is_object(args)))
		return control_refusal(EXIT_USAGE, "expected {\"schema\": 1, \"command\": \"...\", \"args\": {...}}");
	if (!verb)
		return control_refusal(EXIT_USAGE,
				       "the running gateway does not know this command: is it of an older version?");
	if (verb->changes)
		log_change(command, uid, args);
	if (verb->changes && uid != 0)
		return control_refusal(EXIT_NO, "only root may change a running gateway: try sudo");
	empty = args ? NULL : json_object();
	answer = control_answer_run(verb, gateway, uid, args ? args : empty);
	json_decref(empty);
	return answer;
}

json_t *control_answer(const struct control_verb *verbs, void *gateway, uint32_t uid, const char *line, size_t len)
{
	json_error_t e;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e), *answer;
	char text[256];

	if (request) {
		answer = dispatch(verbs, gateway, uid, request);
	} else {
		snprintf(text, sizeof(text), "not a line of JSON: %s", e.text);
		answer = control_refusal(EXIT_USAGE, text);
	}
	json_decref(request);
	return answer;
}

/* ---- the line --------------------------------------------------------------- */

struct text {
	char *bytes;
	size_t len, cap, max;
};

static int control_answer_append(const char *bytes, size_t len, void *data)
{
	struct text *t = data;
	size_t cap = t->cap ? t->cap : ANSWER_STEP;
	char *more;

	if (t->len + len > t->max)
		return -1;
	while (cap < t->len + len)
		cap *= 2;
	more = cap > t->cap ? realloc(t->bytes, cap) : t->bytes;
	if (!more)
		return -1;
	t->bytes = more;
	t->cap = cap;
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	return 0;
}

char *control_dump(const json_t *answer, size_t max, size_t *len)
{
	struct text t = {.max = max};

	if (json_dump_callback(answer, control_answer_append, &t, JSON_COMPACT) || control_answer_append("\n", 1, &t)) {
		free(t.bytes);
		return NULL;
	}
	*len = t.len;
	return t.bytes;
}
