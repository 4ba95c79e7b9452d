/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that no single key of gateway.yaml can make: things that occur twice, and
 * addresses that do not fit each other (config.h).
 *
 * Values that must be unique are gathered into a list of bytes with places, sorted once,
 * and neighbours are compared: 65,535 clients are no work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "config_private.h"
#include "config_value.h"
#include "policy/tailnet_ranges.h"

struct claim { /* somebody wants to be the only one with these bytes */
	const void *bytes;
	size_t len;
	size_t order; /* of appearance */
	struct diag_at at;
	const char *who;
};

struct claims {
	struct claim *v;
	size_t n;
};

/* True: it could not be read, and was reported then. */
static bool is_missing(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void config_check_claim(struct claims *c, const void *bytes, size_t len, struct diag_at at, const char *who)
{
	if (is_missing(bytes, len))
		return;
	c->v = mem_grow(c->v, c->n, sizeof(*c->v));
	c->v[c->n] = (struct claim){.bytes = bytes, .len = len, .order = c->n, .at = at, .who = who ? who : "another"};
	c->n++;
}

static int by_bytes(const void *pa, const void *pb)
{
	const struct claim *a = pa, *b = pb;
	int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

	if (!order)
		order = (a->len > b->len) - (a->len < b->len);
	return order ? order : (a->order > b->order) - (a->order < b->order);
}

/* Reports every claim but the first of the same bytes, and frees the list. @text
 * prints the bytes into a buffer of ADDR_STRLEN or returns them. */
static void config_check_settle(struct claims *c, const char *what, const char *(*text)(const void *, char *),
				struct diags *d)
{
	const struct claim *first = c->v;
	char buf[ADDR_STRLEN];

	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_bytes);
	for (size_t i = 1; i < c->n; i++) {
		const struct claim *k = &c->v[i];

		if (k->len != first->len || memcmp(k->bytes, first->bytes, k->len))
			first = k;
		else
			diag_error(d, k->at, "%s: found %s twice, expected once: first for %s, %s:%u", what,
				   text(k->bytes, buf), first->who, first->at.file, first->at.line);
	}
	free(c->v);
}

static const char *word_text(const void *bytes, char *buf)
{
	snprintf(buf, ADDR_STRLEN, "\"%.58s\"", (const char *)bytes);
	return buf;
}

static const char *addr_text(const void *bytes, char *buf)
{
	return addr_str(bytes, buf);
}

static const char *prefix_text(const void *bytes, char *buf)
{
	return prefix_str(bytes, buf);
}

static const char *key_text(const void *bytes, char *buf)
{
	return "the same key";
}

struct diag_at config_at(const struct doc_node *map, const char *key, size_t item)
{
	const struct doc_node *n = doc_get(map, key);

	if (n && n->kind == DOC_LIST && item < n->n)
		return n->items[item].at;
	return n ? n->at : map ? map->at : (struct diag_at){0};
}

static struct diag_at config_check_place(const struct doc_node *map, const char *key)
{
	return config_at(map, key, CONFIG_NO_ITEM);
}

/* All addresses inside the tunnel. */
static void claim_inside(const struct config *cfg, struct claims *addresses)
{
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++)
		config_check_claim(addresses, &cfg->tunnel.addresses[i].host, sizeof(struct addr),
				   cfg->tunnel.addresses[i].at, "the gateway");
	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		for (size_t j = 0; j < c->addresses.n; j++)
			config_check_claim(addresses, &c->addresses.v[j], sizeof(struct addr),
					   config_at(c->node, "addresses", j), c->name);
	}
}

static void claim_egress(const struct config *cfg, struct claims *addresses)
{
	for (size_t i = 0; i < cfg->n_pools; i++) {
		const struct config_pool *p = &cfg->pools[i];

		for (size_t j = 0; j < p->addresses.n; j++)
			config_check_claim(addresses, &p->addresses.v[j], sizeof(struct addr),
					   config_at(p->node, "addresses", j), p->name);
	}
}

static void check_unique_clients(const struct config *cfg, struct diags *d)
{
	struct claims names = {0}, keys = {0}, addresses = {0};

	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		config_check_claim(&names, c->name, c->name ? strlen(c->name) : 0, config_check_place(c->node, "name"),
				   c->name);
		config_check_claim(&keys, c->public_key, sizeof(c->public_key),
				   config_check_place(c->node, "public_key"), c->name);
	}
	claim_inside(cfg, &addresses);
	config_check_settle(&names, "client.name", word_text, d);
	config_check_settle(&keys, "client.public_key", key_text, d);
	config_check_settle(&addresses, "client.addresses", addr_text, d);
}

static void check_unique_others(const struct config *cfg, struct diags *d)
{
	struct claims users = {0}, egress = {0}, routes = {0};

	for (size_t i = 0; i < cfg->n_users; i++)
		config_check_claim(&users, cfg->users[i].name, cfg->users[i].name ? strlen(cfg->users[i].name) : 0,
				   cfg->users[i].at, "another entry");
	claim_egress(cfg, &egress);
	for (size_t i = 0; i < cfg->n_routes; i++)
		config_check_claim(&routes, &cfg->routes[i].prefix, sizeof(struct prefix), cfg->routes[i].at,
				   "another entry");
	config_check_settle(&users, "user.name", word_text, d);
	config_check_settle(&egress, "egress.addresses", addr_text, d);
	config_check_settle(&routes, "routes", prefix_text, d);
}

/* ---- inside and outside of the tunnel ---------------------------------------------- */

static void tunnel_text(const struct config *cfg, char *buf, size_t size)
{
	char text[ADDR_STRLEN];
	size_t len = 0;

	*buf = 0;
	for (size_t i = 0; i < cfg->tunnel.n_addresses && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "",
					prefix_str(&cfg->tunnel.addresses[i].prefix, text));
}

static bool config_check_in_tunnel(const struct config *cfg, const struct prefix *p)
{
	if (is_missing(&p->addr, sizeof(p->addr)))
		return false;
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++)
		if (prefix_covers(&cfg->tunnel.addresses[i].prefix, p))
			return true;
	return false;
}

/* Else one of them was refused: what lies inside it is not known. */
static bool all_tunnel_addresses(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++)
		if (is_missing(&cfg->tunnel.addresses[i].host, sizeof(struct addr)))
			return false;
	return true;
}

static void check_client_addresses(const struct config *cfg, struct diags *d)
{
	char text[ADDR_STRLEN], tunnel[4 * ADDR_STRLEN];

	if (!cfg->tunnel.n_addresses || !all_tunnel_addresses(cfg))
		return;
	tunnel_text(cfg, tunnel, sizeof(tunnel));
	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		for (size_t j = 0; j < c->addresses.n; j++) {
			struct prefix p = {c->addresses.v[j], 128};

			if (!is_missing(&p.addr, sizeof(p.addr)) && !config_check_in_tunnel(cfg, &p))
				diag_error(d, config_at(c->node, "addresses", j),
					   "client.addresses: found %s, "
					   "expected an address inside tunnel.addresses (%s)",
					   addr_str(&p.addr, text), tunnel);
		}
	}
}

static bool config_check_is_link_local(const struct addr *a)
{
	return addr_is_v4(a) ? a->b[12] == 169 && a->b[13] == 254 : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* No machine out there has an address in it. */
static bool is_nowhere(const struct prefix *p)
{
	static const char *const never[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8"};

	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		struct prefix n;

		if (prefix_parse(never[i], strlen(never[i]), &n, NULL) && prefix_covers(&n, p))
			return true;
	}
	return false;
}

static void check_route(const struct config *cfg, const struct config_route *r, struct diags *d)
{
	char text[ADDR_STRLEN];

	prefix_str(&r->prefix, text);
	if (config_check_in_tunnel(cfg, &r->prefix))
		diag_error(d, r->at,
			   "routes: found %s, expected a prefix outside tunnel.addresses: "
			   "clients are reached without a route",
			   text);
	else if (cfg->tailnet.node && tailnet_range_covers(&r->prefix))
		diag_error(d, r->at,
			   "routes: found %s, expected a prefix outside the tailnet's own addresses: "
			   "nodes are reached without a route",
			   text);
	else if (is_nowhere(&r->prefix))
		diag_error(d, r->at, "routes: found %s, expected a prefix that services can be in", text);
}

static void check_routes(const struct config *cfg, struct diags *d)
{
	for (size_t i = 0; i < cfg->n_routes; i++)
		check_route(cfg, &cfg->routes[i], d);
}

/* ---- egress ------------------------------------------------------------------------ */

static size_t count_v4(const struct config_addrs *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += addr_is_v4(&list->v[i]);
	return n;
}

static void check_egress_addresses(const struct config *cfg, const struct config_pool *pool, struct diags *d)
{
	size_t n = pool->addresses.n, n4 = count_v4(&pool->addresses);
	char text[ADDR_STRLEN], key[128];

	config_pool_key(pool, "addresses", key);
	for (size_t i = 0; i < n; i++) {
		struct prefix p = {pool->addresses.v[i], 128};

		if (!is_missing(&p.addr, sizeof(p.addr)) &&
		    (is_nowhere(&p) || config_check_is_link_local(&p.addr) || config_check_in_tunnel(cfg, &p)))
			diag_error(d, config_at(pool->node, "addresses", i),
				   "%s: found %s, expected an address "
				   "that services can answer to%s",
				   key, addr_str(&p.addr, text),
				   config_check_in_tunnel(cfg, &p) ? ", outside the tunnel" : "");
	}
	if (n4 > POOL_ADDRESSES || n - n4 > POOL_ADDRESSES)
		diag_error(d, config_check_place(pool->node, "addresses"),
			   "%s: found %zu IPv4 and %zu IPv6 addresses, expected at "
			   "most %d of a family",
			   key, n4, n - n4, POOL_ADDRESSES);
}

static void check_public(const struct config_pool *pool, struct diags *d)
{
	size_t n = pool->public.n, n4 = count_v4(&pool->public);
	char key[128];

	config_pool_key(pool, "public", key);
	if (!pool->addresses.n && (n4 > 1 || n - n4 > 1)) {
		diag_error(d, config_check_place(pool->node, "public"),
			   "%s: found %zu IPv4 and %zu IPv6 addresses, expected at most "
			   "one of a family where no addresses are given",
			   key, n4, n - n4);
	} else if (pool->addresses.n && n && n != pool->addresses.n) {
		diag_error(d, config_check_place(pool->node, "public"),
			   "%s: found %zu addresses, expected one for each of the %zu "
			   "addresses",
			   key, n, pool->addresses.n);
	} else if (pool->addresses.n) {
		for (size_t i = 0; i < n; i++)
			if (addr_is_v4(&pool->public.v[i]) != addr_is_v4(&pool->addresses.v[i]))
				diag_error(d, config_at(pool->node, "public", i),
					   "%s: found an address of another "
					   "family than entry %zu of addresses, expected pairs",
					   key, i + 1);
	}
}

static void check_egress(const struct config *cfg, struct diags *d)
{
	size_t total = 0;

	for (size_t i = 0; i < cfg->n_pools; i++) {
		const struct config_pool *pool = &cfg->pools[i];

		check_egress_addresses(cfg, pool, d);
		check_public(pool, d);
		total += pool->addresses.n;
		if (total >= MAX_EGRESS && total - pool->addresses.n < MAX_EGRESS)
			diag_error(d, pool->node->at,
				   "egress: found more than %d addresses in all pools, the most there "
				   "can be",
				   MAX_EGRESS - 1);
	}
}

static int config_check_by_address(const void *pa, const void *pb)
{
	const struct claim *a = pa, *b = pb;

	return memcmp(a->bytes, b->bytes, sizeof(struct addr));
}

/*
 * Where a client is, seen from outside. At an address inside the tunnel, what is for it would
 * be sent into the tunnel again; these addresses, not the prefix: providers use 100.64.0.0/10.
 */
static void check_endpoints(const struct config *cfg, struct diags *d)
{
	struct claims ours = {0};
	char text[ADDR_STRLEN];

	claim_inside(cfg, &ours);
	claim_egress(cfg, &ours);
	if (ours.n)
		qsort(ours.v, ours.n, sizeof(*ours.v), config_check_by_address);
	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];
		const struct claim wanted = {.bytes = &c->endpoint}, *is;
		struct diag_at at = config_check_place(c->node, "endpoint");

		if (!c->endpoint_port)
			continue;
		addr_str(&c->endpoint, text);
		is = ours.n ? bsearch(&wanted, ours.v, ours.n, sizeof(*ours.v), config_check_by_address) : NULL;
		if (is)
			diag_error(d, at,
				   "client.endpoint: found %s, an address of %s (%s:%u), "
				   "expected where the client is outside the tunnel",
				   text, is->who, is->at.file, is->at.line);
		else if (is_nowhere(&(struct prefix){c->endpoint, 128}))
			diag_error(d, at, "client.endpoint: found %s, expected an address where a client can be", text);
	}
	free(ours.v);
}

bool config_check(const struct config *cfg, struct diags *d)
{
	size_t before = d->errors;

	check_unique_clients(cfg, d);
	check_unique_others(cfg, d);
	check_client_addresses(cfg, d);
	check_routes(cfg, d);
	check_egress(cfg, d);
	check_endpoints(cfg, d);
	return d->errors == before;
}
