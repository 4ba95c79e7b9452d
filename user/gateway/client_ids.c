/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The id of a client stays while its flows may live, also over a restart: the pinned map of addresses remembers it.
 * Those that stay keep theirs, so that newcomers never take one that is in use.
 */
#include <stdlib.h>

#include "client_ids.h"

static int compare_identities(const void *a, const void *b)
{
	return config_client_cmp(((const struct identity *)a)->config, ((const struct identity *)b)->config);
}

const struct identity *identity_find(const struct identity *index, size_t n, const struct config_client *c)
{
	struct identity wanted = {.config = c};

	return bsearch(&wanted, index, n, sizeof(*index), compare_identities);
}

void identity_running(struct identity *index, const struct clients *all)
{
	for (size_t i = 0; i < all->n; i++)
		index[i] = (struct identity){all->list[i].config, &all->list[i]};
	qsort(index, all->n, sizeof(*index), compare_identities);
}

void identity_configured(struct identity *index, const struct config *config)
{
	for (size_t i = 0; i < config->n_clients; i++)
		index[i] = (struct identity){.config = &config->clients[i]};
	qsort(index, config->n_clients, sizeof(*index), compare_identities);
}

static int compare_pinned(const void *a, const void *b)
{
	return prefix_cmp(&((const struct pinned_address *)a)->prefix, &((const struct pinned_address *)b)->prefix);
}

static bool pinned_take(void *arg, const struct prefix *p, uint32_t client)
{
	struct pinned *s = arg;

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct pinned_address *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return false;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct pinned_address){*p, client};
	return true;
}

void pinned_read(struct pinned *pinned, struct maps *maps)
{
	maps_client_each(maps, pinned_take, pinned);
	if (pinned->n)
		qsort(pinned->v, pinned->n, sizeof(*pinned->v), compare_pinned);
}

/* The id that @c had before, by any of its addresses; 0: none, or another has it now. @s is sorted. */
static uint32_t former_id(const struct clients *all, const struct pinned *s, const bool *taken,
			  const struct config_client *c)
{
	for (size_t i = 0; i < c->addresses.n; i++) {
		const struct pinned_address wanted = {.prefix = {c->addresses.v[i], 128}};
		const struct pinned_address *was =
			s->n ? bsearch(&wanted, s->v, s->n, sizeof(*s->v), compare_pinned) : NULL;

		if (was && was->client < MAX_CLIENTS && !all->by_id[was->client] && !taken[was->client])
			return was->client;
	}
	return 0;
}

/* An id that no client has. The id of a client that is being removed is not free yet: rules come into force before
 * clients do. */
static uint32_t free_id(const struct clients *all, const bool *taken)
{
	for (uint32_t id = 1; id < CLIENT_GATEWAY; id++)
		if (!all->by_id[id] && !taken[id])
			return id;
	return 0;
}

uint32_t *client_ids_plan(const struct clients *all, const struct config *next, const struct pinned *pinned)
{
	struct identity *index = mem_alloc(all->n + 1, sizeof(*index));
	uint32_t *ids = mem_alloc(next->n_clients + 1, sizeof(*ids));
	bool *taken = mem_alloc(MAX_CLIENTS, sizeof(*taken));

	identity_running(index, all);
	for (size_t i = 0; i < next->n_clients; i++) {
		const struct identity *was = identity_find(index, all->n, &next->clients[i]);

		ids[i] = was ? was->client->id : 0;
		taken[ids[i]] = true;
	}
	for (size_t i = 0; i < next->n_clients; i++) {
		if (ids[i])
			continue;
		ids[i] = former_id(all, pinned, taken, &next->clients[i]) ?: free_id(all, taken);
		taken[ids[i]] = true;
	}
	free(taken);
	free(index);
	return ids;
}

uint32_t *clients_ids(const struct clients *all, const struct config *next)
{
	static const struct pinned none;

	return client_ids_plan(all, next, &none);
}
