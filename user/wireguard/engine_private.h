/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ENGINE_PRIVATE_H
#define SLUICE_ENGINE_PRIVATE_H

#include <pthread.h>

#include "cookie.h"
#include "crypto.h"
#include "engine.h"
#include "noise.h"
#include "secret_pool.h"
#include "timers.h"

/* Shared by engine.c (handshakes, timers) and peer.c (who there is). */

struct peer { /* in locked memory */
	struct noise_peer noise;
	struct cookie_maker cookies;
	struct noise_state pending; /* our initiation that is not answered yet */
	uint32_t pending_index;	    /* 0: there is none */
	unsigned pending_forged;    /* answers to it that were none */
	unsigned cookies_forged;    /* the same of cookies, since our last message */

	uint32_t id;
	struct engine *engine;
	struct transport *transport;
	struct peer *next; /* in the bucket */

	struct endpoint endpoint;  /* as far as the engine knows */
	uint32_t endpoint_version; /* of the worker's, when last looked at */

	struct peer_timers timers;
	struct timer_entry timer;

	uint8_t timestamp[TIMESTAMP_LEN];      /* the greatest received */
	uint8_t sent_timestamp[TIMESTAMP_LEN]; /* the last one sent */
	uint64_t initiation_read;	       /* when an initiation was last answered, mono */

	struct made {	       /* the last sessions */
		uint64_t wall; /* 0: none */
		uint64_t mono;
		bool initiator; /* a responder's counts when it is confirmed */
	} made, made_before;
};

struct own { /* in locked memory */
	struct noise_identity identity;
};

struct slot { /* of a peer id: taken as long as there is a transport */
	struct peer *peer;
	struct transport *transport;
};

struct engine {
	pthread_mutex_t lock; /* recursive: functions of engine.h use each other */
	const struct engine_ops *ops;
	void *ctx;
	struct secret_pool *own_pool, *peer_pool, *session_pool;

	struct own *own;
	bool has_identity;
	bool under_load;
	bool fixed; /* of new transports */

	struct index_table indices; /* -> struct transport: of sessions and of initiations */
	struct timer_queue timers;
	uint64_t next; /* when engine_tick() is called again */
	struct allowedips_set *allowed;
	bool allowed_changed;

	struct slot *slots;
	size_t n_slots;
	size_t first_free; /* no free slot is below */
	size_t n_peers;

	struct peer **buckets; /* by public key; as many as there are slots */
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN];
};

/* Holds the lock until the block ends. */
struct engine *engine_enter(const struct engine *e);
void engine_leave(struct engine **e);
#define ENGINE_LOCKED(e) struct engine *locked __attribute__((cleanup(engine_leave), unused)) = engine_enter(e)

void engine_random(struct engine *e, void *buf, size_t len);
void engine_command(struct engine *e, const struct peer *p, struct transport_command c);

/* A random index that nobody has, for a peer; 0: no memory. */
uint32_t engine_take_index(struct engine *e, struct transport *t);
void engine_free_index(struct engine *e, uint32_t index, const struct transport *t);

/* Forgets our unanswered initiation and its retries. */
void engine_abandon(struct engine *e, struct peer *p);
/* Begins a handshake unless one is under way, now or as soon as it is allowed. */
void engine_begin(struct engine *e, struct peer *p, const struct engine_time *now);
/* Puts the peer's next due time into the queue. */
void engine_schedule(struct engine *e, struct peer *p, uint64_t now);

/* Takes over where the worker last heard from the peer. */
void peer_look_at_endpoint(struct peer *p);
void peer_free_all(struct engine *e);
/* The identity changed: all that was derived from it does, too. */
void peer_new_identity(struct engine *e);

#endif
