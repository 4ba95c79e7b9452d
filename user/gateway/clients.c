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

#include "gateway.h"
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

static bool clients_is_expired(const struct gateway *g, const struct config_client *c)
{
	return c->expires && membership_time(g) >= c->expires;
}

/* Is it to have no peer? */
static bool is_out(const struct gateway *g, const struct config_client *c)
{
	return clients_is_expired(g, c) || membership_revokes(g, c);
}

bool clients_open(struct gateway *g)
{
	g->clients.by_id = calloc(MAX_CLIENTS, sizeof(*g->clients.by_id));
	return g->clients.by_id;
}

void clients_close(struct gateway *g)
{
	free(g->clients.list);
	free(g->clients.by_id);
	g->clients = (struct clients){0};
}

static bool clients_has_address(const struct config_client *c, const struct addr *a)
{
	for (size_t i = 0; i < c->addresses.n; i++)
		if (!memcmp(&c->addresses.v[i], a, sizeof(*a)))
			return true;
	return false;
}

/* ---- flows --------------------------------------------------------------------------- */

static bool is_orphan(const void *gateway, const struct flow *f)
{
	const struct gateway *g = gateway;
	const struct client *c = f->client < MAX_CLIENTS ? g->clients.by_id[f->client] : NULL;

	return f->client != CLIENT_GATEWAY && !(c && c->peer && clients_has_address(c->config, &f->out.src));
}

/*
 * Ends the flows and mappings whose client, or whose client's address, is gone. All at once,
 * for the table may hold a million: a walk for each of some hundred clients would take seconds.
 */
static void end_orphans(struct gateway *g)
{
	if (g->clients.orphans)
		maps_flows_end(g->maps, is_orphan, g);
	g->clients.orphans = false;
}

/* ---- one client --------------------------------------------------------------------- */

static void clients_tell(int err, const struct client *c, const char *what)
{
	if (err)
		log_error("client %s: %s: %s", c->config->name, what, strerror(-err));
}

static void add_address(struct gateway *g, struct client *c, const struct addr *a)
{
	struct prefix p = whole(a);

	clients_tell(maps_client_set(g->maps, &p, c->id, c->worker), c, "map of clients");
	if (!engine_peer_allow(g->device.engine, c->peer, &p))
		clients_tell(-ENOMEM, c, "allowed address");
	routing_add(g, &p);
}

static void remove_address(struct gateway *g, struct client *c, const struct addr *a)
{
	struct prefix p = whole(a);

	clients_tell(maps_client_delete(g->maps, &p), c, "map of clients");
	if (c->peer)
		engine_peer_disallow(g->device.engine, c->peer, &p);
	routing_remove(g, &p);
}

static void set_options(struct gateway *g, struct client *c, const struct psk *psk, const struct config_client *old)
{
	const struct config_client *config = c->config;
	struct engine_time now = {.mono = clock_now(), .wall = clock_wall()};
	uint8_t was[KEY_LEN];

	engine_peer_psk(c->peer, was);
	if (sodium_memcmp(was, psk->key, KEY_LEN))
		engine_peer_set_psk(g->device.engine, c->peer, psk->key, &now);
	sodium_memzero(was, sizeof(was));
	if (!old || old->keepalive != config->keepalive)
		engine_peer_set_keepalive(g->device.engine, c->peer, config->keepalive, &now);
	if (config->endpoint_port && (!old || old->endpoint_port != config->endpoint_port ||
				      memcmp(&old->endpoint, &config->endpoint, sizeof(old->endpoint)))) {
		struct endpoint to = {.addr = config->endpoint, .port = config->endpoint_port};

		engine_peer_set_endpoint(g->device.engine, c->peer, &to);
	}
}

static void clients_add(struct gateway *g, struct client *c, const struct psk *psk)
{
	const struct state_peer *was = state_peer_find(&g->state, c->config->public_key);

	c->peer = engine_peer_add(g->device.engine, c->config->public_key);
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
		engine_peer_set_endpoint(g->device.engine, c->peer, &was->endpoint);
	else
		membership_place(g, c);
	for (size_t i = 0; i < c->config->addresses.n; i++)
		add_address(g, c, &c->config->addresses.v[i]);
	set_options(g, c, psk, NULL);
	device_set_client(&g->device, engine_peer_id(c->peer), c->id);
}

static void clients_remove_peer(struct gateway *g, struct client *c)
{
	if (!c->peer)
		return;
	device_set_client(&g->device, engine_peer_id(c->peer), 0);
	engine_peer_remove(g->device.engine, c->peer);
	c->peer = NULL;
}

static void withdraw(struct gateway *g, struct client *c)
{
	if (c->peer)
		device_set_client(&g->device, engine_peer_id(c->peer), 0);
	for (size_t i = 0; i < c->config->addresses.n; i++)
		remove_address(g, c, &c->config->addresses.v[i]);
	clients_remove_peer(g, c);
	g->clients.orphans = true;
}

/* Addresses that it will have no longer: before anybody gets another, for it may be one of these. */
static void remove_lost(struct gateway *g, struct client *c, const struct config_client *next)
{
	for (size_t i = 0; i < c->config->addresses.n; i++) {
		if (clients_has_address(next, &c->config->addresses.v[i]))
			continue;
		remove_address(g, c, &c->config->addresses.v[i]);
		g->clients.orphans = true;
	}
}

/* @c->config is the new one already. */
static void change(struct gateway *g, struct client *c, const struct config_client *old, const struct psk *psk)
{
	for (size_t i = 0; i < c->config->addresses.n; i++)
		if (!clients_has_address(old, &c->config->addresses.v[i]))
			add_address(g, c, &c->config->addresses.v[i]);
	set_options(g, c, psk, old);
}

/* A node of a tailnet with another key: its flows go on. @c->config is the new one already. */
static void change_key(struct gateway *g, struct client *c, const struct psk *psk)
{
	clients_remove_peer(g, c);
	clients_add(g, c, psk);
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

/* Ten thousand clients are looked up among ten thousand: sorted by who they are. */
struct identity {
	const struct config_client *config;
	struct client *client; /* NULL in an index of configured clients */
};

static int compare_identities(const void *a, const void *b)
{
	return config_client_cmp(((const struct identity *)a)->config, ((const struct identity *)b)->config);
}

static const struct identity *clients_find(const struct identity *index, size_t n, const struct config_client *c)
{
	struct identity wanted = {.config = c};

	return bsearch(&wanted, index, n, sizeof(*index), compare_identities);
}

/* Of the running clients; @index has room for all of them. */
static void index_running(struct identity *index, const struct gateway *g)
{
	for (size_t i = 0; i < g->clients.n; i++)
		index[i] = (struct identity){g->clients.list[i].config, &g->clients.list[i]};
	qsort(index, g->clients.n, sizeof(*index), compare_identities);
}

static void index_configured(struct identity *index, const struct config *config)
{
	for (size_t i = 0; i < config->n_clients; i++)
		index[i] = (struct identity){.config = &config->clients[i]};
	qsort(index, config->n_clients, sizeof(*index), compare_identities);
}

struct pinned { /* what an earlier run left in the map of clients */
	struct pinned_address {
		struct prefix prefix;
		uint32_t client;
	} *v;
	size_t n, cap;
};

static int compare_pinned(const void *a, const void *b)
{
	return prefix_cmp(&((const struct pinned_address *)a)->prefix, &((const struct pinned_address *)b)->prefix);
}

static bool take_pinned(void *arg, const struct prefix *p, uint32_t client)
{
	struct pinned *s = arg;

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct pinned_address *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return false;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct pinned_address){*p, client};
	return true;
}

/* The id that @c had before, by any of its addresses; 0: none, or another has it now. @s is sorted. */
static uint32_t former_id(const struct gateway *g, const struct pinned *s, const bool *taken,
			  const struct config_client *c)
{
	for (size_t i = 0; i < c->addresses.n; i++) {
		const struct pinned_address wanted = {.prefix = whole(&c->addresses.v[i])};
		const struct pinned_address *was =
			s->n ? bsearch(&wanted, s->v, s->n, sizeof(*s->v), compare_pinned) : NULL;

		if (was && was->client < MAX_CLIENTS && !g->clients.by_id[was->client] && !taken[was->client])
			return was->client;
	}
	return 0;
}

/* One that nobody has. That of one who goes is not free yet: rules come into force before clients do. */
static uint32_t free_id(const struct gateway *g, const bool *taken)
{
	for (uint32_t id = 1; id < CLIENT_GATEWAY; id++)
		if (!g->clients.by_id[id] && !taken[id])
			return id;
	return 0;
}

/* Those who stay keep theirs, so that newcomers never take one that is in use. */
static uint32_t *plan_ids(const struct gateway *g, const struct config *next, const struct pinned *pinned)
{
	struct identity *index = mem_alloc(g->clients.n + 1, sizeof(*index));
	uint32_t *ids = mem_alloc(next->n_clients + 1, sizeof(*ids));
	bool *taken = mem_alloc(MAX_CLIENTS, sizeof(*taken));

	index_running(index, g);
	for (size_t i = 0; i < next->n_clients; i++) {
		const struct identity *was = clients_find(index, g->clients.n, &next->clients[i]);

		ids[i] = was ? was->client->id : 0;
		taken[ids[i]] = true;
	}
	for (size_t i = 0; i < next->n_clients; i++) {
		if (ids[i])
			continue;
		ids[i] = former_id(g, pinned, taken, &next->clients[i]) ?: free_id(g, taken);
		taken[ids[i]] = true;
	}
	free(taken);
	free(index);
	return ids;
}

uint32_t *clients_ids(const struct gateway *g, const struct config *next)
{
	static const struct pinned none;

	return plan_ids(g, next, &none);
}

/* Leftovers of clients that were removed while no gateway ran. */
static void sweep_pinned(struct gateway *g, const struct pinned *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct pinned_address *p = &s->v[i];
		struct client *c = p->client < MAX_CLIENTS ? g->clients.by_id[p->client] : NULL;

		if (!c || !clients_has_address(c->config, &p->prefix.addr) || c->out) {
			maps_client_delete(g->maps, &p->prefix);
			routing_remove(g, &p->prefix);
		}
	}
	g->clients.orphans = true;
}

struct clients_plan {
	const struct config *next;
	struct client *list;	/* of @next, with ids only */
	struct identity *index; /* room for one of all clients, new and old */
	struct psk *psks;
	struct pinned pinned; /* the first time */
	uint32_t *ids;
};

static void withdraw_missing(struct gateway *g, struct clients_plan *p)
{
	struct clients *s = &g->clients;

	index_configured(p->index, p->next);
	for (size_t i = 0; i < s->n; i++) {
		struct client *c = &s->list[i];

		if (clients_find(p->index, p->next->n_clients, c->config))
			continue;
		withdraw(g, c);
		s->by_id[c->id] = NULL;
		s->removed++;
	}
}

/* Builds the new list. */
static void carry_over(struct gateway *g, struct clients_plan *p)
{
	struct identity *index = p->index;

	index_running(index, g);
	for (size_t i = 0; i < p->next->n_clients; i++) {
		const struct config_client *next = &p->next->clients[i];
		const struct identity *was = clients_find(index, g->clients.n, next);
		struct client *c = &p->list[i];

		*c = was ? *was->client : (struct client){.config = next, .id = p->ids[i]};
		c->revoked = false; /* it is in this one */
		if (c->id)
			g->clients.by_id[c->id] = c;
		else
			clients_tell(-ENOSPC, c, "no id is free");
	}
}

static void clients_make_room(struct gateway *g, struct client *c, const struct config_client *next)
{
	c->out = is_out(g, next);
	if (c->peer && c->out)
		withdraw(g, c);
	else if (c->peer)
		remove_lost(g, c, next);
}

/* After make_room() of all of them. */
static void make_so(struct gateway *g, struct client *c, const struct config_client *next, const struct psk *psk)
{
	const struct config_client *old = c->config;
	bool known = c->peer;

	c->config = next;
	if (c->out || !c->id)
		return;
	if (!known) {
		clients_add(g, c, psk);
		g->clients.added++;
		return;
	}
	if (memcmp(old->public_key, next->public_key, KEY_LEN))
		change_key(g, c, psk);
	else
		change(g, c, old, psk);
	g->clients.changed += !config_client_same(old, next);
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

struct clients_plan *clients_plan(struct gateway *g, const struct config *next)
{
	struct clients_plan *p = mem_alloc(1, sizeof(*p));

	p->next = next;
	p->psks = read_psks(next);
	if (!p->psks) {
		clients_plan_free(p);
		return NULL;
	}
	p->list = mem_alloc(next->n_clients + 1, sizeof(*p->list));
	p->index = mem_alloc(next->n_clients + g->clients.n + 1, sizeof(*p->index));
	if (!g->clients.list)
		maps_client_each(g->maps, take_pinned, &p->pinned);
	if (p->pinned.n)
		qsort(p->pinned.v, p->pinned.n, sizeof(*p->pinned.v), compare_pinned);
	p->ids = plan_ids(g, next, &p->pinned);
	return p;
}

/* Every client has its addresses, whatever the order in which they changed hands. */
static void clients_claim(struct gateway *g)
{
	for (size_t i = 0; i < g->clients.n; i++) {
		const struct client *c = &g->clients.list[i];

		for (size_t k = 0; c->peer && k < c->config->addresses.n; k++)
			engine_peer_allow(g->device.engine, c->peer, &(struct prefix){c->config->addresses.v[k], 128});
	}
	engine_publish_allowed(g->device.engine);
}

void clients_take(struct gateway *g, struct clients_plan *p)
{
	bool first = !g->clients.list;

	g->clients.added = g->clients.removed = g->clients.changed = 0;
	withdraw_missing(g, p);
	carry_over(g, p);
	free(g->clients.list);
	g->clients.list = p->list;
	g->clients.n = p->next->n_clients;
	p->list = NULL;
	for (size_t i = 0; i < g->clients.n; i++)
		clients_make_room(g, &g->clients.list[i], &p->next->clients[i]);
	for (size_t i = 0; i < g->clients.n; i++)
		make_so(g, &g->clients.list[i], &p->next->clients[i], &p->psks[i]);
	clients_claim(g);
	if (first)
		sweep_pinned(g, &p->pinned);
	end_orphans(g);
	clients_plan_free(p);
}

static void let_in(struct gateway *g, struct client *c)
{
	struct psk psk = {0};

	if (read_psk(c->config, &psk)) {
		clients_add(g, c, &psk);
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

size_t clients_without_peer(const struct gateway *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->clients.n; i++)
		n += lacks_peer(&g->clients.list[i]);
	return n;
}

void clients_settle(struct gateway *g)
{
	bool any = false;

	for (size_t i = 0; i < g->clients.n; i++) {
		struct client *c = &g->clients.list[i];

		bool out = c->revoked || is_out(g, c->config);

		if (!c->id || (c->out == out && (out || !lacks_peer(c))))
			continue;
		any = true;
		if (!out) {
			let_in(g, c);
			continue;
		}
		log_info("client %s %s", c->config->name,
			 c->revoked			    ? "was taken out of the configuration"
			 : clients_is_expired(g, c->config) ? "has expired"
							    : "is out of the tailnet");
		withdraw(g, c);
		c->out = true;
	}
	if (any)
		engine_publish_allowed(g->device.engine);
	end_orphans(g);
}

void clients_kick(struct gateway *g, struct client *c)
{
	struct psk psk = {0};

	if (!c->peer)
		return;
	engine_peer_psk(c->peer, psk.key);
	withdraw(g, c);
	end_orphans(g);
	clients_add(g, c, &psk);
	sodium_memzero(&psk, sizeof(psk));
	engine_publish_allowed(g->device.engine);
}

void clients_reset(struct gateway *g, struct client *c)
{
	for (size_t i = 0; i < g->state.n_peers; i++)
		if (!memcmp(g->state.peers[i].public, c->config->public_key, KEY_LEN))
			memset(g->state.peers[i].timestamp, 0, TIMESTAMP_LEN);
	clients_kick(g, c);
	gateway_remember(g);
}

void clients_route(struct gateway *g)
{
	for (size_t i = 0; i < g->clients.n; i++) {
		const struct client *c = &g->clients.list[i];

		for (size_t k = 0; c->peer && k < c->config->addresses.n; k++) {
			struct prefix p = whole(&c->config->addresses.v[k]);

			routing_add(g, &p);
		}
	}
}
