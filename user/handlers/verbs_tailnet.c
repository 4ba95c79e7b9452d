/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What commands may ask about the tailnet, and how they change our place in it.
 *
 *	up	args {"new_key"}		{"schema", "state", "note" (null, or why there is no auth key)};
 *						how it goes on is in `status`
 *	logout					{"schema", "state"}
 *	news	args {"seen", "wait"}		{"schema", "news"}: changes of the state so far; when that is
 *						what was seen already, the answer waits (seconds) for more
 *	netmap	{"schema", "self": null | NODE, "peers": [NODE], "rules": ["100.64.0.2 -> 203.0.113.9:443"]}
 *		NODE: {"id", "name", "user", "tags": [], "addresses": [], "allowed": [], "primary": [], "endpoints": [],
 *			"key", "relay", "online", "expires" (Unix seconds), "expired"}
 *	ping	args {"node"}			{"schema", "name", "number"}: pongs after this number are answers
 *	pong	args {"node", "number"}		{"schema", "pongs": [{"number", "path" ("direct", "relay"),
 *						"endpoint", "relay", "microseconds"}], "trouble" (null, or
 *						why its relay cannot be reached)}
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "user/control/control.h"
#include "user/gateway/origin.h"
#include "user/gateway/parts.h"
#include "user/gateway/site.h"
#include "user/tailnet_gateway/membership.h"
#include "user/answers/report.h"
#include "user/base/keys.h"
#include "user/base/text.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

static int no_tailnet(char **error)
{
	return exit_fail(error, EXIT_NO,
			 "this gateway is no node of a tailnet: its configuration has no section tailnet");
}

static int verbs_tailnet_give(json_t *report, json_t **result, char **error)
{
	*result = report;
	return report ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

/* ---- in and out -------------------------------------------------------------------------- */

int verb_up(void *parts, const json_t *args, json_t **result, char **error)
{
	struct membership *m = membership_of(((const struct parts *)parts)->origin);
	char why[512];

	if (!m)
		return no_tailnet(error);
	if (!membership_up(m, json_is_true(json_object_get(args, "new_key")), why, sizeof(why)))
		return exit_fail(error, EXIT_NO, "%s", why);
	return verbs_tailnet_give(json_pack("{s:i, s:s, s:s?}", "schema", REPORT_SCHEMA, "state",
					    wire_state_name(m->state), "note", *why ? why : NULL),
				  result, error);
}

int verb_logout(void *parts, const json_t *args, json_t **result, char **error)
{
	struct membership *m = membership_of(((const struct parts *)parts)->origin);
	char why[512];

	if (!m)
		return no_tailnet(error);
	if (!tailnet_logout(m->tailnet, why, sizeof(why)))
		return exit_fail(error, EXIT_NO, "%s", why);
	return verbs_tailnet_give(json_pack("{s:i, s:s}", "schema", REPORT_SCHEMA, "state", wire_state_name(m->state)),
				  result, error);
}

int verb_news(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	struct membership *m = membership_of(p->origin);
	json_int_t seen = json_integer_value(json_object_get(args, "seen"));
	json_int_t wait = json_integer_value(json_object_get(args, "wait"));

	if (!m)
		return no_tailnet(error);
	if ((uint64_t)seen != m->news || wait < 1)
		return verbs_tailnet_give(json_pack("{s:i, s:I}", "schema", REPORT_SCHEMA, "news", (json_int_t)m->news),
					  result, error);
	membership_await(m, control_later(p->control), wait);
	return EXIT_LATER;
}

/* ---- the netmap ----------------------------------------------------------------------------- */

/* A text that is no valid UTF-8 is shown escaped rather than lost with its object. */
static json_t *text_json(const char *s)
{
	char escaped[NODE_TEXT_MAX * 4 + 1];
	json_t *j = *s ? json_string(s) : json_null();

	return j ? j : json_string(text_escape(s, escaped, sizeof(escaped)));
}

static json_t *prefixes_json(const struct prefix *v, size_t n)
{
	json_t *list = json_array();
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(prefix_str(&v[i], text)));
	return list;
}

static json_t *node_json(const struct membership *m, const struct tailnet_node *n)
{
	json_t *tags = json_array(), *endpoints = json_array(), *j;
	char key[TAILKEY_SIZE], buf[TEXT_ENDPOINT_SIZE], relay[64];

	for (size_t i = 0; i < n->n_tags; i++)
		json_array_append_new(tags, text_json(n->tags[i]));
	for (size_t i = 0; i < n->n_endpoints; i++)
		json_array_append_new(endpoints,
				      json_string(text_endpoint(&n->endpoints[i].addr, n->endpoints[i].port, buf)));
	j = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:b}", "id", (json_int_t)n->id, "name",
		      text_json(n->name), "user", text_json(n->user), "tags", tags, "addresses",
		      prefixes_json(n->addresses, n->n_addresses), "allowed", prefixes_json(n->allowed, n->n_allowed),
		      "primary", prefixes_json(n->primary, n->n_primary), "endpoints", endpoints, "key",
		      tailkey_text(TAILKEY_NODE, n->node_key, key), "online", n->online, "expired",
		      node_is_expired(n, tailnet_time(m->tailnet)));
	json_object_set_new(j, "relay",
			    n->region ? text_json(paths_region_name(m, n->region, relay, sizeof(relay))) : json_null());
	json_object_set_new(j, "expires", n->key_expiry ? json_integer((json_int_t)n->key_expiry) : json_null());
	return j;
}

int verb_netmap(void *parts, const json_t *args, json_t **result, char **error)
{
	struct membership *m = membership_of(((const struct parts *)parts)->origin);
	json_t *peers = json_array(), *rules = json_array();
	const struct netmap *map;
	struct filter list;

	if (!m)
		return no_tailnet(error);
	map = &tailnet_netmap(m->tailnet)->map;
	for (size_t i = 0; i < map->n_peers; i++)
		json_array_append_new(peers, node_json(m, map->peers[i].node));
	list = netmap_rules(map);
	for (size_t i = 0; i < list.n; i++)
		json_array_append_new(rules, text_json(list.rules[i].text));
	free(list.rules);
	return verbs_tailnet_give(json_pack("{s:i, s:o, s:o, s:o}", "schema", REPORT_SCHEMA, "self",
					    map->self.node ? node_json(m, map->self.node) : json_null(), "peers", peers,
					    "rules", rules),
				  result, error);
}

/* ---- ping -------------------------------------------------------------------------------------- */

static bool verbs_tailnet_has_address(const struct config_client *c, const struct addr *a)
{
	for (size_t i = 0; i < c->addresses.n; i++)
		if (!addr_cmp(&c->addresses.v[i], a))
			return true;
	return false;
}

/* By name, by its full name in the tailnet's DNS, or by an address inside the tailnet. */
static const struct config_client *verbs_tailnet_find_node(const struct config *config, const json_t *args)
{
	const char *word = json_string_value(json_object_get(args, "node"));
	const struct config_client *c = word ? config_client(config, word) : NULL;
	char label[64];
	struct addr a;

	if (c || !word)
		return c;
	if (!addr_parse(word, strlen(word), &a)) {
		snprintf(label, sizeof(label), "%.*s", (int)strcspn(word, "."), word);
		for (char *l = label; *l; l++)
			*l = (char)tolower((unsigned char)*l); /* as a server writes them */
		return config_client(config, label);
	}
	for (size_t i = 0; i < config->n_clients; i++)
		if (verbs_tailnet_has_address(&config->clients[i], &a))
			return &config->clients[i];
	return NULL;
}

static int no_node(const struct membership *m, const json_t *args, char **error)
{
	const char *word = json_string_value(json_object_get(args, "node"));
	const struct tailnet_node *self = tailnet_netmap(m->tailnet)->map.self.node;

	if (word && self && !strcasecmp(word, self->name))
		return exit_fail(error, EXIT_NO, "%s is this gateway", self->name);
	return exit_fail(error, EXIT_NO, "no such node: \"%s\" (`sluice netmap` lists them)", word ? word : "");
}

int verb_ping(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	struct membership *m = membership_of(p->origin);
	const struct config_client *c = m ? verbs_tailnet_find_node(p->site->config, args) : NULL;
	uint64_t before;

	if (!m)
		return no_tailnet(error);
	if (!c)
		return no_node(m, args, error);
	before = m->n_pongs;
	if (!disco_ping(m->disco, c->public_key, clock_now()))
		return exit_fail(error, EXIT_NO, "%s has no disco key that works: it cannot be pinged", c->name);
	return verbs_tailnet_give(
		json_pack("{s:i, s:s, s:I}", "schema", REPORT_SCHEMA, "name", c->name, "number", (json_int_t)before),
		result, error);
}

static json_t *pong_json(const struct membership *m, const struct pong *p)
{
	const struct disco_result *r = &p->result;
	char endpoint[TEXT_ENDPOINT_SIZE], relay[64];

	text_endpoint(&r->endpoint.addr, r->endpoint.port, endpoint);
	return json_pack("{s:I, s:s, s:o, s:o, s:I}", "number", (json_int_t)p->number, "path",
			 r->direct ? "direct" : "relay", "endpoint", r->direct ? json_string(endpoint) : json_null(),
			 "relay",
			 r->direct ? json_null() : text_json(paths_region_name(m, r->region, relay, sizeof(relay))),
			 "microseconds", (json_int_t)(r->latency / 1000));
}

/* Of the relay where the node is to be found. */
static json_t *conn_error_json(const struct membership *m, const struct config_client *c)
{
	const struct netmap_peer *p = netmap_peer(&tailnet_netmap(m->tailnet)->map, c->tailnet_id);
	const struct wire_relay_state *s = p ? relay_states_find(&m->relays, p->node->region) : NULL;
	char name[64], why[256];

	if (!s || s->state != WIRE_RELAY_AWAY)
		return json_null();
	return json_sprintf("relay %s cannot be reached: %s", paths_region_name(m, s->region, name, sizeof(name)),
			    conn_error_text(&s->why, why, sizeof(why)));
}

int verb_pong(void *parts, const json_t *args, json_t **result, char **error)
{
	const struct parts *p = parts;
	struct membership *m = membership_of(p->origin);
	const struct config_client *c = m ? verbs_tailnet_find_node(p->site->config, args) : NULL;
	uint64_t after = (uint64_t)json_integer_value(json_object_get(args, "number")), first;
	json_t *list;

	if (!m)
		return no_tailnet(error);
	if (!c)
		return no_node(m, args, error);
	list = json_array();
	first = m->n_pongs > PONGS_KEPT ? m->n_pongs - PONGS_KEPT : 0;
	for (uint64_t n = first; n < m->n_pongs; n++) {
		const struct pong *pong = &m->pongs[n % PONGS_KEPT];

		if (pong->number > after && !memcmp(pong->node, c->public_key, KEY_LEN))
			json_array_append_new(list, pong_json(m, pong));
	}
	return verbs_tailnet_give(
		json_pack("{s:i, s:o, s:o}", "schema", REPORT_SCHEMA, "pongs", list, "trouble", conn_error_json(m, c)),
		result, error);
}
