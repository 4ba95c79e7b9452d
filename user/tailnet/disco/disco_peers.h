/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DISCO_PEERS_H
#define SLUICE_TAILNET_DISCO_PEERS_H

#include "candidates.h"
#include "user/wireguard/crypto.h"
#include "user/wireguard/endpoint.h"
#include "user/wireguard/secret_pool.h"

/*
 * The peers that disco knows, by node key and by disco key. A disco key is a claim: a node tells the server
 * which one it has, and nobody asks it for a proof. So several peers may have the same, each of them counts, and
 * what follows from a key alone follows for none of them. Part of disco.c. Pure.
 */
#define DISCO_BUCKETS 4096

enum disco_secret { DISCO_SECRET_UNKNOWN, DISCO_SECRET_KNOWN, DISCO_SECRET_NONE };

struct path_peer {
	struct path_peer *next_node, *next_disco, *next_number; /* in their buckets */
	struct path_peer *next_active;
	bool active;
	uint32_t number; /* of nobody else, ever */
	uint8_t node[KEY_LEN], disco[KEY_LEN];
	enum disco_secret has_secret; /* none: the disco key is a point of low order */
	uint8_t *secret;	      /* that we share with who holds the disco key; once it is known */
	uint16_t region;
	struct candidates candidates; /* best: the path */
	struct endpoint path;	      /* of best, with our address as the peer last wrote to it */
	uint64_t doubted;      /* since when: it was heard from elsewhere, and the path has not answered; 0: not */
	struct endpoint rival; /* where it has answered meanwhile; port 0: nowhere */
	uint64_t trusted_until, sent, searched, called, answered;
	uint64_t quiet_at;		/* when what it has said is worked off (disco_limit.h) */
	struct addr_port came;		/* where WireGuard of its session came from last, straight; port 0: nowhere */
	uint8_t relay_tx[DISCO_TX_LEN]; /* of a ping by the relay */
	uint64_t relay_pinged;
};

struct disco_peers {
	struct secret_pool *secrets;
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN]; /* random, before anything else */
	uint32_t next_number;
	struct path_peer *by_node[DISCO_BUCKETS], *by_disco[DISCO_BUCKETS], *by_number[DISCO_BUCKETS];
};

void disco_peers_init(struct disco_peers *all);
struct path_peer *disco_peers_add(struct disco_peers *all, const uint8_t node[KEY_LEN]); /* without a disco key */
void disco_peers_remove(struct disco_peers *all, struct path_peer *p);			 /* frees and wipes it */
void disco_peers_free(struct disco_peers *all);
struct path_peer *disco_peers_find(const struct disco_peers *all, const uint8_t node[KEY_LEN]); /* NULL: unknown */
struct path_peer *disco_peers_numbered(const struct disco_peers *all, uint32_t number);		/* the same */

/* All zero: none. */
void disco_peers_set_key(struct disco_peers *all, struct path_peer *p, const uint8_t disco[KEY_LEN]);
/* One of those who hold a disco key; NULL: nobody does. */
struct path_peer *disco_peers_holder(const struct disco_peers *all, const uint8_t disco[KEY_LEN]);
/* It has a disco key, and nobody else has the same. */
bool disco_peers_is_sole(const struct disco_peers *all, const struct path_peer *p);

bool disco_peer_has_key(const struct path_peer *p);
/* NULL: it has no disco key, or one of low order, or no more memory may be locked. Computed once, when it is needed:
 * thousands of peers come at once, most of them stay silent, and a key that is good for nothing is not to cost more
 * than one that is good. */
const uint8_t *disco_peer_secret(struct disco_peers *all, struct path_peer *p, const uint8_t ours[KEY_LEN]);
/* Our disco key is another one: so are all secrets, and no path is to be trusted. */
void disco_peers_start_anew(struct disco_peers *all);

#endif
