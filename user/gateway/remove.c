/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sluice down`, and a first start that failed, remove from the host: programs, maps, TAP, routes, rule, sockets.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void remove_tell(void (*each)(void *, const char *), void *ctx, const char *what, const char *name)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", what, name ? " " : "", name ?: "");
	if (each)
		each(ctx, text);
}

/* Restores an interface's offloads. One that cannot be set, on an interface that is there, stays written down. */
static int restore_offloads(const struct config *config, void (*each)(void *, const char *), void *ctx)
{
	struct state state;
	char why[256];
	size_t kept = 0;
	int err = state_load(config->state, &state, why, sizeof(why));

	if (err || !state.n_offload) { /* what cannot be understood will not be the next time, either */
		state_free(&state);
		return err == -EBADMSG ? 0 : err;
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

/* Sockets of a gateway that was killed. One that is answered is another's, or our own, which is removed last. */
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

/* A question that failed says nothing of what is there: what is not known to be gone is tried again. */
static int remove_tap_and_routes(struct netlink *n, const char *name, void (*each)(void *, const char *), void *ctx)
{
	struct netlink_link link;
	int known = netlink_link(n, name, &link), err, one = 0;
	bool tap = !known && link.tun;

	err = remove_routes(n, tap ? link.ifindex : 0, each, ctx);
	if (tap)
		one = netlink_link_delete(n, link.ifindex);
	if (tap && !one)
		remove_tell(each, ctx, "tap", name);
	return err ?: known == -ENODEV ? one : known ?: one;
}

int gateway_remove(const struct config *config, void (*each)(void *ctx, const char *what), void *ctx)
{
	const char *name = config->tunnel.interface;
	struct netlink n;
	int err = netlink_open(&n), one;

	if (err)
		return err;
	n.mark = owner_mark(config->pins);
	libbpf_set_print(NULL); /* what is missing is no news here */
	if (!access(config->pins, F_OK)) {
		err = attach_remove_all(config->pins) ?: maps_unpin(config->pins);
		remove_tell(each, ctx, "programs and maps", config->pins);
	}
	one = remove_tap_and_routes(&n, name, each, ctx);
	err = err ?: one;
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
