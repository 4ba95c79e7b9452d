/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between gateway and network process (wire.h). Each kind has one
 * function that writes it and one that reads it, side by side in one table, so
 * what one writes the other reads.
 */
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/netmap/netmap.h"
#include "policy/alloc.h"
#include "user/tailnet/types/server_clock.h"
#include "user/wireguard/crypto.h"
#include "wire.h"
#include "wire_fields.h"
#include "user/base/url.h"
#include "user/base/secret.h"

static void put_status(struct writer *w, const struct wire_message *m)
{
	write_u8(w, (uint8_t)m->status.state);
	wire_put_text(w, m->status.text, WIRE_TEXT_MAX);
}

static void get_status(struct reader *r, struct wire_message *m)
{
	uint8_t state = read_u8(r);

	r->bad |= state >= WIRE_STATES;
	m->status.state = (enum wire_state)state;
	m->status.text = wire_get_text(r, WIRE_TEXT_MAX);
}

static void put_clock(struct writer *w, const struct wire_message *m)
{
	write_be64(w, (uint64_t)m->clock);
}

static void get_clock(struct reader *r, struct wire_message *m)
{
	m->clock = (int64_t)read_be64(r);
	r->bad |= !server_clock_is_time(m->clock);
}

static void put_remarks(struct writer *w, const struct wire_message *m)
{
	wire_put_count(w, m->health.n, HEALTH_MAX);
	for (size_t i = 0; i < m->health.n && !w->bad; i++) {
		write_u8(w, (uint8_t)m->health.v[i].severity);
		wire_put_text(w, m->health.v[i].text, HEALTH_TEXT_MAX);
	}
}

static void get_remarks(struct reader *r, struct wire_message *m)
{
	m->health.v = wire_get_list(r, HEALTH_MAX, 3, sizeof(*m->health.v), &m->health.n);
	for (size_t i = 0; i < m->health.n; i++) {
		m->health.v[i].severity = read_u8(r);
		r->bad |= m->health.v[i].severity >= HEALTH_SEVERITIES;
		m->health.v[i].text = wire_get_text(r, HEALTH_TEXT_MAX);
	}
}

static void put_login(struct writer *w, const struct wire_message *m)
{
	wire_put_text(w, m->url, URL_HOST_MAX + URL_PATH_MAX);
}

static void get_login(struct reader *r, struct wire_message *m)
{
	struct url url;

	m->url = wire_get_text(r, URL_HOST_MAX + URL_PATH_MAX);
	r->bad |= !m->url || !url_parse(m->url, &url);
}

static void put_begin(struct writer *w, const struct wire_message *m)
{
	wire_put_bool(w, m->begin.full);
	wire_put_bool(w, m->begin.rules);
	wire_put_bool(w, m->begin.relays);
}

static void get_begin(struct reader *r, struct wire_message *m)
{
	m->begin.full = wire_get_bool(r);
	m->begin.rules = wire_get_bool(r);
	m->begin.relays = wire_get_bool(r);
}

static void put_self(struct writer *w, const struct wire_message *m)
{
	wire_put_node(w, m->self.node);
	wire_put_bool(w, m->self.authorized);
}

static void get_self(struct reader *r, struct wire_message *m)
{
	m->self.node = wire_get_node(r);
	m->self.authorized = wire_get_bool(r);
}

static void put_peer(struct writer *w, const struct wire_message *m)
{
	wire_put_node(w, m->peer);
}

static void get_peer(struct reader *r, struct wire_message *m)
{
	m->peer = wire_get_node(r);
}

static void put_gone(struct writer *w, const struct wire_message *m)
{
	write_be64(w, m->gone);
}

static void get_gone(struct reader *r, struct wire_message *m)
{
	m->gone = read_be64(r);
	r->bad |= !m->gone;
}

static void put_rule(struct writer *w, const struct wire_message *m)
{
	const struct filter_rule *rule = &m->rule;

	w->bad |= rule->verdict != FILTER_ACCEPT; /* a server only allows */
	write_be32(w, rule->id);
	wire_put_text(w, rule->text, NODE_TEXT_MAX);
	wire_put_prefixes(w, rule->src, rule->n_src, WIRE_RULE_ENTRIES_MAX);
	wire_put_count(w, rule->n_dst, WIRE_RULE_ENTRIES_MAX);
	for (size_t i = 0; i < rule->n_dst && !w->bad; i++) {
		wire_put_prefix(w, &rule->dst[i].prefix);
		write_be16(w, rule->dst[i].first);
		write_be16(w, rule->dst[i].last);
	}
	wire_put_count(w, rule->n_proto, UINT8_MAX);
	write_bytes(w, rule->proto, rule->n_proto);
}

static void get_rule(struct reader *r, struct wire_message *m)
{
	struct filter_rule *rule = &m->rule;

	rule->verdict = FILTER_ACCEPT;
	rule->id = read_be32(r);
	rule->text = wire_get_text(r, NODE_TEXT_MAX);
	rule->src = wire_get_prefixes(r, WIRE_RULE_ENTRIES_MAX, &rule->n_src);
	rule->dst = wire_get_list(r, WIRE_RULE_ENTRIES_MAX, sizeof(struct addr) + 5, sizeof(*rule->dst), &rule->n_dst);
	for (size_t i = 0; i < rule->n_dst; i++) {
		rule->dst[i].prefix = wire_get_prefix(r);
		rule->dst[i].first = read_be16(r);
		rule->dst[i].last = read_be16(r);
		r->bad |= rule->dst[i].first > rule->dst[i].last;
	}
	rule->proto = wire_get_list(r, UINT8_MAX, 1, 1, &rule->n_proto);
	read_copy(r, rule->proto, rule->n_proto);
	r->bad |= !rule->id || !rule->n_src || !rule->n_dst;
}

static void put_left_out(struct writer *w, const struct wire_message *m)
{
	write_be32(w, m->left_out.n);
	wire_put_text(w, m->left_out.why, WIRE_TEXT_MAX);
}

static void get_left_out(struct reader *r, struct wire_message *m)
{
	m->left_out.n = read_be32(r);
	m->left_out.why = wire_get_text(r, WIRE_TEXT_MAX);
	r->bad |= !m->left_out.n;
}

static void put_region(struct writer *w, const struct wire_message *m)
{
	wire_put_region(w, &m->region);
}

static void get_region(struct reader *r, struct wire_message *m)
{
	m->region = wire_get_region(r);
}

static void put_hello(struct writer *w, const struct wire_message *m)
{
	write_be16(w, m->hello.region);
	write_bytes(w, m->hello.server_key, KEY_LEN);
}

static void get_hello(struct reader *r, struct wire_message *m)
{
	m->hello.region = read_be16(r);
	read_copy(r, m->hello.server_key, KEY_LEN);
}

static void wire_put_relay(struct writer *w, const struct wire_message *m)
{
	write_be16(w, m->relay.region);
	write_u8(w, (uint8_t)m->relay.state);
	write_u8(w, (uint8_t)m->relay.why.kind);
	write_be32(w, (uint32_t)m->relay.why.number);
	wire_put_text(w, m->relay.host, URL_HOST_MAX);
}

static void wire_get_relay(struct reader *r, struct wire_message *m)
{
	struct wire_relay_state *s = &m->relay;
	uint8_t state, kind;

	s->region = read_be16(r);
	state = read_u8(r);
	kind = read_u8(r);
	s->state = (enum wire_relay_standing)state;
	s->why = (struct conn_error){(enum conn_error_kind)kind, (int)read_be32(r)};
	s->host = wire_get_text(r, URL_HOST_MAX);
	r->bad |= !s->region || state >= WIRE_RELAY_STANDINGS || kind >= CONN_ERROR_KINDS;
	r->bad |= (kind != CONN_ERROR_NONE) != (state == WIRE_RELAY_AWAY) || (!kind && s->why.number);
	r->bad |= s->host && *s->host && !derpmap_is_host(s->host);
}

static void put_packet(struct writer *w, const struct wire_message *m)
{
	w->bad |= m->packet.len > WIRE_PACKET_MAX;
	write_be16(w, m->packet.region);
	write_bytes(w, m->packet.node_key, KEY_LEN);
	write_bytes(w, m->packet.bytes, m->packet.len);
}

static void get_packet(struct reader *r, struct wire_message *m)
{
	m->packet.region = read_be16(r);
	read_copy(r, m->packet.node_key, KEY_LEN);
	m->packet.len = reader_left(r);
	m->packet.bytes = read_bytes(r, m->packet.len);
	r->bad |= m->packet.len > WIRE_PACKET_MAX;
}

static void put_config(struct writer *w, const struct wire_message *m)
{
	const struct wire_config *c = &m->config;

	wire_put_text(w, c->server, WIRE_TEXT_MAX);
	wire_put_text(w, c->auth_key, WIRE_TEXT_MAX);
	wire_put_text(w, c->hostname, NODE_TEXT_MAX);
	wire_put_text(w, c->version, NODE_TEXT_MAX);
	wire_put_text(w, c->os_version, NODE_TEXT_MAX);
	wire_put_text(w, c->ca, WIRE_CA_MAX);
	wire_put_bool(w, c->pinned);
	write_bytes(w, c->server_key, KEY_LEN);
	write_bytes(w, c->machine, KEY_LEN);
	wire_put_bool(w, c->relays);
}

static void get_config(struct reader *r, struct wire_message *m)
{
	struct wire_config *c = &m->config;

	c->server = wire_get_text(r, WIRE_TEXT_MAX);
	c->auth_key = wire_get_secret(r, WIRE_TEXT_MAX);
	c->hostname = wire_get_text(r, NODE_TEXT_MAX);
	c->version = wire_get_text(r, NODE_TEXT_MAX);
	c->os_version = wire_get_text(r, NODE_TEXT_MAX);
	c->ca = wire_get_text(r, WIRE_CA_MAX);
	c->pinned = wire_get_bool(r);
	read_copy(r, c->server_key, KEY_LEN);
	read_copy(r, c->machine, KEY_LEN);
	c->relays = wire_get_bool(r);
}

static void put_keys(struct writer *w, const struct wire_message *m)
{
	write_bytes(w, m->keys.node, KEY_LEN);
	write_bytes(w, m->keys.old_node, KEY_LEN);
	write_bytes(w, m->keys.disco, KEY_LEN);
}

static void get_keys(struct reader *r, struct wire_message *m)
{
	read_copy(r, m->keys.node, KEY_LEN);
	read_copy(r, m->keys.old_node, KEY_LEN);
	read_copy(r, m->keys.disco, KEY_LEN);
}

static void put_routes(struct writer *w, const struct wire_message *m)
{
	wire_put_prefixes(w, m->routes.v, m->routes.n, WIRE_ROUTES_MAX);
}

static void get_routes(struct reader *r, struct wire_message *m)
{
	m->routes.v = wire_get_prefixes(r, WIRE_ROUTES_MAX, &m->routes.n);
}

static void put_endpoints(struct writer *w, const struct wire_message *m)
{
	wire_put_count(w, m->endpoints.n, WIRE_ENDPOINTS_MAX);
	for (size_t i = 0; i < m->endpoints.n && !w->bad; i++) {
		wire_put_addr_port(w, &m->endpoints.v[i].at);
		write_u8(w, (uint8_t)m->endpoints.v[i].type);
	}
}

static void get_endpoints(struct reader *r, struct wire_message *m)
{
	struct map_endpoint *v =
		wire_get_list(r, WIRE_ENDPOINTS_MAX, sizeof(struct addr) + 3, sizeof(*v), &m->endpoints.n);

	m->endpoints.v = v;
	for (size_t i = 0; i < m->endpoints.n; i++) {
		v[i].at = wire_get_addr_port(r);
		v[i].type = (enum endpoint_type)read_u8(r);
		r->bad |= v[i].type != ENDPOINT_LOCAL && v[i].type != ENDPOINT_STUN && v[i].type != ENDPOINT_CONFIGURED;
	}
}

static void put_netinfo(struct writer *w, const struct wire_message *m)
{
	write_be16(w, m->netinfo.region);
	wire_put_bool(w, m->netinfo.udp);
	wire_put_bool(w, m->netinfo.ipv6);
}

static void get_netinfo(struct reader *r, struct wire_message *m)
{
	m->netinfo.region = read_be16(r);
	m->netinfo.udp = wire_get_bool(r);
	m->netinfo.ipv6 = wire_get_bool(r);
}

static void put_box(struct writer *w, const struct wire_message *m)
{
	write_be16(w, m->box.region);
	wire_put_count(w, m->box.len, WIRE_RELAY_BOX_MAX);
	write_bytes(w, m->box.bytes, m->box.len);
}

static void get_box(struct reader *r, struct wire_message *m)
{
	m->box.region = read_be16(r);
	m->box.bytes = wire_get_list(r, WIRE_RELAY_BOX_MAX, 1, 1, &m->box.len);
	read_copy(r, m->box.bytes, m->box.len);
}

static void put_reconnect(struct writer *w, const struct wire_message *m)
{
	wire_put_text(w, m->auth_key, WIRE_TEXT_MAX);
}

static void get_reconnect(struct reader *r, struct wire_message *m)
{
	m->auth_key = wire_get_secret(r, WIRE_TEXT_MAX);
}

static void put_nothing(struct writer *w, const struct wire_message *m)
{
}

static void get_nothing(struct reader *r, struct wire_message *m)
{
}

#define TO_GATEWAY (1 << WIRE_TO_GATEWAY)
#define TO_NETWORK (1 << WIRE_TO_NETWORK)

static const struct kind {
	unsigned directions;
	void (*put)(struct writer *w, const struct wire_message *m);
	void (*get)(struct reader *r, struct wire_message *m);
} kinds[] = {
	[WIRE_STATUS] = {TO_GATEWAY, put_status, get_status},
	[WIRE_CLOCK] = {TO_GATEWAY, put_clock, get_clock},
	[WIRE_HEALTH] = {TO_GATEWAY, put_remarks, get_remarks},
	[WIRE_LOGIN] = {TO_GATEWAY, put_login, get_login},
	[WIRE_MAP_BEGIN] = {TO_GATEWAY, put_begin, get_begin},
	[WIRE_SELF] = {TO_GATEWAY, put_self, get_self},
	[WIRE_PEER] = {TO_GATEWAY, put_peer, get_peer},
	[WIRE_PEER_GONE] = {TO_GATEWAY, put_gone, get_gone},
	[WIRE_RULE] = {TO_GATEWAY, put_rule, get_rule},
	[WIRE_LEFT_OUT] = {TO_GATEWAY, put_left_out, get_left_out},
	[WIRE_REGION] = {TO_GATEWAY | TO_NETWORK, put_region, get_region},
	[WIRE_MAP_END] = {TO_GATEWAY, put_nothing, get_nothing},
	[WIRE_RELAY_HELLO] = {TO_GATEWAY, put_hello, get_hello},
	[WIRE_RELAY_STATE] = {TO_GATEWAY, wire_put_relay, wire_get_relay},
	[WIRE_RELAY_PACKET] = {TO_GATEWAY | TO_NETWORK, put_packet, get_packet},
	[WIRE_CONFIG] = {TO_NETWORK, put_config, get_config},
	[WIRE_KEYS] = {TO_NETWORK, put_keys, get_keys},
	[WIRE_ROUTES] = {TO_NETWORK, put_routes, get_routes},
	[WIRE_ENDPOINTS] = {TO_NETWORK, put_endpoints, get_endpoints},
	[WIRE_NETINFO] = {TO_NETWORK, put_netinfo, get_netinfo},
	[WIRE_RELAY_BOX] = {TO_NETWORK, put_box, get_box},
	[WIRE_LOGOUT] = {TO_NETWORK, put_nothing, get_nothing},
	[WIRE_RECONNECT] = {TO_NETWORK, put_reconnect, get_reconnect},
};

static const struct kind *wire_kind_of(unsigned type)
{
	return type < sizeof(kinds) / sizeof(*kinds) && kinds[type].put ? &kinds[type] : NULL;
}

size_t wire_encode(const struct wire_message *m, uint8_t *buf, size_t size)
{
	const struct kind *kind = wire_kind_of(m->type);
	struct writer w = writer_to(buf, size);

	if (!kind)
		return 0;
	write_u8(&w, (uint8_t)m->type);
	kind->put(&w, m);
	return writer_len(&w);
}

bool wire_decode(const uint8_t *bytes, size_t len, enum wire_direction direction, struct wire_message *out)
{
	struct reader r = reader_of(bytes, len);
	const struct kind *kind;

	*out = (struct wire_message){.type = read_u8(&r)};
	kind = wire_kind_of(out->type);
	if (!kind || !(kind->directions & 1u << direction)) {
		*out = (struct wire_message){0};
		return false;
	}
	kind->get(&r, out);
	if (!r.bad && !reader_left(&r))
		return true;
	wire_message_free(out);
	return false;
}

static void free_config(struct wire_config *c)
{
	free(c->server);
	secret_memory_free(c->auth_key);
	free(c->hostname);
	free(c->version);
	free(c->os_version);
	free(c->ca);
	crypto_wipe(c, sizeof(*c));
}

void wire_message_free(struct wire_message *m)
{
	if (m->type == WIRE_STATUS)
		free(m->status.text);
	else if (m->type == WIRE_LOGIN)
		free(m->url);
	else if (m->type == WIRE_HEALTH)
		health_free(&m->health);
	else if (m->type == WIRE_SELF)
		node_free(m->self.node);
	else if (m->type == WIRE_PEER)
		node_free(m->peer);
	else if (m->type == WIRE_RULE)
		netmap_rule_free(&m->rule);
	else if (m->type == WIRE_LEFT_OUT)
		free(m->left_out.why);
	else if (m->type == WIRE_REGION)
		derp_region_free(&m->region);
	else if (m->type == WIRE_RELAY_STATE)
		free(m->relay.host);
	else if (m->type == WIRE_CONFIG)
		free_config(&m->config);
	else if (m->type == WIRE_RECONNECT)
		secret_memory_free(m->auth_key);
	else if (m->type == WIRE_ROUTES)
		free(m->routes.v);
	else if (m->type == WIRE_ENDPOINTS)
		free(m->endpoints.v);
	else if (m->type == WIRE_RELAY_BOX)
		free(m->box.bytes);
	*m = (struct wire_message){0};
}

const char *wire_state_name(enum wire_state state)
{
	static const char *const names[WIRE_STATES] = {
		[WIRE_STATE_CONNECTING] = "connecting", [WIRE_STATE_CONNECTED] = "connected",
		[WIRE_STATE_LOGIN] = "login",		[WIRE_STATE_APPROVAL] = "approval",
		[WIRE_STATE_EXPIRED] = "expired",	[WIRE_STATE_OFFLINE] = "offline",
		[WIRE_STATE_REFUSED] = "refused",	[WIRE_STATE_UNREADABLE] = "unreadable",
		[WIRE_STATE_LOGGED_OUT] = "logged out",
	};

	return state < WIRE_STATES ? names[state] : "unknown";
}
