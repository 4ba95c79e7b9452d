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

#include "hooks.h"
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
static int underlay(const struct site *s, struct netlink_link *links, size_t max)
{
	const struct config_names *configured = &s->config->tunnel.underlay;
	int n = 0, err = 0;

	for (size_t i = 0; i < configured->n && (size_t)n < max && (!err || err == -ENODEV); i++) {
		err = netlink_link(s->netlink, configured->v[i], &links[n]);
		n += !err;
	}
	if (!configured->n) {
		int ifindex = netlink_default_interface(s->netlink);

		err = ifindex > 0 ? netlink_link_at(s->netlink, ifindex, &links[0]) : ifindex;
		n = ifindex > 0 && !err;
	}
	return err && err != -ENODEV ? err : n;
}

static void choose_front(const struct site *s, const struct netlink_link *link, struct hooks *h)
{
	struct xdp_nic nic;
	char driver[32];

	if (xdp_nic_read(link->name, &nic, driver))
		return;
	xdp_choose(&nic, s->config->tunnel.xdp, &h->front);
	if (h->front.mode != XDP_MODE_OFF)
		hooks_want(h, PROGRAM_FRONT, ATTACH_XDP, (unsigned)link->ifindex);
}

/*
 * Every other interface by which a neighbour could speak in a client's name. Who sends by a
 * tunnel of the host's, this one, wg0, tailscale0 or an OpenVPN, is for that tunnel to know:
 * the same addresses may be its own. False: the kernel did not tell which there are.
 */
static bool want_fences(const struct hooks *now, const struct site *s, struct hooks *h)
{
	struct if_nameindex *list = if_nameindex();
	struct netlink_link link;
	bool told = list;

	for (size_t i = 0; list && list[i].if_index; i++) {
		int err = netlink_link(s->netlink, list[i].if_name, &link);

		told &= !err || err == -ENODEV;
		if (!err && link.ethernet && !link.tun && !link.port &&
		    !hooks_is_wanted(h, PROGRAM_NIC_IN, (unsigned)link.ifindex))
			hooks_want(h, PROGRAM_NIC_FENCE, ATTACH_INGRESS, (unsigned)link.ifindex);
	}
	if (list) /* NULL crashes it */
		if_freenameindex(list);
	if (h->full && !now->full)
		log_warning("more than %d programs are wanted: the last interfaces go without", HOOKS_MAX);
	return told;
}

/* False: the kernel did not tell which interfaces there are. */
static bool hooks_wanted(const struct hooks *now, const struct site *s, const struct egress_state *egress,
			 struct hooks *h)
{
	struct netlink_link links[HOOKS_MAX];
	int n = underlay(s, links, HOOKS_MAX);

	*h = (struct hooks){.front = {.mode = XDP_MODE_OFF, .reason = "no underlay interface"}};
	hooks_want(h, PROGRAM_TAP_IN, ATTACH_INGRESS, (unsigned)s->device->tap.ifindex);
	for (size_t i = 0; i < egress->n; i++) {
		const struct egress_pool *pool = &egress->pool[i];

		for (size_t k = 0; k < MAX_ANSWERS && pool->answers[k]; k++) {
			hooks_want(h, PROGRAM_NIC_IN, ATTACH_INGRESS, pool->answers[k]);
			hooks_want(h, PROGRAM_NIC_OUT, ATTACH_EGRESS, pool->answers[k]);
		}
	}
	for (int i = 0; i < n; i++) {
		hooks_want(h, PROGRAM_NIC_OUT, ATTACH_EGRESS, (unsigned)links[i].ifindex);
		choose_front(s, &links[i], h);
	}
	return want_fences(now, s, h) && n >= 0;
}

static const struct hook *hooks_find(const struct hooks *h, const struct hook *like)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].program == like->program && h->list[i].ifindex == like->ifindex)
			return &h->list[i];
	return NULL;
}

static int attach(const struct site *s, struct hook *h, const struct hooks *all, char **error)
{
	int err;

	if (h->point != ATTACH_XDP)
		return attach_tc(s->maps, s->config->pins, h->program, h->ifindex, h->point, &h->way, &h->link, error);
	err = attach_xdp(s->maps, s->config->pins, h->ifindex, all->front.mode == XDP_MODE_GENERIC, &h->link, error);
	if (!err)
		h->way = all->front.mode == XDP_MODE_GENERIC ? ATTACH_XDP_GENERIC : ATTACH_XDP_NATIVE;
	return err;
}

/* Is it still where it was put? */
static bool holds(const struct site *s, const struct hook *h)
{
	return h->way != ATTACH_NONE && attach_verify(s->maps, h->program, h->ifindex, h->point) != ATTACH_NONE;
}

/* Attaches what is missing. A failure is logged once, and tried again. False, and why, on failure. */
static bool hooks_put(const struct site *s, struct hook *h, const struct hooks *all, char *error, size_t size)
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
	if (!attach(s, h, all, &why)) {
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
static bool hooks_settle(struct hooks *now, const struct site *s, struct hooks *next, char *error, size_t size)
{
	bool ok = true;

	for (size_t i = 0; i < now->n; i++)
		if (!hooks_find(next, &now->list[i]))
			attach_remove(s->config->pins, now->list[i].ifindex, now->list[i].point);
	for (size_t i = 0; i < next->n; i++) {
		struct hook *h = &next->list[i];
		const struct hook *was = hooks_find(now, h);

		if (was)
			*h = *was;
		if (!holds(s, h) && !is_gone(h) && !hooks_put(s, h, next, error, size))
			ok &= !is_needed(h);
	}
	*now = *next;
	return ok;
}

void hooks_follow(struct hooks *h, const struct site *s, const struct egress_state *egress)
{
	struct hooks next;
	char error[256];

	h->unsure = !hooks_wanted(h, s, egress, &next); /* then no program is taken off an interface */
	if (!h->unsure)
		hooks_settle(h, s, &next, error, sizeof(error));
}

void hooks_verify(struct hooks *h, const struct site *s)
{
	struct hooks same = *h;
	char error[256];

	hooks_settle(h, s, &same, error, sizeof(error));
}

int hooks_tap(const struct site *s)
{
	return tap_steer(&s->device->tap, maps_program(s->maps, PROGRAM_STEER_TAP))
		       ?: tap_fence(&s->device->tap, maps_program(s->maps, PROGRAM_FENCE_TAP));
}

/* Which worker gets a datagram, and what does not even wake it. */
static int steer_sockets(const struct site *s)
{
	int steer = maps_program(s->maps, PROGRAM_STEER_UDP), front = maps_program(s->maps, PROGRAM_FRONT_SOCKET);

	for (unsigned w = 0; w < s->device->n_workers; w++) {
		for (int family = 0; family < UNDERLAY_FAMILIES; family++) {
			int fd = s->device->workers[w].underlay.fd[family], err;

			if (fd < 0)
				continue;
			err = maps_worker_socket(s->maps, w, family == UNDERLAY_6, fd);
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

void hooks_gate(const struct site *s, const struct gate_keys *keys)
{
	const uint8_t *const secrets[] = {gate_keys_secret(keys, 0), gate_keys_secret(keys, 1)};
	/* Without maps yet: there is a first secret to come. */
	int err = s->maps ? maps_gate_set(s->maps, gate_keys_mac1(keys), secrets) : 0;

	if (err)
		log_error("the gate in front of the port: %s", strerror(-err));
}

void hooks_know(const struct site *s, const struct addr *addr, uint16_t port)
{
	int err = maps_known_set(s->maps, addr, port);

	if (err)
		log_warning("map of known peers: %s", strerror(-err));
}

bool hooks_open(struct hooks *h, const struct site *s, const struct egress_state *egress, char *error, size_t size)
{
	struct hooks next;
	int err = steer_sockets(s);

	if (err) {
		snprintf(error, size, "steering packets to workers: %s", strerror(-err));
		return false;
	}
	if (!hooks_wanted(h, s, egress, &next)) {
		snprintf(error, size, "the kernel does not tell which interfaces there are");
		return false;
	}
	return hooks_settle(h, s, &next, error, size);
}

void hooks_close(struct hooks *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].link >= 0)
			close(h->list[i].link); /* what is pinned stays on its interface */
	*h = (struct hooks){0};
}
