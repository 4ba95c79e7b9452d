/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host around the gateway: whether it can carry one, and what keeps its
 * kernel from ever forwarding tunnel packets itself. Forwarding may well be on
 * (Docker, libvirt, a router): with no program on the TAP, tunnel sources would
 * leave untranslated. So there are three fences, each enough alone: frames carry
 * somebody else's destination (contract.h), a blackhole rule for what comes in by
 * the TAP, and the guard on the way out (hooks.c).
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host.h"
#include "user/base/log.h"
#include "user/base/secret.h"

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

struct locks_of host_locks(const struct config *config)
{
	return (struct locks_of){config->state, config->pins, config->tunnel.interface};
}

bool host_has_gateway(const struct config *config)
{
	return if_nametoindex(config->tunnel.interface) || !access(config->pins, F_OK);
}

void host_underlay(const struct site *s)
{
	const struct config_names *names = &s->config->tunnel.underlay;

	for (size_t i = 0; i < names->n; i++)
		if (!if_nametoindex(names->v[i]))
			log_warning("underlay interface %s is absent: waiting for it", names->v[i]);
}

uint32_t host_underlay_mtu(const struct site *s)
{
	const struct config_names *names = &s->config->tunnel.underlay;
	struct netlink_link link;
	uint32_t mtu = 0;

	if (!names->n && !netlink_link_at(s->netlink, netlink_default_interface(s->netlink), &link))
		return link.mtu;
	for (size_t i = 0; i < names->n; i++)
		if (!netlink_link(s->netlink, names->v[i], &link) && (!mtu || link.mtu < mtu))
			mtu = link.mtu;
	return mtu;
}

bool host_guard(const struct site *s)
{
	int err = netlink_guard_rule(s->netlink, s->device->tap.name, true);

	if (err)
		log_error("rule \"iif %s blackhole\": %s", s->device->tap.name, strerror(-err));
	return !err;
}

bool host_owns(const struct host *h, const struct addr *a)
{
	return addr_is_in(a, h->own, (int)h->n_own);
}

bool host_reserve(struct host *h, const struct site *s)
{
	struct addr now[HOST_ADDRESSES];
	int all = netlink_host_addresses(s->netlink, now, HOST_ADDRESSES);
	int n = all > HOST_ADDRESSES ? HOST_ADDRESSES : all;
	size_t left_out = (size_t)(all - n);
	int err = n < 0 ? n : h->n_own ? 0 : maps_reserved_defaults(s->maps);

	for (size_t i = 0; n >= 0 && i < h->n_own; i++)
		if (!addr_is_in(&h->own[i], now, n))
			maps_reserved_delete(s->maps, &(struct prefix){h->own[i], 128});
	for (int i = 0; i < n && !err; i++)
		if (!addr_is_in(&now[i], h->own, (int)h->n_own))
			err = maps_reserved_set(s->maps, &(struct prefix){now[i], 128},
						config_is_own(s->config, &now[i]) ? RESERVED_TUNNEL : RESERVED_OWN);
	if (err) {
		log_error("reserved addresses: %s", strerror(-err));
		return false;
	}
	if (left_out && !h->n_left_out)
		log_warning("this host has %d addresses, %zu more than are kept from clients", all, left_out);
	h->n_left_out = left_out;
	h->n_own = (size_t)n;
	memcpy(h->own, now, h->n_own * sizeof(now[0]));
	return true;
}
