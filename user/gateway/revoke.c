/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that a configuration takes out before it is in force, or though it never will be: a removal, the end of a
 * client's time and another key for it apply at once, whatever stands in the way of the rest. Only a configuration that
 * comes into force lets such a client in again, and none does while a later one waits that has taken it out.
 */
#include <stdlib.h>
#include <string.h>

#include "revoke.h"
#include "user/config/config_named.h"

/* The clients of one configuration, by who they are; where a key stands twice in files with mistakes, both. */
struct revocation {
	const struct config_client **index;
	size_t n;
	const struct config_named *named; /* of files with mistakes; NULL: the index has all clients */
	bool strict;
};

static int by_identity(const void *a, const void *b)
{
	return config_client_cmp(*(const struct config_client *const *)a, *(const struct config_client *const *)b);
}

static void revoke_index(struct revocation *r, const struct config *next)
{
	size_t n = next ? next->n_clients : 0;

	r->index = mem_alloc(n + 1, sizeof(*r->index));
	for (size_t i = 0; i < n; i++)
		if (!next->clients[i].mistaken)
			r->index[r->n++] = &next->clients[i];
	qsort(r->index, r->n, sizeof(*r->index), by_identity);
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

/* Applies one entry to the client that it names. */
static bool revoke_by_entry(const struct clients *all, struct client *c, const struct config_client *next, bool strict)
{
	if (next->expires && all->origin->ops->time(all->origin->ctx) >= next->expires)
		return true;
	if (strict && next->expires && (!c->until || next->expires < c->until))
		c->until = next->expires;
	return strict && !(has_all_addresses(next, c->config) && config_client_same_rights(c->config, next));
}

static bool revoke_loses(const struct clients *all, struct client *c, const struct revocation *r)
{
	const struct config_client *const *end = r->index + r->n, *const * is;
	bool loses = true;

	is = bsearch(&c->config, r->index, r->n, sizeof(*r->index), by_identity);
	if (!is)
		return !r->named || !(r->named->unsure || config_named_has(r->named, c->config->public_key));
	while (is > r->index && !by_identity(is - 1, is))
		is--;
	for (const struct config_client *const *first = is; is < end && !by_identity(first, is); is++)
		loses &= revoke_by_entry(all, c, *is, r->strict);
	return loses;
}

static size_t revoke(struct clients *all, const struct site *s, const struct revocation *r)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct client *c = &all->list[i];

		if (c->revoked || !revoke_loses(all, c, r))
			continue;
		c->revoked = true;
		n++;
	}
	clients_settle(all, s);
	return n;
}

size_t clients_revoke(struct clients *all, const struct site *s, const struct config *next, bool strict)
{
	struct revocation r = {.strict = strict};
	size_t n;

	if (all->origin->ops->netmap)
		return 0;
	revoke_index(&r, next);
	n = revoke(all, s, &r);
	free(r.index);
	return n;
}

/* Files that are no list of clients any more do not tell that there are none. */
static bool names_nobody(const struct clients *all, const struct config_named *named)
{
	for (size_t i = 0; i < all->n; i++)
		if (config_named_has(named, all->list[i].config->public_key))
			return false;
	return true;
}

size_t clients_revoke_unnamed(struct clients *all, const struct site *s, const char *file, struct config_named *named)
{
	struct revocation r = {.named = named, .strict = true};
	size_t n;

	if (all->origin->ops->netmap)
		return 0;
	if (!named->whole && !named->unsure && names_nobody(all, named))
		named->unsure = mem_printf("%s names none of the clients", file);
	revoke_index(&r, named->read);
	n = revoke(all, s, &r);
	free(r.index);
	return n;
}
