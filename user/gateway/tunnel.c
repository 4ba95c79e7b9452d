/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tunnel interface as the host and the programs see it: its MTU, its addresses,
 * the fence around it, the settings in the map. Kept so, also when somebody takes it
 * down or deletes it.
 */
#include <assert.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tunnel.h"
#include "hooks.h"
#include "host.h"
#include "user/base/log.h"
#include "user/kernel/ipv6.h"
#include "user/base/clock.h"
#include "user/wireguard/messages.h"

#define MTU_DEFAULT 1420

const struct addr *tunnel_address(const struct site *s, bool v4)
{
	for (size_t i = 0; i < s->config->tunnel.n_addresses; i++)
		if (addr_is_v4(&s->config->tunnel.addresses[i].host) == v4)
			return &s->config->tunnel.addresses[i].host;
	return NULL;
}

void tunnel_measure(struct tunnel *t, const struct site *s)
{
	uint32_t underlay = host_underlay_mtu(s);

	if (s->config->tunnel.mtu)
		t->mtu = s->config->tunnel.mtu;
	else if (underlay)
		t->mtu = underlay - TUNNEL_OVERHEAD < MTU_DEFAULT ? underlay - TUNNEL_OVERHEAD : MTU_DEFAULT;
	else if (!t->mtu) /* an underlay that is away for a moment changes nothing */
		t->mtu = MTU_DEFAULT;
}

static void note_ipv6(struct tunnel *t, const struct site *s)
{
	bool off = ipv6_is_off(s->device->tap.name);

	if (tunnel_address(s, false) && off && !t->ipv6_off)
		log_warning("IPv6 is switched off on this host (disable_ipv6): that family is left out");
	if (tunnel_address(s, false) && !off && t->ipv6_off)
		log_info("IPv6 is on again on this host");
	t->routes_missing |= t->ipv6_off && !off;
	t->ipv6_off = off;
}

bool tunnel_open(struct tunnel *t, const struct site *s, char *error, size_t size)
{
	int err = hooks_tap(s) ?: netlink_link_setup(s->netlink, s->device->tap.ifindex, t->mtu, true);

	if (!host_guard(s)) {
		snprintf(error, size, "the rule that keeps the kernel from forwarding tunnel packets cannot be set");
		return false;
	}
	note_ipv6(t, s);
	for (size_t i = 0; i < s->config->tunnel.n_addresses && !err; i++) {
		const struct addr *own = &s->config->tunnel.addresses[i].host;

		if (addr_is_v4(own) || !t->ipv6_off)
			err = netlink_address_add(s->netlink, s->device->tap.ifindex, own);
	}
	if (err)
		snprintf(error, size, "%s: %s", s->device->tap.name, strerror(-err));
	return !err;
}

static_assert(TUNNEL_OVERHEAD == sizeof(struct ip6_hdr) + sizeof(struct udphdr) + DATA_MIN_LEN, "what it says");

static void fill_settings(const struct tunnel *t, const struct site *site, struct settings *s)
{
	const struct config_nat *nat = &site->config->nat;

	maps_settings_get(site->maps, s);
	s->tap_ifindex = (uint32_t)site->device->tap.ifindex;
	s->wg_port = site->device->options.listen;
	s->front_armed = 1;
	s->front_disco = s->front_stun = site->config->tailnet.node != NULL;
	s->filtering = (uint8_t)nat->filtering;
	s->mtu = (uint16_t)t->mtu;
	s->mss4 = (uint16_t)(t->mtu - 40);
	s->mss6 = (uint16_t)(t->mtu - 60);
	s->workers = (uint16_t)site->device->n_workers;
	/* One client alone has nobody to leave anything to. */
	s->client_share = nat->client_share < 100 && site->config->n_clients > 1 ? nat->client_share : 0;
	s->tcp_endpoint_independent = nat->tcp_endpoint_independent;
	s->resets = nat->resets;
	s->hide_routers = nat->hide_routers;
	s->udp_ns = nat->udp * NS_PER_SEC;
	s->tcp_established_ns = nat->tcp_established * NS_PER_SEC;
	s->tcp_transitory_ns = nat->tcp_transitory * NS_PER_SEC;
	s->icmp_ns = nat->icmp * NS_PER_SEC;
	s->other_ns = nat->icmp * NS_PER_SEC;
	memset(s->tunnel, 0, sizeof(s->tunnel));
	for (size_t i = 0; i < site->config->tunnel.n_addresses && i < MAX_TUNNEL_ADDR; i++)
		s->tunnel[i] = site->config->tunnel.addresses[i].prefix;
}

int tunnel_tell(const struct tunnel *t, const struct site *s)
{
	struct settings settings;

	fill_settings(t, s, &settings);
	return maps_settings_set(s->maps, &settings);
}

/* On the interface and in the programs' settings, as they are to be now. What fails is logged. */
static void tunnel_put(struct tunnel *t, const struct site *s)
{
	char error[512];
	int err;

	if (!tunnel_open(t, s, error, sizeof(error)))
		log_error("%s", error);
	err = tunnel_tell(t, s);
	if (err)
		log_error("settings: %s", strerror(-err));
}

void tunnel_readdress(struct tunnel *t, const struct site *s, const struct config *old)
{
	for (size_t i = 0; i < old->tunnel.n_addresses; i++)
		if (!config_is_own(s->config, &old->tunnel.addresses[i].host))
			netlink_address_delete(s->netlink, s->device->tap.ifindex, &old->tunnel.addresses[i].host);
	tunnel_put(t, s);
}

bool tunnel_follow(struct tunnel *t, const struct site *s)
{
	bool turned = t->ipv6_off != ipv6_is_off(s->device->tap.name), missing;
	uint32_t was = t->mtu;

	tunnel_measure(t, s);
	if (t->mtu == was && !turned && !t->routes_missing)
		return false;
	if (t->mtu != was)
		log_info("the underlay's MTU is another: the tunnel's is %u now, and was %u", t->mtu, was);
	device_set_mtu(s->device, t->mtu);
	tunnel_put(t, s);
	missing = t->routes_missing;
	t->routes_missing = false;
	return missing;
}

/* ---- kept ------------------------------------------------------------------------ */

/* Somebody deleted the TAP: flows wait in their maps meanwhile. */
static bool mend(struct tunnel *t, const struct site *s)
{
	char error[512];
	int err;

	log_warning("%s was deleted: making it anew", s->config->tunnel.interface);
	if (!device_replace_tap(s->device, error, sizeof(error)) || !tunnel_open(t, s, error, sizeof(error))) {
		log_error("%s", error);
		return false;
	}
	err = tunnel_tell(t, s) ?: tap_persist(&s->device->tap, true);
	if (err)
		log_error("%s: %s", s->device->tap.name, strerror(-err));
	return true;
}

/* Down, the TAP loses its routes and its IPv6 addresses. */
static bool raise_again(struct tunnel *t, const struct site *s)
{
	struct netlink_link link;
	char error[512];

	if (netlink_link(s->netlink, s->device->tap.name, &link) || (link.up && link.mtu == t->mtu))
		return false;
	log_warning("%s was changed: putting it right", s->device->tap.name);
	if (!tunnel_open(t, s, error, sizeof(error)))
		log_error("%s", error);
	return true;
}

enum tunnel_kept tunnel_keep(struct tunnel *t, const struct site *s, bool changed)
{
	if (device_tap_gone(s->device) && mend(t, s))
		return TUNNEL_ANEW;
	return changed && raise_again(t, s) ? TUNNEL_RAISED : TUNNEL_WHOLE;
}
