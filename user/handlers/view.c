/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gateway knows, gathered from its parts for one report (view.h). */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/wireguard/aead.h"
#include "user/config/config_private.h"
#include "user/control/control.h"
#include "user/gateway/answers_by.h"
#include "user/gateway/counters.h"
#include "user/gateway/hooks.h"
#include "user/gateway/host.h"
#include "user/gateway/running.h"
#include "user/gateway/tunnel.h"
#include "user/gateway/ways.h"
#include "user/base/text.h"
#include "user/base/version.h"

#include "view.h"
#include "user/base/clock.h"

static struct report_who who_is(const struct config_client *c)
{
	return (struct report_who){.name = c->name, .user = c->user, .tags = c->tags.v, .n_tags = c->tags.n};
}

static bool view_client(void *ctx, size_t i, struct report_client *out)
{
	struct view *v = ctx;
	const struct clients *clients = &v->p->running->clients;
	const struct site *site = v->p->site;
	const struct client *c;
	struct engine_peer_state s;
	struct client_use use;

	if (i >= clients->n)
		return false;
	c = &clients->list[i];
	*out = (struct report_client){
		.id = c->id,
		.who = who_is(c->config),
		.addresses = c->config->addresses.v,
		.n_addresses = c->config->addresses.n,
		.handshake_age = -1,
		.seen = c->seen ? report_age(clock_wall(), c->seen * NS_PER_SEC) : -1,
		.worker = c->worker,
		.expired = c->out && !c->revoked,
		.removed = c->revoked,
	};
	memcpy(out->public_key, c->config->public_key, sizeof(out->public_key));
	out->flows = maps_client_flows(site->maps, c->id);
	if (!maps_client_use(site->maps, c->id, &use)) {
		out->refused = use.refused;
		out->held = use.held;
	}
	if (!c->peer)
		return true;
	engine_peer_state(site->device->engine, c->peer, &s);
	if (endpoint_is_relay(&s.endpoint)) {
		out->relay_away =
			v->p->origin->ops->relay_away(v->p->origin->ctx, s.endpoint.port, v->relay, sizeof(v->relay));
		out->relay = v->relay;
	} else {
		out->endpoint = s.endpoint.addr;
		out->endpoint_port = s.endpoint.port;
	}
	out->received = s.rx_bytes;
	out->sent = s.tx_bytes;
	if (s.last_handshake)
		out->seen = out->handshake_age = report_age(clock_wall(), s.last_handshake);
	return true;
}

static bool view_who(void *ctx, uint32_t id, struct report_who *out)
{
	const struct client *c = clients_by_id(&((struct view *)ctx)->p->running->clients, id);

	if (c)
		*out = who_is(c->config);
	return c;
}

static const char *pool_name(const struct config *config, uint32_t pool)
{
	return pool < config->n_pools ? config->pools[pool].name : NULL;
}

static bool view_route(void *ctx, size_t i, struct report_route *out)
{
	const struct parts *p = ((struct view *)ctx)->p;
	const struct origin *origin = p->origin;
	const struct config_route *r;
	struct addr to, hop;
	int ifindex;
	bool waits;
	static _Thread_local char name[IFNAMSIZ];

	if (i >= p->site->config->n_routes)
		return false;
	r = &p->site->config->routes[i];
	*out = (struct report_route){.prefix = r->prefix, .advertised = true};
	waits = origin->ops->waits(origin->ctx);
	out->approved = !waits && rules_approved(&p->running->rules, i, &out->by);
	out->reason = waits	      ? "there is no netmap yet"
		      : out->approved ? ways_trouble(p->ways, &r->prefix)
				      : "not approved";
	out->active = !out->reason;
	origin->ops->primary(origin->ctx, out);
	to = prefix_host(&r->prefix);
	if (!netlink_route_get(p->site->netlink, &to, NULL, 0, &ifindex, &hop) &&
	    if_indextoname((unsigned)ifindex, name)) {
		out->interface = name;
		out->has_next_hop = !addr_is_zero(&hop);
		out->next_hop = hop;
	}
	return true;
}

static struct addr view_public(void *ctx, const struct addr *egress)
{
	const struct egress_state *e = ((struct view *)ctx)->p->egress;

	for (size_t i = 0; i < e->n; i++)
		for (size_t k = 0; k < e->pool[i].n; k++)
			if (!memcmp(&e->pool[i].address[k].addr, egress, sizeof(*egress)))
				return e->pool[i].address[k].public;
	return *egress;
}

static const char *view_pool(void *ctx, uint32_t pool)
{
	return pool_name(((struct view *)ctx)->p->site->config, pool);
}

static bool view_busiest(void *ctx, struct pair *pair, uint32_t *used, uint32_t *ports)
{
	return maps_busiest(((struct view *)ctx)->p->site->maps, pair, used, ports);
}

static const char *hook_way(const struct hooks *hooks, enum program program, unsigned ifindex)
{
	for (size_t i = 0; i < hooks->n; i++)
		if (hooks->list[i].program == program && hooks->list[i].ifindex == ifindex)
			return attach_way_name(hooks->list[i].way);
	return attach_way_name(ATTACH_NONE);
}

static __attribute__((format(printf, 2, 3))) void view_note(struct view *v, const char *fmt, ...)
{
	va_list ap;

	v->left_out += v->source.n_notes == NOTES_MAX;
	if (v->left_out) { /* in the place of the last one */
		snprintf(v->note_text[NOTES_MAX - 1], sizeof(v->note_text[0]),
			 "and %zu more that have no place here: see the log", v->left_out + 1);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(v->note_text[v->source.n_notes], sizeof(v->note_text[0]), fmt, ap);
	va_end(ap);
	v->notes[v->source.n_notes] = v->note_text[v->source.n_notes];
	v->source.n_notes++;
}

/* Clients may be configured to come by it. */
static void view_underlay(struct view *v)
{
	const struct config_names *names = &v->p->site->config->tunnel.underlay;

	for (size_t i = 0; i < names->n; i++)
		if (!if_nametoindex(names->v[i]))
			view_note(v, "underlay interface %s is absent: waiting for it", names->v[i]);
}

static void view_own(struct view *v)
{
	if (v->p->host->n_left_out)
		view_note(v,
			  "this host has %zu addresses more than the %d that are kept from clients whom no rule lets "
			  "there",
			  v->p->host->n_left_out, HOST_ADDRESSES);
}

static void view_ipv6(struct view *v)
{
	const struct addr *own = tunnel_address(v->p->site, false);
	char text[ADDR_STRLEN];

	if (own && v->p->tunnel->ipv6_off)
		view_note(v,
			  "IPv6 is switched off on this host (disable_ipv6): %s and the clients' IPv6 addresses are "
			  "left out",
			  addr_str(own, text));
}

static void note_line(void *view, const char *line)
{
	view_note(view, "%s", line);
}

static void note_private(struct view *v, const struct config_pool *config, const struct egress_pool *pool)
{
	char text[ADDR_STRLEN], key[128], public[128];

	for (size_t k = 0; !config->public.n && k < pool->n; k++)
		if (config_is_private(&pool->address[k].addr)) {
			view_note(v, CONFIG_PRIVATE,
				  config_pool_key(config, config->addresses.n ? "addresses" : "interface", key),
				  addr_str(&pool->address[k].addr, text), config_pool_key(config, "public", public),
				  text);
			return;
		}
}

/* The interfaces that the configuration names for answers, and by which none come. */
static void note_answers(struct view *v, const struct config_pool *config, const struct egress_pool *pool)
{
	if (pool->answers_left_out)
		view_note(v, "pool %s: answers come by more than %d interfaces: not all are heeded", config->name,
			  MAX_ANSWERS);
	for (size_t i = 0; i < config->answers_by.n; i++) {
		unsigned ifindex = if_nametoindex(config->answers_by.v[i]);

		if (!answers_come_by(pool, ifindex))
			view_note(v, "pool %s: no answers come by %s: %s", config->name, config->answers_by.v[i],
				  ifindex ? "it has no Ethernet" : "it is absent");
	}
}

static void view_egress(struct view *v)
{
	const struct config *config = v->p->site->config;
	const struct egress_state *e = v->p->egress;
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < e->n; i++) {
		const struct egress_pool *pool = &e->pool[i];

		for (size_t k = 0; k < pool->n; k++) {
			const struct egress_address *a = &pool->address[k];

			v->addresses[i][k] = (struct report_egress_address){a->addr, a->public, a->present, a->spare};
			if (pool->ifindex && !a->present)
				view_note(v, "egress address %s is not on %s: waiting for it", addr_str(&a->addr, text),
					  pool->interface);
		}
		note_private(v, &config->pools[i], pool);
		note_answers(v, &config->pools[i], pool);
		if (pool->ifindex && !pool->n)
			view_note(v, "pool %s has no address: %s has none", config->pools[i].name, pool->interface);
		v->egress[i] = (struct report_egress){
			.pool = config->pools[i].name,
			.interface = pool->ifindex ? pool->interface : NULL,
			.program =
				pool->ifindex ? hook_way(v->p->hooks, PROGRAM_NIC_IN, (unsigned)pool->ifindex) : NULL,
			.addresses = v->addresses[i],
			.n_addresses = pool->n,
		};
	}
	v->source.egress = v->egress;
	v->source.n_egress = e->n;
	ways_each(v->p->ways, NULL, note_line, v);
}

static const char *front_mode(const struct hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++)
		if (hooks->list[i].program == PROGRAM_FRONT)
			return attach_way_name(hooks->list[i].way);
	return "off";
}

static void view_modes(struct view *v)
{
	const struct hooks *hooks = v->p->hooks;
	const struct tap *tap = &v->p->site->device->tap;
	const struct underlay *u = &v->p->site->device->workers[0].underlay;

	v->source.gso_in = !u->gro    ? "off: the kernel has no UDP_GRO"
			   : tap->uso ? "on"
			   : tap->gso ? "on for TCP: the kernel's TAP takes no UDP segments (6.2 does)"
				      : "off: the kernel's TAP takes no super-packets";
	v->source.gso_out = u->gso ? "on" : "off: the kernel has no UDP_SEGMENT";
	v->source.front_mode = front_mode(hooks);
	v->source.front_reason = hooks->front.reason;
	for (size_t i = 0; i < hooks->n; i++) {
		const struct hook *h = &hooks->list[i];
		char name[IFNAMSIZ];

		if (h->way == ATTACH_NONE && h->program != PROGRAM_NIC_FENCE)
			view_note(v, "%s is not attached: nothing is forwarded by it", maps_program_name(h->program));
		else if (h->way == ATTACH_NONE && if_indextoname(h->ifindex, name))
			view_note(v, "%s is not attached to %s: who sends by it may use a client's address",
				  maps_program_name(h->program), name);
	}
}

static void view_relays(struct view *v)
{
	char why[256];

	for (size_t i = 0; i < v->tailnet.n_relays; i++) {
		const struct report_relay *r = &v->tailnet.relays[i];

		if (r->why.kind)
			view_note(v, "tailnet: %srelay %s%s%s cannot be reached: %s (%s)", r->home ? "our home " : "",
				  r->name, r->host ? ", " : "", r->host ? r->host : "",
				  conn_error_text(&r->why, why, sizeof(why)), conn_error_advice(&r->why));
	}
}

/* Health messages of little weight are in the JSON alone. */
static void view_health(struct view *v)
{
	const struct health *list = v->tailnet.health;

	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].severity != HEALTH_LOW)
			view_note(v, "tailnet: the coordination server says: %s", list->v[i].text);
}

static void view_clock(struct view *v)
{
	int64_t ahead = v->tailnet.clock_ahead;
	char text[TEXT_SIZE];

	if (ahead)
		view_note(v, "tailnet: this machine's clock is %s %s the coordination server's, by which keys expire",
			  text_duration((uint64_t)(ahead < 0 ? -ahead : ahead), text),
			  ahead < 0 ? "behind" : "ahead of");
}

/* The person who opens the URL decides whose node this is. */
static void view_login(struct view *v)
{
	if (!v->tailnet.login)
		return;
	if (!control_asker()) {
		view_note(v, "tailnet: to log in, open %s", v->tailnet.login);
		return;
	}
	v->tailnet.login = NULL;
	view_note(v, "tailnet: somebody has to log in: `sluice status` tells root where");
}

static void view_confirmation(struct view *v)
{
	const struct report_tailnet *t = &v->tailnet;
	char since[TEXT_SIZE], left[TEXT_SIZE];

	if (t->unserved)
		view_note(v, "tailnet: the server has not confirmed the netmap for %s: nobody is served until it does",
			  text_duration(t->unconfirmed, since));
	else if (t->unconfirmed)
		view_note(v, "tailnet: the server has not confirmed the netmap for %s; in %s nobody is served any more",
			  text_duration(t->unconfirmed, since), text_duration(t->unserved_in, left));
}

static void view_tailnet(struct view *v)
{
	if (!v->p->origin->ops->report(v->p->origin->ctx, &v->tailnet))
		return;
	v->source.tailnet = &v->tailnet;
	if (v->tailnet.text)
		view_note(v, "tailnet: %s", v->tailnet.text);
	view_confirmation(v);
	if (v->tailnet.unsettled)
		view_note(v, "tailnet: the last netmap is not in force, but for who was removed: see the log");
	if (v->tailnet.left_out)
		view_note(v, "tailnet: %zu of the server's rules are left out: %s", v->tailnet.left_out,
			  v->tailnet.left_out_why);
	if (v->tailnet.homeless)
		view_note(v,
			  "tailnet: the server's DERP map has no relay: who has no straight way to us cannot reach us");
	view_login(v);
	view_health(v);
	view_clock(v);
	view_relays(v);
}

static void view_clients(struct view *v)
{
	size_t n = clients_without_peer(&v->p->running->clients);

	if (n)
		view_note(
			v,
			"%zu client%s cannot connect, for want of memory that can be locked (LimitMEMLOCK, ulimit -l)",
			n, n == 1 ? "" : "s");
	if (!v->p->running->clients.n && !v->p->origin->ops->netmap)
		view_note(v, "no client is configured: nobody can connect");
}

static void view_maps(struct view *v)
{
	const struct maps_carried *c = maps_carried(v->p->site->maps);

	if (c->wanted)
		view_note(v,
			  "nat.flows: there was no memory for a table of %u flows beside the one that was there, so it "
			  "has as many as that: `sluice down` and a start make the larger one, and live flows end",
			  c->wanted);
}

static void view_policy(struct view *v)
{
	rules_each_note(&v->p->running->rules, note_line, v);
}

static void view_blocklists(struct view *v)
{
	const struct ruleset *r = rules_running(&v->p->running->rules);

	for (size_t i = 0; r && i < r->blocked.n; i++)
		if (r->blocked.list[i].trouble)
			view_note(v, "%s", r->blocked.list[i].trouble);
}

void view_open(struct view *v, const struct parts *p)
{
	const struct site *s = p->site;

	memset(v, 0, sizeof(*v));
	v->p = p;
	v->source = (struct report_source){
		.ctx = v,
		.now_ns = clock_now(),
		.name = s->config->name,
		.version = version_commit(),
		.aead = aead_name,
		.started_ns = p->started,
		.pid = getpid(),
		.tunnel = s->device->tap.name,
		.listen = s->device->options.listen,
		.mtu = (uint16_t)p->tunnel->mtu,
		.workers = s->device->n_workers,
		.tunnel_addresses = v->tunnel,
		.n_tunnel_addresses = s->config->tunnel.n_addresses,
		.policy = p->running->rules.report,
		.notes = v->notes,
		.rates = p->rates,
		.totals = v->totals,
		.drops = v->drops,
		.client = view_client,
		.who = view_who,
		.route = view_route,
		.public = view_public,
		.pool = view_pool,
		.busiest = view_busiest,
	};
	for (size_t i = 0; i < s->config->tunnel.n_addresses; i++)
		v->tunnel[i] = s->config->tunnel.addresses[i].host;
	maps_totals(s->maps, v->totals);
	counters_drops(s, v->drops);
	v->source.flows = maps_flows(s->maps, &v->source.n_flows);
	v->source.used_flows = maps_flows_used(s->maps);
	v->source.max_flows = maps_flows_max(s->maps);
	view_underlay(v);
	view_ipv6(v);
	view_own(v);
	view_egress(v);
	view_modes(v);
	view_clients(v);
	view_maps(v);
	view_policy(v);
	view_tailnet(v);
	view_blocklists(v);
}
