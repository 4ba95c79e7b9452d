/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CLIENT_IDS_H
#define SLUICE_CLIENT_IDS_H

#include "clients.h"

/* Ten thousand clients are looked up among ten thousand: in an index, sorted by who they are. */
struct identity {
	const struct config_client *config;
	struct client *client; /* NULL in an index of configured clients */
};

/* Of the running clients, and of configured ones; @index has room for all of them. */
void identity_running(struct identity *index, const struct clients *all);
void identity_configured(struct identity *index, const struct config *config);
/* NULL: the index of @n does not have it. */
const struct identity *identity_find(const struct identity *index, size_t n, const struct config_client *c);

struct pinned { /* what an earlier run left in the map of clients */
	struct pinned_address {
		struct prefix prefix;
		uint32_t client;
	} *v;
	size_t n, cap;
};

/* @pinned is zero; its list is to be freed. */
void pinned_read(struct pinned *pinned, struct maps *maps);

/* An id for each client of @next, 0 where none is free. To be freed. */
uint32_t *client_ids_plan(const struct clients *all, const struct config *next, const struct pinned *pinned);

#endif
