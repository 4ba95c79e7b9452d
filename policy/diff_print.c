/* SPDX-License-Identifier: BSD-2-Clause */
/* What changes, as people read it. */
#include <stdlib.h>
#include <string.h>

#include "diff.h"

/* Index behind the ranges of the protocol that begins at @i. */
static size_t proto_end(const struct ports *l, size_t i)
{
	size_t end = i;

	while (end < l->n && l->v[end].proto == l->v[i].proto)
		end++;
	return end;
}

static bool same_ranges(const struct ports *l, size_t a, size_t b)
{
	size_t n = proto_end(l, a) - a;

	if (proto_end(l, b) - b != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (l->v[a + i].first != l->v[b + i].first || l->v[a + i].last != l->v[b + i].last)
			return false;
	return true;
}

static void put_ranges(FILE *f, const struct ports *l, size_t i)
{
	size_t end = proto_end(l, i), first = i;

	if (l->v[i].first == 0 && l->v[i].last == 65535)
		return;
	for (; i < end; i++)
		fprintf(f, l->v[i].first == l->v[i].last ? "%s%u" : "%s%u-%u", i == first ? " " : ",", l->v[i].first,
			l->v[i].last);
}

char *policy_change_ports(const struct policy_change *c)
{
	char *text = NULL, buf[4];
	const struct ports *l = &c->ports;
	bool *done = mem_alloc(l->n, sizeof(*done)); /* by first range of a protocol */
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort(); /* no memory */
	for (size_t i = 0; i < l->n; i = proto_end(l, i)) {
		if (done[i])
			continue;
		fprintf(f, "%s%s", i ? ", " : "", policy_proto_name(l->v[i].proto, buf));
		for (size_t j = proto_end(l, i); j < l->n; j = proto_end(l, j))
			if (same_ranges(l, i, j)) {
				done[j] = true;
				fprintf(f, " %s", policy_proto_name(l->v[j].proto, buf));
			}
		put_ranges(f, l, i);
	}
	fclose(f);
	free(done);
	return text;
}

static char *who_text(const struct policy_change *c)
{
	bool tag = !strncmp(c->who, "tag:", 4);

	if (strncmp(c->who, "group:", 6) && strncmp(c->who, "autogroup:", 10) && !tag)
		return mem_strdup(c->who);
	return mem_printf("%s (%zu %s%s)", c->who, c->members, tag ? "node" : "user", c->members == 1 ? "" : "s");
}

#define SHOWN 2 /* prefixes of a change on its line */

static char *service_text(const struct policy_change *c)
{
	char *text = NULL, buf[ADDR_STRLEN];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort(); /* no memory */
	fprintf(f, "%s%s", c->service, *c->service ? " " : "");
	for (size_t i = 0; i < c->dst.n && i < SHOWN; i++)
		fprintf(f, "%s%s", i ? ", " : "", prefix_str(&c->dst.v[i], buf));
	if (c->dst.n > SHOWN)
		fprintf(f, " and %zu more", c->dst.n - SHOWN);
	for (size_t i = 0; i < c->except.n && i < SHOWN; i++)
		fprintf(f, "%s%s", i ? ", " : " except ", prefix_str(&c->except.v[i], buf));
	if (c->except.n > SHOWN)
		fprintf(f, " and %zu more", c->except.n - SHOWN);
	fclose(f);
	return text;
}

void policy_diff_print(const struct policy_diff *diff, FILE *out)
{
	int who_width = 0, service_width = 0;

	for (int pass = 0; pass < 2; pass++) /* measure, then print */
		for (size_t i = 0; i < diff->n; i++) {
			const struct policy_change *c = &diff->v[i];
			char *who = who_text(c), *service = service_text(c), *ports = policy_change_ports(c);

			if (pass)
				fprintf(out, "%c %-*s  %-*s  %s\n", c->gains ? '+' : '-', who_width, who, service_width,
					service, ports);
			else if ((int)strlen(who) > who_width)
				who_width = (int)strlen(who);
			if (!pass && (int)strlen(service) > service_width)
				service_width = (int)strlen(service);
			free(who);
			free(service);
			free(ports);
		}
}
