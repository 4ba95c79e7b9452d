/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway as a node of a tailnet: what the coordination server says becomes
 * clients, addresses and rules of the running gateway, by the way of the
 * configuration (netmap_config.h), so that a netmap is applied as a reload is:
 * what did not change loses nothing, and what was revoked passes nothing more.
 */
#include "membership.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "user/config/ca_file.h"
#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "netmap_config.h"
#include "user/base/systemd.h"
#include "user/answers/report.h"
#include "user/ruleset/ruleset.h"
#include "user/base/secret.h"
#include "user/base/version.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

/* "" is kept as NULL: there is none. */
static void set_text(char **field, const char *text)
{
	char *copy = *text ? mem_strdup(text) : NULL;

	free(*field);
	*field = copy;
}

/* ---- the netmap becomes so ------------------------------------------------------------- */

const struct netmap *membership_netmap(const struct membership *m)
{
	return &tailnet_netmap(m->tailnet)->map;
}

/* Before the start is over it is the configuration that the start works with. */
static void take_at_start(struct membership *m)
{
	struct config next = *m->host.site->config;

	netmap_config(&next, membership_netmap(m));
	running_exchange(m->host.running, &next);
	netmap_config_free(&next);
}

/* Those who are gone, or have another key, are not looked for any more. */
static void forget_peers(struct membership *m, const struct netmap *map)
{
	struct known *now = mem_alloc(map->n_peers + 1, sizeof(*now));

	for (size_t i = 0; i < map->n_peers; i++) {
		now[i].id = map->peers[i].node->id;
		memcpy(now[i].key, map->peers[i].node->node_key, KEY_LEN);
	}
	for (size_t i = 0; i < m->n_known; i++) {
		const struct netmap_peer *p = netmap_peer(map, m->known[i].id);

		if (!p || memcmp(p->node->node_key, m->known[i].key, KEY_LEN))
			disco_peer_remove(m->disco, m->known[i].key);
	}
	free(m->known);
	m->known = now;
	m->n_known = map->n_peers;
}

static void look_for_peers(struct membership *m, const struct netmap *map)
{
	uint64_t now = clock_now();

	for (size_t i = 0; i < map->n_peers; i++)
		if (map->peers[i].changed)
			disco_peer_set(m->disco, map->peers[i].node, now);
}

static void membership_say_ready(struct membership *m)
{
	m->waits = false;
	log_info("tailnet: %zu clients in the netmap", m->host.site->config->n_clients);
	systemd_ready(NULL);
}

static bool membership_revokes(const void *membership, const struct config_client *c)
{
	const struct netmap_peer *p = netmap_peer(membership_netmap(membership), c->tailnet_id);

	return !p || p->node->expired;
}

static void membership_follow(struct membership *m);

/* ---- a netmap under way: compiled on a thread, for thousands of peers take their time ------ */

struct following {
	struct change change;
	struct membership *m;
	struct config next;    /* the running one with what the netmap says; netmap NULL: nothing new */
	struct ruleset *rules; /* NULL: nothing new, or they could not be made */
	struct diags d;
};

static void following_begin(struct change *c, const struct running *now)
{
	struct following *f = (struct following *)c;
	struct membership *m = f->m;

	f->next = *now->site->config;
	netmap_config(&f->next, membership_netmap(m));
	m->behind = false;
	if (!now->site->config->netmap || m->unsettled || !netmap_config_same(now->site->config, &f->next))
		return;
	netmap_config_free(&f->next);
	f->next.netmap = NULL;
}

static void following_work(struct change *c, const struct running *now)
{
	struct following *f = (struct following *)c;

	f->rules = f->next.netmap ? rules_build_again(&now->rules, &f->next, &f->d) : NULL;
	if (!f->rules || rules_lay(&now->rules, now->site, &now->clients, &f->next, f->rules, &f->d))
		return;
	ruleset_free(f->rules);
	f->rules = NULL;
}

/* Rules and clients, or neither. */
static bool membership_take_over(struct following *f, struct running *now)
{
	if (!f->rules || !running_take(now, RUNNING_NETMAP, &f->next, f->rules, &f->d))
		return false;
	f->rules = NULL;
	running_taken(now, RUNNING_NETMAP, &f->next);
	return true;
}

static int following_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct following *f = (struct following *)c;
	struct membership *m = f->m;
	bool news = f->next.netmap, again = m->unsettled;

	m->following = false;
	m->unsettled = news && !membership_take_over(f, now);
	if (m->unsettled) { /* tried once a second, said once */
		m->behind = true;
		return again ? EXIT_YES
			     : exit_fail(error, EXIT_NO, "it is not in force%s%s", f->d.n ? ": " : "",
					 f->d.n ? f->d.list[0].text : "");
	}
	if (news && m->waits)
		membership_say_ready(m);
	if (m->behind)
		membership_follow(m);
	return EXIT_YES;
}

static void following_free(struct change *c)
{
	struct following *f = (struct following *)c;

	netmap_config_free(&f->next);
	ruleset_free(f->rules);
	diags_free(&f->d);
	free(f);
}

/*
 * One at a time: what comes meanwhile is followed afterwards, all of it at once. It may
 * revoke something: so it waits for the change under way, not for those behind it.
 */
static void membership_follow(struct membership *m)
{
	static const struct change_kind kind = {"tailnet: the netmap", following_begin, following_work,
						following_finish, following_free};
	struct following *f;

	m->behind = true;
	if (m->following)
		return;
	f = mem_alloc(1, sizeof(*f));
	f->change.kind = &kind;
	f->m = m;
	m->following = true;
	if (m->host.changes->working)
		changes_add_first(m->host.changes, &f->change);
	else
		m->following = changes_add(m->host.changes, &f->change);
}

static void on_map(void *ctx, const struct netmap_copy *r)
{
	struct membership *m = ctx;

	if (m->forwarding) /* the rest may have to wait for the change under way, and for the compiler */
		clients_settle(&m->host.running->clients, m->host.site);
	if (!r->map.self.node) { /* who we are is not known yet, or any more */
		forget_peers(m, &r->map);
		return;
	}
	if (m->forwarding)
		membership_follow(m);
	else
		take_at_start(m);
	if (m->known && m->state == WIRE_STATE_CONNECTED)
		doubt_watch(m, &r->map);
	forget_peers(m, &r->map);
	look_for_peers(m, &r->map);
	if (r->map.derpmap_changed)
		netcheck_set_map(m->netcheck, r->map.derpmap, clock_now());
}

/* ---- what else there is to know ----------------------------------------------------------- */

static void membership_on_status(void *ctx, enum wire_state state, const char *text)
{
	struct membership *m = ctx;
	bool new = state != m->state || strcmp(text, m->text ? m->text : "");

	m->state = state;
	set_text(&m->text, text);
	if (state == WIRE_STATE_CONNECTED)
		set_text(&m->url, "");
	if (new)
		log_info("tailnet: %s%s%s", wire_state_name(state), *text ? ": " : "", text);
	membership_changed(m);
	systemd_status(state == WIRE_STATE_CONNECTED ? "connected" : text);
}

static void on_login(void *ctx, const char *url)
{
	struct membership *m = ctx;

	set_text(&m->url, url);
	membership_changed(m);
	log_info("tailnet: to log in, open %s", url);
}

static bool is_among(const struct health *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].text, text))
			return true;
	return false;
}

static void on_health(void *ctx, struct health *list)
{
	struct membership *m = ctx;

	for (size_t i = 0; i < list->n; i++)
		if (!is_among(&m->health, list->v[i].text))
			log_warning("tailnet: the coordination server says: %s", list->v[i].text);
	health_free(&m->health);
	m->health = *list;
	*list = (struct health){0};
}

static void link_ready(void *ctx)
{
	struct membership *m = ctx;

	tailnet_ready(m->tailnet, clock_now());
}

static void on_fd(void *ctx, int fd)
{
	struct membership *m = ctx;

	if (m->link.ready)
		loop_remove(m->host.site->loop, &m->link);
	m->link = (struct loop_watch){.fd = -1};
	relay_states_clear(&m->relays);
	if (fd >= 0 && loop_add(m->host.site->loop, &m->link, fd, link_ready, m))
		log_error("tailnet: %s", strerror(errno));
}

static void on_identity(void *ctx)
{
	struct membership *m = ctx;
	struct tailnet_secrets secrets;
	uint8_t public[KEY_LEN];

	tailnet_secrets(m->tailnet, &secrets);
	crypto_public_key(secrets.node, public);
	engine_set_identity(m->host.site->device->engine, secrets.node);
	paths_identity(m, &secrets, public);
	crypto_wipe(&secrets, sizeof(secrets));
}

/* ---- life ------------------------------------------------------------------------------------ */

static void membership_tell_routes(struct membership *m)
{
	const struct config *config = m->host.site->config;
	struct prefix *list = mem_alloc(config->n_routes + 1, sizeof(*list));
	size_t n = config->n_routes < WIRE_ROUTES_MAX ? config->n_routes : WIRE_ROUTES_MAX;

	if (n < config->n_routes)
		log_warning("tailnet: of %zu routes the first %zu are advertised: so many there can be",
			    config->n_routes, n);
	for (size_t i = 0; i < n; i++)
		list[i] = config->routes[i].prefix;
	tailnet_set_routes(m->tailnet, list, n);
	free(list);
}

/* A node that the server knows needs no auth key: a missing file is no reason not to start. */
static char *read_auth_key(const struct config_tailnet *t, char *error, size_t size)
{
	char why[512], *key = t->auth_key_file ? secret_text(t->auth_key_file, why, sizeof(why)) : NULL;

	*error = 0;
	if (t->auth_key_file && !key)
		snprintf(error, size, "no auth key: %s", why);
	if (*error)
		log_warning("tailnet: %s", error);
	return key;
}

static bool make_node(struct membership *m, const char *ca, char *error, size_t size)
{
	static const struct tailnet_ops ops = {membership_on_status, on_login,		on_health, on_map,
					       paths_relayed,	     paths_relay_state, on_fd,	   on_identity};
	const struct config_tailnet *t = &m->host.site->config->tailnet;
	char *auth_key = read_auth_key(t, error, size);
	const struct tailnet_config config = {
		.state = m->host.site->config->state,
		.server = t->login_server,
		.auth_key = auth_key,
		.hostname = t->hostname,
		.version = version_commit(),
		.ca = ca,
		.server_key = key_is_zero(t->control_key) ? NULL : t->control_key,
		.relays = t->derp,
	};

	m->tailnet = tailnet_new(&config, &ops, m, error, size);
	secret_memory_free(auth_key);
	return m->tailnet;
}

bool membership_up(struct membership *m, bool new_key, char *error, size_t size)
{
	char *auth_key = read_auth_key(&m->host.site->config->tailnet, error, size);

	/* The text about the last attempt is no longer true. */
	m->state = WIRE_STATE_CONNECTING;
	set_text(&m->text, "");
	set_text(&m->url, "");
	tailnet_set_auth_key(m->tailnet, auth_key);
	secret_memory_free(auth_key);
	return tailnet_up(m->tailnet, new_key, error, size);
}

static bool membership_open(struct origin *o, const struct origin_host *host, char *error, size_t size)
{
	const char *ca_file = host->site->config->tailnet.ca_file;
	struct membership *m;
	char *ca = NULL;
	bool ok;

	if (ca_file && !(ca = ca_file_read(ca_file, error, size)))
		return false;
	m = mem_alloc(1, sizeof(*m));
	m->host = *host;
	m->link.fd = -1;
	o->ctx = m;
	paths_open(m);
	ok = make_node(m, ca, error, size);
	free(ca);
	return ok;
}

static void membership_begin(void *membership)
{
	struct membership *m = membership;

	on_identity(m);
	membership_tell_routes(m);
	tailnet_start(m->tailnet, clock_now());
}

static bool membership_waits(const void *membership)
{
	const struct membership *m = membership;

	return !m->host.site->config->netmap;
}

static void membership_forward(void *membership)
{
	struct membership *m = membership;

	m->forwarding = true;
	m->waits = membership_waits(m);
	paths_second(m);
}

static uint64_t membership_tick(void *membership)
{
	struct membership *m = membership;
	uint64_t now = clock_now(), a, b;

	a = paths_tick(m, now);
	b = tailnet_tick(m->tailnet, now); /* last: it sends what the others have queued */
	return a < b ? a : b;
}

static void membership_second(void *membership)
{
	struct membership *m = membership;

	if (m->behind && m->forwarding)
		membership_follow(m);
	doubt_second(m);
	membership_tire(m);
	paths_second(m);
}

static int64_t membership_time(const void *membership)
{
	const struct membership *m = membership;

	return tailnet_time(m->tailnet);
}

static void membership_configure(const void *membership, struct config *next)
{
	const struct membership *m = membership;

	if (m->host.site->config->netmap)
		netmap_config(next, membership_netmap(m));
}

static void membership_reloaded(void *membership)
{
	membership_tell_routes(membership);
}

static void membership_close(void *membership)
{
	struct membership *m = membership;

	if (!m) /* its certificates could not be read */
		return;
	on_fd(m, -1);
	tailnet_free(m->tailnet);
	paths_close(m);
	health_free(&m->health);
	free(m->known);
	free(m->text);
	free(m->url);
	free(m);
}

const struct origin_ops membership_origin = {
	.netmap = true,
	.open = membership_open,
	.begin = membership_begin,
	.forward = membership_forward,
	.waits = membership_waits,
	.tick = membership_tick,
	.second = membership_second,
	.close = membership_close,
	.time = membership_time,
	.revokes = membership_revokes,
	.place = paths_place,
	.configure = membership_configure,
	.reloaded = membership_reloaded,
	.unrouted = doubt_unrouted,
	.report = membership_report,
	.primary = membership_primary,
	.relay_away = membership_relay_away,
	.other = paths_other,
	.relay = paths_relay,
};

struct membership *membership_of(const struct origin *o)
{
	return o->ops == &membership_origin ? o->ctx : NULL;
}
