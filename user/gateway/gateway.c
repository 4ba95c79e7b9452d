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

#include "change_blocklists.h"
#include "change_compile.h"
#include "change_config.h"
#include "changes.h"
#include "counters.h"
#include "egress.h"
#include "hooks.h"
#include "host.h"
#include "identity.h"
#include "notices.h"
#include "parts.h"
#include "probing.h"
#include "programs.h"
#include "remember.h"
#include "remove.h"
#include "running.h"
#include "tunnel.h"
#include "ways.h"
#include "user/base/log.h"
#include "user/base/systemd.h"
#include "user/control/control.h"
#include "user/datapath/uapi_socket.h"
#include "user/kernel/locks.h"
#include "user/wireguard/crypto.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

struct gateway {
	const struct gateway_options *options;
	struct loop loop;
	struct netlink netlink;
	struct device device;
	struct site site; /* these, and the configuration, as the parts see them */
	struct loop_watch monitor, signals, commands;
	uint64_t second; /* the last, monotonic ns */
	struct locks locks;
	bool fresh;	  /* nothing was there when the locks were taken: a failed start leaves nothing */
	bool remove;	  /* `down`: leave nothing behind */
	unsigned changed; /* enum netlink_change, not looked at yet */

	struct origin origin;
	struct running running;
	struct changes changes;
	struct refresh refresh;
	struct remember remember;
	struct tunnel tunnel;
	struct host host;
	struct egress_state egress;
	struct ways ways;
	struct hooks hooks;
	struct notices notices;
	struct probing probing;
	struct rates rates;
	struct uapi_socket *uapi;
	struct parts parts; /* for the handlers of commands */
};

/* ---- what parts have to tell each other ------------------------------------------------------ */

static void answer_later(void *ctx, uint64_t ticket, int status, json_t *result, char *error)
{
	struct gateway *g = ctx;

	control_finish(g->parts.control, ticket, status, result, error);
}

/* Those that follow the configuration. */
static void running_was_taken(void *ctx, enum running_why why, const struct config *old)
{
	struct gateway *g = ctx;

	tunnel_readdress(&g->tunnel, &g->site, old);
	host_reserve(&g->host, &g->site);
	if (why != RUNNING_RELOADED)
		return;
	g->origin.ops->reloaded(g->origin.ctx);
	ways_refresh(&g->ways, &g->site, &g->egress);
}

static bool write_offload_down(void *ctx, const char *interface)
{
	struct gateway *g = ctx;

	return remember_offload(&g->remember, &g->site, interface);
}

static void packet_was_unrouted(void *ctx, const struct addr *dst)
{
	struct gateway *g = ctx;

	g->origin.ops->unrouted(g->origin.ctx, dst);
}

static void probe_was_refused(void *ctx, enum drop_reason reason)
{
	struct gateway *g = ctx;

	probing_refused(&g->probing, &g->site, reason);
}

/* ---- what commands may have done ------------------------------------------------------------- */

static const struct client *do_kick(void *ctx, const char *name)
{
	struct gateway *g = ctx;
	struct client *c = clients_by_name(&g->running.clients, name);

	if (c)
		clients_kick(&g->running.clients, &g->site, c);
	return c;
}

static const struct client *do_reset(void *ctx, const char *name)
{
	struct gateway *g = ctx;
	struct client *c = clients_by_name(&g->running.clients, name);

	if (!c)
		return NULL;
	remember_no_timestamp(&g->remember, c->config->public_key);
	clients_kick(&g->running.clients, &g->site, c);
	remember_save(&g->remember, &g->site, &g->running.clients);
	return c;
}

static struct change *do_reload(void *ctx, bool dry)
{
	struct gateway *g = ctx;

	return change_config(g->options->file, &g->running, dry);
}

static void do_down(void *ctx)
{
	struct gateway *g = ctx;

	g->remove = true;
	g->loop.stop = true;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void gateway_signalled(void *ctx)
{
	struct gateway *g = ctx;
	struct signalfd_siginfo info;

	while (read(g->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			g->loop.stop = true;
		else if (!changes_add(&g->changes, do_reload(g, false)))
			log_error("reload: too many changes wait");
	}
}

static void host_changed(void *ctx)
{
	struct gateway *g = ctx;

	g->changed |= netlink_monitor_read(g->monitor.fd, &g->netlink, g->device.tap.ifindex);
}

static void command_waits(void *ctx)
{
	struct gateway *g = ctx;

	control_serve(g->parts.control);
}

static void follow_host(struct gateway *g)
{
	const struct site *s = &g->site;
	enum tunnel_kept kept = tunnel_keep(&g->tunnel, s, g->changed);

	if (kept != TUNNEL_WHOLE)
		clients_route(&g->running.clients, s);
	if (kept == TUNNEL_ANEW)
		g->changed = NETLINK_LINK;
	if (g->changed & NETLINK_OWN_ROUTES) {
		log_warning("routes to clients were removed: putting them back");
		clients_route(&g->running.clients, s);
	}
	g->changed &= ~(unsigned)NETLINK_OWN_ROUTES;
	if (!g->changed)
		return;
	g->changed = 0;
	if (tunnel_follow(&g->tunnel, s))
		clients_route(&g->running.clients, s);
	host_guard(s); /* somebody may have flushed the rules */
	egress_refresh(&g->egress, s);
	ways_refresh(&g->ways, s, &g->egress);
	host_reserve(&g->host, s);
	hooks_follow(&g->hooks, s, &g->egress);
}

static void each_second(struct gateway *g)
{
	const struct site *s = &g->site;

	counters_sample(&g->rates, s);
	refresh_second(&g->refresh, &g->changes, g->second);
	if (rules_second(&g->running.rules, s, g->second, !g->changes.n))
		change_compile(&g->changes);
	clients_second(&g->running.clients, s);
	g->origin.ops->second(g->origin.ctx);
	host_guard(s);
	if (g->egress.unsure || g->hooks.unsure)
		g->changed |= NETLINK_ADDRESS;
	if (g->second / NS_PER_SEC % NETLINK_ROUTES_AGAIN == 0 && ways_differ(&g->ways, s, &g->egress))
		g->changed |= NETLINK_ROUTES;
	hooks_verify(&g->hooks, s);
	changes_go_on(&g->changes);
	egress_keep_fragments(&g->egress, s);
	probing_second(&g->probing, s);
	remember_second(&g->remember, s, &g->running.clients, g->second);
}

static void gateway_loop(struct gateway *g)
{
	while (!g->loop.stop) {
		uint64_t second = g->second + NS_PER_SEC, due = g->origin.ops->tick(g->origin.ctx);

		if (due > second)
			due = second;
		if (remember_greet(&g->remember, &g->site, &g->running.clients))
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
	int err = used ? maps_session_set(g->site.maps, index, worker, 0) : maps_session_delete(g->site.maps, index);

	if (err)
		log_error("map of sessions: %s", strerror(-err));
}

static void other_came(void *ctx, const uint8_t *bytes, size_t len, const struct endpoint *from)
{
	struct gateway *g = ctx;

	g->origin.ops->other(g->origin.ctx, bytes, len, from);
}

static void relay_wanted(void *ctx, uint32_t peer, uint16_t region, const uint8_t *bytes, size_t len)
{
	struct gateway *g = ctx;

	g->origin.ops->relay(g->origin.ctx, peer, region, bytes, len);
}

static void notice_wanted(void *ctx, const struct notice *notice)
{
	struct gateway *g = ctx;

	notices_send(&g->notices, notice);
}

static void on_gate(void *ctx, const struct gate_keys *keys)
{
	hooks_gate(&((struct gateway *)ctx)->site, keys);
}

static bool open_device(struct gateway *g, char *error, size_t size)
{
	struct device_options options = {
		.listen = g->site.config->tunnel.listen,
		.workers = worker_count(g->site.config),
		.mtu = g->tunnel.mtu,
		.index = on_index,
		.other = g->origin.ops->other ? other_came : NULL,
		.relay = g->origin.ops->relay ? relay_wanted : NULL,
		.notice = notice_wanted,
		.gate = on_gate,
		.ctx = g,
	};

	snprintf(options.interface, sizeof(options.interface), "%s", g->site.config->tunnel.interface);
	return device_open(&g->device, &g->loop, &options, error, size);
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
	struct changes_answer answers = {answer_later, g};
	int err = loop_init(&g->loop) ?: netlink_open(&g->netlink) ?: gateway_watch_signals(g);
	int monitor;

	err = err ?: changes_open(&g->changes, &g->loop, &g->running, answers);
	monitor = err ?: netlink_monitor_open();
	if (monitor >= 0)
		err = loop_add(&g->loop, &g->monitor, monitor, host_changed, g);
	g->netlink.mark = owner_mark(g->site.config->pins);
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
		    g->device.tap.name, name, g->options->file);
}

static bool open_commands(struct gateway *g, char *error, size_t size)
{
	struct uapi_device settings = {
		.ctx = g,
		.show_secrets = true, /* root's socket; `wg` tells our public key by the private one */
		.refused = wg_refused,
	};

	g->parts.control = control_open(g->site.config->socket, g->options->verbs, &g->parts, error, size);
	if (!g->parts.control)
		return false;
	if (loop_add(&g->loop, &g->commands, control_fd(g->parts.control), command_waits, g)) {
		snprintf(error, size, "control socket: %s", strerror(errno));
		return false;
	}
	g->uapi = uapi_socket_open(&g->device, &settings, error, size);
	return g->uapi;
}

/* The state is ours alone, as are the names on the host. */
static bool open_state(struct gateway *g, char *error, size_t size)
{
	const struct config *config = g->site.config;
	struct locks_of of = host_locks(config);

	g->fresh = !host_has_gateway(config);
	return remember_folder(config->state, error, size) && !locks_take(&g->locks, &of, error, size) &&
	       remember_load(&g->remember, config->state);
}

static bool apply_rules(struct gateway *g, char *error, size_t size)
{
	struct diags d = {0};
	bool ok = rules_start(&g->running.rules, &g->site, &g->running.clients, &d);

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
	int err = tunnel_tell(&g->tunnel, &g->site) ?: device_start(&g->device) ?: tap_persist(&g->device.tap, true);
	if (err)
		snprintf(error, size, "starting: %s", strerror(-err));
	else
		egress_keep_fragments(&g->egress, &g->site);
	return !err;
}

static bool open_origin(struct gateway *g, char *error, size_t size)
{
	static struct origin_host host;

	host = (struct origin_host){.site = &g->site,
				    .running = &g->running,
				    .changes = &g->changes,
				    .host = &g->host,
				    .answer = answer_later,
				    .ctx = g};
	g->origin.ops = g->options->origin;
	return g->origin.ops->open(&g->origin, &host, error, size);
}

static bool open_identity(struct gateway *g, char *error, size_t size)
{
	return g->origin.ops->netmap || identity_load(&g->site, &g->remember.state, error, size);
}

static bool open_clients(struct gateway *g, char *error, size_t size)
{
	struct clients *clients = &g->running.clients;
	struct clients_plan *plan = clients_open(clients, &g->origin, &g->remember.state)
					    ? clients_plan(clients, &g->site, g->site.config)
					    : NULL;

	if (plan)
		clients_take(clients, &g->site, plan);
	else
		snprintf(error, size, "clients could not be set up");
	return plan;
}

static bool open_egress(struct gateway *g, char *error, size_t size)
{
	egress_open(&g->egress, &g->site);
	if (!egress_usable(&g->egress, &g->site, error, size))
		return false;
	ways_refresh(&g->ways, &g->site, &g->egress);
	return host_reserve(&g->host, &g->site);
}

static bool open_notices(struct gateway *g, char *error, size_t size)
{
	struct notices_listener to = {packet_was_unrouted, probe_was_refused, g};

	return notices_open(&g->notices, &g->site, &g->running.clients, to, error, size);
}

static bool gateway_start(struct gateway *g, char *error, size_t size)
{
	const struct site *s = &g->site;
	const char *failed;

	if (!crypto_init(&failed)) {
		snprintf(error, size, "cryptography does not work on this machine: %s", failed);
		return false;
	}
	if (!open_loop(g, error, size) || !open_state(g, error, size))
		return false;
	host_underlay(s);
	tunnel_measure(&g->tunnel, s);
	if (!open_origin(g, error, size) || !open_device(g, error, size) || !open_identity(g, error, size) ||
	    !open_commands(g, error, size))
		return false;
	g->site.maps = programs_open(s->config, error, size);
	if (!s->maps)
		return false;
	g->origin.ops->begin(g->origin.ctx);
	return tunnel_open(&g->tunnel, s, error, size) && open_clients(g, error, size) && open_egress(g, error, size) &&
	       apply_rules(g, error, size) && open_notices(g, error, size) &&
	       hooks_open(&g->hooks, s, &g->egress, error, size) && go(g, error, size);
}

/* ---- end ------------------------------------------------------------------------------------------ */

static void gateway_stop(struct gateway *g)
{
	changes_close(&g->changes);
	if (g->device.n_running)
		remember_save(&g->remember, &g->site, &g->running.clients);
	if (g->site.maps)
		maps_reassemble_none(g->site.maps);
	uapi_socket_close(g->uapi);
	g->origin.ops->close(g->origin.ctx);
	if (g->device.loop)
		device_close(&g->device);
	hooks_close(&g->hooks);
	notices_close(&g->notices);
	rules_close(&g->running.rules);
	ways_close(&g->ways);
	clients_close(&g->running.clients);
	maps_close(g->site.maps);
	netlink_close(&g->netlink);
	loop_free(&g->loop);
	state_free(&g->remember.state);
}

/* Ready means forwarding: in a tailnet, once there is a netmap. */
static void gateway_say_ready(const struct gateway *g)
{
	if (g->origin.ops->waits(g->origin.ctx)) {
		log_info("started: %s; nobody is served before there is a netmap", g->site.config->name);
		return;
	}
	log_info("ready: %s", g->site.config->name);
	systemd_ready(NULL);
}

/* What each part is given of the others. */
static void gateway_join(struct gateway *g, struct config *config, struct rules_running *rules)
{
	g->site = (struct site){.config = config, .loop = &g->loop, .netlink = &g->netlink, .device = &g->device};
	g->running = (struct running){.site = &g->site,
				      .config = config,
				      .rules = {.running = rules},
				      .changes = &g->changes,
				      .taken = running_was_taken,
				      .ctx = g};
	g->egress.write_down = write_offload_down;
	g->egress.ctx = g;
	g->parts = (struct parts){
		.site = &g->site,
		.running = &g->running,
		.tunnel = &g->tunnel,
		.egress = &g->egress,
		.ways = &g->ways,
		.hooks = &g->hooks,
		.host = &g->host,
		.rates = &g->rates,
		.origin = &g->origin,
		.started = g->second,
		.probing = &g->probing,
		.changes = &g->changes,
		.ctx = g,
		.kick = do_kick,
		.reset = do_reset,
		.reload = do_reload,
		.down = do_down,
	};
}

/* Until it is stopped. False: it could not start. */
static bool gateway_live(struct gateway *g)
{
	char error[1024] = "";

	if (!gateway_start(g, error, sizeof(error))) {
		log_error("%s", error);
		if (!g->fresh && g->device.loop) /* what was there before a failed start stays as it was */
			tap_persist(&g->device.tap, true);
		return false;
	}
	counters_sample(&g->rates, &g->site); /* what dies in the first second has died in the last minute, too */
	g->origin.ops->forward(g->origin.ctx);
	gateway_say_ready(g);
	gateway_loop(g);
	systemd_stopping();
	return true;
}

int gateway_run(const struct gateway_options *options)
{
	static struct gateway gateway; /* one a process; large */
	struct config *config = options->config;
	struct gateway *g = &gateway;
	struct locks_of of;
	bool ok, clean;

	*g = (struct gateway){
		.options = options,
		.origin = {.ops = &origin_configuration}, /* until it is open */
		.locks = LOCKS_NONE,
		.second = clock_now(),
	};
	gateway_join(g, config, options->rules);
	ok = gateway_live(g);
	clean = g->remove || (!ok && g->fresh && locks_held(&g->locks));
	gateway_stop(g);
	if (clean && !remove_whole(config, ok))
		ok = false;
	if (ok)
		log_info("stopped: %s", config->name);
	of = host_locks(config);
	locks_release(&g->locks, &of);
	control_close(g->parts.control); /* last: whoever asked for it sees by this that all is gone */
	config_free(config);
	return ok ? EXIT_YES : EXIT_NO;
}
