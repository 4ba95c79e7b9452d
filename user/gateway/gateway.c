/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's life: started in order, undone in reverse. What it leaves when it
 * ends (programs, maps, the TAP, routes) goes on holding flows and keeping tunnel
 * addresses in, and the next start takes it over; `down` removes it.
 */
#include "gateway.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "user/config/known_keys.h"
#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "user/tailnet_gateway/membership.h"
#include "user/base/notify.h"
#include "user/base/secret.h"
#include "user/base/clock.h"
#include "user/base/exit.h"
#include "user/base/file.h"

#define REMOVE_TRIES 3

/* ---- events ---------------------------------------------------------------------------------- */

static void gateway_signalled(void *ctx)
{
	struct gateway *g = ctx;
	struct signalfd_siginfo info;

	while (read(g->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			g->loop.stop = true;
		else if (!changes_add(g, gateway_reload(g, false)))
			log_error("reload: too many changes wait");
	}
}

static void host_changed(void *ctx)
{
	struct gateway *g = ctx;

	g->changes |= netlink_monitor_read(g->monitor.fd, &g->netlink, g->device.tap.ifindex);
}

static void command_waits(void *ctx)
{
	struct gateway *g = ctx;

	control_serve(g->control);
}

static void follow_host(struct gateway *g)
{
	tunnel_keep(g);
	if (g->changes & NETLINK_OWN_ROUTES) {
		log_warning("routes to clients were removed: putting them back");
		clients_route(g);
	}
	g->changes &= ~(unsigned)NETLINK_OWN_ROUTES;
	if (!g->changes)
		return;
	g->changes = 0;
	host_guard(g); /* somebody may have flushed the rules */
	egress_refresh(g);
	ways_refresh(g);
	host_reserve(g);
	hooks_follow(g);
}

static void each_second(struct gateway *g)
{
	verbs_sample(g);
	refresh_lists(g);
	rules_second(g);
	clients_settle(g);
	membership_second(g);
	host_guard(g);
	if (g->egress.unsure || g->hooks.unsure)
		g->changes |= NETLINK_ADDRESS;
	hooks_verify(g);
	routing_retry(g);
	changes_go_on(g);
	egress_keep_fragments(g);
	probe_tick(g);
	if (g->second >= g->save_after)
		gateway_remember(g);
}

static uint64_t gateway_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void gateway_loop(struct gateway *g)
{
	while (!g->loop.stop) {
		uint64_t due = gateway_earlier(membership_tick(g), g->second + NS_PER_SEC);

		if (gateway_greet(g))
			due = 0;
		loop_run_once(&g->loop, due);
		follow_host(g);
		if (clock_now() >= g->second + NS_PER_SEC) {
			g->second = clock_now();
			each_second(g);
		}
	}
}

/* ---- start -------------------------------------------------------------------------------------- */

/* In a tailnet the node's key is made, and replaced, as the coordination server wants it. */
static bool load_key(struct gateway *g, char *error, size_t size)
{
	const char *file = g->config->tunnel.private_key_file;
	enum secret_result result;
	uint8_t key[KEY_LEN];

	if (g->membership)
		return true;
	result = secret_read(file, key, error, size);
	if (result == SECRET_ABSENT && g->state.has_identity) {
		snprintf(error, size,
			 "%s is missing, but clients know this gateway by another key: restore it, or remove %s/%s to "
			 "begin anew",
			 file, g->config->state, STATE_FILE);
		return false;
	}
	if (result == SECRET_ABSENT) {
		crypto_random(key, sizeof(key));
		result = secret_create(file, key, error, size);
		if (result == SECRET_OK)
			log_info("made a private key: %s", file);
	}
	if (result == SECRET_OK && known_private_key(key)) {
		snprintf(error, size, "%s holds %s: " KNOWN_KEY_ADVICE, file, known_private_key(key));
		result = SECRET_BAD;
	}
	if (result == SECRET_OK)
		engine_set_identity(g->device.engine, key);
	explicit_bzero(key, sizeof(key));
	return result == SECRET_OK;
}

static unsigned worker_count(const struct config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->tunnel.workers)
		return config->tunnel.workers;
	return cores < 1 ? 1 : cores > MAX_WORKERS ? MAX_WORKERS : (unsigned)cores;
}

static void on_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
	struct gateway *g = ctx;
	int err = used ? maps_session_set(g->maps, index, worker, 0) : maps_session_delete(g->maps, index);

	if (err)
		log_error("map of sessions: %s", strerror(-err));
}

static bool open_device(struct gateway *g, char *error, size_t size)
{
	struct device_options options = {
		.listen = g->config->tunnel.listen,
		.workers = worker_count(g->config),
		.mtu = g->mtu,
		.index = on_index,
		.other = g->membership ? paths_other : NULL,
		.relay = g->membership ? paths_relay : NULL,
		.notice = notices_send,
		.ctx = g,
	};

	snprintf(options.interface, sizeof(options.interface), "%s", g->config->tunnel.interface);
	return device_open(&g->device, &g->loop, &options, error, size);
}

/* Of maps that were replaced: which of their flows live on. */
static void say_carried(const struct gateway *g)
{
	const struct maps_carried *c = maps_carried(g->maps);

	if (!c->layout)
		return;
	if (c->taken == c->flows)
		log_info("%s: maps of layout %u were replaced: all their %u live flows and mappings go on",
			 g->config->pins, c->layout, c->flows);
	else if (c->taken)
		log_warning("%s: maps of layout %u were replaced: %u of their %u live flows and mappings go on, the "
			    "others ended: %s",
			    g->config->pins, c->layout, c->taken, c->flows,
			    c->error ? strerror(-c->error) : "there was no room for them (nat.flows)");
	else
		log_warning("%s: maps of layout %u were replaced, and their %u flows and mappings ended: %s",
			    g->config->pins, c->layout, c->flows,
			    c->error ? strerror(-c->error) : "this program does not read that layout");
}

static bool open_maps(struct gateway *g, char *error, size_t size)
{
	struct maps_options options = {.pins = g->config->pins, .flows = g->config->nat.flows};
	char *why = NULL;

	g->maps = maps_open(&options, &why);
	if (!g->maps) {
		snprintf(error, size, "%s", why ? why : "the BPF programs do not load");
		free(why);
		return false;
	}
	say_carried(g);
	maps_sessions_clear(g->maps);
	return true;
}

static int gateway_watch_signals(struct gateway *g)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : loop_add(&g->loop, &g->signals, fd, gateway_signalled, g);
}

static bool open_loop(struct gateway *g, char *error, size_t size)
{
	int err = loop_init(&g->loop) ?: netlink_open(&g->netlink) ?: gateway_watch_signals(g) ?: changes_open(g);
	int monitor = err ? err : netlink_monitor_open();

	if (monitor >= 0)
		err = loop_add(&g->loop, &g->monitor, monitor, host_changed, g);
	g->netlink.mark = owner_mark(g->config->pins);
	if (err || monitor < 0)
		snprintf(error, size, "starting: %s", strerror(err ? -err : -monitor));
	return !err && monitor >= 0;
}

/* `wg` can only print a number for it. */
static void wg_refused(void *ctx, const char *name)
{
	const struct gateway *g = ctx;

	log_warning("wg set %s: refused (%s), nothing was changed: peers, keys and addresses are the configuration's: "
		    "edit %s and `sluice reload`",
		    g->device.tap.name, name, g->file);
}

static bool open_commands(struct gateway *g, char *error, size_t size)
{
	struct uapi_device settings = {
		.ctx = g,
		.show_secrets = true, /* root's socket; `wg` tells our public key by the private one */
		.refused = wg_refused,
	};

	g->control = control_open(g->config->socket, gateway_verbs, g, error, size);
	if (!g->control)
		return false;
	if (loop_add(&g->loop, &g->commands, control_fd(g->control), command_waits, g)) {
		snprintf(error, size, "control socket: %s", strerror(errno));
		return false;
	}
	g->uapi = uapi_socket_open(&g->device, &settings, error, size);
	return g->uapi;
}

static bool load_state(struct gateway *g, char *error, size_t size)
{
	char why[512];
	int err = file_folder(g->config->state);
	struct locks_of of;

	g->fresh = !host_has_gateway(g->config);
	of = gateway_locks(g->config);
	if (!err && locks_take(&g->locks, &of, error, size))
		return false;
	if (err) {
		snprintf(error, size, "%s: %s", g->config->state,
			 err == -EPERM ? "the folder must be ours alone (chmod 700)" : strerror(-err));
		return false;
	}
	if (!state_load(g->config->state, &g->state, why, sizeof(why)))
		log_warning("%s: what it remembered is lost", why);
	return true;
}

static bool apply_rules(struct gateway *g, char *error, size_t size)
{
	struct diags d = {0};
	bool ok = rules_start(g, &d);

	if (!ok) {
		diags_print(&d, stderr, false); /* warnings are in the log */
		snprintf(error, size, "the policy was not applied");
	}
	diags_free(&d);
	return ok;
}

/* Last of all: nothing is visible before everything is there. */
static bool go(struct gateway *g, char *error, size_t size)
{
	int err = tunnel_tell(g) ?: device_start(&g->device) ?: tap_persist(&g->device.tap, true);
	if (err)
		snprintf(error, size, "starting: %s", strerror(-err));
	else
		egress_keep_fragments(g);
	return !err;
}

static bool gateway_start(struct gateway *g, char *error, size_t size)
{
	struct clients_plan *plan;
	const char *failed;

	if (!crypto_init(&failed)) {
		snprintf(error, size, "cryptography does not work on this machine: %s", failed);
		return false;
	}
	if (!open_loop(g, error, size) || !host_underlay(g, error, size) || !load_state(g, error, size))
		return false;
	g->mtu = tunnel_mtu(g);
	if (!membership_open(g, error, size) || !open_device(g, error, size) || !load_key(g, error, size) ||
	    !open_commands(g, error, size) || !open_maps(g, error, size))
		return false;
	membership_begin(g);
	if (!tunnel_open(g, error, size))
		return false;
	plan = clients_open(g) ? clients_plan(g, g->config) : NULL;
	if (!plan) {
		snprintf(error, size, "clients could not be set up");
		return false;
	}
	clients_take(g, plan);
	return egress_open(g, error, size) && host_routes(g, error, size) && host_reserve(g) &&
	       apply_rules(g, error, size) && notices_open(g, error, size) && hooks_open(g, error, size) &&
	       go(g, error, size);
}

/* ---- end ------------------------------------------------------------------------------------------ */

static void gateway_stop(struct gateway *g)
{
	changes_close(g);
	if (g->device.n_running)
		gateway_remember(g);
	if (g->maps)
		maps_reassemble_none(g->maps);
	uapi_socket_close(g->uapi);
	membership_close(g);
	if (g->device.loop)
		device_close(&g->device);
	hooks_close(g);
	notices_close(g);
	rules_close(g);
	ways_close(g);
	clients_close(g);
	maps_close(g->maps);
	routing_close(g);
	netlink_close(&g->netlink);
	loop_free(&g->loop);
	state_free(&g->state);
}

/* Ready means forwarding: in a tailnet, once there is a netmap. */
static void gateway_say_ready(const struct gateway *g)
{
	if (membership_waits(g)) {
		log_info("started: %s; nobody is served before there is a netmap", g->config->name);
		return;
	}
	log_info("ready: %s", g->config->name);
	notify_ready(NULL);
}

static void log_removed(void *ctx, const char *what)
{
	log_info("removed %s", what);
}

/* What cannot be removed at once, for the kernel had no answer or no memory, is tried again. */
static bool remove_all(const struct config *config, void (*each)(void *ctx, const char *what))
{
	int err = -EAGAIN;

	for (int i = 0; i < REMOVE_TRIES && err; i++)
		err = gateway_remove(config, each, NULL);
	if (err)
		log_error("not all of %s could be removed (%s): sluice down does it again", config->name,
			  strerror(-err));
	return !err;
}

int gateway_run(const char *file, struct config *config, struct rules_running *rules)
{
	static struct gateway gateway; /* one a process; large */
	struct gateway *g = &gateway;
	char error[1024] = "";
	struct locks_of of;
	bool ok;

	*g = (struct gateway){
		.file = file,
		.config = config,
		.rules = {.running = rules},
		.locks = LOCKS_NONE,
		.started = clock_now(),
	};
	g->second = g->started;
	ok = gateway_start(g, error, sizeof(error));
	if (ok) {
		verbs_sample(g); /* what dies in the first second has died in the last minute, too */
		membership_forward(g);
		gateway_say_ready(g);
		gateway_loop(g);
		notify_stopping();
	} else {
		log_error("%s", error);
	}
	if (!ok && !g->fresh && g->device.loop) /* what was there before a failed start stays as it was */
		tap_persist(&g->device.tap, true);

	bool clean = g->remove || (!ok && g->fresh && locks_held(&g->locks));

	config = g->config;
	gateway_stop(g);
	if (clean && !remove_all(config, ok ? log_removed : NULL))
		ok = false;
	if (ok)
		log_info("stopped: %s", config->name);
	of = gateway_locks(config);
	locks_release(&g->locks, &of);
	control_close(g->control); /* last: who asked for it sees by this that all is gone */
	config_free(config);
	return ok ? EXIT_YES : EXIT_NO;
}
