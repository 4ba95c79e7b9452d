/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sluice wireguard IFNAME`: the engine as a plain WireGuard device, without
 * policy, routes or NAT, configured by `wg`. It behaves as wireguard-go does, so
 * test suites and wg-quick that know one can use the other: it goes to the
 * background once the device and its socket are there, and ends with the
 * interface, the socket file or SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "user/wireguard/crypto.h"
#include "user/datapath/device.h"
#include "user/base/log.h"
#include "user/base/secret.h"
#include "user/kernel/locks.h"
#include "user/kernel/maps.h"
#include "user/kernel/netlink.h"
#include "user/datapath/uapi_socket.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define DEFAULT_MTU 1420
#define LOOK_AFTER  NS_PER_SEC /* whether the socket file is still there */

struct plain {
	struct loop loop;
	struct maps *maps; /* NULL: without the programs */
	struct device device;
	struct uapi_socket *uapi;
	struct netlink netlink;
	struct loop_watch monitor, signals;
	char socket_path[64 + IFNAMSIZ];
};

/* ---- what junk dies of in front of the sockets, and our own datagrams in front of the TAP ---------- */

static int plain_opened(void *ctx, const struct underlay *u)
{
	struct settings s = {.wg_port = u->port, .front_armed = 1};
	struct plain *p = ctx;
	int front, err;

	if (!p->maps)
		return 0;
	front = maps_program(p->maps, PROGRAM_FRONT_SOCKET);
	err = maps_settings_set(p->maps, &s);
	for (int i = 0; i < UNDERLAY_FAMILIES && !err; i++)
		if (u->fd[i] >= 0 && setsockopt(u->fd[i], SOL_SOCKET, SO_ATTACH_BPF, &front, sizeof(front)))
			err = -errno;
	return err;
}

static void plain_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
	struct plain *p = ctx;
	int err = !p->maps ? 0
		  : used   ? maps_session_set(p->maps, index, worker, 0)
			   : maps_session_delete(p->maps, index);

	if (err)
		log_error("map of sessions: %s", strerror(-err));
}

static void plain_gate(void *ctx, const struct gate_keys *keys)
{
	const uint8_t *const secrets[] = {gate_keys_secret(keys, 0), gate_keys_secret(keys, 1)};
	struct plain *p = ctx;
	int err = p->maps ? maps_gate_set(p->maps, gate_keys_mac1(keys), secrets) : 0;

	if (err)
		log_error("the gate in front of the port: %s", strerror(-err));
}

/* Without the right to load programs the device works all the same. */
static void load_programs(struct plain *p)
{
	char *why = NULL;

	p->maps = maps_open_plain(&why);
	if (!p->maps)
		log_warning("without a filter in front of the port, and without a guard against loops: BPF: %s",
			    why ? why : "no memory");
	free(why);
}

/* ---- the device -------------------------------------------------------------------------------------- */

static int set_port(void *ctx, uint16_t port)
{
	return -device_set_port(ctx, port);
}

static int set_mark(void *ctx, uint32_t mark)
{
	return -device_set_mark(ctx, mark);
}

static void link_changed(void *ctx)
{
	struct plain *p = ctx;
	struct netlink_link link;

	netlink_monitor_read(p->monitor.fd, &p->netlink, 0);
	if (!netlink_link(&p->netlink, p->device.tap.name, &link) && link.ifindex == p->device.tap.ifindex)
		device_set_mtu(&p->device, link.mtu);
}

static void cmd_wireguard_signalled(void *ctx)
{
	struct plain *p = ctx;

	p->loop.stop = true;
}

static int cmd_wireguard_watch_signals(struct plain *p)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : loop_add(&p->loop, &p->signals, fd, cmd_wireguard_signalled, p);
}

static bool set_up(struct plain *p, const char *name, char *error, size_t size)
{
	struct device_options options = {
		.workers = 1,
		.mtu = DEFAULT_MTU,
		.to_host = true,
		.index = plain_index,
		.opened = plain_opened,
		.gate = plain_gate,
		.ctx = p,
	};
	struct uapi_device settings = {
		.ctx = &p->device, .set_listen_port = set_port, .set_fwmark = set_mark, .show_secrets = true};
	int err, monitor;

	snprintf(options.interface, sizeof(options.interface), "%s", name);
	err = loop_init(&p->loop) ?: netlink_open(&p->netlink) ?: cmd_wireguard_watch_signals(p);
	monitor = err ? err : netlink_monitor_open();
	if (monitor < 0 || (err = loop_add(&p->loop, &p->monitor, monitor, link_changed, p))) {
		snprintf(error, size, "%s", strerror(err ? -err : -monitor));
		return false;
	}
	load_programs(p);
	if (!device_open(&p->device, &p->loop, &options, error, size))
		return false;
	err = p->maps ? tap_fence(&p->device.tap, maps_program(p->maps, PROGRAM_LOOP_TAP)) : 0;
	err = err ?: netlink_link_setup(&p->netlink, p->device.tap.ifindex, DEFAULT_MTU, false);
	err = err ?: device_start(&p->device);
	if (err) {
		snprintf(error, size, "%s: %s", name, strerror(-err));
		return false;
	}
	snprintf(p->socket_path, sizeof(p->socket_path), UAPI_FOLDER "/%s.sock", name);
	p->uapi = uapi_socket_open(&p->device, &settings, error, size);
	return p->uapi;
}

static void cmd_wireguard_run(struct plain *p)
{
	while (!p->loop.stop) {
		loop_run_once(&p->loop, clock_now() + LOOK_AFTER);
		if (access(p->socket_path, F_OK) || device_tap_gone(&p->device))
			p->loop.stop = true;
	}
}

static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
}

/* The rest of the program, in the process that stays. @ready: pipe to the one that waits, or -1. */
static int cmd_wireguard_serve(const char *name, int ready)
{
	static struct plain plain; /* the process's one device; too large for the stack */
	char error[256];
	const char *failed = NULL;
	bool ok = crypto_init(&failed);
	int lock = -1;

	if (!ok)
		snprintf(error, sizeof(error), "cryptography does not work: %s", failed);
	else if ((lock = interface_lock(name, error, sizeof(error))) < 0)
		ok = false;
	else
		ok = set_up(&plain, name, error, sizeof(error));
	if (!ok) {
		log_error("%s", error);
	} else {
		if (ready >= 0) {
			detach();
			if (write(ready, "", 1) != 1)
				plain.loop.stop = true;
			close(ready);
		}
		cmd_wireguard_run(&plain);
	}
	uapi_socket_close(plain.uapi);
	if (plain.device.loop)
		device_close(&plain.device);
	maps_close(plain.maps);
	netlink_close(&plain.netlink);
	loop_free(&plain.loop);
	interface_unlock(name, lock);
	return ok ? EXIT_YES : EXIT_NO;
}

static int background(const char *name)
{
	int pipes[2];
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC)) {
		log_error("pipe: %s", strerror(errno));
		return EXIT_NO;
	}
	pid = fork();
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		return EXIT_NO;
	}
	if (!pid) {
		close(pipes[0]);
		return cmd_wireguard_serve(name, pipes[1]);
	}
	close(pipes[1]);
	return read(pipes[0], &byte, 1) == 1 ? EXIT_YES : EXIT_NO;
}

int cmd_wireguard(int argc, char **argv)
{
	struct command_args a;
	const char *name;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	name = a.words[0];
	if (!name[0] || strlen(name) >= IFNAMSIZ) {
		fprintf(stderr, "sluice wireguard: \"%s\" is no name of an interface: 1 to %d characters\n", name,
			IFNAMSIZ - 1);
		return EXIT_USAGE;
	}
	secret_shield();
	return command_option(&a, "foreground") ? cmd_wireguard_serve(name, -1) : background(name);
}
