/* SPDX-License-Identifier: BSD-2-Clause */
/* explain, as people read it. */
#include <string.h>

#include "user/answers/report_explain.h"
#include "print.h"
#include "table.h"
#include "user/base/text.h"

#define LINE 512

/* The address that was asked about, of a prefix the first. */
static void print_address(const json_t *a, const char *address, const char *of, FILE *out)
{
	fputs(field_text(a, address), out);
	if (*field_text(a, of))
		fprintf(out, " (the first of %s, alone)", field_text(a, of));
}

static void print_client(const json_t *a, FILE *out)
{
	char name[LINE];

	fputs("  client    ", out);
	print_address(a, "source", "source_of", out);
	if (*field_text(a, "client"))
		fprintf(out, " (%s), class %llu", text_escape(field_text(a, "client"), name, sizeof(name)),
			(unsigned long long)field_number(a, "class"));
	fputc('\n', out);
}

static void print_route(const json_t *route, FILE *out)
{
	char by[LINE];

	if (json_is_object(route))
		fprintf(out, "  route     %s, approved by %s\n", field_text(route, "prefix"),
			text_escape(field_text(route, "by"), by, sizeof(by)));
}

static void add_limit(FILE *out, const json_t *quota, const char *key, const char *what)
{
	char n[TEXT_SIZE];

	if (field_number(quota, key))
		fprintf(out, ", %s %s", text_number(field_number(quota, key), n), what);
}

static void print_quota(const json_t *quota, FILE *out)
{
	char file[LINE];

	if (!json_is_object(quota))
		return;
	fprintf(out, "  quota     %s:%llu", text_escape(field_text(quota, "file"), file, sizeof(file)),
		(unsigned long long)field_number(quota, "line"));
	add_limit(out, quota, "flows", "flows");
	add_limit(out, quota, "new_flows", "new flows a second");
	add_limit(out, quota, "packets", "packets a second each way");
	add_limit(out, quota, "bytes", "bytes a second each way");
	fputc('\n', out);
}

static void print_explain_egress(const json_t *e, FILE *out)
{
	char pool[LINE];

	if (!json_is_object(e))
		return;
	fprintf(out, "  egress    pool %s", text_escape(field_text(e, "pool"), pool, sizeof(pool)));
	if (*field_text(e, "public"))
		fprintf(out, ", %s", field_text(e, "public"));
	if (*field_text(e, "interface"))
		fprintf(out, " via %s", field_text(e, "interface"));
	if (*field_text(e, "next_hop"))
		fprintf(out, ", next hop %s", field_text(e, "next_hop"));
	fputc('\n', out);
}

static void print_counters(const json_t *c, FILE *out)
{
	char flows[TEXT_SIZE], live[TEXT_SIZE], bytes[TEXT_SIZE], refused[TEXT_SIZE];

	if (json_is_object(c))
		fprintf(out, "  counters  %s flows (%s live), %s, %s refused\n",
			text_number(field_number(c, "flows"), flows), text_number(field_number(c, "live"), live),
			text_bytes(field_number(c, "bytes_out") + field_number(c, "bytes_in"), bytes),
			text_number(field_number(c, "refused"), refused));
}

/* The server's rules stand in no file. */
static void print_rule(const json_t *rule, FILE *out)
{
	char text[LINE], file[LINE];

	fprintf(out, "  rule %llu  ", (unsigned long long)field_number(rule, "id"));
	if (*field_text(rule, "file"))
		fprintf(out, "%s:%llu", text_escape(field_text(rule, "file"), file, sizeof(file)),
			(unsigned long long)field_number(rule, "line"));
	else
		fputs("of the coordination server", out);
	fprintf(out, "  %s\n", text_escape(field_text(rule, "text"), text, sizeof(text)));
}

static void print_explain_answer(const json_t *a, FILE *out)
{
	const json_t *rule = json_object_get(a, "rule");
	bool allowed = json_is_true(json_object_get(a, "allowed"));
	char text[LINE];

	colour_print(out, allowed ? COLOUR_GREEN : COLOUR_RED, allowed ? "allowed" : "refused");
	if (json_is_object(rule))
		print_rule(rule, out);
	else
		fprintf(out, "  %s\n", text_escape(field_text(a, "why"), text, sizeof(text)));
	print_client(a, out);
	fputs("  service   ", out);
	print_address(a, "destination", "destination_of", out);
	fprintf(out, " %s", field_text(a, "proto"));
	if (field_number(a, "port"))
		fprintf(out, " %llu", (unsigned long long)field_number(a, "port"));
	fputc('\n', out);
	print_route(json_object_get(a, "route"), out);
	print_quota(json_object_get(a, "quota"), out);
	print_explain_egress(json_object_get(a, "egress"), out);
	print_counters(json_object_get(a, "counters"), out);
}

void print_explain(const json_t *result, FILE *out)
{
	uint64_t left_out = field_number(result, "left_out");
	json_t *a;
	size_t i;

	json_array_foreach (json_object_get(result, "answers"), i, a)
		print_explain_answer(a, out);
	if (left_out)
		fprintf(out, "and %llu more\n", (unsigned long long)left_out);
}
