/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sections that are ours:
 *
 *	blocklists: [{name: spamhaus, file: lists/drop.txt, max_age: 7d}]
 *	egress: {"group:finance": bank, "tag:ci": builds}
 *	quotas: [{src: ["tag:ci"], flows: 2000, new_flows: 100/s, packets: 50k/s, bytes: 20M/s}]
 */
#include <string.h>

#include "digits.h"
#include "policy_parse.h"

static void required(struct parser *x, const struct doc_node *map, const char *what, const char *key, const char **out)
{
	const struct doc_node *n = doc_get(map, key);
	char full[64];

	*out = ""; /* validation goes on with it */
	snprintf(full, sizeof(full), "%s: %s", what, key);
	if (!n)
		diag_error(x->d, map->at, "%s: \"%s\" is missing", what, key);
	else if (doc_string(n, full, out, x->d) && !**out)
		diag_error(x->d, n->at, "%s: found nothing", full);
}

static void read_blocklist(struct parser *x, const struct doc_node *map, struct policy_blocklist *b)
{
	static const char *const known[] = {"name", "file", "max_age", NULL};
	const struct doc_node *age;

	b->at = map->at;
	want_keys(x, map, "blocklists", known);
	age = doc_get(map, "max_age");
	required(x, map, "blocklists", "name", &b->name);
	required(x, map, "blocklists", "file", &b->file);
	if (age)
		doc_duration(age, "blocklists: max_age", &b->max_age, x->d);
}

void read_blocklists(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *list = want_list(x, n, "blocklists");

	if (!list)
		return;
	x->p->blocklists = arena_alloc(&x->p->mem, list->n, sizeof(*x->p->blocklists));
	for (size_t i = 0; i < list->n; i++)
		if (want_map(x, &list->items[i], "blocklists"))
			read_blocklist(x, &list->items[i], &x->p->blocklists[x->p->n_blocklists++]);
}

void read_egress(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *map = want_map(x, n, "egress");

	if (!map)
		return;
	x->p->egress = arena_alloc(&x->p->mem, map->n, sizeof(*x->p->egress));
	for (size_t i = 0; i < map->n; i++) {
		struct policy_egress *e = &x->p->egress[x->p->n_egress];
		const struct doc_node *key = &map->keys[i];

		e->at = key->at;
		if (parse_selector(x, "egress", key->text, key->len, key->at, &e->who) &&
		    doc_string(&map->items[i], "egress", &e->pool, x->d))
			x->p->n_egress++;
	}
}

/* "100/s", "50k/s", "20M", "1G": decimal multiples; "/s" may be left out of a rate. */
static bool parse_limit(const char *text, bool rate, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t factor;
	} units[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};
	size_t len = strlen(text);
	uint64_t value, factor = 1;

	if (rate && len > 2 && !strcmp(text + len - 2, "/s"))
		len -= 2;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && factor == 1; i++)
		if (len && text[len - 1] == units[i].unit)
			factor = units[i].factor;
	len -= factor > 1;
	return digits_parse(text, len, UINT64_MAX, &value) && value && !__builtin_mul_overflow(value, factor, out);
}

/* True: the field is there, well or not. */
static bool read_limit(struct parser *x, const struct doc_node *map, const char *key, uint64_t *out)
{
	const struct doc_node *n = doc_get(map, key);
	bool rate = strcmp(key, "flows") != 0;
	const char *text;

	if (n && doc_string(n, key, &text, x->d) && !parse_limit(text, rate, out))
		diag_error(x->d, n->at, "quotas: %s: found \"%s\", expected a number above 0 such as 500%s", key, text,
			   rate ? "/s, 50k/s or 20M/s" : "");
	return n;
}

static void read_quota(struct parser *x, const struct doc_node *map, struct policy_quota *q)
{
	static const char *const known[] = {"src", "flows", "new_flows", "packets", "bytes", NULL};
	unsigned limits = 0;

	q->at = map->at;
	want_keys(x, map, "quotas", known);
	read_selectors(x, doc_get(map, "src"), "src", &q->src);
	limits += read_limit(x, map, "flows", &q->flows);
	limits += read_limit(x, map, "new_flows", &q->new_flows);
	limits += read_limit(x, map, "packets", &q->packets);
	limits += read_limit(x, map, "bytes", &q->bytes);
	if (is_empty(doc_get(map, "src")))
		diag_error(x->d, map->at, "quotas: \"src\" is missing or empty");
	if (!limits)
		diag_error(x->d, map->at, "quotas: no limit: expected flows, new_flows, packets or bytes");
}

void read_quotas(struct parser *x, const struct doc_node *n)
{
	const struct doc_node *list = want_list(x, n, "quotas");

	if (!list)
		return;
	x->p->quotas = arena_alloc(&x->p->mem, list->n, sizeof(*x->p->quotas));
	for (size_t i = 0; i < list->n; i++)
		if (want_map(x, &list->items[i], "quotas"))
			read_quota(x, &list->items[i], &x->p->quotas[x->p->n_quotas++]);
}
