/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers by id and by public key, and the settings of each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "user/base/clock.h"

#define FIRST_SLOTS 64

/* ---- looking up ---- */

static struct peer **peer_bucket_of(const struct engine *e, const uint8_t public[KEY_LEN])
{
	return &e->buckets[crypto_short_hash(e->hash_key, public, KEY_LEN) & (e->n_slots - 1)];
}

struct peer *engine_peer(const struct engine *e, const uint8_t public[KEY_LEN])
{
	ENGINE_LOCKED(e);
	struct peer *p;

	if (!e->n_slots)
		return NULL;
	p = *peer_bucket_of(e, public);
	while (p && memcmp(p->noise.public, public, KEY_LEN))
		p = p->next;
	return p;
}

struct peer *engine_peer_by_id(const struct engine *e, uint32_t id)
{
	ENGINE_LOCKED(e);

	return id < e->n_slots ? e->slots[id].peer : NULL;
}

struct peer *engine_peer_next(const struct engine *e, const struct peer *after)
{
	ENGINE_LOCKED(e);

	for (size_t id = after ? after->id + 1 : 0; id < e->n_slots; id++) {
		if (e->slots[id].peer)
			return e->slots[id].peer;
	}
	return NULL;
}

size_t engine_peer_count(const struct engine *e)
{
	ENGINE_LOCKED(e);

	return e->n_peers;
}

/* ---- coming ---- */

static void enter_bucket(struct engine *e, struct peer *p)
{
	struct peer **bucket = peer_bucket_of(e, p->noise.public);

	p->next = *bucket;
	*bucket = p;
}

/* Twice the slots and buckets. */
static bool peer_grow(struct engine *e)
{
	size_t n = e->n_slots ? 2 * e->n_slots : FIRST_SLOTS;
	struct peer **buckets = calloc(n, sizeof(struct peer *));
	struct slot *slots = reallocarray(e->slots, n, sizeof(*slots));

	if (slots) {
		e->slots = slots;
		memset(slots + e->n_slots, 0, (n - e->n_slots) * sizeof(*slots));
	}
	if (!slots || !buckets || !timer_queue_reserve(&e->timers, n)) {
		free(buckets);
		return false;
	}
	free(e->buckets);
	e->buckets = buckets;
	e->n_slots = n;
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p))
		enter_bucket(e, p);
	return true;
}

static bool find_free_slot(struct engine *e, uint32_t *id)
{
	while (e->first_free < e->n_slots && e->slots[e->first_free].transport)
		e->first_free++;
	if (e->first_free == e->n_slots && !peer_grow(e))
		return false;
	*id = (uint32_t)e->first_free;
	return true;
}

static struct peer *make_peer(struct engine *e, const uint8_t public[KEY_LEN], uint32_t id)
{
	struct peer *p = secret_alloc(e->peer_pool);
	struct transport *t = aligned_alloc(_Alignof(struct transport), sizeof(*t));

	if (!p || !t) {
		secret_free(e->peer_pool, p);
		free(t);
		errno = ENOMEM;
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	t->peer = id;
	t->fixed = e->fixed;
	t->worker = e->ops->worker(e->ctx, id);
	p->id = id;
	p->engine = e;
	p->transport = t;
	noise_peer_init(&p->noise, public, &e->own->identity);
	cookie_maker_init(&p->cookies, public);
	return p;
}

struct peer *engine_peer_add(struct engine *e, const uint8_t public[KEY_LEN])
{
	ENGINE_LOCKED(e);
	struct peer *p;
	uint32_t id;

	if (e->has_identity && crypto_equal(public, e->own->identity.public, KEY_LEN)) {
		errno = EINVAL;
		return NULL;
	}
	if (engine_peer(e, public)) {
		errno = EEXIST;
		return NULL;
	}
	if (!find_free_slot(e, &id))
		return NULL;
	p = make_peer(e, public, id);
	if (!p)
		return NULL;
	e->slots[id] = (struct slot){p, p->transport};
	e->n_peers++;
	enter_bucket(e, p);
	engine_command(e, p, (struct transport_command){.op = TRANSPORT_ADD});
	return p;
}

/* ---- going ---- */

/* The slot stays taken until the worker lets go of the transport. */
void engine_peer_remove(struct engine *e, struct peer *p)
{
	ENGINE_LOCKED(e);
	struct peer **at = peer_bucket_of(e, p->noise.public);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	e->slots[p->id].peer = NULL;
	e->n_peers--;
	timer_queue_set(&e->timers, &p->timer, UINT64_MAX);
	engine_peer_disallow_all(e, p);
	engine_abandon(e, p);
	engine_command(e, p, (struct transport_command){.op = TRANSPORT_REMOVE});
	secret_free(e->peer_pool, p);
}

void engine_remove_all(struct engine *e)
{
	ENGINE_LOCKED(e);
	struct peer *p;

	while ((p = engine_peer_next(e, NULL)))
		engine_peer_remove(e, p);
}

void peer_free_all(struct engine *e)
{
	for (size_t id = 0; id < e->n_slots; id++) {
		if (e->slots[id].transport)
			transport_drop_staged(e->slots[id].transport);
		free(e->slots[id].transport);
	}
	free(e->slots);
	free(e->buckets);
}

void peer_new_identity(struct engine *e)
{
	struct peer *self = e->has_identity ? engine_peer(e, e->own->identity.public) : NULL;

	if (self)
		engine_peer_remove(e, self);
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p)) {
		noise_peer_init(&p->noise, p->noise.public, &e->own->identity);
		engine_abandon(e, p);
		p->timers.zero_keys_at = 0;
		engine_command(e, p, (struct transport_command){.op = TRANSPORT_CLEAR});
	}
}

/* ---- setting ---- */

void engine_peer_set_psk(struct engine *e, struct peer *p, const uint8_t psk[KEY_LEN], const struct engine_time *now)
{
	ENGINE_LOCKED(e);

	if (crypto_equal(p->noise.psk, psk, KEY_LEN))
		return;
	memcpy(p->noise.psk, psk, KEY_LEN);
	if (p->timers.zero_keys_at)
		engine_begin(e, p, now);
}

void peer_look_at_endpoint(struct peer *p)
{
	struct endpoint seen;
	uint32_t version = endpoint_read(&p->transport->published, &seen);

	if (version == p->endpoint_version)
		return;
	p->endpoint_version = version;
	p->endpoint = seen;
}

void engine_peer_set_endpoint(struct engine *e, struct peer *p, const struct endpoint *to)
{
	ENGINE_LOCKED(e);

	peer_look_at_endpoint(p);
	p->endpoint = *to;
	engine_command(e, p, (struct transport_command){.op = TRANSPORT_ENDPOINT, .endpoint = *to});
}

void engine_peer_set_keepalive(struct engine *e, struct peer *p, uint16_t seconds, const struct engine_time *now)
{
	ENGINE_LOCKED(e);
	bool on = seconds && !p->timers.persistent;

	p->timers.persistent = seconds * NS_PER_SEC;
	if (on) {
		p->timers.persistent_sent = now->mono;
		engine_command(e, p, (struct transport_command){.op = TRANSPORT_SEND_KEEPALIVE});
	}
	engine_schedule(e, p, now->mono);
}

/* ---- allowed IPs ---- */

bool engine_peer_allow(struct engine *e, struct peer *p, const struct prefix *prefix)
{
	ENGINE_LOCKED(e);

	e->allowed_changed = true;
	return allowedips_give(e->allowed, prefix, p->id);
}

void engine_peer_disallow(struct engine *e, struct peer *p, const struct prefix *prefix)
{
	ENGINE_LOCKED(e);

	e->allowed_changed = true;
	allowedips_take(e->allowed, prefix, p->id);
}

void engine_peer_disallow_all(struct engine *e, struct peer *p)
{
	ENGINE_LOCKED(e);

	e->allowed_changed = true;
	allowedips_take_all(e->allowed, p->id);
}

const struct prefix *engine_peer_each_allowed(const struct engine *e, const struct peer *p, const void **cursor)
{
	ENGINE_LOCKED(e);

	return allowedips_each(e->allowed, p->id, cursor);
}

bool engine_publish_allowed(struct engine *e)
{
	ENGINE_LOCKED(e);
	struct allowedips *snapshot;

	if (!e->allowed_changed)
		return true;
	snapshot = allowedips_snapshot(e->allowed);
	if (!snapshot)
		return false;
	e->allowed_changed = false;
	e->ops->allowed(e->ctx, snapshot);
	return true;
}

/* ---- looking at ---- */

/* A handshake that we answered counts once the peer has used it. */
static uint64_t last_handshake(const struct peer *p)
{
	uint64_t confirmed = atomic_load_explicit(&p->transport->stamps.confirmed, memory_order_relaxed);

	return p->made.initiator || confirmed >= p->made.mono ? p->made.wall : p->made_before.wall;
}

void engine_peer_state(const struct engine *e, const struct peer *p, struct engine_peer_state *out)
{
	ENGINE_LOCKED(e);
	const struct transport_stamps *s = &p->transport->stamps;
	struct endpoint endpoint;

	if (endpoint_read(&p->transport->published, &endpoint) == p->endpoint_version)
		endpoint = p->endpoint;
	*out = (struct engine_peer_state){
		.id = p->id,
		.worker = p->transport->worker,
		.has_psk = !key_is_zero(p->noise.psk),
		.endpoint = endpoint,
		.keepalive = (uint16_t)(p->timers.persistent / NS_PER_SEC),
		.last_handshake = last_handshake(p),
		.last_received = atomic_load_explicit(&s->last_received, memory_order_relaxed),
		.tx_bytes = atomic_load_explicit(&s->tx_bytes, memory_order_relaxed),
		.rx_bytes = atomic_load_explicit(&s->rx_bytes, memory_order_relaxed),
	};
	memcpy(out->public, p->noise.public, KEY_LEN);
	memcpy(out->timestamp, p->timestamp, TIMESTAMP_LEN);
}

uint32_t engine_peer_id(const struct peer *p)
{
	return p->id;
}

const struct transport *engine_peer_transport(const struct peer *p)
{
	return p->transport;
}

void engine_peer_psk(const struct peer *p, uint8_t psk[KEY_LEN])
{
	memcpy(psk, p->noise.psk, KEY_LEN);
}

void engine_peer_restore_timestamp(struct peer *p, const uint8_t timestamp[TIMESTAMP_LEN])
{
	ENGINE_LOCKED(p->engine);

	if (memcmp(timestamp, p->timestamp, TIMESTAMP_LEN) > 0)
		memcpy(p->timestamp, timestamp, TIMESTAMP_LEN);
}
