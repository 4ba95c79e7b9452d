/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which program belongs on which interface, and that it stays there. The list of
 * what is wanted is made anew from the interfaces as they are; what is missing is
 * attached, also when somebody else removed it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway.h"
#include "user/base/log.h"

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif

static bool hooks_is_wanted(const struct hooks *h, enum program program, unsigned ifindex)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].program == program && h->list[i].ifindex == ifindex)
			return true;
	return false;
}

static void hooks_want(struct hooks *h, enum program program, enum attach_point point, unsigned ifindex)
{
	if (hooks_is_wanted(h, program, ifindex))
		return;
	h->full |= h->n == HOOKS_MAX;
	if (ifindex && h->n < HOOKS_MAX)
		h->list[h->n++] = (struct hook){program, point, ifindex, ATTACH_NONE, -1, false};
}

/*
 * Interfaces of the underlay that are there: as configured, or the default route's. Their number, or -errno: the
 * kernel did not answer.
 */
static int underlay(struct gateway *g, struct netlink_link *links, size_t max)
{
	const struct config_names *configured = &g->config->tunnel.underlay;
	int n = 0, err = 0;

	for (size_t i = 0; i < configured->n && (size_t)n < max && (!err || err == -ENODEV); i++) {
		err = netlink_link(&g->netlink, configured->v[i], &links[n]);
		n += !err;
	}
	if (!configured->n) {
		int ifindex = netlink_default_interface(&g->netlink);

		err = ifindex > 0 ? netlink_link_at(&g->netlink, ifindex, &links[0]) : ifindex;
		n = ifindex > 0 && !err;
	}
	return err && err != -ENODEV ? err : n;
}

static void choose_front(struct gateway *g, const struct netlink_link *link, struct hooks *h)
{
	struct xdp_nic nic;
	char driver[32];

	if (xdp_nic_read(link->name, &nic, driver))
		return;
	xdp_choose(&nic, g->config->tunnel.xdp, &h->front);
	if (h->front.mode != XDP_MODE_OFF)
		hooks_want(h, PROGRAM_FRONT, ATTACH_XDP, (unsigned)link->ifindex);
}

/*
 * Every other interface by which a neighbour could speak in a client's name. Who sends by a
 * tunnel of the host's, this one, wg0, tailscale0 or an OpenVPN, is for that tunnel to know:
 * the same addresses may be its own. False: the kernel did not tell which there are.
 */
static bool want_fences(struct gateway *g, struct hooks *h)
{
	struct if_nameindex *list = if_nameindex();
	struct netlink_link link;
	bool told = list;

	for (size_t i = 0; list && list[i].if_index; i++) {
		int err = netlink_link(&g->netlink, list[i].if_name, &link);

		told &= !err || err == -ENODEV;
		if (!err && link.ethernet && !link.tun && !link.port &&
		    !hooks_is_wanted(h, PROGRAM_NIC_IN, (unsigned)link.ifindex))
			hooks_want(h, PROGRAM_NIC_FENCE, ATTACH_INGRESS, (unsigned)link.ifindex);
	}
	if (list) /* NULL crashes it */
		if_freenameindex(list);
	if (h->full && !g->hooks.full)
		log_warning("more than %d programs are wanted: the last interfaces go without", HOOKS_MAX);
	return told;
}

/* False: the kernel did not tell which interfaces there are. */
static bool hooks_wanted(struct gateway *g, struct hooks *h)
{
	struct netlink_link links[HOOKS_MAX];
	int n = underlay(g, links, HOOKS_MAX);

	*h = (struct hooks){.front = {.mode = XDP_MODE_OFF, .reason = "no underlay interface"}};
	hooks_want(h, PROGRAM_TAP_IN, ATTACH_INGRESS, (unsigned)g->device.tap.ifindex);
	for (size_t i = 0; i < g->egress.n; i++) {
		const struct egress_pool *pool = &g->egress.pool[i];

		for (size_t k = 0; k < MAX_ANSWERS && pool->answers[k]; k++) {
			hooks_want(h, PROGRAM_NIC_IN, ATTACH_INGRESS, pool->answers[k]);
			hooks_want(h, PROGRAM_NIC_OUT, ATTACH_EGRESS, pool->answers[k]);
		}
	}
	for (int i = 0; i < n; i++) {
		hooks_want(h, PROGRAM_NIC_OUT, ATTACH_EGRESS, (unsigned)links[i].ifindex);
		choose_front(g, &links[i], h);
	}
	return want_fences(g, h) && n >= 0;
}

static const struct hook *hooks_find(const struct hooks *h, const struct hook *like)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].program == like->program && h->list[i].ifindex == like->ifindex)
			return &h->list[i];
	return NULL;
}

static int attach(struct gateway *g, struct hook *h, const struct hooks *all, char **error)
{
	int err;

	if (h->point != ATTACH_XDP)
		return attach_tc(g->maps, g->config->pins, h->program, h->ifindex, h->point, &h->way, &h->link, error);
	err = attach_xdp(g->maps, g->config->pins, h->ifindex, all->front.mode == XDP_MODE_GENERIC, &h->link, error);
	if (!err)
		h->way = all->front.mode == XDP_MODE_GENERIC ? ATTACH_XDP_GENERIC : ATTACH_XDP_NATIVE;
	return err;
}

/* Is it still where it was put? */
static bool holds(const struct gateway *g, const struct hook *h)
{
	return h->way != ATTACH_NONE && attach_verify(g->maps, h->program, h->ifindex, h->point) != ATTACH_NONE;
}

/* Attaches what is missing. What cannot be is said once, and tried again. False, and why, on failure. */
static bool hooks_put(struct gateway *g, struct hook *h, const struct hooks *all, char *error, size_t size)
{
	char *why = NULL, name[IFNAMSIZ] = "its device"; /* unless that is gone, too */
	bool was_there = h->way != ATTACH_NONE;

	if_indextoname(h->ifindex, name);
	if (was_there)
		log_warning("%s is gone from %s: putting it back", maps_program_name(h->program), name);
	if (h->link >= 0)
		close(h->link);
	h->way = ATTACH_NONE;
	h->link = -1;
	if (!attach(g, h, all, &why)) {
		h->refused = false;
		return true;
	}
	snprintf(error, size, "%s on %s: %s", maps_program_name(h->program), name, why ? why : "failed");
	if (!h->refused)
		log_warning("%s", error);
	h->refused = true;
	free(why);
	return false;
}

/* Without the front, or a fence of another interface, packets pass nevertheless. */
static bool is_needed(const struct hook *h)
{
	return h->point != ATTACH_XDP && h->program != PROGRAM_NIC_FENCE;
}

/* Interfaces of others come and go, which we hear a moment later. */
static bool is_gone(const struct hook *h)
{
	char name[IFNAMSIZ];

	return h->program == PROGRAM_NIC_FENCE && !if_indextoname(h->ifindex, name);
}

/* Makes @next true; returns false when a program that forwarding needs is not there. */
static bool hooks_settle(struct gateway *g, struct hooks *next, char *error, size_t size)
{
	bool ok = true;

	for (size_t i = 0; i < g->hooks.n; i++)
		if (!hooks_find(next, &g->hooks.list[i]))
			attach_remove(g->config->pins, g->hooks.list[i].ifindex, g->hooks.list[i].point);
	for (size_t i = 0; i < next->n; i++) {
		struct hook *h = &next->list[i];
		const struct hook *was = hooks_find(&g->hooks, h);

		if (was)
			*h = *was;
		if (!holds(g, h) && !is_gone(h) && !hooks_put(g, h, next, error, size))
			ok &= !is_needed(h);
	}
	g->hooks = *next;
	return ok;
}

void hooks_follow(struct gateway *g)
{
	struct hooks next;
	char error[256];

	g->hooks.unsure = !hooks_wanted(g, &next); /* then no program is taken off an interface */
	if (!g->hooks.unsure)
		hooks_settle(g, &next, error, sizeof(error));
}

void hooks_verify(struct gateway *g)
{
	struct hooks same = g->hooks;
	char error[256];

	hooks_settle(g, &same, error, sizeof(error));
}

int hooks_tap(struct gateway *g)
{
	return tap_steer(&g->device.tap, maps_program(g->maps, PROGRAM_STEER_TAP))
		       ?: tap_fence(&g->device.tap, maps_program(g->maps, PROGRAM_FENCE_TAP));
}

/* Which worker gets a datagram, and what does not even wake it. */
static int steer_sockets(struct gateway *g)
{
	int steer = maps_program(g->maps, PROGRAM_STEER_UDP), front = maps_program(g->maps, PROGRAM_FRONT_SOCKET);

	for (unsigned w = 0; w < g->device.n_workers; w++) {
		for (int family = 0; family < UNDERLAY_FAMILIES; family++) {
			int fd = g->device.workers[w].underlay.fd[family], err;

			if (fd < 0)
				continue;
			err = maps_worker_socket(g->maps, w, family == UNDERLAY_6, fd);
			if (!err && setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &front, sizeof(front)))
				err = -errno;
			if (!err && setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &steer, sizeof(steer)))
				err = -errno;
			if (err)
				return err;
		}
	}
	return 0;
}

bool hooks_open(struct gateway *g, char *error, size_t size)
{
	struct hooks next;
	int err = steer_sockets(g);

	if (err) {
		snprintf(error, size, "steering packets to workers: %s", strerror(-err));
		return false;
	}
	if (!hooks_wanted(g, &next)) {
		snprintf(error, size, "the kernel does not tell which interfaces there are");
		return false;
	}
	return hooks_settle(g, &next, error, size);
}

void hooks_close(struct gateway *g)
{
	for (size_t i = 0; i < g->hooks.n; i++)
		if (g->hooks.list[i].link >= 0)
			close(g->hooks.list[i].link); /* what is pinned stays on its interface */
	g->hooks = (struct hooks){0};
}
