/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_ASKED_H
#define SLUICE_ASKED_H

/*
 * Who was let in as a stranger, and so may have been sent a cookie: only a cookie from there
 * is looked at, for a look costs ten times what it costs to send a false one. A mark is
 * forgotten when others need its place, and with the first false cookie: so there are no more
 * looks in vain than strangers were let in. A mark holds more of the hash than its place
 * does: who invents sources does not hit one by chance.
 */
#include "gate.h"

#define ASKED_FOR   (120 * 1000000000ull >> ASKED_GRAIN) /* cookies live no longer */
#define ASKED_GRAIN 28					 /* of time: ns >> this, about a quarter of a second */
#define ASKED_TIME  0xffff

struct asked_at {
	struct asked_set *set;
	__u32 tag;
};

static __always_inline __u64 asked_mix(__u64 a, __u64 secret)
{
	a *= secret;
	return a ^ a >> 32;
}

static __always_inline struct asked_at asked_of(const struct gate_message *m, __u64 secret)
{
	__u64 hash =
		asked_mix(asked_mix(asked_mix(m->from.d[0] + secret, secret) + m->from.d[1], secret) + m->port, secret);
	struct asked_at at = {.set = element(&asked_work, (__u32)hash & (ASKED_SETS - 1)),
			      .tag = (__u32)(hash >> 32) & ~ASKED_TIME};

	return at;
}

static __always_inline __u32 asked_now(void)
{
	return (__u32)(bpf_ktime_get_ns() >> ASKED_GRAIN) & ASKED_TIME;
}

static __always_inline bool asked_is(__u32 mark, __u32 tag, __u32 now)
{
	return mark && (mark & ~ASKED_TIME) == tag && ((now - mark) & ASKED_TIME) <= ASKED_FOR;
}

static __always_inline bool asked_before(const struct asked_at *at)
{
	__u32 now = asked_now();

	return at->set && (asked_is(at->set->marks[0], at->tag, now) || asked_is(at->set->marks[1], at->tag, now));
}

static __always_inline void asked_forget(const struct asked_at *at)
{
	if (at->set)
		for (int i = 0; i < 2; i++)
			if ((at->set->marks[i] & ~ASKED_TIME) == at->tag)
				at->set->marks[i] = 0;
}

/* In the place of its own earlier mark, or of the older one. */
static __always_inline void asked_mark(const struct asked_at *at)
{
	__u32 now = asked_now(), first;

	if (!at->set)
		return;
	first = at->set->marks[0];
	if ((first & ~ASKED_TIME) != at->tag && ((now - first) & ASKED_TIME) < ((now - at->set->marks[1]) & ASKED_TIME))
		at->set->marks[1] = at->tag | now;
	else
		at->set->marks[0] = at->tag | now;
}

#endif
