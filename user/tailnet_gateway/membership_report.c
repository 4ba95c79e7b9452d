/* SPDX-License-Identifier: BSD-2-Clause */
/* How the gateway stands as a node of a tailnet, for reports and commands. */
#include "membership.h"
#include "netmap_config.h"
#include "user/answers/report.h"
#include "user/ruleset/ruleset.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

/* ---- news ------------------------------------------------------------------------------- */

static void membership_report_tell(struct membership *m, struct news_waiter *w)
{
	uint64_t ticket = w->ticket;

	w->ticket = 0;
	m->host.answer(m->host.ctx, ticket, EXIT_YES,
		       json_pack("{s:i, s:I}", "schema", REPORT_SCHEMA, "news", (json_int_t)m->news), NULL);
}

void membership_changed(struct membership *m)
{
	m->news++;
	for (int i = 0; i < NEWS_WAITERS; i++)
		if (m->waiters[i].ticket)
			membership_report_tell(m, &m->waiters[i]);
}

void membership_tire(struct membership *m)
{
	for (int i = 0; i < NEWS_WAITERS; i++)
		if (m->waiters[i].ticket && m->waiters[i].until <= clock_now())
			membership_report_tell(m, &m->waiters[i]);
}

void membership_await(struct membership *m, uint64_t ticket, int64_t seconds)
{
	struct news_waiter *place = m->waiters;

	for (struct news_waiter *w = m->waiters; w < m->waiters + NEWS_WAITERS; w++)
		if (!w->ticket || (place->ticket && w->until < place->until))
			place = w;
	if (place->ticket) /* the one that waits longest makes room */
		membership_report_tell(m, place);
	*place = (struct news_waiter){
		.ticket = ticket,
		.until = clock_now() + (uint64_t)(seconds < NEWS_WAIT_MAX ? seconds : NEWS_WAIT_MAX) * NS_PER_SEC,
	};
}

bool membership_report(void *membership, struct report_tailnet *out)
{
	struct membership *m = membership;
	const struct config *config = m->host.site->config;
	const struct netmap *map = &tailnet_netmap(m->tailnet)->map;
	const struct ruleset *rules = rules_running(&m->host.running->rules);
	uint64_t unconfirmed = tailnet_unconfirmed(m->tailnet, clock_now());

	*out = (struct report_tailnet){
		.server = config->tailnet.login_server,
		.state = wire_state_name(m->state),
		.text = m->text,
		.login = m->url,
		.peers = map->n_peers,
		.unsettled = m->unsettled,
		.unconfirmed = unconfirmed / NS_PER_SEC,
		.unserved = tailnet_is_unserved(m->tailnet),
		.unserved_in = unconfirmed < CONFIRMATION_MAX ? (CONFIRMATION_MAX - unconfirmed) / NS_PER_SEC : 0,
		.health = &m->health,
		.clock_ahead = tailnet_clock_ahead(m->tailnet),
	};
	if (rules) {
		out->left_out = rules->n_left_out;
		out->left_out_why = rules->left_out;
	}
	out->n_relays = paths_report_relays(m, out->relays, REPORT_RELAYS_MAX);
	out->homeless = m->looked && !m->seen.home && config->tailnet.derp;
	if (m->seen.home && config->tailnet.derp)
		out->home = paths_region_name(m, m->seen.home, m->home, sizeof(m->home));
	if (map->self.node) {
		out->node = map->self.node->name;
		out->expires = map->self.node->key_expiry;
	}
	return true;
}

void membership_primary(const void *membership, struct report_route *route)
{
	const struct membership *m = membership;
	const struct netmap *map = &tailnet_netmap(m->tailnet)->map;
	const struct tailnet_node *n = netmap_config_primary(map, &route->prefix);

	route->in_tailnet = true;
	route->ours = n && n == map->self.node;
	route->primary = n ? n->name : NULL;
}

bool membership_relay_away(const void *membership, uint16_t region, char *name, size_t size)
{
	const struct membership *m = membership;
	const struct wire_relay_state *s = relay_states_find(&m->relays, region);

	paths_region_name(m, region, name, size);
	return s && s->state == WIRE_RELAY_AWAY;
}
