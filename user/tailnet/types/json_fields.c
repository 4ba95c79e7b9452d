/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed reads of JSON (json_fields.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json_fields.h"
#include "json_mend.h"
#include "policy/alloc.h"
#include "user/base/text.h"

bool fields_bad(const struct fields *f)
{
	return *f->error;
}

void fields_mistake(struct fields *f, const char *where, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (fields_bad(f))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(f->error, sizeof(f->error), "%s: %s", where, text);
}

json_t *fields_parse(struct fields *f, const char *text, size_t len)
{
	char *mended = mem_strndup(text, len);
	char detail[120];
	json_error_t error;
	json_t *root;

	json_mend(mended, len);
	root = json_loadb(mended, len, JSON_DECODE_ANY, &error);
	free(mended);
	if (!root)
		fields_mistake(f, "JSON", "%s", text_escape(error.text, detail, sizeof(detail)));
	else if (!json_is_object(root))
		fields_mistake(f, "JSON", "not an object");
	if (!fields_bad(f))
		return root;
	json_decref(root);
	return NULL;
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_NULL:
		return "null";
	default:
		return "a boolean";
	}
}

static void expected(struct fields *f, const char *where, const char *what, const json_t *found)
{
	fields_mistake(f, where, "found %s, expected %s", type_name(found), what);
}

/* NULL when absent, null, or something was wrong before. */
static json_t *json_fields_get(const struct fields *f, const json_t *in, const char *key)
{
	json_t *v = fields_bad(f) ? NULL : json_object_get(in, key);

	return json_is_null(v) ? NULL : v;
}

json_t *field_object(struct fields *f, const json_t *in, const char *key)
{
	json_t *v = json_fields_get(f, in, key);

	if (!v || json_is_object(v))
		return v;
	expected(f, key, "an object", v);
	return NULL;
}

json_t *field_array(struct fields *f, const json_t *in, const char *key)
{
	json_t *v = json_fields_get(f, in, key);

	if (!v || json_is_array(v))
		return v;
	expected(f, key, "an array", v);
	return NULL;
}

const char *element_string(struct fields *f, const json_t *v, const char *where)
{
	if (json_is_string(v))
		return json_string_value(v);
	expected(f, where, "a string", v);
	return "";
}

int64_t element_int(struct fields *f, const json_t *v, const char *where, int64_t min, int64_t max)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v))
		expected(f, where, "a whole number", v);
	else if (n < min || n > max)
		fields_mistake(f, where, "%lld is out of range", (long long)n);
	else
		return n;
	return min;
}

bool element_object(struct fields *f, const json_t *v, const char *where)
{
	if (json_is_object(v))
		return true;
	expected(f, where, "an object", v);
	return false;
}

const char *field_string(struct fields *f, const json_t *in, const char *key)
{
	json_t *v = json_fields_get(f, in, key);

	return v ? element_string(f, v, key) : NULL;
}

bool field_bool(struct fields *f, const json_t *in, const char *key)
{
	json_t *v = json_fields_get(f, in, key);

	if (v && !json_is_boolean(v))
		expected(f, key, "a boolean", v);
	return json_is_true(v);
}

int64_t field_int(struct fields *f, const json_t *in, const char *key, int64_t min, int64_t max)
{
	json_t *v = json_fields_get(f, in, key);

	return v ? element_int(f, v, key, min, max) : 0;
}

bool field_key(struct fields *f, const json_t *in, const char *key, enum tailkey kind, uint8_t out[KEY_LEN])
{
	const char *text = field_string(f, in, key);
	char shown[TEXT_SIZE];

	if (!text || !*text || fields_bad(f))
		return false;
	if (tailkey_parse(kind, text, out))
		return true;
	fields_mistake(f, key, "not a key of this kind: \"%s\"", text_escape(text, shown, sizeof(shown)));
	return false;
}

int64_t field_time(struct fields *f, const json_t *in, const char *key)
{
	const char *text = field_string(f, in, key), *rest;
	struct tm tm = {0};
	int hours = 0, minutes = 0;
	char sign = '+';
	int64_t seconds;

	if (!text || !*text)
		return 0;
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!rest || (strcmp(rest, "Z") != 0 && sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3)) {
		fields_mistake(f, key, "not a time");
		return 0;
	}
	if (tm.tm_year <= 1 - 1900) /* 0001-01-01: Go's zero time, "never" */
		return 0;
	seconds = timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return seconds > 0 ? seconds : 1; /* long past, which is not "never" */
}
