/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_JSON_FIELDS_H
#define SLUICE_TAILNET_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/keys.h"

/*
 * Typed reads of a server's JSON. Unknown fields are never looked at; absent and
 * null are the same and give the default; a field of a wrong type is a mistake
 * that is named ("Peers.Key: found a number, expected a string"). The first
 * mistake is kept and everything after it reads as absent, so a message is read
 * whole and judged once.
 */
struct fields {
	char error[200]; /* empty: none */
};

/* Parses @len bytes: one JSON object (json_mend.h). NULL: it is none, @f says why. */
json_t *fields_parse(struct fields *f, const char *text, size_t len);

bool fields_bad(const struct fields *f);
/* Records a mistake; the first stays. */
void fields_mistake(struct fields *f, const char *where, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The value of @key, which is named @where in messages; NULL when absent or null. */
json_t *field_object(struct fields *f, const json_t *in, const char *key);
json_t *field_array(struct fields *f, const json_t *in, const char *key);
const char *field_string(struct fields *f, const json_t *in, const char *key); /* lives as long as @in */
bool field_bool(struct fields *f, const json_t *in, const char *key);
int64_t field_int(struct fields *f, const json_t *in, const char *key, int64_t min, int64_t max);
/* False: absent; @out untouched. */
bool field_key(struct fields *f, const json_t *in, const char *key, enum tailkey kind, uint8_t out[KEY_LEN]);
/* RFC 3339 as Unix seconds; 0: absent, or Go's zero time (year 1). */
int64_t field_time(struct fields *f, const json_t *in, const char *key);

/* The same for an element of an array, @where names the array. */
const char *element_string(struct fields *f, const json_t *value, const char *where);
int64_t element_int(struct fields *f, const json_t *value, const char *where, int64_t min, int64_t max);
bool element_object(struct fields *f, const json_t *value, const char *where);

#endif
