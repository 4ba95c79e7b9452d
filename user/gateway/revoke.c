/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is out by a configuration that is not in force yet, or never will be: a removal, the end of a client's time and
 * another key for it apply at once, whatever stands in the way of the rest. Only a configuration that comes into force
 * lets such a client in again, and none does while a later one waits that has taken it out.
 */
#include <stdlib.h>

#include "gateway.h"

static int by_identity(const void *a, const void *b)
{
	return config_client_cmp(*(const struct config_client *const *)a, *(const struct config_client *const *)b);
}

static bool has_all_addresses(const struct config_client *next, const struct config_client *now)
{
	for (size_t i = 0; i < now->addresses.n; i++) {
		bool has = false;

		for (size_t k = 0; k < next->addresses.n; k++)
			has |= !addr_cmp(&next->addresses.v[k], &now->addresses.v[i]);
		if (!has)
			return false;
	}
	return true;
}

/* @next: the client's entry in that configuration; NULL: none. */
static bool revoke_loses(const struct gateway *g, const struct config_client *now, const struct config_client *next,
			 bool strict)
{
	if (!next || (next->expires && membership_time(g) >= next->expires))
		return true;
	return strict && !(has_all_addresses(next, now) && config_client_same_rights(now, next));
}

void clients_revoke(struct gateway *g, const struct config *next, bool strict)
{
	const struct config_client **index;

	if (g->membership)
		return;
	index = mem_alloc(next->n_clients + 1, sizeof(*index));
	for (size_t i = 0; i < next->n_clients; i++)
		index[i] = &next->clients[i];
	qsort(index, next->n_clients, sizeof(*index), by_identity);
	for (size_t i = 0; i < g->clients.n; i++) {
		struct client *c = &g->clients.list[i];
		const struct config_client **is =
			bsearch(&c->config, index, next->n_clients, sizeof(*index), by_identity);

		c->revoked = c->revoked || revoke_loses(g, c->config, is ? *is : NULL, strict);
	}
	free(index);
	clients_settle(g);
}
