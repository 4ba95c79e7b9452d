/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway as a node of a tailnet: what the coordination server says becomes
 * clients, addresses and rules of the running gateway, by the way of the
 * configuration (netmap_config.h), so that a netmap is applied as a reload is:
 * what did not change loses nothing, and what was revoked passes nothing more.
 */
#include "membership.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "user/config/ca_file.h"
#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "netmap_config.h"
#include "user/base/notify.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"
#include "user/ruleset/ruleset.h"
#include "user/base/secret.h"
#include "user/base/version.h"

static_assert(CA_FILE_MAX <= WIRE_CA_MAX, "what is read is told to the network process whole");

#define DOUBT_PAUSE	    (5 * NS_PER_SEC)
#define DOUBT_PAUSE_MAX	    (3600 * NS_PER_SEC)
#define DOUBT_FORGOTTEN	    (3600 * NS_PER_SEC) /* so long without one: the next is as the first */
#define NEWCOMERS_LOOKED_AT 16			/* each among all sources of all rules */
#define NEWCOMER_WAIT	    (2 * NS_PER_SEC)	/* the rules may come behind it */

/* "" is kept as NULL: there is none. */
static void set_text(char **field, const char *text)
{
	char *copy = *text ? mem_strdup(text) : NULL;

	free(*field);
	*field = copy;
}

/* ---- the netmap becomes so ------------------------------------------------------------- */

static const struct netmap *netmap_of(const struct membership *m)
{
	return &tailnet_roster(m->tailnet)->map;
}

/* Before the start is over it is the configuration that the start works with. */
static void take_at_start(struct membership *m)
{
	struct config *config = m->g->config, old = *config;

	netmap_config(config, netmap_of(m));
	netmap_config_free(&old);
}

static int membership_by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static bool membership_is_known(const struct membership *m, uint64_t id)
{
	const struct known wanted = {.id = id};

	return bsearch(&wanted, m->known, m->n_known, sizeof(wanted), membership_by_id);
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

/*
 * Servers lose updates: headscale (0.28) gives up on a session that did not take one
 * within 50 ms, and lets an older one overtake a newer; it says so to nobody. What hints
 * at it is a reason to ask for all again. Less and less often, for it may be as it should.
 */
static void ask_again(struct membership *m, const char *hint)
{
	uint64_t now = clock_now();

	if (now < m->doubt_at)
		return;
	m->doubt_pause = !m->doubt_pause || now - m->doubt_at > DOUBT_FORGOTTEN ? DOUBT_PAUSE : 2 * m->doubt_pause;
	if (m->doubt_pause > DOUBT_PAUSE_MAX)
		m->doubt_pause = DOUBT_PAUSE_MAX;
	m->doubt_at = now + m->doubt_pause;
	log_info("tailnet: %s: asking for the netmap again", hint);
	tailnet_refresh(m->tailnet);
}

/* Who reaches us by a relay has learnt our key from the server. It may be somebody who was removed. */
void membership_doubt(struct membership *m, const uint8_t node[KEY_LEN])
{
	for (size_t i = 0; i < m->n_known; i++)
		if (!memcmp(m->known[i].key, node, KEY_LEN))
			return; /* it has expired, or has no address that counts */
	ask_again(m, "a node speaks with us that the netmap does not have");
}

void membership_unrouted(struct gateway *g, const struct addr *dst)
{
	const struct ruleset *rules = rules_running(g);

	if (!g->membership || !rules || !rules->approved_by)
		return;
	for (size_t i = 0; i < g->config->n_routes; i++)
		if (!rules->approved_by[i] && prefix_contains(&g->config->routes[i].prefix, dst)) {
			ask_again(g->membership,
				  "a client uses a route that the server has not approved, as far as we know");
			return;
		}
}

static bool is_from(const struct filter_rule *r, const struct tailnet_node *n)
{
	for (size_t a = 0; a < n->n_addresses; a++)
		if (filter_rule_from(r, &n->addresses[a].addr))
			return true;
	return false;
}

/* Is it among the sources of any rule? */
static bool is_named(const struct netmap *map, const struct tailnet_node *n)
{
	for (size_t f = 0; f < map->n_filters; f++)
		for (size_t r = 0; r < map->filters[f].rules.n; r++)
			if (is_from(&map->filters[f].rules.rules[r], n))
				return true;
	return false;
}

/*
 * A server shows us whom its rules connect with us: it is odd when a newcomer is in none of them
 * (but for one that we may reach, and that may not reach us). A few are enough to go by.
 */
static void watch_newcomers(struct membership *m, const struct netmap *map)
{
	unsigned looked = 0;

	for (size_t i = 0; i < map->n_peers && looked < NEWCOMERS_LOOKED_AT; i++) {
		const struct tailnet_node *n = map->peers[i].node;

		if (membership_is_known(m, n->id))
			continue;
		looked++;
		if (is_named(map, n))
			continue;
		m->newcomer = n->id;
		m->newcomer_at = clock_now() + NEWCOMER_WAIT;
	}
}

static void doubt_newcomer(struct membership *m)
{
	const struct netmap_peer *p = m->newcomer ? netmap_peer(netmap_of(m), m->newcomer) : NULL;

	if (p && clock_now() < m->newcomer_at)
		return;
	m->newcomer = 0;
	if (p && !is_named(netmap_of(m), p->node))
		ask_again(m, "no rule names a node that is new");
}

static void membership_say_ready(struct membership *m)
{
	m->waits = false;
	log_info("tailnet: %zu clients in the netmap", m->g->config->n_clients);
	notify_ready(NULL);
}

bool membership_revokes(const struct gateway *g, const struct config_client *c)
{
	const struct netmap_peer *p = g->membership ? netmap_peer(netmap_of(g->membership), c->tailnet_id) : NULL;

	return g->membership && (!p || p->node->expired);
}

static void membership_follow(struct membership *m);

/* ---- a netmap under way: compiled on a thread, for thousands of peers take their time ------ */

struct following {
	struct change change;
	struct config next;    /* the running one with what the netmap says; netmap NULL: nothing new */
	struct ruleset *rules; /* NULL: nothing new, or they could not be made */
	struct diags d;
};

static void following_begin(struct change *c)
{
	struct following *f = (struct following *)c;
	struct membership *m = c->g->membership;

	f->next = *c->g->config;
	netmap_config(&f->next, netmap_of(m));
	m->behind = false;
	if (!c->g->config->netmap || m->unsettled || !netmap_config_same(c->g->config, &f->next))
		return;
	netmap_config_free(&f->next);
	f->next.netmap = NULL;
}

static void following_work(struct change *c)
{
	struct following *f = (struct following *)c;

	f->rules = f->next.netmap ? rules_build_again(c->g, &f->next, &f->d) : NULL;
	if (!f->rules || rules_lay(c->g, &f->next, f->rules, &f->d))
		return;
	ruleset_free(f->rules);
	f->rules = NULL;
}

/* Rules and clients, or neither. */
static bool membership_take_over(struct following *f)
{
	struct gateway *g = f->change.g;
	struct clients_plan *plan = f->rules ? clients_plan(g, &f->next) : NULL;
	struct config old = *g->config;

	if (!plan || !rules_replace(g, f->rules, &f->d)) {
		clients_plan_free(plan);
		return false;
	}
	f->rules = NULL;
	clients_take(g, plan);
	*g->config = f->next;
	f->next = old; /* to be freed */
	tunnel_readdress(g, &old);
	return true;
}

static int following_finish(struct change *c, json_t **result, char **error)
{
	struct following *f = (struct following *)c;
	struct membership *m = c->g->membership;
	bool news = f->next.netmap, again = m->unsettled;

	m->following = false;
	m->unsettled = news && !membership_take_over(f);
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
	m->following = true;
	if (m->g->changing.working)
		changes_add_first(m->g, &f->change);
	else
		m->following = changes_add(m->g, &f->change);
}

static void on_map(void *ctx, const struct roster *r)
{
	struct membership *m = ctx;

	if (m->forwarding) /* the rest may have to wait for the change under way, and for the compiler */
		clients_settle(m->g);
	if (!r->map.self.node) { /* who we are is not known yet, or any more */
		forget_peers(m, &r->map);
		return;
	}
	if (m->forwarding)
		membership_follow(m);
	else
		take_at_start(m);
	if (m->known && m->state == WIRE_STATE_CONNECTED)
		watch_newcomers(m, &r->map);
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
	notify_status(state == WIRE_STATE_CONNECTED ? "connected" : text);
}

static void on_login(void *ctx, const char *url)
{
	struct membership *m = ctx;

	set_text(&m->url, url);
	membership_changed(m);
	log_info("tailnet: to log in, open %s", url);
}

static bool is_among(const struct remarks *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].text, text))
			return true;
	return false;
}

static void on_remarks(void *ctx, struct remarks *list)
{
	struct membership *m = ctx;

	for (size_t i = 0; i < list->n; i++)
		if (!is_among(&m->remarks, list->v[i].text))
			log_warning("tailnet: the coordination server says: %s", list->v[i].text);
	remarks_free(&m->remarks);
	m->remarks = *list;
	*list = (struct remarks){0};
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
		loop_remove(&m->g->loop, &m->link);
	m->link = (struct loop_watch){.fd = -1};
	relay_states_clear(&m->relays);
	if (fd >= 0 && loop_add(&m->g->loop, &m->link, fd, link_ready, m))
		log_error("tailnet: %s", strerror(errno));
}

static void on_identity(void *ctx)
{
	struct membership *m = ctx;
	struct tailnet_secrets secrets;
	uint8_t public[KEY_LEN];

	tailnet_secrets(m->tailnet, &secrets);
	crypto_public_key(secrets.node, public);
	engine_set_identity(m->g->device.engine, secrets.node);
	paths_identity(m, &secrets, public);
	crypto_wipe(&secrets, sizeof(secrets));
}

/* ---- life ------------------------------------------------------------------------------------ */

static void membership_tell_routes(struct membership *m)
{
	const struct config *config = m->g->config;
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

/* What it was for is done once the node is known: that it is missing is no reason not to start. */
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

static void free_auth_key(char *key)
{
	if (key)
		crypto_wipe(key, strlen(key));
	free(key);
}

static bool make_node(struct membership *m, const char *ca, char *error, size_t size)
{
	static const struct tailnet_ops ops = {membership_on_status, on_login,		on_remarks, on_map,
					       paths_relayed,	     paths_relay_state, on_fd,	    on_identity};
	const struct config_tailnet *t = &m->g->config->tailnet;
	char *auth_key = read_auth_key(t, error, size);
	const struct tailnet_config config = {
		.state = m->g->config->state,
		.server = t->login_server,
		.auth_key = auth_key,
		.hostname = t->hostname,
		.version = version_commit(),
		.ca = ca,
		.server_key = key_is_zero(t->control_key) ? NULL : t->control_key,
		.relays = t->derp,
	};

	m->tailnet = tailnet_new(&config, &ops, m, error, size);
	free_auth_key(auth_key);
	return m->tailnet;
}

bool membership_up(struct membership *m, bool new_key, char *error, size_t size)
{
	char *auth_key = read_auth_key(&m->g->config->tailnet, error, size);

	/* What was said of the last attempt is no longer so. */
	m->state = WIRE_STATE_CONNECTING;
	set_text(&m->text, "");
	set_text(&m->url, "");
	tailnet_set_auth_key(m->tailnet, auth_key);
	free_auth_key(auth_key);
	return tailnet_up(m->tailnet, new_key, error, size);
}

bool membership_open(struct gateway *g, char *error, size_t size)
{
	const char *ca_file = g->config->tailnet.ca_file;
	struct membership *m;
	char *ca = NULL;
	bool ok;

	if (!g->config->tailnet.node)
		return true;
	if (ca_file && !(ca = ca_file_read(ca_file, error, size)))
		return false;
	m = mem_alloc(1, sizeof(*m));
	m->g = g;
	m->link.fd = -1;
	g->membership = m;
	paths_open(m);
	ok = make_node(m, ca, error, size);
	free(ca);
	return ok;
}

void membership_begin(struct gateway *g)
{
	struct membership *m = g->membership;

	if (!m)
		return;
	on_identity(m);
	membership_tell_routes(m);
	tailnet_start(m->tailnet, clock_now());
}

void membership_forward(struct gateway *g)
{
	struct membership *m = g->membership;

	if (!m)
		return;
	m->forwarding = true;
	m->waits = membership_waits(g);
	paths_second(m);
}

bool membership_waits(const struct gateway *g)
{
	return g->membership && !g->config->netmap;
}

uint64_t membership_tick(struct gateway *g)
{
	struct membership *m = g->membership;
	uint64_t now = clock_now(), a, b;

	if (!m)
		return UINT64_MAX;
	a = paths_tick(m, now);
	b = tailnet_tick(m->tailnet, now); /* last: it sends what the others have queued */
	return a < b ? a : b;
}

void membership_second(struct gateway *g)
{
	if (!g->membership)
		return;
	if (g->membership->behind && g->membership->forwarding)
		membership_follow(g->membership);
	doubt_newcomer(g->membership);
	membership_tire(g->membership);
	paths_second(g->membership);
}

void membership_place(struct gateway *g, const struct client *c)
{
	if (g->membership)
		paths_place(g->membership, c);
}

int64_t membership_time(const struct gateway *g)
{
	return g->membership ? tailnet_time(g->membership->tailnet) : (int64_t)(clock_wall() / NS_PER_SEC);
}

void membership_configure(struct gateway *g, struct config *next)
{
	if (g->membership && g->config->netmap)
		netmap_config(next, netmap_of(g->membership));
}

void membership_reloaded(struct gateway *g)
{
	if (g->membership)
		membership_tell_routes(g->membership);
}

void membership_close(struct gateway *g)
{
	struct membership *m = g->membership;

	if (!m)
		return;
	on_fd(m, -1);
	tailnet_free(m->tailnet);
	paths_close(m);
	remarks_free(&m->remarks);
	free(m->known);
	free(m->text);
	free(m->url);
	free(m);
	g->membership = NULL;
}
