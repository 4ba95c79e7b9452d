/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conformance DIR: what a real coordination service answered to a policy and a set
 * of nodes, against what this compiler makes of them. Every *.jsonl of the folder,
 * one JSON object a line (../shared/specs/policy.md, "Conformance").
 *
 * Prints each failing case, "N differ on purpose" (the list of odd ones below, with the
 * reason of each) and "N passed, N failed"; exit 1 when another case fails.
 */
#include <glob.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/test.h"

static const struct {
	const char *id, *why;
} odd[] = {
	{"policytest_results/policytest-src-unknown-user-email",
	 "removing a user must always work: here a test about nobody is a warning, and counts as not asked"},
	{NULL, NULL},
};

struct tuple { /* one combination that a rule allows */
	struct prefix src, dst;
	uint32_t first, last;
	int proto; /* -1: the four that no protocol means */
};

struct tuples {
	struct tuple *v;
	size_t n;
};

static int by_tuple(const void *pa, const void *pb)
{
	const struct tuple *a = pa, *b = pb;
	int order = prefix_cmp(&a->src, &b->src);

	if (!order)
		order = prefix_cmp(&a->dst, &b->dst);
	if (!order)
		order = (a->first > b->first) - (a->first < b->first);
	if (!order)
		order = (a->last > b->last) - (a->last < b->last);
	return order ? order : (a->proto > b->proto) - (a->proto < b->proto);
}

static void tuples_add(struct tuples *t, const struct tuple *one)
{
	t->v = mem_grow(t->v, t->n, sizeof(*t->v));
	t->v[t->n++] = *one;
}

static void tuples_sort(struct tuples *t)
{
	size_t kept = 0;

	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), by_tuple);
	for (size_t i = 0; i < t->n; i++)
		if (!kept || by_tuple(&t->v[kept - 1], &t->v[i]))
			t->v[kept++] = t->v[i];
	t->n = kept;
}

/* ---- expected: texts -> tuples ------------------------------------------------------ */

/* The largest prefix that begins at @first and does not go beyond @last; then the next one. */
static void add_range(struct prefixes *out, struct addr first, const struct addr *last)
{
	for (;;) {
		struct prefix p = {.addr = first, .len = 128};
		struct addr end;

		while (p.len) {
			struct prefix wider = {.addr = first, .len = p.len - 1};
			struct addr start = prefix_first(&wider);

			end = prefix_last(&wider);
			if (addr_cmp(&start, &first) || addr_cmp(&end, last) > 0)
				break;
			p = wider;
		}
		prefixes_add(out, &p);
		first = prefix_last(&p);
		if (!addr_cmp(&first, last))
			return;
		for (int i = 15; i >= 0 && !++first.b[i]; i--)
			;
	}
}

static bool read_prefixes(const char *text, struct prefixes *out)
{
	const char *dash = strchr(text, '-');
	struct addr first, last;
	struct prefix p;

	if (!strcmp(text, "*"))
		return read_prefixes("0.0.0.0/0", out) && read_prefixes("::/0", out);
	if (!dash) {
		if (!prefix_parse(text, strlen(text), &p, NULL))
			return false;
		prefixes_add(out, &p);
		return true;
	}
	if (!addr_parse(text, (size_t)(dash - text), &first) || !addr_parse(dash + 1, strlen(dash + 1), &last))
		return false;
	add_range(out, first, &last);
	return true;
}

static void add_dst(struct tuples *out, const struct prefixes *src, const json_t *dst, const json_t *protos)
{
	struct prefixes to = {0};
	struct tuple t = {.first = (uint32_t)json_integer_value(json_array_get(dst, 1)),
			  .last = (uint32_t)json_integer_value(json_array_get(dst, 2))};
	size_t n = json_array_size(protos);

	if (!read_prefixes(json_string_value(json_array_get(dst, 0)), &to))
		printf("  cannot read a destination\n");
	for (size_t i = 0; i < src->n; i++)
		for (size_t j = 0; j < to.n; j++)
			for (size_t k = 0; k < (n ? n : 1); k++) {
				t.src = src->v[i];
				t.dst = to.v[j];
				t.proto = n ? (int)json_integer_value(json_array_get(protos, k)) : -1;
				tuples_add(out, &t);
			}
	prefixes_free(&to);
}

static void expected_tuples(const json_t *rules, struct tuples *out)
{
	const json_t *rule, *item;
	size_t i, j;

	json_array_foreach (rules, i, rule) {
		struct prefixes src = {0};

		json_array_foreach (json_object_get(rule, "src"), j, item)
			if (!read_prefixes(json_string_value(item), &src))
				printf("  cannot read a source\n");
		json_array_foreach (json_object_get(rule, "dst"), j, item)
			add_dst(out, &src, item, json_object_get(rule, "proto"));
		prefixes_free(&src);
	}
	tuples_sort(out);
}

static void compiled_tuples(const struct filter *f, struct tuples *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct filter_rule *r = &f->rules[i];

		for (size_t s = 0; s < r->n_src; s++)
			for (size_t d = 0; d < r->n_dst; d++) {
				struct tuple t = {r->src[s], r->dst[d].prefix, r->dst[d].first, r->dst[d].last,
						  r->n_proto ? r->proto[0] : -1};

				tuples_add(out, &t);
			}
	}
	tuples_sort(out);
}

static void print_tuple(const char *what, const struct tuple *t)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	printf("  %s %s -> %s %u-%u proto %d\n", what, prefix_str(&t->src, src), prefix_str(&t->dst, dst), t->first,
	       t->last, t->proto);
}

static bool same_tuples(const char *node, const struct tuples *want, const struct tuples *got)
{
	size_t i = 0, j = 0;

	while (i < want->n && j < got->n && !by_tuple(&want->v[i], &got->v[j]))
		i++, j++;
	if (i == want->n && j == got->n)
		return true;
	printf("  node %s: %zu expected, %zu compiled; first difference:\n", node, want->n, got->n);
	if (i < want->n)
		print_tuple("expected", &want->v[i]);
	if (j < got->n)
		print_tuple("compiled", &got->v[j]);
	return false;
}

/* ---- the topology -------------------------------------------------------------------- */

static void add_prefix(struct prefixes *out, const char *text)
{
	struct prefix p;

	if (text && prefix_parse(text, strlen(text), &p, NULL))
		prefixes_add(out, &p);
}

static void add_prefix_list(struct prefixes *out, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		add_prefix(out, json_string_value(item));
}

static const char *email_of(const json_t *users, const char *name)
{
	const json_t *user;
	size_t i;

	json_array_foreach (users, i, user)
		if (!strcmp(json_string_value(json_object_get(user, "name")), name))
			return json_string_value(json_object_get(user, "email"));
	return name;
}

static void read_topology(const json_t *topology, struct inventory *inv)
{
	const json_t *users = json_object_get(topology, "users"), *user, *tag;
	json_t *node;
	const char *name;
	size_t i;

	inv->tailnet = true;
	json_array_foreach (users, i, user)
		inventory_add_user(inv, json_string_value(json_object_get(user, "email")));
	json_object_foreach (json_object_get(topology, "nodes"), name, node) {
		struct inventory_node *n = inventory_add_node(inv, name);
		const char *owner = json_string_value(json_object_get(node, "user"));

		if (owner)
			inventory_set_user(inv, n, email_of(users, owner));
		json_array_foreach (json_object_get(node, "tags"), i, tag)
			inventory_add_tag(inv, n, json_string_value(tag));
		add_prefix(&n->addrs, json_string_value(json_object_get(node, "ipv4")));
		add_prefix(&n->addrs, json_string_value(json_object_get(node, "ipv6")));
		add_prefix_list(&n->routable, json_object_get(node, "routable_ips"));
		add_prefix_list(&n->approved, json_object_get(node, "approved_routes"));
	}
}

/* ---- cases ----------------------------------------------------------------------------- */

static char *policy_text(const json_t *policy)
{
	if (json_is_string(policy))
		return strdup(json_string_value(policy));
	return json_dumps(policy, JSON_INDENT(1));
}

static bool same_rules(const json_t *c, const struct policy *p, const struct resolver *r, const struct inventory *inv)
{
	json_t *rules;
	const char *name;
	bool same = true;

	json_object_foreach (json_object_get(c, "rules"), name, rules) {
		size_t i = inventory_find(inv, name);
		struct tuples want = {0}, got = {0};
		struct filter *f;

		if (i == SIZE_MAX) {
			printf("  node %s is not in the topology\n", name);
			return false;
		}
		f = policy_compile(r, p, &inv->nodes[i], POLICY_ALLOW_ALL);
		expected_tuples(rules, &want);
		compiled_tuples(f, &got);
		same &= same_tuples(name, &want, &got);
		filter_free(f);
		free(want.v);
		free(got.v);
	}
	return same;
}

static bool run_policy(const json_t *c, const struct policy *p, const struct inventory *inv, struct diags *d)
{
	struct resolver *r = resolver_new(p, inv, NULL);
	struct filter *all = policy_compile(r, p, NULL, POLICY_ALLOW_ALL);
	size_t passed;
	bool ok = policy_run_tests(p, r, &(struct policy_test_place){.inv = inv, .f = all}, &passed, d);

	if (ok && json_integer_value(json_object_get(c, "code")) == 200)
		ok = same_rules(c, p, r, inv);
	filter_free(all);
	resolver_free(r);
	return ok;
}

static bool agrees(const json_t *c, bool ok, struct diags *d)
{
	const char *error = json_string_value(json_object_get(c, "error"));
	bool refused = d->errors, known = false;

	if (json_integer_value(json_object_get(c, "code")) == 200) {
		if (refused)
			diags_print(d, stdout, false);
		return ok && !refused;
	}
	for (size_t i = 0; i < d->n; i++)
		known |= error && strstr(d->list[i].text, error);
	if (refused && (known || !error))
		return true;
	printf("  expected refusal: %s\n", error ? error : "");
	diags_print(d, stdout, false);
	return false;
}

static bool run_case(const json_t *c)
{
	struct diags d = {0};
	struct inventory inv = {0};
	char *text = policy_text(json_object_get(c, "policy"));
	struct doc *doc = doc_parse("policy", text, strlen(text), DOC_HUJSON, &d);
	struct policy *p = doc ? policy_parse(doc, &d) : NULL;
	bool ok = false;

	read_topology(json_object_get(c, "topology"), &inv);
	if (p)
		ok = run_policy(c, p, &inv, &d);
	ok = agrees(c, ok, &d);
	policy_free(p);
	inventory_free(&inv);
	diags_free(&d);
	free(text);
	return ok;
}

struct totals {
	unsigned passed, failed, odd;
};

static const char *why_odd(const char *id)
{
	for (size_t i = 0; odd[i].id; i++)
		if (!strcmp(odd[i].id, id))
			return odd[i].why;
	return NULL;
}

static void run_line(const char *line, size_t len, struct totals *t)
{
	json_t *c = json_loadb(line, len, 0, NULL);
	const char *id = json_string_value(json_object_get(c, "id")), *why;

	if (!id)
		id = "(not a case)";
	if (c && run_case(c)) {
		t->passed++;
	} else {
		why = why_odd(id);
		printf("%s %s%s%s\n", why ? "DIFFERS" : "FAILED", id, why ? ": " : "", why ? why : "");
		t->failed += !why;
		t->odd += !!why;
	}
	json_decref(c);
}

static bool run_file(const char *path, struct totals *t)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (!f) {
		perror(path);
		return false;
	}
	while ((len = getline(&line, &size, f)) > 0)
		run_line(line, (size_t)len, t);
	free(line);
	fclose(f);
	return true;
}

int main(int argc, char **argv)
{
	struct totals t = {0};
	char pattern[4096];
	bool read = true;
	glob_t files;

	if (argc != 2) {
		fputs("usage: conformance DIR\n", stderr);
		return 2;
	}
	snprintf(pattern, sizeof(pattern), "%s/*.jsonl", argv[1]);
	if (glob(pattern, 0, NULL, &files)) {
		fprintf(stderr, "%s: no *.jsonl\n", argv[1]);
		return 2;
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		read &= run_file(files.gl_pathv[i], &t);
	globfree(&files);
	printf("%u differ on purpose\n%u passed, %u failed\n", t.odd, t.passed, t.failed);
	return t.failed || !read || !(t.passed + t.failed + t.odd);
}
