/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the nodes of the tailnet are reached. Disco finds out, and says so to the
 * WireGuard engine as an endpoint: an address, or the relay of a region. What comes
 * in tells nothing (engine_fix_endpoints()), for a packet by a relay would send us
 * there, too.
 */
#include <stdio.h>
#include <string.h>

#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "membership.h"
#include "netmap_config.h"
#include "user/answers/report.h"
#include "user/gateway/hooks.h"
#include "user/tailnet/disco/candidates.h"
#include "user/base/clock.h"
#include "policy/tailnet_ranges.h"

#define RECENT (1500 * NS_PER_MS) /* since the last look, and a bit */
#define SILENT (5 * NS_PER_SEC)	  /* not heard from, though we send: is the endpoint the one that disco means? */

/* ---- what disco and netcheck want done -------------------------------------------------- */

static void send_disco(void *ctx, const void *bytes, size_t len, const struct endpoint *to)
{
	struct membership *m = ctx;

	/* A node may say that it is where we are. */
	if (to->port != m->host.site->device->options.listen || !host_owns(m->host.host, &to->addr))
		device_send(m->host.site->device, to, bytes, len);
}

static void relay_disco(void *ctx, uint16_t region, const uint8_t node[KEY_LEN], const void *bytes, size_t len)
{
	struct membership *m = ctx;

	tailnet_relay(m->tailnet, region, node, bytes, len);
}

/* Without a way, the last one that there was is better than none. */
static void set_path(struct membership *m, struct peer *p, const struct endpoint *direct, uint16_t region)
{
	struct endpoint to = direct ? *direct : endpoint_of_relay(region, engine_peer_id(p));
	struct engine_peer_state now;

	engine_peer_state(m->host.site->device->engine, p, &now);
	if ((direct || (region && m->host.site->config->tailnet.derp)) && !endpoint_equal(&now.endpoint, &to))
		engine_peer_set_endpoint(m->host.site->device->engine, p, &to);
}

static void paths_take_path(void *ctx, const uint8_t node[KEY_LEN], const struct endpoint *to, uint16_t region)
{
	struct membership *m = ctx;
	struct peer *p = engine_peer(m->host.site->device->engine, node);

	if (p) /* else it has expired, or has no address that counts */
		set_path(m, p, to, region);
}

static void paths_take_pong(void *ctx, const uint8_t node[KEY_LEN], const struct disco_result *r)
{
	struct membership *m = ctx;
	struct pong *p = &m->pongs[m->n_pongs % PONGS_KEPT];

	p->number = ++m->n_pongs;
	p->result = *r;
	memcpy(p->node, node, KEY_LEN);
	if (r->direct)
		hooks_know(m->host.site, &r->endpoint.addr, r->endpoint.port);
}

static void fill_random(void *ctx, void *buf, size_t len)
{
	crypto_random(buf, len);
}

static void send_stun(void *ctx, const void *bytes, size_t len, const struct addr_port *to)
{
	const struct endpoint endpoint = {.addr = to->addr, .port = to->port};

	send_disco(ctx, bytes, len, &endpoint);
}

static void paths_tell_endpoints(struct membership *m);

static void take_netcheck(void *ctx, const struct netcheck_result *r)
{
	struct membership *m = ctx;

	m->seen = *r;
	m->looked = true;
	tailnet_set_netinfo(m->tailnet, m->host.site->config->tailnet.derp ? r->home : 0, r->udp, r->ipv6);
	paths_tell_endpoints(m);
}

/* ---- where we are ------------------------------------------------------------------------ */

static void add_endpoint(struct map_endpoint *list, size_t *n, const struct addr_port *at, enum endpoint_type type)
{
	if (*n == WIRE_ENDPOINTS_MAX || tailnet_range_has(&at->addr) || !candidate_is_reachable(at))
		return;
	for (size_t i = 0; i < *n; i++)
		if (addr_port_equal(&list[i].at, at))
			return;
	list[(*n)++] = (struct map_endpoint){*at, type};
}

static bool as_told(const struct membership *m, const struct map_endpoint *list, size_t n)
{
	if (!m->told_endpoints || n != m->n_endpoints)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].type != m->endpoints[i].type || !addr_port_equal(&list[i].at, &m->endpoints[i].at))
			return false;
	return true;
}

/* The addresses that STUN saw, and the host's own: a peer on the same network needs no other. */
static void paths_tell_endpoints(struct membership *m)
{
	struct addr_port plain[WIRE_ENDPOINTS_MAX];
	struct map_endpoint list[WIRE_ENDPOINTS_MAX];
	const struct host *host = m->host.host;
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		add_endpoint(list, &n, &m->seen.seen[i], ENDPOINT_STUN);
	for (size_t i = 0; i < host->n_own; i++)
		add_endpoint(list, &n, &(struct addr_port){host->own[i], m->host.site->device->options.listen},
			     ENDPOINT_LOCAL);
	if (as_told(m, list, n))
		return;
	memcpy(m->endpoints, list, n * sizeof(*list));
	m->n_endpoints = n;
	m->told_endpoints = true;
	tailnet_set_endpoints(m->tailnet, list, n);
	for (size_t i = 0; i < n; i++)
		plain[i] = list[i].at;
	disco_set_endpoints(m->disco, plain, n);
}

/* ---- datagrams ------------------------------------------------------------------------------ */

static void count_disco(struct membership *m, enum disco_input result)
{
	if (result == DISCO_STRANGER)
		device_drop(m->host.site->device, DROP_WG_HANDSHAKE);
	else if (result == DISCO_TOO_MANY)
		device_drop(m->host.site->device, DROP_WG_RATE);
}

void paths_other(void *membership, const uint8_t *bytes, size_t len, const struct endpoint *from)
{
	struct membership *m = membership;
	const struct addr_port at = {from->addr, from->port};

	if (disco_sender(bytes, len))
		count_disco(m, disco_input(m->disco, bytes, len, from, clock_now()));
	else if (!netcheck_input(m->netcheck, bytes, len, &at, clock_now()))
		m->host.site->device->drops[DROP_WG_RESERVED]++;
	else
		hooks_know(m->host.site, &at.addr, at.port);
}

void paths_relay(void *membership, uint32_t peer, uint16_t region, const uint8_t *bytes, size_t len)
{
	struct membership *m = membership;
	struct device *device = m->host.site->device;
	struct peer *p = engine_peer_by_id(device->engine, peer);
	struct engine_peer_state s;

	if (!p) {
		device->drops[DROP_NO_PEER]++;
		return;
	}
	engine_peer_state(device->engine, p, &s);
	tailnet_relay(m->tailnet, region, s.public, bytes, len);
	disco_traffic(m->disco, s.public, clock_now()); /* looks for a shorter way */
}

void paths_relayed(void *membership, uint16_t region, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	struct membership *m = membership;
	struct peer *p = engine_peer(m->host.site->device->engine, from);

	if (disco_sender(bytes, len)) {
		count_disco(m, disco_input_relayed(m->disco, bytes, len, region, from, clock_now()));
	} else if (p) {
		device_relayed(m->host.site->device, p, region, bytes, len);
	} else {
		m->host.site->device->drops[DROP_NO_PEER]++;
		doubt_stranger(m, from);
	}
}

/* ---- relays --------------------------------------------------------------------------------- */

/* Only what is new is told: a relay that stays away is one line, however often it is tried. */
void paths_relay_state(void *membership, const struct wire_relay_state *s)
{
	struct membership *m = membership;
	char name[64], why[256];

	if (!relay_states_take(&m->relays, s))
		return;
	netcheck_set_relay(m->netcheck, s->region, s->state == WIRE_RELAY_AWAY);
	paths_region_name(m, s->region, name, sizeof(name));
	if (s->state == WIRE_RELAY_AWAY)
		log_warning("tailnet: relay %s%s%s cannot be reached: %s (%s)", name, *s->host ? ", " : "", s->host,
			    conn_error_text(&s->why, why, sizeof(why)), conn_error_advice(&s->why));
	else
		log_info("tailnet: relay %s is %s", name, s->state == WIRE_RELAY_UP ? "connected" : "left");
}

static void report_relay(const struct membership *m, uint16_t region, struct report_relay *out)
{
	const struct wire_relay_state *s = relay_states_find(&m->relays, region);

	*out = (struct report_relay){.region = region, .home = region == m->seen.home, .state = "connecting"};
	paths_region_name(m, region, out->name, sizeof(out->name));
	if (!s)
		return;
	out->state = s->state == WIRE_RELAY_UP ? "connected" : "away";
	out->host = *s->host ? s->host : NULL;
	out->why = s->why;
}

size_t paths_report_relays(const struct membership *m, struct report_relay *out, size_t max)
{
	uint16_t home = m->host.site->config->tailnet.derp ? m->seen.home : 0;
	size_t n = 0;

	if (home && m->state == WIRE_STATE_CONNECTED)
		report_relay(m, home, &out[n++]);
	for (size_t i = 0; i < m->relays.n && n < max; i++)
		if (!n || m->relays.v[i].region != home)
			report_relay(m, m->relays.v[i].region, &out[n++]);
	return n;
}

/* ---- from time to time -------------------------------------------------------------------------- */

static bool is_within(const _Atomic uint64_t *stamp, uint64_t time, uint64_t now)
{
	uint64_t at = atomic_load_explicit(stamp, memory_order_relaxed);

	return at && (at > now || now - at < time);
}

/* A client that we have sent to. */
static void paths_look_at(struct membership *m, const struct client *c, const struct transport *t, uint64_t now)
{
	const struct transport_stamps *s = &t->stamps;
	struct engine_peer_state state;
	struct endpoint elsewhere;

	disco_traffic(m->disco, c->config->public_key, now);
	if (is_within(&s->came, RECENT, now)) {
		endpoint_read(&t->published_elsewhere, &elsewhere);
		disco_came(m->disco, c->config->public_key, &elsewhere, now);
	}
	if (is_within(&s->heard, RECENT, now)) {
		engine_peer_state(m->host.site->device->engine, c->peer, &state);
		disco_heard(m->disco, c->config->public_key, &state.endpoint, atomic_load(&s->heard));
	} else if (!is_within(&s->heard, SILENT, now)) {
		paths_place(m, c); /* it was remembered from before a restart */
	}
}

void paths_second(struct membership *m)
{
	const struct clients *all = &m->host.running->clients;
	uint64_t now = clock_now();

	for (size_t i = 0; i < all->n; i++) {
		const struct client *c = &all->list[i];
		const struct transport *t = c->peer ? engine_peer_transport(c->peer) : NULL;

		if (t && is_within(&t->stamps.last_sent, RECENT, now))
			paths_look_at(m, c, t, now);
	}
	paths_tell_endpoints(m);
}

uint64_t paths_tick(struct membership *m, uint64_t now)
{
	uint64_t a = disco_tick(m->disco, now), b = netcheck_tick(m->netcheck, now);

	return a < b ? a : b;
}

void paths_place(void *membership, const struct client *c)
{
	struct membership *m = membership;
	struct disco_result r;

	if (disco_path(m->disco, c->config->public_key, &r))
		set_path(m, c->peer, r.direct ? &r.endpoint : NULL, r.region);
}

const char *paths_region_name(const struct membership *m, uint16_t region, char *buf, size_t size)
{
	const struct derp_region *known = derpmap_region(tailnet_netmap(m->tailnet)->map.derpmap, region);

	if (known && *known->name)
		snprintf(buf, size, "%s", known->name);
	else
		snprintf(buf, size, "%u", region);
	return buf;
}

/* ---- life ------------------------------------------------------------------------------------------ */

void paths_identity(struct membership *m, const struct tailnet_secrets *secrets, const uint8_t node[KEY_LEN])
{
	disco_set_identity(m->disco, secrets->disco, node);
}

void paths_open(struct membership *m)
{
	static const struct disco_ops disco_ops = {send_disco, relay_disco, paths_take_path, paths_take_pong,
						   fill_random};
	static const struct netcheck_ops netcheck_ops = {send_stun, take_netcheck, fill_random};

	m->disco = disco_new(&disco_ops, m);
	m->netcheck = netcheck_new(&netcheck_ops, m);
}

void paths_close(struct membership *m)
{
	disco_free(m->disco);
	netcheck_free(m->netcheck);
	relay_states_clear(&m->relays);
}
