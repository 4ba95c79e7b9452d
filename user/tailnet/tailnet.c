/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's side of the tailnet (tailnet.h). The network process may die or
 * be killed at any time: all that it was told is here and told again, and the
 * netmap stays as it was until it has a newer one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/base/secret.h"
#include "kept_clock.h"
#include "kept_confirmation.h"
#include "kept_netmap.h"
#include "policy/alloc.h"
#include "relay_box.h"
#include "user/tailnet/network/process.h"
#include "tailkeys.h"
#include "tailnet.h"
#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "user/tailnet/ipc/ipc.h"
#include "user/base/clock.h"
#include "user/base/file.h"

#define OUT_FILE     "logged-out"      /* is there from `logout` to `up` */
#define SAVE_DELAY   (2 * NS_PER_SEC)  /* many changes, one file */
#define EXPIRY_CHECK (30 * NS_PER_SEC) /* a clock may jump: no one time is right */
#define RESTART_MIN  (1 * NS_PER_SEC)
#define RESTART_MAX  (60 * NS_PER_SEC)
#define RESTART_GOOD (60 * NS_PER_SEC) /* it has lived this long: the next restart is at once again */
#define MESSAGES_MAX 256	       /* in a row, then the caller has other things to do */

struct tailnet {
	const struct tailnet_ops *ops;
	void *ctx;
	char *folder;
	struct wire_message config; /* WIRE_CONFIG, ready to be sent */
	struct tailkeys keys;
	struct netmap_copy roster;
	struct kept_clock clock;
	uint64_t save_at; /* 0: nothing to save */

	/* the network process */
	bool running;
	struct ipc ipc;
	pid_t pid;
	uint64_t started, restart_at;
	unsigned failures;

	/* told to every one of them */
	struct wire_routes routes;
	struct wire_endpoints endpoints;
	struct wire_netinfo netinfo;
	enum wire_state state; /* as the network process, or what has become of it, says; told may be another */
	char *text;	       /* of it */
	enum wire_state told;
	struct kept_confirmation confirmation; /* of the netmap, by the server */
	bool logged_out;
	bool expired; /* our own node's key, as the netmap has it and the clock says */
};

/* ---- how we stand ------------------------------------------------------------------ */

/* The server says when the key expires, once; that it has happened is for us to notice. A server that
 * has noticed (headscale) takes back its approval. */
enum wire_state tailnet_standing(enum wire_state said, bool expired)
{
	return expired && (said == WIRE_STATE_CONNECTED || said == WIRE_STATE_APPROVAL) ? WIRE_STATE_EXPIRED : said;
}

static void tell_state(struct tailnet *t)
{
	t->told = tailnet_standing(t->state, t->expired);
	t->ops->status(t->ctx, t->told,
		       t->told == t->state ? t->text : "the node key has expired: log in again with `sluice up`");
}

static void set_state(struct tailnet *t, enum wire_state state, const char *text)
{
	t->state = state;
	free(t->text);
	t->text = mem_strdup(text);
	tell_state(t);
}

int64_t tailnet_time(const struct tailnet *t)
{
	return kept_clock_now(&t->clock);
}

int64_t tailnet_clock_ahead(const struct tailnet *t)
{
	return kept_clock_ahead(&t->clock);
}

/* An administrator may put it off, and a clock may come back. */
static void check_expiry(struct tailnet *t)
{
	const struct tailnet_node *self = t->roster.map.self.node;

	t->expired = self && node_is_expired(self, tailnet_time(t));
	if (tailnet_standing(t->state, t->expired) != t->told)
		tell_state(t);
}

/* ---- the network process ----------------------------------------------------------- */

static void stop_process(struct tailnet *t)
{
	if (!t->running)
		return;
	t->running = false;
	ipc_free(&t->ipc);
	kill(t->pid, SIGKILL); /* it has nothing to put in order */
	waitpid(t->pid, NULL, 0);
	netmap_copy_abandon(&t->roster);
}

static void lose_process(struct tailnet *t, const char *why, uint64_t now)
{
	uint64_t pause;

	if (now - t->started >= RESTART_GOOD)
		t->failures = 0;
	pause = RESTART_MIN << (t->failures < 6 ? t->failures : 6);
	t->failures++;
	t->restart_at = now + (pause < RESTART_MAX ? pause : RESTART_MAX);
	stop_process(t);
	t->ops->fd(t->ctx, -1);
	log_warning("tailnet: the network process %s; it is started again", why);
	set_state(t, WIRE_STATE_OFFLINE, "the network process is started again");
}

/* A message is lost only when the other end is gone, which the next read finds. */
static void tailnet_tell(struct tailnet *t, const struct wire_message *m)
{
	if (t->running)
		ipc_send(&t->ipc, m);
}

static void tell_keys(struct tailnet *t)
{
	struct wire_message m = {.type = WIRE_KEYS};

	crypto_public_key(t->keys.node, m.keys.node);
	crypto_public_key(t->keys.disco, m.keys.disco);
	if (!key_is_zero(t->keys.old_node))
		crypto_public_key(t->keys.old_node, m.keys.old_node);
	tailnet_tell(t, &m);
}

static void tailnet_tell_routes(struct tailnet *t)
{
	const struct wire_message m = {.type = WIRE_ROUTES, .routes = t->routes};

	tailnet_tell(t, &m);
}

static void tailnet_tell_endpoints(struct tailnet *t)
{
	const struct wire_message m = {.type = WIRE_ENDPOINTS, .endpoints = t->endpoints};

	tailnet_tell(t, &m);
}

static void tell_netinfo(struct tailnet *t)
{
	const struct wire_message m = {.type = WIRE_NETINFO, .netinfo = t->netinfo};

	tailnet_tell(t, &m);
}

/* Tells it the relays, by which it reaches others while it cannot ask the server. */
static void tailnet_tell_regions(struct tailnet *t)
{
	const struct derpmap *known = t->roster.map.derpmap;

	for (size_t i = 0; known && i < known->n; i++) {
		const struct wire_message m = {.type = WIRE_REGION, .region = known->regions[i]};

		tailnet_tell(t, &m);
	}
}

static void start_process(struct tailnet *t, uint64_t now)
{
	int fd = process_start(&t->pid);

	t->started = now;
	if (fd < 0) {
		t->restart_at = now + RESTART_MAX;
		log_error("tailnet: the network process does not start: %s", strerror(-fd));
		return;
	}
	ipc_init(&t->ipc, fd, WIRE_TO_GATEWAY);
	t->running = true;
	t->ops->fd(t->ctx, fd);
	tailnet_tell(t, &t->config);
	tailnet_tell_routes(t);
	tailnet_tell_endpoints(t);
	tell_netinfo(t);
	tailnet_tell_regions(t);
	if (!t->logged_out)
		tell_keys(t); /* last: with it, it begins */
}

/* ---- what it says -------------------------------------------------------------------- */

static void tell_map(struct tailnet *t)
{
	check_expiry(t);
	t->ops->map(t->ctx, &t->roster);
	netmap_settle(&t->roster.map);
}

static void save_map(struct tailnet *t)
{
	kept_netmap_save(t->folder, t->config.config.server, &t->roster);
	t->save_at = 0;
}

static void load_map(struct tailnet *t)
{
	if (kept_netmap_load(t->folder, t->config.config.server, &t->roster))
		tell_map(t);
}

static void tailnet_take_map(struct tailnet *t, struct wire_message *m, uint64_t now)
{
	enum netmap_copy_result result;

	if (t->logged_out) /* on its way when that was said */
		return;
	result = netmap_copy_take(&t->roster, m);
	if (result == NETMAP_COPY_REFUSED) {
		confirmation_state(&t->confirmation.now, WIRE_STATE_UNREADABLE, now);
		lose_process(t, "told an impossible netmap", now);
		return;
	}
	if (result != NETMAP_COPY_CHANGED)
		return;
	tell_map(t);
	if (!t->save_at)
		t->save_at = now + SAVE_DELAY;
}

/* A new node key was refused. The old one may still do; peers know us by no other. */
static void step_back(struct tailnet *t)
{
	char error[512];

	if (!t->roster.map.self.node || t->expired)
		return;
	if (tailkeys_revert(t->folder, &t->keys, error, sizeof(error)))
		tell_keys(t);
	else
		log_warning("tailnet: %s", error);
}

static void take_status(struct tailnet *t, const struct wire_status *s, uint64_t now)
{
	const struct tailnet_node *self = t->roster.map.self.node;

	/* "Connected" may have been under way when the key was made: the netmap says with which key. */
	if (s->state == WIRE_STATE_CONNECTED && self && tailkeys_settle(t->folder, &t->keys, self->node_key)) {
		t->ops->identity(t->ctx);
		tell_keys(t);
	}
	if (s->state == WIRE_STATE_REFUSED && !key_is_zero(t->keys.old_node))
		step_back(t);
	if (self || confirmation_is_lost(&t->confirmation.now)) /* else there is nothing to confirm yet */
		confirmation_state(&t->confirmation.now, s->state, now);
	set_state(t, s->state, s->text);
}

/* A relay wants to be shown that we hold our node key. */
static void answer_hello(struct tailnet *t, const struct wire_relay_hello *hello)
{
	struct wire_message m = {.type = WIRE_RELAY_BOX};
	uint8_t nonce[RELAY_BOX_NONCE_LEN], info[WIRE_RELAY_BOX_MAX];

	crypto_random(nonce, sizeof(nonce));
	m.box.region = hello->region;
	m.box.bytes = info;
	m.box.len = relay_box_seal(info, sizeof(info), tailkeys_in_force(&t->keys), hello->server_key, nonce);
	if (m.box.len)
		tailnet_tell(t, &m);
}

static void tailnet_take(struct tailnet *t, struct wire_message *m, uint64_t now)
{
	switch (m->type) {
	case WIRE_STATUS:
		take_status(t, &m->status, now);
		return;
	case WIRE_CLOCK:
		kept_clock_heard(&t->clock, m->clock, now);
		return;
	case WIRE_HEALTH:
		if (!t->logged_out)
			t->ops->health(t->ctx, &m->health);
		return;
	case WIRE_LOGIN:
		t->ops->login(t->ctx, m->url);
		return;
	case WIRE_RELAY_HELLO:
		answer_hello(t, &m->hello);
		return;
	case WIRE_RELAY_STATE:
		t->ops->relay(t->ctx, &m->relay);
		return;
	case WIRE_RELAY_PACKET:
		t->ops->relayed(t->ctx, m->packet.region, m->packet.node_key, m->packet.bytes, m->packet.len);
		return;
	default:
		tailnet_take_map(t, m, now);
	}
}

void tailnet_ready(struct tailnet *t, uint64_t now)
{
	for (int i = 0; i < MESSAGES_MAX && t->running; i++) {
		struct wire_message m;
		enum ipc_result result = ipc_receive(&t->ipc, &m);

		if (result == IPC_NOTHING)
			return;
		if (result != IPC_MESSAGE) {
			lose_process(t, result == IPC_GONE ? "has ended" : "does not keep to the protocol", now);
			return;
		}
		tailnet_take(t, &m, now);
		wire_message_free(&m);
	}
}

/* With it, a node that was removed since would stay a client for ever. */
static void give_up_map(struct tailnet *t)
{
	kept_netmap_drop(t->folder);
	t->save_at = 0;
	netmap_copy_free(&t->roster);
	t->roster = (struct netmap_copy){0};
	tell_map(t);
}

uint64_t tailnet_unconfirmed(const struct tailnet *t, uint64_t now)
{
	const struct confirmation *c = &t->confirmation.now;

	return c->since || confirmation_is_lost(c) ? confirmation_spent(c, now) : 0;
}

bool tailnet_is_unserved(const struct tailnet *t)
{
	return confirmation_is_lost(&t->confirmation.now);
}

uint64_t tailnet_tick(struct tailnet *t, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (!t->running && now >= t->restart_at)
		start_process(t, now);
	if (t->running && !ipc_flush(&t->ipc))
		lose_process(t, "has ended", now);
	if (t->save_at && now >= t->save_at)
		save_map(t);
	kept_clock_check(&t->clock);
	check_expiry(t);
	if (kept_confirmation_tick(&t->confirmation, now))
		give_up_map(t);
	next = kept_confirmation_next(&t->confirmation);
	if (t->roster.map.self.node && t->roster.map.self.node->key_expiry)
		next = now + EXPIRY_CHECK < next ? now + EXPIRY_CHECK : next;
	if (!t->running)
		next = t->restart_at < next ? t->restart_at : next;
	else if (ipc_wants_write(&t->ipc))
		next = now + 10 * NS_PER_MS < next ? now + 10 * NS_PER_MS : next;
	return t->save_at && t->save_at < next ? t->save_at : next;
}

/* ---- life ------------------------------------------------------------------------------ */

static bool is_marked_out(const struct tailnet *t)
{
	char *path = mem_printf("%s/" OUT_FILE, t->folder);
	bool yes = !access(path, F_OK);

	free(path);
	return yes;
}

static char *auth_key_copy(const char *key)
{
	return secret_strndup(key ? key : "", key ? strlen(key) : 0);
}

static void fill_config(struct tailnet *t, const struct tailnet_config *config)
{
	struct wire_config *c = &t->config.config;
	struct utsname system;

	t->config.type = WIRE_CONFIG;
	c->server = mem_strdup(config->server);
	c->auth_key = auth_key_copy(config->auth_key);
	c->hostname = mem_strdup(config->hostname);
	c->version = mem_strdup(config->version);
	c->os_version = mem_strdup(uname(&system) ? "" : system.release);
	c->ca = mem_strdup(config->ca ? config->ca : "");
	c->pinned = config->server_key;
	if (c->pinned)
		memcpy(c->server_key, config->server_key, KEY_LEN);
	memcpy(c->machine, t->keys.machine, KEY_LEN);
	c->relays = config->relays;
}

struct tailnet *tailnet_new(const struct tailnet_config *config, const struct tailnet_ops *ops, void *ctx, char *error,
			    size_t size)
{
	struct tailnet *t = secret_memory(sizeof(*t)); /* our keys are in it */
	int rc;

	t->ops = ops;
	t->ctx = ctx;
	t->folder = mem_printf("%s/tailnet", config->state);
	t->ipc.fd = -1;
	rc = file_folder(t->folder);
	if (rc)
		snprintf(error, size, "%s: %s", t->folder, strerror(-rc));
	if (!rc && tailkeys_load(t->folder, &t->keys, error, size)) {
		fill_config(t, config);
		kept_clock_open(&t->clock, t->folder, t->config.config.server);
		kept_confirmation_open(&t->confirmation, t->folder, t->config.config.server);
		t->logged_out = is_marked_out(t);
		return t;
	}
	tailnet_free(t);
	return NULL;
}

void tailnet_start(struct tailnet *t, uint64_t now)
{
	if (t->logged_out)
		set_state(t, WIRE_STATE_LOGGED_OUT, "logged out: `sluice up` logs in");
	else
		load_map(t);
	start_process(t, now);
}

void tailnet_free(struct tailnet *t)
{
	if (!t)
		return;
	if (t->save_at)
		save_map(t);
	kept_clock_close(&t->clock);
	kept_confirmation_close(&t->confirmation, clock_now());
	stop_process(t);
	netmap_copy_free(&t->roster);
	wire_message_free(&t->config);
	free(t->routes.v);
	free(t->endpoints.v);
	free(t->folder);
	free(t->text);
	secret_memory_free(t);
}

int tailnet_fd(const struct tailnet *t)
{
	return t->running ? t->ipc.fd : -1;
}

void tailnet_secrets(const struct tailnet *t, struct tailnet_secrets *out)
{
	memcpy(out->node, tailkeys_in_force(&t->keys), KEY_LEN);
	memcpy(out->disco, t->keys.disco, KEY_LEN);
}

const struct netmap_copy *tailnet_netmap(const struct tailnet *t)
{
	return &t->roster;
}

/* ---- what the gateway says ----------------------------------------------------------------- */

static void *tailnet_copy_of(const void *list, size_t n, size_t size)
{
	void *copy = mem_alloc(n, size);

	if (n)
		memcpy(copy, list, n * size);
	return copy;
}

void tailnet_set_routes(struct tailnet *t, const struct prefix *routes, size_t n)
{
	free(t->routes.v);
	t->routes = (struct wire_routes){tailnet_copy_of(routes, n, sizeof(*routes)), n};
	tailnet_tell_routes(t);
}

void tailnet_set_endpoints(struct tailnet *t, const struct map_endpoint *endpoints, size_t n)
{
	if (n > WIRE_ENDPOINTS_MAX)
		n = WIRE_ENDPOINTS_MAX;
	free(t->endpoints.v);
	t->endpoints = (struct wire_endpoints){tailnet_copy_of(endpoints, n, sizeof(*endpoints)), n};
	tailnet_tell_endpoints(t);
}

void tailnet_set_netinfo(struct tailnet *t, uint16_t home, bool udp, bool ipv6)
{
	t->netinfo = (struct wire_netinfo){.region = home, .udp = udp, .ipv6 = ipv6};
	tell_netinfo(t);
}

void tailnet_relay(struct tailnet *t, uint16_t region, const uint8_t to[KEY_LEN], const void *bytes, size_t len)
{
	struct wire_message m = {.type = WIRE_RELAY_PACKET};

	m.packet = (struct wire_relay_packet){.region = region, .bytes = bytes, .len = len};
	memcpy(m.packet.node_key, to, KEY_LEN);
	tailnet_tell(t, &m);
}

/* So that a restart knows it, too. */
static bool mark_out(struct tailnet *t, bool out, char *error, size_t size)
{
	char *path = mem_printf("%s/" OUT_FILE, t->folder);
	int rc = out ? file_write(path, "", 0) : unlink(path) && errno != ENOENT ? -errno : 0;

	if (rc)
		snprintf(error, size, "%s: %s", path, strerror(-rc));
	else
		t->logged_out = out;
	free(path);
	return !rc;
}

void tailnet_set_auth_key(struct tailnet *t, const char *key)
{
	struct wire_config *c = &t->config.config;

	secret_memory_free(c->auth_key);
	c->auth_key = auth_key_copy(key);
}

static void tailnet_reconnect(struct tailnet *t)
{
	const struct wire_message m = {.type = WIRE_RECONNECT, .auth_key = t->config.config.auth_key};

	tailnet_tell(t, &m);
}

bool tailnet_up(struct tailnet *t, bool new_key, char *error, size_t size)
{
	bool replace = new_key || t->logged_out || t->expired || t->state == WIRE_STATE_EXPIRED;

	/* One that replaces another, and waits for its login, is new already. */
	if (replace && key_is_zero(t->keys.old_node) && !tailkeys_rotate(t->folder, &t->keys, error, size))
		return false;
	if (!mark_out(t, false, error, size))
		return false;
	tell_keys(t);
	tailnet_reconnect(t);
	return true;
}

void tailnet_refresh(struct tailnet *t)
{
	if (!t->logged_out && t->state == WIRE_STATE_CONNECTED)
		tailnet_reconnect(t);
}

bool tailnet_logout(struct tailnet *t, char *error, size_t size)
{
	const struct wire_message m = {.type = WIRE_LOGOUT};
	struct health none = {0};

	if (!mark_out(t, true, error, size))
		return false;
	confirmation_state(&t->confirmation.now, WIRE_STATE_LOGGED_OUT, 0);
	t->ops->health(t->ctx, &none); /* they were of a node that is none any more */
	give_up_map(t);
	tailnet_tell(t, &m);
	return true;
}
