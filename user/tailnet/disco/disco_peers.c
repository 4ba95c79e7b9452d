/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers by node key and by disco key (disco_peers.h). */
#include <stdlib.h>
#include <string.h>

#include "disco_peers.h"
#include "policy/alloc.h"

/* The keys are chosen by anyone who may add nodes to the tailnet. */
static size_t bucket(const struct disco_peers *all, const uint8_t key[KEY_LEN])
{
	return crypto_short_hash(all->hash_key, key, KEY_LEN) % DISCO_BUCKETS;
}

struct path_peer *disco_peers_find(const struct disco_peers *all, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = all->by_node[bucket(all, node)];

	while (p && memcmp(p->node, node, KEY_LEN) != 0)
		p = p->next_node;
	return p;
}

void disco_peers_init(struct disco_peers *all)
{
	all->secrets = secret_pool_new(KEY_LEN);
	if (!all->secrets)
		abort(); /* as mem_alloc() does */
}

struct path_peer *disco_peers_add(struct disco_peers *all, const uint8_t node[KEY_LEN])
{
	struct path_peer *p = mem_alloc(1, sizeof(*p));
	size_t b = bucket(all, node);

	memcpy(p->node, node, KEY_LEN);
	p->candidates.best = -1;
	p->next_node = all->by_node[b];
	all->by_node[b] = p;
	p->number = all->next_number++;
	p->next_number = all->by_number[p->number % DISCO_BUCKETS];
	all->by_number[p->number % DISCO_BUCKETS] = p;
	return p;
}

struct path_peer *disco_peers_numbered(const struct disco_peers *all, uint32_t number)
{
	struct path_peer *p = all->by_number[number % DISCO_BUCKETS];

	while (p && p->number != number)
		p = p->next_number;
	return p;
}

/* It is not known what we share with this peer. */
static void forget_secret(struct disco_peers *all, struct path_peer *p)
{
	secret_free(all->secrets, p->secret);
	p->secret = NULL;
	p->has_secret = DISCO_SECRET_UNKNOWN;
}

static void free_peer(struct disco_peers *all, struct path_peer *p)
{
	forget_secret(all, p);
	free(p);
}

static void unlink_disco(struct disco_peers *all, struct path_peer *p)
{
	struct path_peer **at = &all->by_disco[bucket(all, p->disco)];

	while (*at && *at != p)
		at = &(*at)->next_disco;
	if (*at)
		*at = p->next_disco;
}

void disco_peers_remove(struct disco_peers *all, struct path_peer *p)
{
	struct path_peer **at = &all->by_node[bucket(all, p->node)], **number;

	while (*at != p)
		at = &(*at)->next_node;
	*at = p->next_node;
	for (number = &all->by_number[p->number % DISCO_BUCKETS]; *number != p; number = &(*number)->next_number)
		;
	*number = p->next_number;
	unlink_disco(all, p);
	free_peer(all, p);
}

void disco_peers_free(struct disco_peers *all)
{
	for (size_t b = 0; b < DISCO_BUCKETS; b++) {
		while (all->by_node[b]) {
			struct path_peer *p = all->by_node[b];

			all->by_node[b] = p->next_node;
			free_peer(all, p);
		}
	}
	secret_pool_free(all->secrets);
	all->secrets = NULL;
}

/* ---- disco keys --------------------------------------------------------------------------- */

bool disco_peer_has_key(const struct path_peer *p)
{
	return !key_is_zero(p->disco);
}

void disco_peers_set_key(struct disco_peers *all, struct path_peer *p, const uint8_t disco[KEY_LEN])
{
	size_t b = bucket(all, disco);

	unlink_disco(all, p);
	memcpy(p->disco, disco, KEY_LEN);
	forget_secret(all, p);
	if (!disco_peer_has_key(p))
		return;
	p->next_disco = all->by_disco[b];
	all->by_disco[b] = p;
}

static struct path_peer *holder_from(struct path_peer *p, const uint8_t disco[KEY_LEN])
{
	while (p && memcmp(p->disco, disco, KEY_LEN) != 0)
		p = p->next_disco;
	return p;
}

struct path_peer *disco_peers_holder(const struct disco_peers *all, const uint8_t disco[KEY_LEN])
{
	return holder_from(all->by_disco[bucket(all, disco)], disco);
}

bool disco_peers_is_sole(const struct disco_peers *all, const struct path_peer *p)
{
	return disco_peer_has_key(p) && disco_peers_holder(all, p->disco) == p && !holder_from(p->next_disco, p->disco);
}

const uint8_t *disco_peer_secret(struct disco_peers *all, struct path_peer *p, const uint8_t ours[KEY_LEN])
{
	if (p->has_secret != DISCO_SECRET_UNKNOWN)
		return p->secret;
	p->secret = disco_peer_has_key(p) ? secret_alloc(all->secrets) : NULL;
	if (p->secret && disco_shared(ours, p->disco, p->secret)) {
		p->has_secret = DISCO_SECRET_KNOWN;
		return p->secret;
	}
	if (p->secret || !disco_peer_has_key(p)) {
		forget_secret(all, p);
		p->has_secret = DISCO_SECRET_NONE;
	}
	return NULL;
}

void disco_peers_start_anew(struct disco_peers *all)
{
	for (size_t b = 0; b < DISCO_BUCKETS; b++)
		for (struct path_peer *p = all->by_node[b]; p; p = p->next_node) {
			forget_secret(all, p);
			p->trusted_until = 0;
		}
}
