/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_QUOTA_H
#define SLUICE_QUOTA_H

/*
 * What one client may take from the others: live flows, new flows, packets and bytes a
 * second. The limits are the policy's and stand with the client's class, so that one
 * swap changes them with everything else; how much is used stands in `client_state`.
 * Established flows of a client without a quota of packets or bytes pay one test of a
 * byte that is in hand anyway (FLOW_LIMITED).
 *
 * Without a policy's word, settings.client_share holds: one client takes at most that
 * part of the flow table, with all that its flows take up there, and leaves that part of
 * a remote's ports to others.
 */
#include "bucket.h"
#include "decide.h"
#include "notice.h"

static __always_inline __u32 quota_share(__u32 of, const struct settings *s)
{
	return (__u64)of * s->client_share / 100;
}

/* May @client open one more flow? DROP_NONE: the new flow is paid for. */
CHECKED_ALONE int quota_open(__u32 client, __u64 word, __u64 now)
{
	struct client_state *state = element(&client_state, client);
	struct client_class *class = class_of(word, client);
	struct settings *s = element(&settings, 0);
	const struct quota *q;
	__u32 share;

	if (!state || !class || !s)
		return DROP_CLIENT;
	q = &class->quota;
	share = quota_share(flow_slots, s);
	if (q->flows ? state->flows >= q->flows : share && state->slots >= share)
		return DROP_QUOTA_FLOWS;
	if (q->new_flows && !bucket_take(&state->full_at[BUCKET_NEW_FLOWS], bucket_cost(1, q->new_flows), now))
		return DROP_QUOTA_NEW_FLOWS;
	return DROP_NONE;
}

/*
 * The last ports of a pair, one client's share of them, are for clients that have
 * fewer flows than that. @use counts the port that is asked for.
 */
static __always_inline bool quota_keeps_port(__u32 client, const struct pair_use *use, const struct egress *e)
{
	struct client_state *state = element(&client_state, client);
	struct settings *s = element(&settings, 0);
	__u32 share;

	if (!state || !s)
		return false;
	share = quota_share(e->ports, s);
	return share && use->used + share > e->ports && state->flows >= share;
}

enum way { WAY_OUT, WAY_IN }; /* from the client, to it */

/* May these @packets with @bytes pass? They are paid for if both quotas have them. */
static __always_inline int quota_take(const struct quota *q, __u64 *packets_at, __u64 *bytes_at,
				      const struct traffic *t, __u64 now)
{
	__u64 packets = q->packets ? bucket_cost(t->packets, q->packets) : 0;
	__u64 bytes = q->bytes ? bucket_cost(t->bytes, q->bytes) : 0;

	if (packets && !bucket_has(packets_at, packets, now))
		return DROP_QUOTA_PACKETS;
	if (bytes && !bucket_has(bytes_at, bytes, now))
		return DROP_QUOTA_BYTES;
	if (packets)
		bucket_pay(packets_at, packets, now);
	if (bytes)
		bucket_pay(bytes_at, bytes, now);
	return DROP_NONE;
}

static __always_inline void count_held(__u32 client)
{
	struct client_use *c = element(&client_use, client);

	if (c)
		c->held++;
}

/* Tells the daemon that @client is held, now and then. */
CHECKED_ALONE int quota_notice(struct __sk_buff *skb, const struct packet *p, __u32 client, __u32 reason)
{
	struct client_state *state = element(&client_state, client);
	struct answer a = {.kind = NOTICE_FULL, .reason = reason, .client = client};

	count_held(client);
	if (state && p && bucket_take(&state->full_at[BUCKET_EVENTS], EVENT_PERIOD * SECOND, bpf_ktime_get_ns()))
		notify(skb, p, &a);
	return 0;
}

/* A packet of a flow that is FLOW_LIMITED. Returns DROP_NONE or which quota is used up. */
CHECKED_ALONE int quota_pass(struct __sk_buff *skb, const struct packet *p, __u32 client, __u64 word, enum way way)
{
	struct client_state *state = element(&client_state, client);
	struct client_class *class = class_of(word, client);
	__u64 *packets_at, *bytes_at;
	struct traffic t;
	int reason;

	if (!state || !class || !p)
		return DROP_CLIENT;
	t.packets = segments(skb);
	t.bytes = p->len;
	packets_at = &state->full_at[way == WAY_OUT ? BUCKET_PACKETS_OUT : BUCKET_PACKETS_IN];
	bytes_at = &state->full_at[way == WAY_OUT ? BUCKET_BYTES_OUT : BUCKET_BYTES_IN];
	reason = quota_take(&class->quota, packets_at, bytes_at, &t, bpf_ktime_get_ns());
	if (reason)
		quota_notice(skb, p, client, reason);
	return reason;
}

static __always_inline bool is_quota(int reason)
{
	return reason >= DROP_QUOTA_FLOWS && reason <= DROP_QUOTA_PORTS;
}

#endif
