/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of a configuration that a netmap fills in (config.h; netmap_config.c fills it). */
#include "config.h"

#include <stdlib.h>

#include "policy/filter.h"
#include "policy/inventory.h"

void config_netmap_free(struct config_netmap *nm)
{
	if (!nm)
		return;
	filter_free(nm->rules);
	free(nm->serves);
	arena_free(&nm->mem);
	free(nm);
}

static bool has_route(const struct filter_rule *r, const struct prefix *route)
{
	for (size_t i = 0; i < r->n_dst; i++)
		if (prefix_overlaps(&r->dst[i].prefix, route))
			return true;
	return false;
}

/*
 * A node is told which of its routes it serves. But headscale (0.28) does not tell
 * it when that changes, and only if the rules let that very node in there; so that
 * the rules let others in is enough, as it is for tailscaled. A server that has not
 * approved a route gives it to no client. (A default route is told to every node
 * that serves it, and rules for "*" say nothing about it.)
 */
const char *config_netmap_serves(const struct config *cfg, const struct prefix *route)
{
	const struct config_netmap *nm = cfg->netmap;

	for (size_t i = 0; i < nm->n_serves; i++)
		if (prefix_covers(&nm->serves[i], route))
			return "coordination server";
	for (size_t i = 0; i < nm->rules->n && !inventory_is_default_route(route); i++)
		if (has_route(&nm->rules->rules[i], route))
			return "coordination server, by its rules";
	return NULL;
}
