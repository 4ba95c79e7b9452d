/* SPDX-License-Identifier: BSD-2-Clause */
/* A netmap in the words of the configuration (netmap_config.h). */
#include "netmap_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/inventory.h"
#include "policy/narrow.h"
#include "policy/tailnet_ranges.h"
#include "user/base/key.h"

#define NAME_MAX_LEN 63

/* ---- names -------------------------------------------------------------------------- */

/* As in a configuration: letters, digits, ".", "_" and "-", the first a letter or digit. */
static char *clean_name(const char *name, char buf[NAME_MAX_LEN + 1])
{
	size_t len = 0;

	for (; *name && len < NAME_MAX_LEN; name++)
		if (isalnum((unsigned char)*name) || (len && strchr("._-", *name)))
			buf[len++] = *name;
	buf[len] = '\0';
	return buf;
}

static const char *netmap_config_keep(struct config_netmap *nm, const char *text)
{
	return arena_strndup(&nm->mem, text, strlen(text));
}

static int netmap_config_by_name(const void *pa, const void *pb)
{
	const struct config_client *a = *(struct config_client *const *)pa, *b = *(struct config_client *const *)pb;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->tailnet_id > b->tailnet_id) - (a->tailnet_id < b->tailnet_id);
}

/*
 * Nodes that were shared with us may be called as ours are: all but the first get their id behind it, after
 * what no name has.
 */
static void netmap_config_tell_apart(struct config_netmap *nm, struct config_client *clients, size_t n)
{
	struct config_client **sorted = mem_alloc(n + 1, sizeof(*sorted));
	const char *first = "";

	for (size_t i = 0; i < n; i++)
		sorted[i] = &clients[i];
	qsort(sorted, n, sizeof(*sorted), netmap_config_by_name);
	for (size_t i = 0; i < n; i++) {
		char text[NAME_MAX_LEN + 32];

		if (strcmp(sorted[i]->name, first)) {
			first = sorted[i]->name;
			continue;
		}
		snprintf(text, sizeof(text), "%s#%llu", first, (unsigned long long)sorted[i]->tailnet_id);
		sorted[i]->name = netmap_config_keep(nm, text);
	}
	free(sorted);
}

/* ---- addresses ------------------------------------------------------------------------- */

struct taken {
	struct addr *a;
	size_t client;
};

static int netmap_config_by_address(const void *pa, const void *pb)
{
	const struct taken *a = pa, *b = pb;
	int order = addr_cmp(a->a, b->a);

	return order ? order : (a->client > b->client) - (a->client < b->client);
}

static void drop_zeros(struct config_addrs *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (!addr_is_zero(&list->v[i]))
			list->v[n++] = list->v[i];
	list->n = n;
}

/* An address is one client's: the one with the smallest id has it. */
static void settle_addresses(struct config_client *clients, size_t n)
{
	size_t total = 0, at = 0;
	struct taken *all;

	for (size_t i = 0; i < n; i++)
		total += clients[i].addresses.n;
	all = mem_alloc(total + 1, sizeof(*all));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < clients[i].addresses.n; k++)
			all[at++] = (struct taken){&clients[i].addresses.v[k], i};
	qsort(all, total, sizeof(*all), netmap_config_by_address);
	for (size_t i = total; i-- > 1;)
		if (!addr_cmp(all[i].a, all[i - 1].a))
			*all[i].a = (struct addr){0};
	free(all);
	for (size_t i = 0; i < n; i++)
		drop_zeros(&clients[i].addresses);
}

static struct config_addrs addresses_of(const struct config *cfg, const struct tailnet_node *n)
{
	struct config_addrs list = {.v = mem_alloc(n->n_addresses + 1, sizeof(*list.v))};

	for (size_t i = 0; i < n->n_addresses; i++)
		if (tailnet_range_has(&n->addresses[i].addr) && !config_is_own(cfg, &n->addresses[i].addr))
			list.v[list.n++] = n->addresses[i].addr;
	return list;
}

/* ---- clients ------------------------------------------------------------------------------ */

static struct config_names tags_of(struct config_netmap *nm, const struct tailnet_node *n)
{
	struct config_names tags = {.v = mem_alloc(n->n_tags + 1, sizeof(*tags.v)), .n = n->n_tags};

	for (size_t i = 0; i < n->n_tags; i++)
		tags.v[i] = netmap_config_keep(nm, n->tags[i]);
	return tags;
}

/* headscale knows users without a domain; in a policy they are written with an @ behind. */
static const char *user_of(struct config_netmap *nm, const struct tailnet_node *n)
{
	char text[NODE_TEXT_MAX + 2];

	if (n->n_tags || !*n->user)
		return NULL;
	snprintf(text, sizeof(text), "%s%s", n->user, strchr(n->user, '@') ? "" : "@");
	return netmap_config_keep(nm, text);
}

static struct config_client netmap_config_client_of(const struct config *cfg, const struct tailnet_node *n)
{
	struct config_netmap *nm = cfg->netmap;
	char name[NAME_MAX_LEN + 1];
	struct config_client c = {
		.name = netmap_config_keep(nm, *clean_name(n->name, name) ? name : "node"),
		.user = user_of(nm, n),
		.tags = tags_of(nm, n),
		.addresses = addresses_of(cfg, n),
		.tailnet_id = n->id,
		.expires = n->expired ? 1 : n->key_expiry,
	};

	memcpy(c.public_key, n->node_key, KEY_LEN);
	return c;
}

static void take_clients(struct config *cfg, const struct netmap *m)
{
	struct config_client *list = mem_alloc(m->n_peers + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < m->n_peers && n < CLIENT_GATEWAY - 1; i++)
		list[n++] = netmap_config_client_of(cfg, m->peers[i].node);
	settle_addresses(list, n);
	cfg->n_clients = 0;
	for (size_t i = 0; i < n; i++) {
		if (list[i].addresses.n) {
			list[cfg->n_clients++] = list[i];
			continue;
		}
		free(list[i].tags.v);
		free(list[i].addresses.v);
	}
	netmap_config_tell_apart(cfg->netmap, list, cfg->n_clients);
	cfg->clients = list;
}

/* ---- our own node ---------------------------------------------------------------------------- */

static void netmap_config_take_self(struct config *cfg, const struct tailnet_node *self)
{
	struct config_tunnel *t = &cfg->tunnel;
	struct config_netmap *nm = cfg->netmap;

	t->addresses = mem_alloc(MAX_TUNNEL_ADDR, sizeof(*t->addresses));
	t->n_addresses = 0;
	for (size_t i = 0; i < self->n_addresses && t->n_addresses < MAX_TUNNEL_ADDR; i++) {
		struct config_address a = {.host = self->addresses[i].addr};

		if (tailnet_range_of(&a.host, &a.prefix))
			t->addresses[t->n_addresses++] = a;
	}
	cfg->tags = tags_of(nm, self);
	nm->serves = mem_alloc(self->n_allowed + 1, sizeof(*nm->serves));
	nm->n_serves = self->n_allowed;
	memcpy(nm->serves, self->allowed, self->n_allowed * sizeof(*nm->serves));
}

void netmap_config(struct config *cfg, const struct netmap *m)
{
	struct netmap_left_out left_out = netmap_left_out(m);
	struct filter rules = netmap_rules(m);
	const struct tailnet_node nobody = {0};

	cfg->netmap = mem_alloc(1, sizeof(*cfg->netmap));
	cfg->netmap->rules = filter_copy(&rules);
	free(rules.rules);
	memcpy(cfg->netmap->digest, m->digest, sizeof(m->digest));
	cfg->netmap->n_left_out = left_out.n;
	cfg->netmap->left_out = left_out.n ? netmap_config_keep(cfg->netmap, left_out.why) : NULL;
	netmap_config_take_self(cfg, m->self.node ? m->self.node : &nobody);
	take_clients(cfg, m);
}

void netmap_config_free(struct config *cfg)
{
	config_clients_free(cfg->clients, cfg->n_clients);
	config_netmap_free(cfg->netmap);
	free(cfg->tunnel.addresses);
	free(cfg->tags.v);
	cfg->clients = NULL;
	cfg->netmap = NULL;
	cfg->tunnel.addresses = NULL;
	cfg->tags = (struct config_names){0};
	cfg->n_clients = cfg->tunnel.n_addresses = 0;
}

static bool same_self(const struct config *a, const struct config *b)
{
	if (a->tunnel.n_addresses != b->tunnel.n_addresses || a->netmap->n_serves != b->netmap->n_serves ||
	    a->tags.n != b->tags.n)
		return false;
	for (size_t i = 0; i < a->tunnel.n_addresses; i++)
		if (addr_cmp(&a->tunnel.addresses[i].host, &b->tunnel.addresses[i].host))
			return false;
	for (size_t i = 0; i < a->netmap->n_serves; i++)
		if (prefix_cmp(&a->netmap->serves[i], &b->netmap->serves[i]))
			return false;
	for (size_t i = 0; i < a->tags.n; i++)
		if (strcmp(a->tags.v[i], b->tags.v[i]))
			return false;
	return true;
}

bool netmap_config_same(const struct config *a, const struct config *b)
{
	if (a->n_clients != b->n_clients || !same_self(a, b) ||
	    memcmp(a->netmap->digest, b->netmap->digest, sizeof(a->netmap->digest)))
		return false;
	for (size_t i = 0; i < a->n_clients; i++)
		if (!config_client_same(&a->clients[i], &b->clients[i]))
			return false;
	return true;
}

/* ---- routes -------------------------------------------------------------------------------------- */

static bool is_primary(const struct tailnet_node *n, const struct prefix *route)
{
	for (size_t i = 0; i < n->n_primary; i++)
		if (!prefix_cmp(&n->primary[i], route))
			return true;
	return false;
}

const struct tailnet_node *netmap_config_primary(const struct netmap *m, const struct prefix *route)
{
	for (size_t i = 0; i < m->n_peers; i++)
		if (is_primary(m->peers[i].node, route))
			return m->peers[i].node;
	return m->self.node && is_primary(m->self.node, route) ? m->self.node : NULL;
}
