/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clients, of the configuration or the netmap, as the parts of the gateway know them: a WireGuard peer,
 * an id in maps and frames, addresses that belong to it alone, and the host's
 * routes to these. A client's id stays while its flows may live, also over a
 * restart (the pinned map of addresses remembers it).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "client_ids.h"
#include "user/base/log.h"
#include "user/base/secret.h"
#include "user/base/clock.h"

struct psk {
	bool set;
	uint8_t key[KEY_LEN];
};

static struct prefix whole(const struct addr *a)
{
	return (struct prefix){.addr = *a, .len = 128};
}

static bool clients_is_expired(const struct clients *all, const struct config_client *c)
{
	return c->expires && all->origin->ops->time(all->origin->ctx) >= c->expires;
}

/* Is it to have no peer? */
static bool is_out(const struct clients *all, const struct config_client *c)
{
	return clients_is_expired(all, c) || all->origin->ops->revokes(all->origin->ctx, c);
}

bool clients_open(struct clients *all, const struct origin *origin, const struct state *remembered)
{
	all->origin = origin;
	all->remembered = remembered;
	all->by_id = calloc(MAX_CLIENTS, sizeof(*all->by_id));
	return all->by_id;
}

void clients_close(struct clients *all)
{
	free(all->list);
	free(all->by_id);
	routing_close(&all->routing);
	*all = (struct clients){0};
}

static bool clients_has_address(const struct config_client *c, const struct addr *a)
{
	for (size_t i = 0; i < c->addresses.n; i++)
		if (!memcmp(&c->addresses.v[i], a, sizeof(*a)))
			return true;
	return false;
}

/* ---- flows --------------------------------------------------------------------------- */

static bool is_orphan(const void *clients, const struct flow *f)
{
	const struct clients *all = clients;
	const struct client *c = clients_by_id(all, f->client);

	return f->client != CLIENT_GATEWAY && !(c && c->peer && clients_has_address(c->config, &f->out.src));
}

/*
 * Ends the flows and mappings whose client, or whose client's address, is gone. All at once,
 * for the table may hold a million: a walk for each of some hundred clients would take seconds.
 */
static void end_orphans(struct clients *all, const struct site *s)
{
	if (all->orphans)
		maps_flows_end(s->maps, is_orphan, all);
	all->orphans = false;
}

/* ---- one client --------------------------------------------------------------------- */

static void clients_tell(int err, const struct client *c, const char *what)
{
	if (err)
		log_error("client %s: %s: %s", c->config->name, what, strerror(-err));
}

static void add_address(struct clients *all, const struct site *s, struct client *c, const struct addr *a)
{
	struct prefix p = whole(a);

	clients_tell(maps_client_set(s->maps, &p, c->id, c->worker), c, "map of clients");
	if (!engine_peer_allow(s->device->engine, c->peer, &p))
		clients_tell(-ENOMEM, c, "allowed address");
	routing_add(&all->routing, s, &p);
}

static void remove_address(struct clients *all, const struct site *s, struct client *c, const struct addr *a)
{
	struct prefix p = whole(a);

	clients_tell(maps_client_delete(s->maps, &p), c, "map of clients");
	if (c->peer)
		engine_peer_disallow(s->device->engine, c->peer, &p);
	routing_remove(&all->routing, s, &p);
}

static void set_options(const struct site *s, struct client *c, const struct psk *psk, const struct config_client *old)
{
	const struct config_client *config = c->config;
	struct engine_time now = {.mono = clock_now(), .wall = clock_wall()};
	uint8_t was[KEY_LEN];

	engine_peer_psk(c->peer, was);
	if (sodium_memcmp(was, psk->key, KEY_LEN))
		engine_peer_set_psk(s->device->engine, c->peer, psk->key, &now);
	sodium_memzero(was, sizeof(was));
	if (!old || old->keepalive != config->keepalive)
		engine_peer_set_keepalive(s->device->engine, c->peer, config->keepalive, &now);
	if (config->endpoint_port && (!old || old->endpoint_port != config->endpoint_port ||
				      memcmp(&old->endpoint, &config->endpoint, sizeof(old->endpoint)))) {
		struct endpoint to = {.addr = config->endpoint, .port = config->endpoint_port};

		engine_peer_set_endpoint(s->device->engine, c->peer, &to);
	}
}

static void clients_add(struct clients *all, const struct site *s, struct client *c, const struct psk *psk)
{
	const struct state_peer *was = state_peer_find(all->remembered, c->config->public_key);

	c->peer = engine_peer_add(s->device->engine, c->config->public_key);
	if (!c->peer) {
		if (!c->refused)
			clients_tell(-errno, c, "it cannot connect, for it has no peer: trying again");
		c->refused = true;
		return;
	}
	c->refused = false;
	c->worker = engine_peer_transport(c->peer)->worker;
	if (was)
		c->seen = was->handshake;
	if (was)
		engine_peer_restore_timestamp(c->peer, was->timestamp);
	if (was && was->endpoint.port)
		engine_peer_set_endpoint(s->device->engine, c->peer, &was->endpoint);
	else
		all->origin->ops->place(all->origin->ctx, c);
	for (size_t i = 0; i < c->config->addresses.n; i++)
		add_address(all, s, c, &c->config->addresses.v[i]);
	set_options(s, c, psk, NULL);
	device_set_client(s->device, engine_peer_id(c->peer), c->id);
}

static void clients_remove_peer(const struct site *s, struct client *c)
{
	if (!c->peer)
		return;
	device_set_client(s->device, engine_peer_id(c->peer), 0);
	engine_peer_remove(s->device->engine, c->peer);
	c->peer = NULL;
}

static void withdraw(struct clients *all, const struct site *s, struct client *c)
{
	if (c->peer)
		device_set_client(s->device, engine_peer_id(c->peer), 0);
	for (size_t i = 0; i < c->config->addresses.n; i++)
		remove_address(all, s, c, &c->config->addresses.v[i]);
	clients_remove_peer(s, c);
	all->orphans = true;
}

/* Addresses that it will have no longer: before anybody gets another, for it may be one of these. */
static void remove_lost(struct clients *all, const struct site *s, struct client *c, const struct config_client *next)
{
	for (size_t i = 0; i < c->config->addresses.n; i++) {
		if (clients_has_address(next, &c->config->addresses.v[i]))
			continue;
		remove_address(all, s, c, &c->config->addresses.v[i]);
		all->orphans = true;
	}
}

/* @c->config is the new one already. */
static void change(struct clients *all, const struct site *s, struct client *c, const struct config_client *old,
		   const struct psk *psk)
{
	for (size_t i = 0; i < c->config->addresses.n; i++)
		if (!clients_has_address(old, &c->config->addresses.v[i]))
			add_address(all, s, c, &c->config->addresses.v[i]);
	set_options(s, c, psk, old);
}

/* A node of a tailnet with another key: its flows go on. @c->config is the new one already. */
static void change_key(struct clients *all, const struct site *s, struct client *c, const struct psk *psk)
{
	clients_remove_peer(s, c);
	clients_add(all, s, c, psk);
}

/* ---- all of them ---------------------------------------------------------------------- */

/* *out is zero. False: said in the log. */
static bool read_psk(const struct config_client *c, struct psk *out)
{
	char error[512];

	out->set = c->preshared_key_file;
	if (!out->set || secret_read(c->preshared_key_file, out->key, error, sizeof(error)) == SECRET_OK)
		return true;
	log_error("client %s: %s", c->name, error);
	return false;
}

static struct psk *read_psks(const struct config *config)
{
	struct psk *psks = sodium_allocarray(config->n_clients + 1, sizeof(*psks));

	if (!psks)
		return NULL;
	sodium_memzero(psks, (config->n_clients + 1) * sizeof(*psks));
	for (size_t i = 0; i < config->n_clients; i++) {
		if (read_psk(&config->clients[i], &psks[i]))
			continue;
		sodium_free(psks);
		return NULL;
	}
	return psks;
}

/* Leftovers of clients that were removed while no gateway ran. */
static void sweep_pinned(struct clients *all, const struct site *s, const struct pinned *pinned)
{
	for (size_t i = 0; i < pinned->n; i++) {
		const struct pinned_address *p = &pinned->v[i];
		struct client *c = p->client < MAX_CLIENTS ? all->by_id[p->client] : NULL;

		if (!c || !clients_has_address(c->config, &p->prefix.addr) || c->out) {
			maps_client_delete(s->maps, &p->prefix);
			routing_remove(&all->routing, s, &p->prefix);
		}
	}
	all->orphans = true;
}

struct clients_plan {
	const struct config *next;
	struct client *list;	/* of @next, with ids only */
	struct identity *index; /* room for one of all clients, new and old */
	struct psk *psks;
	struct pinned pinned; /* the first time */
	uint32_t *ids;
};

static void withdraw_missing(struct clients *all, const struct site *s, struct clients_plan *p)
{
	identity_configured(p->index, p->next);
	for (size_t i = 0; i < all->n; i++) {
		struct client *c = &all->list[i];

		if (identity_find(p->index, p->next->n_clients, c->config))
			continue;
		withdraw(all, s, c);
		all->by_id[c->id] = NULL;
		all->removed++;
	}
}

/* Builds the new list. */
static void carry_over(struct clients *all, struct clients_plan *p)
{
	struct identity *index = p->index;

	identity_running(index, all);
	for (size_t i = 0; i < p->next->n_clients; i++) {
		const struct config_client *next = &p->next->clients[i];
		const struct identity *was = identity_find(index, all->n, next);
		struct client *c = &p->list[i];

		*c = was ? *was->client : (struct client){.config = next};
		c->id = p->ids[i];  /* the same, or one at last */
		c->revoked = false; /* it is in this one */
		c->until = 0;
		if (c->id)
			all->by_id[c->id] = c;
		else
			clients_tell(-ENOSPC, c, "no id is free");
	}
}

static void clients_make_room(struct clients *all, const struct site *s, struct client *c,
			      const struct config_client *next)
{
	c->out = is_out(all, next);
	if (c->peer && c->out)
		withdraw(all, s, c);
	else if (c->peer)
		remove_lost(all, s, c, next);
}

/* After make_room() of all of them. */
static void make_so(struct clients *all, const struct site *s, struct client *c, const struct config_client *next,
		    const struct psk *psk)
{
	const struct config_client *old = c->config;
	bool known = c->peer;

	c->config = next;
	if (c->out || !c->id) { /* its date alone, say: it is settled below, or with the clock */
		all->changed += old && old != next && !config_client_same(old, next);
		return;
	}
	if (!known) {
		clients_add(all, s, c, psk);
		all->added++;
		return;
	}
	if (memcmp(old->public_key, next->public_key, KEY_LEN))
		change_key(all, s, c, psk);
	else
		change(all, s, c, old, psk);
	all->changed += !config_client_same(old, next);
}

void clients_plan_free(struct clients_plan *p)
{
	if (!p)
		return;
	free(p->list);
	free(p->index);
	free(p->ids);
	free(p->pinned.v);
	sodium_free(p->psks);
	free(p);
}

struct clients_plan *clients_plan(const struct clients *all, const struct site *s, const struct config *next)
{
	struct clients_plan *p = mem_alloc(1, sizeof(*p));

	p->next = next;
	p->psks = read_psks(next);
	if (!p->psks) {
		clients_plan_free(p);
		return NULL;
	}
	p->list = mem_alloc(next->n_clients + 1, sizeof(*p->list));
	p->index = mem_alloc(next->n_clients + all->n + 1, sizeof(*p->index));
	if (!all->list)
		pinned_read(&p->pinned, s->maps);
	p->ids = client_ids_plan(all, next, &p->pinned);
	return p;
}

/* Every client has its addresses, whatever the order in which they changed hands. */
static void clients_claim(const struct clients *all, const struct site *s)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct client *c = &all->list[i];

		for (size_t k = 0; c->peer && k < c->config->addresses.n; k++)
			engine_peer_allow(s->device->engine, c->peer, &(struct prefix){c->config->addresses.v[k], 128});
	}
	engine_publish_allowed(s->device->engine);
}

void clients_take(struct clients *all, const struct site *s, struct clients_plan *p)
{
	bool first = !all->list;

	all->added = all->removed = all->changed = 0;
	withdraw_missing(all, s, p);
	carry_over(all, p);
	free(all->list);
	all->list = p->list;
	all->n = p->next->n_clients;
	p->list = NULL;
	for (size_t i = 0; i < all->n; i++)
		clients_make_room(all, s, &all->list[i], &p->next->clients[i]);
	for (size_t i = 0; i < all->n; i++)
		make_so(all, s, &all->list[i], &p->next->clients[i], &p->psks[i]);
	clients_claim(all, s);
	if (first)
		sweep_pinned(all, s, &p->pinned);
	end_orphans(all, s);
	clients_plan_free(p);
}

static void let_in(struct clients *all, const struct site *s, struct client *c)
{
	struct psk psk = {0};

	if (read_psk(c->config, &psk)) {
		clients_add(all, s, c, &psk);
		c->out = false;
	}
	if (c->peer)
		log_info("client %s is in again", c->config->name);
	sodium_memzero(&psk, sizeof(psk));
}

/* It belongs to the gateway, and there was no memory for its peer, or no id. */
static bool lacks_peer(const struct client *c)
{
	return !c->peer && !c->out;
}

size_t clients_without_peer(const struct clients *all)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += lacks_peer(&all->list[i]);
	return n;
}

void clients_settle(struct clients *all, const struct site *s)
{
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		struct client *c = &all->list[i];

		bool late = c->until && all->origin->ops->time(all->origin->ctx) >= c->until;
		bool out = c->revoked || late || is_out(all, c->config);

		if (!c->id || (c->out == out && (out || !lacks_peer(c))))
			continue;
		any = true;
		if (!out) {
			let_in(all, s, c);
			continue;
		}
		log_info("client %s %s", c->config->name,
			 c->revoked				      ? "was taken out of the configuration"
			 : late || clients_is_expired(all, c->config) ? "has expired"
								      : "is out of the tailnet");
		withdraw(all, s, c);
		c->out = true;
	}
	if (any)
		engine_publish_allowed(s->device->engine);
	end_orphans(all, s);
}

void clients_kick(struct clients *all, const struct site *s, struct client *c)
{
	struct psk psk = {0};

	if (!c->peer)
		return;
	engine_peer_psk(c->peer, psk.key);
	withdraw(all, s, c);
	end_orphans(all, s);
	clients_add(all, s, c, &psk);
	sodium_memzero(&psk, sizeof(psk));
	engine_publish_allowed(s->device->engine);
}

void clients_route(struct clients *all, const struct site *s)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct client *c = &all->list[i];

		for (size_t k = 0; c->peer && k < c->config->addresses.n; k++) {
			struct prefix p = whole(&c->config->addresses.v[k]);

			routing_add(&all->routing, s, &p);
		}
	}
}

void clients_second(struct clients *all, const struct site *s)
{
	clients_settle(all, s);
	routing_retry(&all->routing, s);
}

const struct client *clients_by_id(const struct clients *all, uint32_t id)
{
	return id < MAX_CLIENTS ? all->by_id[id] : NULL;
}

struct client *clients_by_name(const struct clients *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->list[i].config->name, name))
			return &all->list[i];
	return NULL;
}
