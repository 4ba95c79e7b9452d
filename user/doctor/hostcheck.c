/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does this machine fit the configuration (hostcheck.h)?
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/config/ca_file.h"
#include "user/config/config_private.h"
#include "user/config/known_keys.h"
#include "hostcheck.h"
#include "user/kernel/ipv6.h"
#include "user/kernel/locks.h"
#include "user/kernel/maps.h"
#include "user/kernel/netlink.h"
#include "user/base/secret.h"
#include "user/base/unix_socket.h"
#include "user/kernel/own_source.h"

static const struct doc_node *section(const struct config *cfg, const char *key)
{
	return cfg->n_docs ? doc_get(&cfg->docs[0]->root, key) : NULL;
}

static struct diag_at at_tunnel(const struct config *cfg, const char *key, size_t item)
{
	return config_at(section(cfg, "tunnel"), key, item);
}

static bool open_netlink(struct netlink *n, struct diags *d)
{
	int err = netlink_open(n);

	if (err)
		diag_error(d, (struct diag_at){0}, "netlink: %s", strerror(-err));
	return !err;
}

/* ---- interfaces ---------------------------------------------------------------------- */

static void check_mtu(const struct config *cfg, const struct netlink_link *underlay, struct diags *d)
{
	if (cfg->tunnel.mtu && cfg->tunnel.mtu + TUNNEL_OVERHEAD > (int)underlay->mtu)
		diag_warning(d, at_tunnel(cfg, "mtu", CONFIG_NO_ITEM),
			     "tunnel.mtu: found %u, which with %d bytes around it exceeds the %u of %s: expected at "
			     "most %u",
			     cfg->tunnel.mtu, TUNNEL_OVERHEAD, underlay->mtu, underlay->name,
			     underlay->mtu - TUNNEL_OVERHEAD);
}

static void check_link(struct netlink *n, const struct config *cfg, const char *what, const char *name,
		       struct diag_at at, struct diags *d)
{
	struct netlink_link link;
	int err = netlink_link(n, name, &link);

	if (err)
		diag_error(d, at, "%s: found no interface %s on this machine%s%s", what, name,
			   err == -ENODEV ? "" : ": ", err == -ENODEV ? "" : strerror(-err));
	else if (!link.up)
		diag_error(d, at, "%s: interface %s is down: ip link set %s up", what, name, name);
	else if (!strcmp(what, "tunnel.underlay"))
		check_mtu(cfg, &link, d);
}

static void check_default(struct netlink *n, const struct config *cfg, struct diags *d)
{
	int ifindex = netlink_default_interface(n);
	struct netlink_link link;
	char name[IFNAMSIZ];

	if (ifindex <= 0)
		diag_error(d, (struct diag_at){0},
			   "no default route: expected one, or tunnel.underlay and "
			   "egress.interface in the configuration");
	else if (!cfg->tunnel.underlay.n && if_indextoname((unsigned)ifindex, name) && !netlink_link(n, name, &link))
		check_mtu(cfg, &link, d);
}

void hostcheck_interfaces(const struct config *cfg, struct diags *d)
{
	bool needs_default = !cfg->tunnel.underlay.n;
	struct netlink n;

	if (!open_netlink(&n, d))
		return;
	for (size_t i = 0; i < cfg->tunnel.underlay.n; i++)
		check_link(&n, cfg, "tunnel.underlay", cfg->tunnel.underlay.v[i], at_tunnel(cfg, "underlay", i), d);
	for (size_t i = 0; i < cfg->n_pools; i++) {
		const struct config_pool *p = &cfg->pools[i];

		if (p->interface)
			check_link(&n, cfg, "egress.interface", p->interface,
				   config_at(p->node, "interface", CONFIG_NO_ITEM), d);
		else
			needs_default = true;
	}
	if (needs_default)
		check_default(&n, cfg, d);
	netlink_close(&n);
}

/* ---- egress addresses ------------------------------------------------------------------- */

static void hostcheck_list_addresses(const struct addr *list, int n, char *buf, size_t size)
{
	char text[ADDR_STRLEN];
	size_t len = 0;

	snprintf(buf, size, "none");
	for (int i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", addr_str(&list[i], text));
}

/* Of an interface whose addresses the configuration does not name: where it does, the file itself is wrong. */
static void check_private(const struct config_pool *pool, const struct addr *list, int n, struct diags *d)
{
	char text[ADDR_STRLEN], key[128], public[128];

	for (int i = 0; !pool->public.n && i < n; i++) {
		if (!config_is_private(&list[i]) || addr_is_in(&list[i], list, i))
			continue;
		diag_warning(d, config_at(pool->node, "interface", CONFIG_NO_ITEM), CONFIG_PRIVATE,
			     config_pool_key(pool, "interface", key), addr_str(&list[i], text),
			     config_pool_key(pool, "public", public), text);
	}
}

static void check_exclusive(const struct config_pool *pool, const struct addr *list, int n, struct diags *d)
{
	char text[ADDR_STRLEN];

	for (int i = 0; i < n; i++)
		if (is_own_source(&list[i]))
			diag_warning(d, config_at(pool->node, "exclusive", CONFIG_NO_ITEM), OWN_SOURCE_WARNING,
				     addr_str(&list[i], text));
}

/* A family that the host has switched off is left out at the start: no error. */
static void report_missing(const struct config_pool *pool, size_t i, const char *name, const char *own, struct diags *d)
{
	struct diag_at at = config_at(pool->node, "addresses", i);
	const struct addr *a = &pool->addresses.v[i];
	char text[ADDR_STRLEN];

	if (!addr_is_v4(a) && ipv6_is_off(name))
		diag_warning(d, at, "egress address %s is left out: IPv6 is switched off on %s (disable_ipv6)",
			     addr_str(a, text), name);
	else
		diag_error(d, at, "egress address is not on the interface: found %s, %s has %s", addr_str(a, text),
			   name, own);
}

static void check_pool(struct netlink *n, const struct config *cfg, const struct config_pool *pool, struct diags *d)
{
	struct addr list[NETLINK_ADDRESSES], to[2];
	char own[1024], name[IFNAMSIZ];
	struct netlink_link link;
	int ifindex = netlink_default_interface(n), count;

	if (pool->interface) {
		if (netlink_link(n, pool->interface, &link))
			return; /* reported with the interfaces */
		ifindex = link.ifindex;
	}
	if (ifindex <= 0 || !if_indextoname((unsigned)ifindex, name))
		return;
	if (!netlink_link(n, name, &link) && !link.ethernet && !link.vrf)
		diag_error(d, config_at(pool->node, "interface", CONFIG_NO_ITEM), NETLINK_NO_ETHERNET, name);
	count = netlink_addresses(n, ifindex, list, NETLINK_ADDRESSES);
	hostcheck_list_addresses(list, count, own, sizeof(own));
	for (size_t i = 0; i < pool->addresses.n; i++)
		if (!addr_is_in(&pool->addresses.v[i], list, count) && netlink_is_held(n, &pool->addresses.v[i]) <= 0)
			report_missing(pool, i, name, own, d);
	config_destinations(cfg, to);
	if (!pool->addresses.n)
		count = netlink_sources(n, ifindex, to, list);
	if (!pool->addresses.n && count <= 0)
		diag_error(d, config_at(pool->node, "interface", CONFIG_NO_ITEM),
			   "egress: interface %s has no address that services could answer to", name);
	if (!pool->addresses.n)
		check_private(pool, list, count, d);
	if (pool->exclusive && pool->addresses.n)
		check_exclusive(pool, pool->addresses.v, (int)pool->addresses.n, d);
	else if (pool->exclusive)
		check_exclusive(pool, list, count, d);
}

void hostcheck_egress(const struct config *cfg, struct diags *d)
{
	struct netlink n;

	if (!open_netlink(&n, d))
		return;
	for (size_t i = 0; i < cfg->n_pools; i++)
		check_pool(&n, cfg, &cfg->pools[i], d);
	netlink_close(&n);
}

/* 0 where the kernel leads what the pool translates by its interface. */
static int lead(struct netlink *n, const struct config *cfg, const struct config_pool *pool, const struct addr *to)
{
	int ifindex = pool->interface ? (int)if_nametoindex(pool->interface) : netlink_default_interface(n), by;
	struct addr own[2], far[2], next;
	const struct addr *list = pool->addresses.n ? pool->addresses.v : own;
	int count = (int)pool->addresses.n, err = -EAGAIN;

	config_destinations(cfg, far);
	if (!count && ifindex > 0)
		count = netlink_sources(n, ifindex, far, own);
	for (int i = 0; i < count && err; i++)
		if (addr_is_v4(&list[i]) == addr_is_v4(to))
			err = netlink_route_get(n, to, &list[i], ifindex, &by, &next);
	if (err == -EAGAIN) /* what else is missing, is said elsewhere */
		err = netlink_route_get(n, to, NULL, 0, &by, &next);
	return err;
}

void hostcheck_routes(const struct config *cfg, struct diags *d)
{
	struct netlink n;

	if (!open_netlink(&n, d))
		return;
	for (size_t i = 0; i < cfg->n_routes; i++) {
		struct addr to = prefix_host(&cfg->routes[i].prefix);
		char text[ADDR_STRLEN];
		int err = -ENETUNREACH;

		for (size_t k = 0; k < cfg->n_pools && err; k++)
			err = lead(&n, cfg, &cfg->pools[k], &to);
		if (err && !addr_is_v4(&to) && ipv6_is_off("all"))
			diag_warning(d, cfg->routes[i].at,
				     "routes: %s is left out: IPv6 is switched off on this machine",
				     prefix_str(&cfg->routes[i].prefix, text));
		else if (err)
			diag_error(d, cfg->routes[i].at, "routes: this machine has no way to %s: %s",
				   prefix_str(&cfg->routes[i].prefix, text), strerror(-err));
	}
	netlink_close(&n);
}

/* ---- the port ---------------------------------------------------------------------------- */

/* Is a gateway with this configuration running? Then the port and the interface are its own. */
static bool is_running(const struct config *cfg)
{
	struct sockaddr_un sa;

	return unix_address(&sa, cfg->socket) && unix_is_live(&sa);
}

/* 0, or why the port cannot be had. A family that the machine does not have is no obstacle. */
static int try_bind(int family, uint16_t port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool is_six = family == AF_INET6;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, err = 0;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : errno;
	if (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		err = errno;
	else if (bind(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof(six) : sizeof(four)))
		err = errno;
	close(fd);
	return err;
}

void hostcheck_port(const struct config *cfg, struct diags *d)
{
	int err;

	if (is_running(cfg))
		return;
	err = try_bind(AF_INET, cfg->tunnel.listen) ?: try_bind(AF_INET6, cfg->tunnel.listen);
	if (err)
		diag_error(d, at_tunnel(cfg, "listen", CONFIG_NO_ITEM), "tunnel.listen: UDP port %u: %s%s",
			   cfg->tunnel.listen, strerror(err),
			   err == EADDRINUSE ? ": expected a free port (ss -ulnp shows whose it is)" : "");
}

/* ---- what one gateway alone may have ------------------------------------------------------- */

void hostcheck_locks(const struct config *cfg, struct diags *d)
{
	struct locks_of of = {cfg->state, cfg->pins, cfg->tunnel.interface};
	struct locks locks;
	char error[512];
	int err;

	if (is_running(cfg))
		return; /* they are this configuration's own */
	err = locks_take_present(&locks, &of, error, sizeof(error));
	if (err)
		diag_error(d, (struct diag_at){0}, "%s", error);
	else
		locks_drop(&locks);
}

/* ---- the maps that are there -------------------------------------------------------------- */

/* An upgrade that would end live flows is said before anything stops. */
void hostcheck_pins(const struct config *cfg, struct diags *d)
{
	struct maps_pinned p;
	int err = maps_look(cfg->pins, &p);

	if (err && err != -ENOENT)
		diag_error(d, (struct diag_at){0}, "pins: cannot look at the maps in %s: %s", cfg->pins,
			   strerror(-err));
	if (err || !p.used)
		return;
	if (!p.readable)
		diag_error(d, (struct diag_at){0},
			   "pins: the maps in %s are of layout %u with %u flows in use, and this program reads layouts "
			   "%u to %u: those flows end when it starts",
			   cfg->pins, p.layout, p.used, MAPS_LAYOUT_OLDEST, SLUICE_LAYOUT);
	else if (cfg->nat.flows && cfg->nat.flows < p.used)
		diag_warning(d, config_at(section(cfg, "nat"), "flows", CONFIG_NO_ITEM),
			     "nat.flows: found %u, but %u flows are in use in %s: those that have no room end at the "
			     "next start",
			     cfg->nat.flows, p.used, cfg->pins);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* A gateway that is in already needs no auth key; a root that cannot be read keeps it from starting. */
static void check_tailnet_files(const struct config_tailnet *t, struct diags *d)
{
	char error[512], *key = t->auth_key_file ? secret_text(t->auth_key_file, error, sizeof(error)) : NULL, *ca;

	if (t->auth_key_file && !key)
		diag_warning(d, config_at(t->node, "auth_key_file", CONFIG_NO_ITEM),
			     "tailnet.auth_key_file: %s: without it somebody has to open a URL", error);
	secret_memory_free(key);
	ca = t->ca_file ? ca_file_read(t->ca_file, error, sizeof(error)) : NULL;
	if (t->ca_file && !ca)
		diag_error(d, config_at(t->node, "ca_file", CONFIG_NO_ITEM), "tailnet.ca_file: %s", error);
	free(ca);
}

/* One that is absent is made at the first start. */
static void check_private_key(const struct config *cfg, struct diags *d)
{
	struct diag_at at = at_tunnel(cfg, "private_key_file", CONFIG_NO_ITEM);
	const char *file = cfg->tunnel.private_key_file;
	uint8_t key[KEY_LEN];
	char error[512];
	enum secret_result result = secret_read(file, key, error, sizeof(error));

	if (result == SECRET_OK && known_private_key(key))
		diag_error(d, at, "tunnel.private_key_file: %s holds %s: " KNOWN_KEY_ADVICE, file,
			   known_private_key(key));
	else if (result != SECRET_OK && result != SECRET_ABSENT)
		diag_error(d, at, "tunnel.private_key_file: %s", error);
	sodium_memzero(key, sizeof(key));
}

void hostcheck_keys(const struct config *cfg, struct diags *d)
{
	char error[512];

	check_private_key(cfg, d);
	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		if (c->preshared_key_file &&
		    secret_read(c->preshared_key_file, NULL, error, sizeof(error)) != SECRET_OK)
			diag_error(d, config_at(c->node, "preshared_key_file", CONFIG_NO_ITEM),
				   "client.preshared_key_file: %s", error);
	}
	if (cfg->tailnet.node)
		check_tailnet_files(&cfg->tailnet, d);
}

void hostcheck(const struct config *cfg, struct diags *d)
{
	hostcheck_interfaces(cfg, d);
	hostcheck_egress(cfg, d);
	hostcheck_routes(cfg, d);
	hostcheck_port(cfg, d);
	hostcheck_locks(cfg, d);
	hostcheck_pins(cfg, d);
	hostcheck_keys(cfg, d);
}
