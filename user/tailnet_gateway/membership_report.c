/* SPDX-License-Identifier: BSD-2-Clause */
/* How the gateway stands as a node of a tailnet, for reports and commands. */
#include "membership.h"
#include "netmap_config.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"
#include "user/ruleset/ruleset.h"

/* ---- news ------------------------------------------------------------------------------- */

static void membership_report_tell(struct membership *m, struct news_waiter *w)
{
	uint64_t ticket = w->ticket;

	w->ticket = 0;
	control_finish(m->g->control, ticket, EXIT_YES,
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

int verb_news(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct membership *m = ((struct gateway *)gateway)->membership;
	json_int_t seen = json_integer_value(json_object_get(args, "seen"));
	json_int_t wait = json_integer_value(json_object_get(args, "wait"));
	struct news_waiter *place = m ? m->waiters : NULL;

	if (!m)
		return exit_fail(error, EXIT_NO, "this gateway is no node of a tailnet");
	*result = json_pack("{s:i, s:I}", "schema", REPORT_SCHEMA, "news", (json_int_t)m->news);
	if ((uint64_t)seen != m->news || wait < 1)
		return EXIT_YES;
	json_decref(*result);
	*result = NULL;
	for (struct news_waiter *w = m->waiters; w < m->waiters + NEWS_WAITERS; w++)
		if (!w->ticket || (place->ticket && w->until < place->until))
			place = w;
	if (place->ticket) /* who waits longest makes room */
		membership_report_tell(m, place);
	*place = (struct news_waiter){
		.ticket = control_later(m->g->control),
		.until = clock_now() + (uint64_t)(wait < NEWS_WAIT_MAX ? wait : NEWS_WAIT_MAX) * NS_PER_SEC,
	};
	return EXIT_LATER;
}

void membership_report(const struct gateway *g, struct report_tailnet *out)
{
	struct membership *m = g->membership;
	const struct netmap *map = &tailnet_roster(m->tailnet)->map;
	const struct ruleset *rules = rules_running(g);
	uint64_t unconfirmed = tailnet_unconfirmed(m->tailnet, clock_now());

	*out = (struct report_tailnet){
		.server = g->config->tailnet.login_server,
		.state = wire_state_name(m->state),
		.text = m->text,
		.login = m->url,
		.peers = map->n_peers,
		.unsettled = m->unsettled,
		.unconfirmed = unconfirmed / NS_PER_SEC,
		.unserved = tailnet_is_unserved(m->tailnet),
		.unserved_in = unconfirmed < CONFIRMATION_MAX ? (CONFIRMATION_MAX - unconfirmed) / NS_PER_SEC : 0,
		.remarks = &m->remarks,
		.clock_ahead = tailnet_clock_ahead(m->tailnet),
	};
	if (rules) {
		out->left_out = rules->n_left_out;
		out->left_out_why = rules->left_out;
	}
	out->n_relays = paths_report_relays(m, out->relays, REPORT_RELAYS_MAX);
	out->homeless = m->looked && !m->seen.home && g->config->tailnet.derp;
	if (m->seen.home && g->config->tailnet.derp)
		out->home = paths_region_name(m, m->seen.home, m->home, sizeof(m->home));
	if (map->self.node) {
		out->node = map->self.node->name;
		out->expires = map->self.node->key_expiry;
	}
}

void membership_primary(const struct gateway *g, struct report_route *route)
{
	const struct netmap *map = &tailnet_roster(g->membership->tailnet)->map;
	const struct tailnet_node *n = netmap_config_primary(map, &route->prefix);

	route->in_tailnet = true;
	route->ours = n && n == map->self.node;
	route->primary = n ? n->name : NULL;
}

const char *membership_region(const struct gateway *g, uint16_t region, char *buf, size_t size)
{
	return paths_region_name(g->membership, region, buf, size);
}

bool membership_relay_away(const struct gateway *g, uint16_t region)
{
	const struct wire_relay_state *s = relay_states_find(&g->membership->relays, region);

	return s && s->state == WIRE_RELAY_AWAY;
}
