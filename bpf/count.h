/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_COUNT_H
#define SLUICE_COUNT_H

#include "maps.h"

/*
 * Counters. All are per CPU and written by programs that do not interrupt each
 * other there, so plain additions are exact; only a flow's own are shared.
 */
static __always_inline void count_drop(__u32 reason)
{
	__u64 *n = element(&drops, reason);

	if (n)
		++*n;
}

static __always_inline void count_total(enum total total, __u32 packets, __u64 bytes)
{
	struct traffic *t = element(&totals, total);

	if (!t)
		return;
	t->packets += packets;
	t->bytes += bytes;
}

static __always_inline void count_refused(__u32 client, __u32 rule)
{
	struct client_use *c = element(&client_use, client);
	struct rule_use *r = element(&rule_use, rule);

	if (c)
		c->refused++;
	if (r)
		r->refused++;
}

static __always_inline void count_flow(__u32 client, __u32 rule)
{
	struct client_use *c = element(&client_use, client);
	struct rule_use *r = element(&rule_use, rule);

	if (c)
		c->flows++;
	if (r)
		r->flows++;
}

/* What a flow carried becomes its rule's when the flow ends. */
static __always_inline void count_flow_end(const struct flow *f)
{
	struct rule_use *r = element(&rule_use, f->rule);

	if (!r)
		return;
	r->out.packets += f->packets_out;
	r->out.bytes += f->bytes_out;
	r->in.packets += f->packets_in;
	r->in.bytes += f->bytes_in;
}

#endif
