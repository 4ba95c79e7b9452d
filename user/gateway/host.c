/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host around the gateway: whether it can carry one, and what keeps its
 * kernel from ever forwarding tunnel packets itself. Forwarding may well be on
 * (Docker, libvirt, a router): with no program on the TAP, tunnel sources would
 * leave untranslated. So there are three fences, each enough alone: frames carry
 * somebody else's destination (contract.h), a blackhole rule for what comes in by
 * the TAP, and the guard on the way out (hooks.c).
 */
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/secret.h"
#include "user/base/unix_socket.h"
#include "user/kernel/offload.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

static bool kernel_new_enough(char *error, size_t size)
{
	struct utsname u;
	int major, minor;

	if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return true; /* the load of the programs will tell */
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		return true;
	snprintf(error, size, "Linux %s is too old: %d.%d or later is needed", u.release, KERNEL_MAJOR, KERNEL_MINOR);
	return false;
}

bool host_able(char *error, size_t size)
{
	static const struct {
		unsigned cap;
		const char *name;
	} needed[] = {
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_NET_RAW, "CAP_NET_RAW"},
		{CAP_BPF, "CAP_BPF"},
		{CAP_PERFMON, "CAP_PERFMON"},
	};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, files;

	if (!kernel_new_enough(error, size))
		return false;
	if (capng_get_caps_process()) {
		snprintf(error, size, "cannot read what this process may do: /proc must be mounted");
		return false;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, needed[i].cap))
			continue;
		snprintf(error, size, "missing privilege %s: run as root, or by the shipped systemd unit",
			 needed[i].name);
		return false;
	}
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files); /* maps, queues, sockets: more than a shell's 64 */
	}
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* keys and, before 5.11, maps */
	secret_shield();
	return true;
}

struct locks_of gateway_locks(const struct config *config)
{
	return (struct locks_of){config->state, config->pins, config->tunnel.interface};
}

bool host_has_gateway(const struct config *config)
{
	return if_nametoindex(config->tunnel.interface) || !access(config->pins, F_OK);
}

bool host_routes(struct gateway *g, char *error, size_t size)
{
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < g->config->n_routes; i++) {
		const struct prefix *p = &g->config->routes[i].prefix;
		struct addr to = prefix_host(p), hop;
		int ifindex, err = netlink_route_get(&g->netlink, &to, NULL, 0, &ifindex, &hop);

		if (err == -ENETUNREACH || err == -EHOSTUNREACH) {
			snprintf(error, size,
				 "no route to %s: this host cannot reach the service it is to serve: "
				 "give the host one, or take it out of routes",
				 prefix_str(p, text));
			return false;
		}
	}
	return true;
}

bool host_underlay(struct gateway *g, char *error, size_t size)
{
	const struct config_names *names = &g->config->tunnel.underlay;
	struct netlink_link link;

	for (size_t i = 0; i < names->n; i++)
		if (netlink_link(&g->netlink, names->v[i], &link) == -ENODEV) {
			snprintf(error, size, "underlay interface %s is absent", names->v[i]);
			return false;
		}
	return true;
}

uint32_t host_underlay_mtu(struct gateway *g)
{
	const struct config_names *names = &g->config->tunnel.underlay;
	struct netlink_link link;
	uint32_t mtu = 0;

	if (!names->n && !netlink_link_at(&g->netlink, netlink_default_interface(&g->netlink), &link))
		return link.mtu;
	for (size_t i = 0; i < names->n; i++)
		if (!netlink_link(&g->netlink, names->v[i], &link) && (!mtu || link.mtu < mtu))
			mtu = link.mtu;
	return mtu;
}

bool host_guard(struct gateway *g)
{
	int err = netlink_guard_rule(&g->netlink, g->device.tap.name, true);

	if (err)
		log_error("rule \"iif %s blackhole\": %s", g->device.tap.name, strerror(-err));
	return !err;
}

static bool is_listed(const struct addr *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (!memcmp(&list[i], a, sizeof(*a)))
			return true;
	return false;
}

bool host_owns(const struct gateway *g, const struct addr *a)
{
	return is_listed(g->own, g->n_own, a);
}

bool host_reserve(struct gateway *g)
{
	struct addr now[sizeof(g->own) / sizeof(g->own[0])];
	int n = netlink_host_addresses(&g->netlink, now, sizeof(now) / sizeof(now[0]));
	int err = n < 0 ? n : g->n_own ? 0 : maps_reserved_defaults(g->maps);

	for (size_t i = 0; n >= 0 && i < g->n_own; i++)
		if (!is_listed(now, (size_t)n, &g->own[i]))
			maps_reserved_delete(g->maps, &(struct prefix){g->own[i], 128});
	for (int i = 0; i < n && !err; i++)
		if (!is_listed(g->own, g->n_own, &now[i]))
			err = maps_reserved_set(g->maps, &(struct prefix){now[i], 128},
						config_is_own(g->config, &now[i]) ? RESERVED_TUNNEL : RESERVED_OWN);
	if (err) {
		log_error("reserved addresses: %s", strerror(-err));
		return false;
	}
	g->n_own = (size_t)n;
	memcpy(g->own, now, g->n_own * sizeof(now[0]));
	return true;
}

/* ---- removal ---------------------------------------------------------------------------- */

/* Asks the kernel, for /sys may show another network namespace. */
static bool is_tap(const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&info};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool tap;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	tap = fd >= 0 && !ioctl(fd, SIOCETHTOOL, &request) && !strcmp(info.driver, "tun");
	if (fd >= 0)
		close(fd);
	return tap;
}

static void host_tell(void (*each)(void *, const char *), void *ctx, const char *what, const char *name)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", what, name ? " " : "", name ?: "");
	if (each)
		each(ctx, text);
}

/* What an interface was like before us. What cannot be set, on an interface that is there, stays written down. */
static int restore_offloads(const struct config *config, void (*each)(void *, const char *), void *ctx)
{
	struct state state;
	char why[256];
	size_t kept = 0;
	int err = 0;

	if (!state_load(config->state, &state, why, sizeof(why)) || !state.n_offload) {
		state_free(&state);
		return 0;
	}
	for (size_t i = 0; i < state.n_offload; i++) {
		int one = offload_set(state.offload[i], OFFLOAD_UDP_GRO_FORWARDING, false);

		if (!one)
			host_tell(each, ctx, OFFLOAD_UDP_GRO_FORWARDING " of", state.offload[i]);
		if (!one || one == -ENODEV || one == -EOPNOTSUPP || one == -ENOENT) /* another device by now */
			continue;
		err = err ?: one;
		memmove(state.offload[kept++], state.offload[i], sizeof(state.offload[0]));
	}
	state.n_offload = kept;
	state_save(config->state, &state);
	state_free(&state);
	return err;
}

/* Of a gateway that was killed. What somebody answers on is another's, or our own, which is removed last. */
static void remove_socket(const char *path)
{
	struct sockaddr_un sa;

	if (unix_address(&sa, path) && !unix_is_live(&sa))
		unlink(path);
}

static void remove_sockets(const struct config *config)
{
	char path[sizeof(UAPI_FOLDER) + IFNAMSIZ + 8];

	snprintf(path, sizeof(path), UAPI_FOLDER "/%s.sock", config->tunnel.interface);
	remove_socket(path);
	remove_socket(config->socket);
}

/* Routes by the TAP, and those without a device that carry this gateway's mark. */
static int remove_routes(struct netlink *n, int tap, void (*each)(void *, const char *), void *ctx)
{
	struct netlink_own_route *routes;
	size_t len;
	int err = netlink_own_routes(n, tap, &routes, &len), one;

	for (size_t i = 0; i < len; i++) {
		one = netlink_route_delete(n, &routes[i].prefix, routes[i].kind, routes[i].ifindex);
		err = err ?: one;
	}
	if (len)
		host_tell(each, ctx, "routes", NULL);
	free(routes);
	return err;
}

int gateway_remove(const struct config *config, void (*each)(void *ctx, const char *what), void *ctx)
{
	const char *name = config->tunnel.interface;
	struct netlink_link link;
	struct netlink n;
	int err = netlink_open(&n), one;
	bool tap;

	if (err)
		return err;
	n.mark = owner_mark(config->pins);
	libbpf_set_print(NULL); /* what is missing is no news here */
	if (!access(config->pins, F_OK)) {
		err = attach_remove_all(config->pins) ?: maps_unpin(config->pins);
		host_tell(each, ctx, "programs and maps", config->pins);
	}
	tap = !netlink_link(&n, name, &link) && is_tap(name);
	one = remove_routes(&n, tap ? link.ifindex : 0, each, ctx);
	err = err ?: one;
	if (tap) {
		one = netlink_link_delete(&n, link.ifindex);
		err = err ?: one;
		host_tell(each, ctx, "tap", name);
	}
	one = restore_offloads(config, each, ctx);
	err = err ?: one;
	one = netlink_guard_rule(&n, name, false);
	netlink_close(&n);
	remove_sockets(config); /* last: who waits for the end sees it by this */
	return err ?: one;
}
