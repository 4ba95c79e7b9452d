/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tunnel interface as the host and the programs see it: its MTU, its addresses,
 * the fence around it, the settings in the map. Kept so, also when somebody takes it
 * down or deletes it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/clock.h"

#define UDP_OVERHEAD 80 /* outer IPv6 and UDP header, WireGuard header and tag */
#define MTU_DEFAULT  1420

const struct addr *tunnel_address(const struct gateway *g, bool v4)
{
	for (size_t i = 0; i < g->config->tunnel.n_addresses; i++)
		if (addr_is_v4(&g->config->tunnel.addresses[i].host) == v4)
			return &g->config->tunnel.addresses[i].host;
	return NULL;
}

uint32_t tunnel_mtu(struct gateway *g)
{
	uint32_t underlay = host_underlay_mtu(g);

	if (g->config->tunnel.mtu)
		return g->config->tunnel.mtu;
	return underlay && underlay - UDP_OVERHEAD < MTU_DEFAULT ? underlay - UDP_OVERHEAD : MTU_DEFAULT;
}

bool tunnel_open(struct gateway *g, char *error, size_t size)
{
	int err = hooks_tap(g) ?: netlink_link_setup(&g->netlink, g->device.tap.ifindex, g->mtu, true);

	if (!host_guard(g)) {
		snprintf(error, size, "the rule that keeps the kernel from forwarding tunnel packets cannot be set");
		return false;
	}
	for (size_t i = 0; i < g->config->tunnel.n_addresses && !err; i++)
		err = netlink_address_add(&g->netlink, g->device.tap.ifindex, &g->config->tunnel.addresses[i].host);
	if (err)
		snprintf(error, size, "%s: %s", g->device.tap.name, strerror(-err));
	return !err;
}

static void fill_settings(const struct gateway *g, struct settings *s)
{
	const struct config_nat *nat = &g->config->nat;

	maps_settings_get(g->maps, s);
	s->tap_ifindex = (uint32_t)g->device.tap.ifindex;
	s->wg_port = g->device.options.listen;
	s->front_armed = 1;
	s->front_disco = s->front_stun = g->membership != NULL;
	s->filtering = (uint8_t)nat->filtering;
	s->mtu = (uint16_t)g->mtu;
	s->mss4 = (uint16_t)(g->mtu - 40);
	s->mss6 = (uint16_t)(g->mtu - 60);
	s->workers = (uint16_t)g->device.n_workers;
	/* One client alone has nobody to leave anything to. */
	s->client_share = nat->client_share < 100 && g->config->n_clients > 1 ? nat->client_share : 0;
	s->tcp_endpoint_independent = nat->tcp_endpoint_independent;
	s->udp_ns = nat->udp * NS_PER_SEC;
	s->tcp_established_ns = nat->tcp_established * NS_PER_SEC;
	s->tcp_transitory_ns = nat->tcp_transitory * NS_PER_SEC;
	s->icmp_ns = nat->icmp * NS_PER_SEC;
	s->other_ns = nat->icmp * NS_PER_SEC;
	memset(s->tunnel, 0, sizeof(s->tunnel));
	for (size_t i = 0; i < g->config->tunnel.n_addresses && i < 4; i++)
		s->tunnel[i] = g->config->tunnel.addresses[i].prefix;
}

int tunnel_tell(struct gateway *g)
{
	struct settings s;

	fill_settings(g, &s);
	return maps_settings_set(g->maps, &s);
}

void tunnel_readdress(struct gateway *g, const struct config *old)
{
	char error[512];
	int err;

	for (size_t i = 0; i < old->tunnel.n_addresses; i++)
		if (!config_is_own(g->config, &old->tunnel.addresses[i].host))
			netlink_address_delete(&g->netlink, g->device.tap.ifindex, &old->tunnel.addresses[i].host);
	if (!tunnel_open(g, error, sizeof(error)))
		log_error("%s", error);
	err = tunnel_tell(g);
	if (err)
		log_error("settings: %s", strerror(-err));
	host_reserve(g);
}

/* ---- kept ------------------------------------------------------------------------ */

/* Somebody deleted the TAP: flows wait in their maps meanwhile. */
static void mend(struct gateway *g)
{
	char error[512];
	int err;

	log_warning("%s was deleted: making it anew", g->config->tunnel.interface);
	if (!device_replace_tap(&g->device, error, sizeof(error)) || !tunnel_open(g, error, sizeof(error))) {
		log_error("%s", error);
		return;
	}
	err = tunnel_tell(g) ?: tap_persist(&g->device.tap, true);
	if (err)
		log_error("%s: %s", g->device.tap.name, strerror(-err));
	clients_route(g);
	g->changes = NETLINK_LINK;
}

/* Down, the TAP loses its routes and its IPv6 addresses. */
static void raise_again(struct gateway *g)
{
	struct netlink_link link;
	char error[512];

	if (netlink_link(&g->netlink, g->device.tap.name, &link) || (link.up && link.mtu == g->mtu))
		return;
	log_warning("%s was changed: putting it right", g->device.tap.name);
	if (!tunnel_open(g, error, sizeof(error)))
		log_error("%s", error);
	clients_route(g);
}

void tunnel_keep(struct gateway *g)
{
	if (device_tap_gone(&g->device))
		mend(g);
	if (g->changes)
		raise_again(g);
}
