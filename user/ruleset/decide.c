/* SPDX-License-Identifier: BSD-2-Clause */
#include "decide.h"

#include <string.h>

#include "user/kernel/maps.h"

static bool decide_is_multicast(const struct addr *a)
{
	static const struct addr zero;

	if (addr_is_v4(a))
		return a->b[12] >= 224 || !a->b[12];
	return a->b[0] == 0xff || !memcmp(a, &zero, sizeof(zero));
}

static bool decide_is_link_local(const struct addr *a, enum reserved kind)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254 && kind != RESERVED_METADATA;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static enum reserved decide_kind_of(const struct decide_place *s, const struct addr *a)
{
	if (s->config && config_is_own(s->config, a))
		return RESERVED_TUNNEL;
	return s->is_own && s->is_own(s->ctx, a) ? RESERVED_OWN : maps_reserved_default(a);
}

size_t ruleset_route_to(const struct ruleset *r, const struct config *config, const struct addr *a)
{
	size_t best = DECIDE_NO_ROUTE;

	for (size_t i = 0; i < config->n_routes; i++)
		if (r->approved_by[i] && prefix_contains(&config->routes[i].prefix, a) &&
		    (best == DECIDE_NO_ROUTE || config->routes[i].prefix.len > config->routes[best].prefix.len))
			best = i;
	return best;
}

/* What is for the host is not translated. */
static enum drop_reason decide_by_rules(const struct ruleset *r, const struct decide_packet *p, struct decided *out)
{
	struct tables_decision d = tables_decide(r->reach.t, p->class, &p->dst, p->proto, p->port);

	out->rule = d.rule ? d.rule->id : 0;
	if (!d.accept)
		return DROP_POLICY;
	return out->host || filter_can_carry(p->proto) ? DROP_NONE : DROP_PROTOCOL;
}

struct decided ruleset_decide(const struct decide_place *s, const struct decide_packet *p)
{
	const struct tables_entry *e = tables_match(s->rules->reach.t, p->class, &p->dst);
	enum reserved kind = decide_kind_of(s, &p->dst);
	struct decided d = {.route = DECIDE_NO_ROUTE, .host = kind == RESERVED_OWN || kind == RESERVED_TUNNEL};

	if (decide_is_multicast(&p->dst))
		d.reason = DROP_MULTICAST;
	else if (decide_is_link_local(&p->dst, kind))
		d.reason = DROP_LINK_LOCAL;
	else if (!p->class)
		d.reason = DROP_CLIENT;
	else if (kind && !(e && e->value.flags & ACL_EXACT))
		d.reason = DROP_RESERVED;
	else if (s->config && !d.host && (d.route = ruleset_route_to(s->rules, s->config, &p->dst)) == DECIDE_NO_ROUTE)
		d.reason = DROP_NO_ROUTE;
	else if (prefixes_cover(&s->rules->blocked.all, &(struct prefix){p->dst, 128}))
		d.reason = DROP_BLOCKED;
	else
		d.reason = decide_by_rules(s->rules, p, &d);
	return d;
}
