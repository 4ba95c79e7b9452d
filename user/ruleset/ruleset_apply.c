/* SPDX-License-Identifier: BSD-2-Clause */
/* A ruleset into the maps, of the gateway or of a scratch instance. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/kernel/maps.h"
#include "ruleset.h"

static uint32_t at_most_u32(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* What the policy says for the @i-th client; all zero: nothing. */
static struct quota quota_of(const struct ruleset *r, size_t i)
{
	const struct policy_quota *q = ruleset_quota(r, i);

	return q ? (struct quota){q->packets, q->bytes, at_most_u32(q->flows), at_most_u32(q->new_flows)}
		 : (struct quota){0};
}

static struct client_class *fill_classes(const struct ruleset *r, const struct config *config, const uint32_t *ids)
{
	struct client_class *classes = mem_alloc(MAX_CLIENTS, sizeof(*classes));

	for (size_t i = 0; i < config->n_clients; i++)
		if (ids[i] && ids[i] < MAX_CLIENTS)
			classes[ids[i]] = (struct client_class){
				.class = r->reach.t->class_of[i],
				.pool = ruleset_pool(r, config, i),
				.quota = quota_of(r, i),
			};
	return classes;
}

static struct maps_acl *fill_acl(const struct tables *t)
{
	struct maps_acl *acl = mem_alloc(t->n_entries, sizeof(*acl));

	for (size_t i = 0; i < t->n_entries; i++) {
		const struct tables_entry *e = &t->entries[i];

		acl[i] = (struct maps_acl){
			.class = ntohl(e->key.class),
			.dst = {.addr = e->key.dst, .len = e->key.prefixlen - KEY_BITS},
			.first = e->value.first,
			.count = e->value.count,
			.flags = e->value.flags,
		};
	}
	return acl;
}

static struct maps_route *fill_routes(const struct ruleset *r, const struct config *config, size_t *n)
{
	struct maps_route *routes = mem_alloc(config->n_routes, sizeof(*routes));

	*n = 0;
	for (size_t i = 0; i < config->n_routes; i++)
		if (r->approved_by[i])
			routes[(*n)++] = (struct maps_route){config->routes[i].prefix,
							     {.pool = ROUTE_POOL_OF_CLIENT, .id = (uint32_t)i}};
	return routes;
}

bool ruleset_lay_blocked(struct ruleset *r, struct maps *maps, char **error)
{
	r->laid = maps_blocked_make(maps, r->blocked.all.v, r->blocked.all.n, error);
	return r->laid;
}

/* ---- all of it ----------------------------------------------------------------------- */

struct columns { /* a policy as the maps take it, and its memory */
	struct client_class *classes;
	struct maps_acl *acl;
	struct maps_route *routes;
	struct maps_policy policy;
};

static void fill(struct columns *c, const struct ruleset *r, const struct config *config, const uint32_t *ids)
{
	size_t n_routes;

	c->classes = fill_classes(r, config, ids);
	c->acl = fill_acl(r->reach.t);
	c->routes = fill_routes(r, config, &n_routes);
	c->policy = (struct maps_policy){
		.classes = c->classes,
		.n_classes = MAX_CLIENTS,
		.acl = c->acl,
		.n_acl = r->reach.t->n_entries,
		.rules = r->reach.t->rules,
		.n_rules = r->reach.t->n_rules,
		.routes = c->routes,
		.n_routes = n_routes,
		.blocked = r->laid,
	};
}

static void empty(struct columns *c)
{
	free(c->classes);
	free(c->acl);
	free(c->routes);
}

struct ruleset_laid {
	struct maps *maps;
	struct maps_swap *swap;
};

bool ruleset_lay(struct ruleset *r, const struct config *config, const uint32_t *ids, struct maps *maps, char **error)
{
	struct ruleset_laid *laid = mem_alloc(1, sizeof(*laid));
	struct columns c;
	int err;

	fill(&c, r, config, ids);
	err = maps_policy_prepare(maps, &c.policy, &laid->swap, error);
	empty(&c);
	if (err) {
		free(laid);
		return false;
	}
	laid->maps = maps;
	r->tables = laid;
	return true;
}

int ruleset_switch(struct ruleset *r, uint32_t *generation, char **error)
{
	return maps_swap_do(r->tables->maps, r->tables->swap, generation, error);
}

struct ruleset_laid *ruleset_take_laid(struct ruleset *r)
{
	struct ruleset_laid *laid = r->tables;

	r->tables = NULL;
	return laid;
}

void ruleset_unlay(struct ruleset_laid *laid)
{
	if (!laid)
		return;
	maps_swap_end(laid->maps, laid->swap);
	free(laid);
}

int ruleset_apply(struct ruleset *r, const struct config *config, const uint32_t *ids, bool blocked, struct maps *maps,
		  uint32_t *generation, char **error)
{
	struct columns c;
	int err;

	if (blocked && !r->laid && !ruleset_lay_blocked(r, maps, error))
		return -ENOMEM;
	fill(&c, r, config, ids);
	err = maps_policy_apply(maps, &c.policy, generation, error);
	empty(&c);
	maps_blocked_free(r->laid);
	r->laid = NULL;
	return err;
}
