/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client may reach (client_routes.h).
 */
#include <stdlib.h>

#include "policy/alloc.h"
#include "client_routes.h"

static void client_routes_add(struct client_routes *r, const struct prefix *p)
{
	r->v = mem_grow(r->v, r->n, sizeof(*r->v));
	r->v[r->n++] = *p;
}

static bool is_source(const struct filter_rule *rule, const struct config_client *client)
{
	for (size_t i = 0; i < client->addresses.n; i++)
		if (filter_rule_from(rule, &client->addresses.v[i]))
			return true;
	return false;
}

/* Prefixes either lie in each other or have nothing in common. */
static void add_common(struct client_routes *r, const struct config *cfg, const struct prefix *dst)
{
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct prefix *route = &cfg->routes[i].prefix;

		if (prefix_covers(route, dst))
			client_routes_add(r, dst);
		else if (prefix_covers(dst, route))
			client_routes_add(r, route);
	}
}

static int client_routes_by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

/* In order, shorter first: what a prefix covers follows it. */
static void reduce(struct client_routes *r)
{
	size_t kept = 0;

	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), client_routes_by_prefix);
	for (size_t i = 0; i < r->n; i++)
		if (!kept || !prefix_covers(&r->v[kept - 1], &r->v[i]))
			r->v[kept++] = r->v[i];
	r->n = kept;
}

void client_routes_of(const struct config *cfg, const struct config_client *client, const struct filter *filter,
		      struct client_routes *out)
{
	*out = (struct client_routes){0};
	for (size_t i = 0; filter && i < filter->n; i++) {
		const struct filter_rule *rule = &filter->rules[i];

		if (rule->verdict != FILTER_ACCEPT || !is_source(rule, client))
			continue;
		for (size_t j = 0; j < rule->n_dst; j++)
			add_common(out, cfg, &rule->dst[j].prefix);
	}
	reduce(out);
}

void client_routes_free(struct client_routes *r)
{
	free(r->v);
	*r = (struct client_routes){0};
}
