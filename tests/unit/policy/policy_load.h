/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_POLICY_LOAD_H
#define TESTS_POLICY_LOAD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/inventory.h"
#include "policy/policy.h"

/* The mistakes as they print; to be freed. Empties the list. */
static inline char *said(struct diags *d)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	diags_print(d, f, false);
	fclose(f);
	diags_free(d);
	return text;
}

static inline struct policy *read_policy(const char *text, enum doc_format format, struct diags *d)
{
	struct doc *doc = doc_parse("p", text, strlen(text), format, d);

	return doc ? policy_parse(doc, d) : NULL;
}

/* A policy that must be sound; warnings are left out. */
static inline struct policy *load_policy(const char *yaml)
{
	struct diags d = {0};
	struct policy *p = read_policy(yaml, DOC_YAML, &d);

	if (!p)
		fail_msg("%s: %s", yaml, said(&d));
	diags_free(&d);
	return p;
}

static inline void load_inventory(struct inventory *inv, const char *yaml)
{
	struct diags d = {0};
	struct doc *doc = doc_parse("inventory", yaml, strlen(yaml), DOC_YAML, &d);

	*inv = (struct inventory){0};
	if (!doc || !inventory_read(inv, doc, &d))
		fail_msg("%s", said(&d));
	doc_free(doc);
}

/* A file of the source tree, from the folder that the tests are run in. */
static inline char *load_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (!f || !text || !fread(text, 1, (1 << 20) - 1, f))
		fail_msg("cannot read %s: tests run from the top of the tree", path);
	fclose(f);
	return text;
}

#endif
