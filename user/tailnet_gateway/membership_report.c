/* SPDX-License-Identifier: BSD-2-Clause */
/* How the gateway stands as a node of a tailnet, for reports and commands. */
#include "user/base/loop.h"
#include "membership.h"
#include "netmap_config.h"
#include "user/answers/report.h"
#include "user/ruleset/ruleset.h"

const char *membership_state_name(enum wire_state state)
{
	static const char *const names[WIRE_STATES] = {
		[WIRE_STATE_CONNECTING] = "connecting", [WIRE_STATE_CONNECTED] = "connected",
		[WIRE_STATE_LOGIN] = "login",		[WIRE_STATE_APPROVAL] = "approval",
		[WIRE_STATE_EXPIRED] = "expired",	[WIRE_STATE_OFFLINE] = "offline",
		[WIRE_STATE_REFUSED] = "refused",	[WIRE_STATE_LOGGED_OUT] = "logged out",
	};

	return state < WIRE_STATES ? names[state] : "unknown";
}

void membership_report(const struct gateway *g, struct report_tailnet *out)
{
	struct membership *m = g->membership;
	const struct netmap *map = &tailnet_roster(m->tailnet)->map;
	const struct ruleset *rules = rules_running(g);

	*out = (struct report_tailnet){
		.server = g->config->tailnet.login_server,
		.state = membership_state_name(m->state),
		.text = m->text,
		.login = m->url,
		.peers = map->n_peers,
		.unsettled = m->unsettled,
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
