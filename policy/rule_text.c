/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule on one line, for people. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

#define ITEMS_MAX 4 /* of a list, before "and 7 more" */
#define PORTS_MAX 16

/* Separator in front of item @i of @n; false: enough has been written. */
static bool another(FILE *f, size_t i, size_t n, const char *separator)
{
	if (i == ITEMS_MAX) {
		fprintf(f, " and %zu more", n - i);
		return false;
	}
	if (i)
		fputs(separator, f);
	return true;
}

static void rule_text_put_ports(FILE *f, const struct policy_portlist *ports)
{
	if (ports->n == 1 && ports->v[0].first == 0 && ports->v[0].last == 65535) {
		fputc('*', f);
		return;
	}
	for (size_t i = 0; i < ports->n; i++) {
		if (i == PORTS_MAX) {
			fprintf(f, " and %zu more", ports->n - i);
			break;
		}
		fprintf(f, i ? ",%u" : "%u", ports->v[i].first);
		if (ports->v[i].last != ports->v[i].first)
			fprintf(f, "-%u", ports->v[i].last);
	}
}

static void put_proto(FILE *f, const struct policy_ip *ip)
{
	char buf[4];

	if (ip->proto != POLICY_PROTO_DEFAULT)
		fprintf(f, " %s", policy_proto_name(ip->proto, buf));
}

static void put_dst(FILE *f, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->n_dst && another(f, i, r->n_dst, ", "); i++) {
		const char *text = r->dst[i].sel.text;
		bool v6 = r->dst[i].sel.kind == SEL_PREFIX && strchr(text, ':');

		fprintf(f, v6 && r->dst[i].ports.n ? "[%s]" : "%s", text);
		if (!r->dst[i].ports.n)
			continue;
		fputc(':', f);
		rule_text_put_ports(f, &r->dst[i].ports);
	}
}

static void put_ips(FILE *f, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->n_ip && another(f, i, r->n_ip, ","); i++) {
		put_proto(f, &r->ip[i]);
		if (!r->ip[i].ports.n)
			continue;
		fputc(' ', f);
		rule_text_put_ports(f, &r->ip[i].ports);
	}
}

char *policy_rule_text(const struct policy_rule *r)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return mem_strdup("");
	if (r->kind == POLICY_DENY)
		fputs("deny ", f);
	for (size_t i = 0; i < r->src.n && another(f, i, r->src.n, ", "); i++)
		fputs(r->src.v[i].text, f);
	fputs(" -> ", f);
	put_dst(f, r);
	put_ips(f, r);
	fclose(f);
	return text;
}
