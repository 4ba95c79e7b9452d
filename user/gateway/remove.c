/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sluice down`, and a first start that failed, remove from the host: programs, maps, TAP, routes, rule, sockets.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remove.h"
#include "state.h"
#include "user/base/log.h"
#include "user/base/unix_socket.h"
#include "user/config/config.h"
#include "user/datapath/uapi_socket.h"
#include "user/kernel/attach.h"
#include "user/kernel/netlink.h"
#include "user/kernel/offload.h"

#define REMOVE_TRIES 3

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

static void remove_tell(void (*each)(void *, const char *), void *ctx, const char *what, const char *name)
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
			remove_tell(each, ctx, OFFLOAD_UDP_GRO_FORWARDING " of", state.offload[i]);
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
		remove_tell(each, ctx, "routes", NULL);
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
		remove_tell(each, ctx, "programs and maps", config->pins);
	}
	tap = !netlink_link(&n, name, &link) && is_tap(name);
	one = remove_routes(&n, tap ? link.ifindex : 0, each, ctx);
	err = err ?: one;
	if (tap) {
		one = netlink_link_delete(&n, link.ifindex);
		err = err ?: one;
		remove_tell(each, ctx, "tap", name);
	}
	one = restore_offloads(config, each, ctx);
	err = err ?: one;
	one = netlink_guard_rule(&n, name, false);
	netlink_close(&n);
	remove_sockets(config); /* last: who waits for the end sees it by this */
	return err ?: one;
}

static void remove_log(void *ctx, const char *what)
{
	log_info("removed %s", what);
}

bool remove_whole(const struct config *config, bool tell)
{
	int err = -EAGAIN;

	for (int i = 0; i < REMOVE_TRIES && err; i++)
		err = gateway_remove(config, tell ? remove_log : NULL, NULL);
	if (err)
		log_error("not all of %s could be removed (%s): sluice down does it again", config->name,
			  strerror(-err));
	return !err;
}
