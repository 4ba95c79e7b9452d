/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_CREATE_H
#define SLUICE_CREATE_H

/*
 * A new flow. TCP (unless configured otherwise) and echo take a port towards their
 * remote, so one port serves many remotes; UDP shares the port of its endpoint's
 * mapping, which is made first if need be.
 */
#include "port.h"
#include "tcp.h"

struct creation {
	__u64 word, now;
	__u32 client;
	__u32 egress;
	__u32 mapping; /* slot, 0: none */
	__u32 slot;    /* the result */
	struct decision decision;
};

static __always_inline void mapping_fill(struct flow *m, const struct tuple *out, const struct creation *c,
					 const struct egress *e)
{
	m->out = *out;
	m->back.dst = e->addr;
	m->back.proto = out->proto;
	m->back.side = SIDE_REMOTE;
	m->rule = c->decision.rule; /* whose is what comes in past all flows */
	m->egress = c->egress;
	m->pool = c->decision.pool;
	m->created = c->now;
	m->seen = c->now >> SEEN_SHIFT;
	/* Until its first flow refreshes it. */
	m->expires = c->now + 2 * SECOND;
}

/* A mapping of an endpoint, by the client's side of it; NULL: there is none. */
static __always_inline struct flow *mapping_find(const struct tuple *out, __u32 client, __u64 now, __u32 *slot)
{
	struct flow *m = flow_find(out, slot);

	if (!m)
		return NULL;
	if (flow_state(m) == FLOW_MAPPING && m->expires > now && m->client == client)
		return m;
	flow_end(*slot, now);
	return NULL;
}

static __always_inline void mapping_tuple(struct tuple *out, const struct tuple *t, __u32 egress)
{
	__builtin_memset(out, 0, sizeof(*out));
	out->src = t->src;
	out->sport = t->sport;
	out->proto = t->proto;
	out->side = SIDE_CLIENT;
	out->egress = egress;
}

/* Sets c->mapping to the slot of the endpoint's mapping, an existing or a new one. */
CHECKED_ALONE int mapping_get(struct __sk_buff *skb, const struct packet *p, struct creation *c)
{
	struct egress *e;
	struct tuple out;
	struct flow *m;
	__u32 slot = 0;
	int reason;

	if (!p || !c)
		return DROP_FLOWS_FULL;
	e = element(&egresses, c->egress);
	if (!e)
		return DROP_NO_EGRESS;
	mapping_tuple(&out, &p->t, c->egress);
	if (mapping_find(&out, c->client, c->now, &c->mapping))
		return DROP_NONE;
	m = flow_new(c->client, &slot);
	if (!m)
		return DROP_FLOWS_FULL;
	mapping_fill(m, &out, c, e);
	reason = port_take(skb, p, slot);
	if (reason) {
		flow_free(m, slot);
		return reason;
	}
	flow_become(m, flow_life(m), FLOW_MAPPING); /* not sooner: who ended it would not see its port */
	c->mapping = slot;
	if (!flow_show(m, slot))
		return DROP_NONE;
	flow_end(slot, c->now); /* another CPU was faster: its mapping is the one */
	return mapping_find(&out, c->client, c->now, &c->mapping) ? DROP_NONE : DROP_FLOWS_FULL;
}

static __always_inline void flow_fill(struct flow *f, const struct packet *p, const struct creation *c,
				      const struct egress *e)
{
	f->out = p->t;
	f->back.src = p->t.dst;
	f->back.dst = e->addr;
	f->back.sport = p->t.dport;
	f->back.proto = p->t.proto;
	f->back.side = SIDE_REMOTE;
	f->generation = POLICY_GENERATION(c->word);
	f->rule = c->decision.rule;
	f->egress = c->egress;
	f->pool = c->decision.pool;
	f->route = c->decision.route;
	f->traits = c->decision.traits;
	f->mapping = c->mapping;
	if (tcp_answers(p)) { /* a SYN that came in by the mapping */
		f->flags = FLOW_REPLIED;
		f->end_in = p->ack;
	}
	f->created = c->now;
	f->seen = c->now >> SEEN_SHIFT;
}

/* From before TCP was endpoint-independent: a flow with a port of its own, on which two to one remote would be one. */
static __always_inline bool port_is_flows(const struct flow *f, __u64 now)
{
	__u32 slot = 0;
	struct flow *other = f->back.proto == IPPROTO_TCP ? flow_find(&f->back, &slot) : NULL;

	return other && !other->mapping && flow_lives(other, now);
}

/* The flow comes in by the port of its mapping. */
static __always_inline int mapping_join(struct flow *f, __u32 slot, const struct settings *s, __u64 now)
{
	struct flow *m = flow_at(f->mapping);

	if (!m)
		return DROP_FLOWS_FULL;
	if (m->expires < now + SECOND)
		m->expires = now + SECOND;
	f->back.dport = m->back.dport;
	if (!mapping_of(f)) /* it ended under our hands */
		return DROP_FLOWS_FULL;
	if (port_is_flows(f, now))
		return DROP_PORTS_FULL;
	permission_key(&f->back, &f->back, s);
	return permission_get(slot, now) ? DROP_NONE : DROP_PORTS_FULL;
}

/* The second half: *f has a slot and all but its port. */
static __always_inline int flow_begin(struct __sk_buff *skb, const struct packet *p, struct creation *c,
				      const struct settings *s, struct flow *f)
{
	int reason = c->mapping ? mapping_join(f, c->slot, s, c->now) : port_take(skb, p, c->slot);

	if (reason) {
		flow_free(f, c->slot);
		c->slot = 0;
		return reason;
	}
	client_flows_add(f->client, 1);
	f->expires = c->now + SECOND / 2; /* before it lives: whoever sees it next would end it */
	flow_become(f, flow_life(f), p->kind == KIND_TCP ? FLOW_NEW : FLOW_ESTABLISHED);
	flow_refresh(f, c->slot, s, c->now);
	if (flow_show(f, c->slot)) {
		flow_end(c->slot, c->now); /* another CPU was faster: its flow is the one */
		f = flow_find(&f->out, &c->slot);
		return f && flow_lives(f, c->now) ? DROP_NONE : DROP_FLOWS_FULL;
	}
	count_flow(c->client, c->decision.rule);
	return DROP_NONE;
}

/*
 * Makes the flow of @p, which the policy allowed (c->decision), on its mapping where
 * it has one. Returns DROP_NONE with c->slot, or the reason why there is none.
 */
CHECKED_ALONE int flow_create(struct __sk_buff *skb, const struct packet *p, struct creation *c)
{
	struct settings *s = element(&settings, 0);
	struct egress *e;
	struct flow *f;

	if (!s || !p || !c)
		return DROP_FLOWS_FULL;
	e = element(&egresses, c->egress);
	if (!e)
		return DROP_NO_EGRESS;
	f = flow_new(c->client, &c->slot);
	if (!f)
		return DROP_FLOWS_FULL;
	flow_fill(f, p, c, e);
	return flow_begin(skb, p, c, s, f);
}

#endif
