/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers about policies as people read them. */
#include <string.h>
#include <time.h>

#include "policy/alloc.h"
#include "user/answers/report_policy.h"
#include "print.h"
#include "table.h"
#include "user/base/text.h"

#define SHOWN_DESTINATIONS 3
#define HASH_SHOWN	   12

static void add_who(struct table *t, const json_t *c)
{
	const char *who = field_text(c, "who");
	uint64_t members = field_number(c, "members");

	if (members > 1 || !strncmp(who, "group:", 6))
		table_addf(t, "%s (%llu %s%s)", who, (unsigned long long)members,
			   strncmp(who, "tag:", 4) ? "user" : "node", members == 1 ? "" : "s");
	else
		table_add(t, who);
}

/* Behind what stands in @text. */
static void put_prefixes(char *text, size_t size, const json_t *list, const char *word)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < SHOWN_DESTINATIONS; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s%s",
			 i	 ? ", "
			 : *text ? word
				 : "",
			 json_string_value(json_array_get(list, i)));
	if (n > SHOWN_DESTINATIONS)
		snprintf(text + strlen(text), size - strlen(text), " and %zu more", n - SHOWN_DESTINATIONS);
}

static void add_destination(struct table *t, const json_t *c)
{
	char text[512] = "";

	snprintf(text, 256, "%s", field_text(c, "service"));
	put_prefixes(text, sizeof(text), json_object_get(c, "destinations"), " ");
	put_prefixes(text, sizeof(text), json_object_get(c, "except"), " except ");
	table_add(t, text);
}

static void print_change(const struct table *t, size_t row, const json_t *c, const size_t *widths, FILE *out)
{
	bool gain = !strcmp(field_text(c, "change"), "gain");
	uint64_t flows = field_number(c, "flows");
	char number[TEXT_SIZE];

	colour_print(out, gain ? COLOUR_GREEN : COLOUR_RED, gain ? "+" : "-");
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell = t->cells[row * t->columns + i];
		bool last = i + 1 == t->columns && !flows;

		fprintf(out, " %s%*s", cell, last ? 0 : (int)(widths[i] - text_width(cell)) + 1, "");
	}
	if (flows)
		fprintf(out, " %s live flow%s would end", text_number(flows, number), flows == 1 ? "" : "s");
	fputc('\n', out);
}

static void print_changes(const json_t *list, FILE *out)
{
	static const char *const heads[] = {"WHO", "SERVICE", "PORTS", NULL};
	size_t i, widths[3] = {0};
	struct table t;
	json_t *c;

	table_init(&t, heads);
	json_array_foreach (list, i, c) {
		add_who(&t, c);
		add_destination(&t, c);
		table_add(&t, field_text(c, "ports"));
	}
	for (i = 0; i < t.n; i++)
		if (text_width(t.cells[i]) > widths[i % 3])
			widths[i % 3] = text_width(t.cells[i]);
	json_array_foreach (list, i, c)
		print_change(&t, i, c, widths, out);
	table_free(&t);
}

void print_policy_diff(const json_t *diff, FILE *out)
{
	const json_t *other = json_object_get(diff, "other"), *tests = json_object_get(diff, "tests");
	uint64_t left_out = field_number(diff, "left_out");
	char escaped[512];
	json_t *text;
	size_t i;

	print_changes(json_object_get(diff, "changes"), out);
	if (left_out)
		fprintf(out, "and %llu more\n", (unsigned long long)left_out);
	json_array_foreach (other, i, text)
		fprintf(out, "~ %s\n", text_escape(json_string_value(text), escaped, sizeof(escaped)));
	json_array_foreach (json_object_get(diff, "no_clients"), i, text)
		fprintf(out, "%s has no clients here: what the policies say differs, and changes nothing\n",
			text_escape(json_string_value(text), escaped, sizeof(escaped)));
	if (policy_diff_is_empty(diff))
		fputs(json_array_size(json_object_get(diff, "no_clients")) ? "nobody else gains or loses anything\n"
									   : "nobody gains or loses anything\n",
		      out);
	if (json_is_integer(tests))
		fprintf(out, "tests: %lld passed\n", json_integer_value(tests));
}

void print_policy_apply(const json_t *r, FILE *out)
{
	const json_t *warnings = json_object_get(r, "warnings");
	char escaped[1024];
	json_t *text;
	size_t i;

	json_array_foreach (warnings, i, text)
		fprintf(stderr, "%s\n", text_escape(json_string_value(text), escaped, sizeof(escaped)));
	print_policy_diff(r, out);
	if (json_is_true(json_object_get(r, "applied")))
		fprintf(out, "applied: policy %llu, %.*s (was %.*s)\n",
			(unsigned long long)field_number(r, "generation"), HASH_SHOWN, field_text(r, "hash"),
			HASH_SHOWN, *field_text(r, "previous") ? field_text(r, "previous") : "none");
	else
		fprintf(out, "not applied: a dry run of %.*s\n", HASH_SHOWN, field_text(r, "hash"));
}

void print_policy(const json_t *r, FILE *out)
{
	char file[256], ago[TEXT_SIZE];

	fprintf(out, "# %s, policy %llu, applied %s ago%s\n# hash %s\n",
		text_escape(field_text(r, "file"), file, sizeof(file)),
		(unsigned long long)field_number(r, "generation"), text_duration(field_number(r, "applied"), ago),
		json_is_true(json_object_get(r, "differs")) ? "; the configured file differs" : "",
		field_text(r, "hash"));
	fputs(field_text(r, "text"), out);
}

void print_policy_history(const json_t *r, FILE *out)
{
	static const char *const heads[] = {">NUMBER", "WHEN", "SOURCE", "FILE", "HASH", NULL};
	const json_t *p;
	struct table t;
	size_t i;

	table_init(&t, heads);
	json_array_foreach (json_object_get(r, "policies"), i, p) {
		time_t when = (time_t)field_number(p, "time");
		char text[32] = "";
		struct tm tm;

		if (gmtime_r(&when, &tm))
			strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		table_addf(&t, "%s%llu", json_is_true(json_object_get(p, "running")) ? "*" : "",
			   (unsigned long long)field_number(p, "number"));
		table_add(&t, text);
		table_add(&t, field_text(p, "source"));
		table_add(&t, field_text(p, "file"));
		table_addf(&t, "%.*s", HASH_SHOWN, field_text(p, "hash"));
	}
	table_print(&t, out);
	table_free(&t);
}

static void print_names(const json_t *list, const char *what, FILE *out)
{
	char escaped[256];
	const json_t *name;
	size_t i;

	json_array_foreach (list, i, name)
		fprintf(out, "client %s: %s\n", text_escape(json_string_value(name), escaped, sizeof(escaped)), what);
}

void print_policy_reload(const json_t *r, FILE *out)
{
	const json_t *clients = json_object_get(r, "clients"), *text;
	char escaped[1024];
	size_t i;

	print_names(json_object_get(clients, "added"), "is new", out);
	print_names(json_object_get(clients, "removed"), "goes", out);
	print_names(json_object_get(clients, "changed"), "changes", out);
	print_policy_diff(r, out);
	json_array_foreach (json_object_get(r, "restart"), i, text)
		fprintf(out, "needs a restart: %s\n", json_string_value(text));
	json_array_foreach (json_object_get(r, "notes"), i, text)
		fprintf(out, "note: %s\n", text_escape(json_string_value(text), escaped, sizeof(escaped)));
	fputs("not applied: a dry run\n", out);
}
