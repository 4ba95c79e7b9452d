/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a reload changes (config.h): one table says of each key how it is compared
 * and whether it can change under a running gateway.
 */
#include <string.h>

#include "config.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_names(const struct config_names *a, const struct config_names *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]))
			return false;
	return true;
}

static bool same_addrs(const struct config_addrs *a, const struct config_addrs *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

bool config_client_same(const struct config_client *a, const struct config_client *b)
{
	return same_text(a->name, b->name) && same_text(a->user, b->user) && same_names(&a->tags, &b->tags) &&
	       !memcmp(a->public_key, b->public_key, sizeof(a->public_key)) &&
	       same_addrs(&a->addresses, &b->addresses) && same_text(a->preshared_key_file, b->preshared_key_file) &&
	       a->endpoint_port == b->endpoint_port && !addr_cmp(&a->endpoint, &b->endpoint) &&
	       a->keepalive == b->keepalive && a->expires == b->expires && a->tailnet_id == b->tailnet_id;
}

bool config_client_same_rights(const struct config_client *a, const struct config_client *b)
{
	return same_text(a->user, b->user) && same_names(&a->tags, &b->tags) &&
	       same_text(a->preshared_key_file, b->preshared_key_file);
}

int config_client_cmp(const struct config_client *a, const struct config_client *b)
{
	if (a->tailnet_id || b->tailnet_id)
		return (a->tailnet_id > b->tailnet_id) - (a->tailnet_id < b->tailnet_id);
	return memcmp(a->public_key, b->public_key, sizeof(a->public_key));
}

bool config_is_own(const struct config *cfg, const struct addr *a)
{
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++)
		if (!addr_cmp(&cfg->tunnel.addresses[i].host, a))
			return true;
	return false;
}

const struct config_client *config_client(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->n_clients; i++)
		if (!strcmp(cfg->clients[i].name, name))
			return &cfg->clients[i];
	return NULL;
}

/* ---- keys -------------------------------------------------------------------------- */

#define SAME(name, expr)                                                 \
	static bool name(const struct config *a, const struct config *b) \
	{                                                                \
		return expr;                                             \
	}

SAME(same_name, same_text(a->name, b->name))
SAME(same_state, same_text(a->state, b->state))
SAME(same_socket, same_text(a->socket, b->socket))
SAME(same_pins, same_text(a->pins, b->pins))
SAME(same_interface, same_text(a->tunnel.interface, b->tunnel.interface))
SAME(same_listen, a->tunnel.listen == b->tunnel.listen)
SAME(same_private_key, same_text(a->tunnel.private_key_file, b->tunnel.private_key_file))
SAME(same_mtu, a->tunnel.mtu == b->tunnel.mtu)
SAME(same_underlay, same_names(&a->tunnel.underlay, &b->tunnel.underlay))
SAME(same_xdp, a->tunnel.xdp == b->tunnel.xdp)
SAME(same_workers, a->tunnel.workers == b->tunnel.workers)
SAME(same_flows, a->nat.flows == b->nat.flows)
SAME(same_policy, same_text(a->policy, b->policy))
SAME(same_blocklist_folders, same_names(&a->blocklist_folders, &b->blocklist_folders))
static bool same_tailnet(const struct config *a, const struct config *b)
{
	const struct config_tailnet *x = &a->tailnet, *y = &b->tailnet;

	return same_text(x->login_server, y->login_server) && same_text(x->auth_key_file, y->auth_key_file) &&
	       same_text(x->hostname, y->hostname) && same_text(x->ca_file, y->ca_file) &&
	       !memcmp(x->control_key, y->control_key, sizeof(x->control_key)) && x->derp == y->derp;
}

/* In a tailnet they come from the netmap: a file has none to compare. */
static bool config_diff_same_tags(const struct config *a, const struct config *b)
{
	return a->tailnet.node || same_names(&a->tags, &b->tags);
}

static bool same_tunnel_addresses(const struct config *a, const struct config *b)
{
	if (a->tailnet.node)
		return true;
	if (a->tunnel.n_addresses != b->tunnel.n_addresses)
		return false;
	for (size_t i = 0; i < a->tunnel.n_addresses; i++)
		if (addr_cmp(&a->tunnel.addresses[i].host, &b->tunnel.addresses[i].host) ||
		    prefix_cmp(&a->tunnel.addresses[i].prefix, &b->tunnel.addresses[i].prefix))
			return false;
	return true;
}

static bool same_pool(const struct config_pool *a, const struct config_pool *b)
{
	return same_text(a->name, b->name) && same_text(a->interface, b->interface) &&
	       same_addrs(&a->addresses, &b->addresses) && same_addrs(&a->public, &b->public) &&
	       same_names(&a->answers_by, &b->answers_by) && a->exclusive == b->exclusive;
}

static bool same_egress(const struct config *a, const struct config *b)
{
	return same_pool(&a->pools[0], &b->pools[0]);
}

static bool same_pools(const struct config *a, const struct config *b)
{
	if (a->n_pools != b->n_pools)
		return false;
	for (size_t i = 1; i < a->n_pools; i++)
		if (!same_pool(&a->pools[i], &b->pools[i]))
			return false;
	return true;
}

static bool same_nat(const struct config *a, const struct config *b)
{
	const struct config_nat *x = &a->nat, *y = &b->nat;

	return x->client_share == y->client_share && x->udp == y->udp && x->tcp_established == y->tcp_established &&
	       x->tcp_transitory == y->tcp_transitory && x->icmp == y->icmp && x->filtering == y->filtering &&
	       x->tcp_endpoint_independent == y->tcp_endpoint_independent && x->resets == y->resets &&
	       x->hide_routers == y->hide_routers;
}

static bool same_routes(const struct config *a, const struct config *b)
{
	if (a->n_routes != b->n_routes)
		return false;
	for (size_t i = 0; i < a->n_routes; i++)
		if (prefix_cmp(&a->routes[i].prefix, &b->routes[i].prefix))
			return false;
	return true;
}

static bool same_clients(const struct config *a, const struct config *b)
{
	if (a->tailnet.node)
		return true;
	if (a->n_clients != b->n_clients)
		return false;
	for (size_t i = 0; i < a->n_clients; i++)
		if (!config_client_same(&a->clients[i], &b->clients[i]))
			return false;
	return true;
}

static bool same_users(const struct config *a, const struct config *b)
{
	if (a->n_users != b->n_users)
		return false;
	for (size_t i = 0; i < a->n_users; i++)
		if (!same_text(a->users[i].name, b->users[i].name) ||
		    !same_names(&a->users[i].roles, &b->users[i].roles))
			return false;
	return true;
}

static const struct key {
	const char *name;
	unsigned live; /* enum config_part; 0: needs a restart */
	bool (*same)(const struct config *a, const struct config *b);
} keys[] = {
	{"name", CONFIG_PART_NAME, same_name},
	{"state", 0, same_state},
	{"socket", 0, same_socket},
	{"pins", 0, same_pins},
	{"tunnel.interface", 0, same_interface},
	{"tunnel.listen", 0, same_listen},
	{"tunnel.private_key_file", 0, same_private_key},
	{"tunnel.addresses", 0, same_tunnel_addresses},
	{"tunnel.mtu", 0, same_mtu},
	{"tunnel.underlay", 0, same_underlay},
	{"tunnel.xdp", 0, same_xdp},
	{"tunnel.workers", 0, same_workers},
	{"tailnet", 0, same_tailnet},
	{"egress", 0, same_egress},
	{"egress.pools", 0, same_pools},
	{"nat.flows", 0, same_flows},
	{"nat", CONFIG_PART_NAT, same_nat},
	{"routes", CONFIG_PART_ROUTES, same_routes},
	{"tags", CONFIG_PART_TAGS, config_diff_same_tags},
	{"policy", CONFIG_PART_POLICY, same_policy},
	{"blocklist_folders", CONFIG_PART_POLICY, same_blocklist_folders},
	{"clients", CONFIG_PART_CLIENTS, same_clients},
	{"users", CONFIG_PART_USERS, same_users},
};

_Static_assert(sizeof(keys) / sizeof(*keys) <= CONFIG_RESTART_MAX, "every key fits the list");

void config_diff(const struct config *old, const struct config *new, struct config_changes *out)
{
	*out = (struct config_changes){0};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (keys[i].same(old, new))
			continue;
		out->live |= keys[i].live;
		if (keys[i].live)
			out->changed[out->n_changed++] = keys[i].name;
		else
			out->restart[out->n_restart++] = keys[i].name;
	}
}
