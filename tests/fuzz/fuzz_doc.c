/* SPDX-License-Identifier: BSD-2-Clause */
/* YAML and HuJSON of any bytes: the first byte chooses the format, all typed reads run on every node. */
#include <stdlib.h>
#include <string.h>

#include "policy/doc.h"

static void visit(const struct doc_node *n, struct diags *d)
{
	static const char *const known[] = {"a", "acls", "src", NULL};
	const char *text;
	uint64_t number;
	char buf[80];
	bool flag;

	if (n->kind == DOC_SCALAR && (!n->text || strlen(n->text) != n->len))
		abort();
	doc_found(n, buf, sizeof(buf));
	doc_string(n, "text", &text, d);
	doc_bool(n, "flag", &flag, d);
	doc_uint(n, "number", 1, 65535, &number, d);
	doc_duration(n, "time", &number, d);
	doc_only_keys(n, "map", known, d);
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == DOC_MAP && doc_get(n, n->keys[i].text) != &n->items[i])
			abort(); /* keys are unique texts */
		visit(&n->items[i], d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diags d = {0};
	struct doc *doc;
	FILE *null;

	if (!size)
		return 0;
	doc = doc_parse("f", (const char *)data + 1, size - 1, data[0] & 1 ? DOC_HUJSON : DOC_YAML, &d);
	if (!doc != !!d.errors)
		abort(); /* refused means reported */
	if (doc)
		visit(&doc->root, &d);
	doc_free(doc);
	null = fopen("/dev/null", "w");
	if (null) {
		diags_print(&d, null, true);
		fclose(null);
	}
	diags_free(&d);
	return 0;
}
