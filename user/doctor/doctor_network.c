/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: interfaces, offloads, other people's programs, and how others see us
 * (doctor.h).
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/kernel/attach.h"
#include "user/kernel/maps.h"
#include "doctor.h"
#include "hostcheck.h"
#include "outside.h"
#include "user/kernel/netlink.h"
#include "user/kernel/ports.h"
#include "user/base/text.h"

#define NAMES_MAX 32

/* ---- what check --host finds --------------------------------------------------------------- */

static void relay(struct doctor *doctor, const char *check, const struct config *cfg,
		  void (*look)(const struct config *, struct diags *), const char *fine)
{
	struct diags d = {0};

	look(cfg, &d);
	for (size_t i = 0; i < d.n; i++)
		doctor_say(doctor, check, d.list[i].level == DIAG_WARNING ? DOCTOR_WARN : DOCTOR_FAIL, NULL, "%s",
			   d.list[i].text);
	if (!d.n)
		doctor_say(doctor, check, DOCTOR_OK, NULL, "%s", fine);
	diags_free(&d);
}

/* ---- the interfaces that carry traffic --------------------------------------------------------- */

struct names {
	const char *v[NAMES_MAX];
	size_t n;
	char def[IFNAMSIZ]; /* of the default route */
};

static void add_name(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->v[i], name))
			return;
	if (names->n < NAMES_MAX)
		names->v[names->n++] = name;
}

static void doctor_network_gather(const struct config *cfg, struct names *names)
{
	struct netlink n;
	int ifindex = 0;

	*names = (struct names){0};
	if (!netlink_open(&n)) {
		ifindex = netlink_default_interface(&n);
		netlink_close(&n);
	}
	if (ifindex > 0 && !if_indextoname((unsigned)ifindex, names->def))
		ifindex = 0;
	for (size_t i = 0; i < cfg->tunnel.underlay.n; i++)
		add_name(names, cfg->tunnel.underlay.v[i]);
	for (size_t i = 0; i < cfg->n_pools; i++)
		if (cfg->pools[i].interface)
			add_name(names, cfg->pools[i].interface);
	if (ifindex > 0 && (!cfg->tunnel.underlay.n || !cfg->pools[0].interface))
		add_name(names, names->def);
}

/* The old commands, for they answer for all checksums together. -1: cannot be asked. */
static int get_offload(int fd, const char *name, uint32_t command)
{
	struct ethtool_value value = {.cmd = command};
	struct ifreq request = {.ifr_data = (char *)&value};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request) ? -1 : value.data != 0;
}

static void check_offloads(struct doctor *d, int fd, const char *name)
{
	static const struct {
		const char *word, *what;
		uint32_t command;
	} offloads[] = {
		{"gro", "GRO", ETHTOOL_GGRO},
		{"gso", "GSO", ETHTOOL_GGSO},
		{"tso", "TSO", ETHTOOL_GTSO},
		{"tx", "checksums", ETHTOOL_GTXCSUM},
	};
	char off[64] = "", words[64] = "", advice[128];

	if (!if_nametoindex(name))
		return; /* which hostcheck has said */
	for (size_t i = 0; i < sizeof(offloads) / sizeof(*offloads); i++)
		if (!get_offload(fd, name, offloads[i].command)) {
			snprintf(off + strlen(off), sizeof(off) - strlen(off), "%s%s", *off ? ", " : "",
				 offloads[i].what);
			snprintf(words + strlen(words), sizeof(words) - strlen(words), " %s on", offloads[i].word);
		}
	snprintf(advice, sizeof(advice), "ethtool -K %s%s", name, words);
	if (*off)
		doctor_say(d, "offloads", DOCTOR_WARN, advice, "%s: off: %s, which costs throughput", name, off);
	else
		doctor_say(d, "offloads", DOCTOR_OK, NULL, "%s: all that matter are on", name);
}

/* ---- programs ------------------------------------------------------------------------------------- */

static void check_foreign(struct doctor *d, const char *name)
{
	static const char *const where[] = {[ATTACH_INGRESS] = "ingress", [ATTACH_EGRESS] = "egress"};
	struct attach_foreign list[NAMES_MAX];
	unsigned ifindex = if_nametoindex(name);
	size_t n = ifindex ? attach_foreign(ifindex, list, NAMES_MAX) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name_of = *list[i].name ? list[i].name : "?";

		if (list[i].point == ATTACH_XDP)
			doctor_say(d, "foreign", DOCTOR_WARN, "it runs in Sluice's place: tunnel.xdp: off goes without",
				   "XDP of %s has the program %s (id %u) of somebody else", name, name_of, list[i].id);
		else
			doctor_say(d, "foreign", DOCTOR_WARN,
				   "it sees packets before or after Sluice: know what it does",
				   "%s of %s has the %s %s of somebody else: tc filter show dev %s %s",
				   where[list[i].point], name, list[i].id ? "program" : "filter", name_of, name,
				   where[list[i].point]);
	}
}

static void doctor_network_check_ports(struct doctor *d, const struct config *cfg)
{
	struct maps_ports kept[16];
	size_t n = ports_of_host(kept, 15);
	struct port_range range[MAX_PORT_RANGES];
	char text[TEXT_SIZE];
	uint32_t ports;

	kept[n++] = (struct maps_ports){cfg->tunnel.listen, cfg->tunnel.listen};
	ports = maps_port_ranges(kept, n, range);
	if (ports < 16384)
		doctor_say(d, "ports", DOCTOR_WARN,
			   "narrow net.ipv4.ip_local_port_range, or give the gateway an exclusive "
			   "address",
			   "only %s ports are left for translation", text_number(ports, text));
	else
		doctor_say(d, "ports", DOCTOR_OK, NULL, "%s ports an address for translation",
			   text_number(ports, text));
}

/* Describes the pinned maps where nothing is wrong with them. */
static const char *pins_state(const struct config *cfg, char *buf, size_t size)
{
	struct maps_pinned p;
	int err = maps_look(cfg->pins, &p);

	if (err == -ENOENT)
		return "no maps are there yet: the first start makes them";
	if (err)
		snprintf(buf, size, "%s: %s", cfg->pins, strerror(-err));
	else if (p.layout == SLUICE_LAYOUT)
		snprintf(buf, size, "maps of layout %u, as this program's, with %u of %u flows in use", p.layout,
			 p.used, p.slots - 1);
	else
		snprintf(buf, size,
			 "maps of layout %u, with %u of %u flows in use: the next start takes them over into %u",
			 p.layout, p.used, p.slots - 1, SLUICE_LAYOUT);
	return buf;
}

void doctor_network(struct doctor *doctor, const struct config *cfg)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct names names;
	char state[256];

	relay(doctor, "interfaces", cfg, hostcheck_interfaces, "all there, up, and wide enough for the tunnel");
	relay(doctor, "egress", cfg, hostcheck_egress, "every address is on its interface");
	relay(doctor, "routes", cfg, hostcheck_routes, "the services can be reached from here");
	relay(doctor, "locks", cfg, hostcheck_locks, "no other gateway has these pins, this state or this interface");
	relay(doctor, "pins", cfg, hostcheck_pins, pins_state(cfg, state, sizeof(state)));
	relay(doctor, "port", cfg, hostcheck_port, "the WireGuard port is free or the gateway's own");
	relay(doctor, "keys", cfg, hostcheck_keys, "no key file can be read by others");
	doctor_network_gather(cfg, &names);
	for (size_t i = 0; i < names.n; i++) {
		check_offloads(doctor, fd, names.v[i]);
		check_foreign(doctor, names.v[i]);
	}
	doctor_network_check_ports(doctor, cfg);
	if (fd >= 0)
		close(fd);
}

/* ---- how others see us ------------------------------------------------------------------------------- */

/* Is @a an address by which the world sees us: a configured one, else one of the interfaces? */
static bool is_egress(const struct config *cfg, const struct addr *a)
{
	struct addr own[2], far[2];
	struct netlink n;
	bool is = false;

	if (netlink_open(&n))
		return true; /* nothing to compare with */
	config_destinations(cfg, far);
	for (size_t i = 0; i < cfg->n_pools && !is; i++) {
		const struct config_pool *p = &cfg->pools[i];
		const struct config_addrs *list = p->public.n ? &p->public : &p->addresses;
		int ifindex = p->interface ? (int)if_nametoindex(p->interface) : netlink_default_interface(&n);
		int count = list->n || ifindex <= 0 ? 0 : netlink_sources(&n, ifindex, far, own);

		is = addr_is_in(a, list->v, (int)list->n) || addr_is_in(a, own, count);
	}
	netlink_close(&n);
	return is;
}

/* @who: of whom it was heard. */
static void tell_seen(struct doctor *doctor, const struct config *cfg, const char *who, const struct addr *seen)
{
	char text[ADDR_STRLEN];

	if (is_egress(cfg, seen))
		doctor_say(doctor, "outside", DOCTOR_OK, NULL, "the world sees %s, says %s", addr_str(seen, text), who);
	else
		doctor_say(doctor, "outside", DOCTOR_WARN, "if there is a 1:1 NAT in front, put it into egress.public",
			   "the world sees %s, says %s, which the configuration does not name", addr_str(seen, text),
			   who);
}

void doctor_outside(struct doctor *doctor, const struct config *cfg)
{
	struct addr seen;
	const char *why;

	if (!cfg->stun) {
		doctor_say(doctor, "outside", DOCTOR_OK, NULL,
			   "not looked at: no stun: HOST:PORT in the configuration");
		return;
	}
	switch (outside_stun(cfg->stun, &seen, &why)) {
	case OUTSIDE_SEEN:
		tell_seen(doctor, cfg, cfg->stun, &seen);
		break;
	case OUTSIDE_UNREACHABLE:
		doctor_say(doctor, "outside", DOCTOR_FAIL,
			   "is there a name server in /etc/resolv.conf, and a default route?", "the STUN server %s: %s",
			   cfg->stun, why);
		break;
	case OUTSIDE_SILENT:
		doctor_say(doctor, "outside", DOCTOR_FAIL, "UDP to the outside may be blocked, or the server is gone",
			   "no answer of the STUN server %s", cfg->stun);
	}
}

void doctor_cloud(struct doctor *doctor, const struct config *cfg)
{
	const char *cloud;
	struct addr seen;

	if (outside_cloud(&seen, &cloud))
		tell_seen(doctor, cfg, cloud, &seen);
	else
		doctor_say(doctor, "outside", DOCTOR_WARN, NULL,
			   "no cloud's metadata service here tells a public address");
}
