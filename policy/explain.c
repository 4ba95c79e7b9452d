/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a packet may pass or not, and what nearly let it. */
#include <stdlib.h>
#include <string.h>

#include "reach.h"

/* How the rule misses, when it misses by one thing. */
static enum explain_miss miss_of(const struct filter_rule *r, const struct filter_packet *pkt,
				 const struct filter_dst **dst)
{
	bool from = filter_rule_from(r, &pkt->src);

	for (size_t i = 0; i < r->n_dst; i++) {
		if (!prefix_contains(&r->dst[i].prefix, &pkt->dst))
			continue;
		*dst = &r->dst[i];
		if (from)
			return EXPLAIN_PORT;
		if (filter_rule_has_proto(r, pkt->proto) && filter_dst_matches(r, *dst, pkt))
			return EXPLAIN_SOURCE;
	}
	return EXPLAIN_NO_RULE;
}

void policy_explain(const struct filter *f, const struct filter_packet *pkt, struct explanation *out)
{
	const struct filter_dst *dst;

	*out = (struct explanation){.answer = filter_verdict(f, pkt)};
	if (out->answer.rule)
		return;
	for (size_t i = 0; i < f->n && out->miss != EXPLAIN_PORT; i++) {
		enum explain_miss miss;

		if (f->rules[i].verdict != FILTER_ACCEPT)
			continue;
		miss = miss_of(&f->rules[i], pkt, &dst);
		if (miss == EXPLAIN_PORT || (miss == EXPLAIN_SOURCE && !out->nearest)) {
			out->nearest = &f->rules[i];
			out->dst = dst;
			out->miss = miss;
		}
	}
}

static void put_place(FILE *f, const struct filter_rule *r)
{
	fprintf(f, "rule %u", r->id);
	if (r->file)
		fprintf(f, " (%s:%u)", r->file, r->line);
}

#define PORTS_SHOWN 8

/* All that the rule has for the destination, not the first alone. */
static void explain_put_ports(FILE *f, const struct filter_rule *r, const struct filter_dst *dst)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->n_dst && n <= PORTS_SHOWN; i++) {
		const struct filter_dst *d = &r->dst[i];

		if (prefix_cmp(&d->prefix, &dst->prefix))
			continue;
		fputs(n ? ", " : " ", f);
		if (n++ == PORTS_SHOWN)
			fputs("...", f);
		else
			fprintf(f, d->first == d->last ? "%u" : "%u-%u", d->first, d->last);
	}
}

static void explain_put_allowed(FILE *f, const struct filter_rule *r, const struct filter_dst *dst)
{
	char buf[4];

	for (size_t i = 0; i < r->n_proto; i++)
		fprintf(f, "%s%s", i ? ", " : "", policy_proto_name(r->proto[i], buf));
	if (dst->first == 0 && dst->last == 65535) {
		fputs(r->n_proto ? "" : "tcp, udp and icmp", f);
		return;
	}
	fputs(r->n_proto ? "" : "tcp and udp", f);
	explain_put_ports(f, r, dst);
}

char *policy_explain_text(const struct explanation *e)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return mem_strdup("");
	if (e->answer.rule) {
		put_place(f, e->answer.rule);
		fprintf(f, " %s", e->answer.rule->text ? e->answer.rule->text : "");
		if (e->miss == EXPLAIN_OTHER_ADDRESS)
			fputs(" (by another address of this client: a deny holds for all of them)", f);
	} else {
		fputs("default deny", f);
	}
	if (e->nearest) {
		fputs("; nearest ", f);
		put_place(f, e->nearest);
		if (e->miss == EXPLAIN_PORT) {
			fputs(" allows only ", f);
			explain_put_allowed(f, e->nearest, e->dst);
		} else if (e->miss == EXPLAIN_DIVIDED) {
			fprintf(f, " names only a part of this client's addresses, so it does not hold for it: %s",
				e->nearest->text ? e->nearest->text : "");
		} else {
			fprintf(f, " is for others: %s", e->nearest->text ? e->nearest->text : "");
		}
	}
	fclose(f);
	return text;
}
