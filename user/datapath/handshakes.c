/* SPDX-License-Identifier: BSD-2-Clause */
#include "handshakes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "retired.h"
#include "worker.h"
#include "user/base/log.h"
#include "user/wireguard/crypto.h"
#include "user/wireguard/secret_pool.h"
#include "user/base/clock.h"

#define MESSAGES_A_TURN 16
#define ANSWERS_OF	4 /* one message of so many is not an answer, where others wait */

/* ---- lanes -------------------------------------------------------------------- */

void handshakes_wake(struct handshakes *h)
{
	worker_ring(h->event);
}

bool handshakes_put(struct handshakes *h, enum lane lane, const void *msg, size_t len, const struct endpoint *from)
{
	struct handshake_ring *r = &h->lanes[lane];
	struct handshake *place;
	bool room;

	if (len > HANDSHAKE_MAX_LEN)
		return false;
	pthread_mutex_lock(&h->lanes_lock);
	room = r->n < LANE_SIZE;
	if (room) {
		place = &r->messages[(r->first + r->n++) % LANE_SIZE];
		place->len = (uint16_t)len;
		memcpy(place->message, msg, len);
		place->from = *from;
	}
	pthread_mutex_unlock(&h->lanes_lock);
	if (room)
		handshakes_wake(h);
	return room;
}

/*
 * The next message; LANES: there is none. Answers come first, but every fourth time behind the proven: whoever sees an
 * index of ours on the wire can send forged ones at any rate.
 */
static enum lane handshakes_take(struct handshakes *h, struct handshake *out)
{
	enum lane lane;

	pthread_mutex_lock(&h->lanes_lock);
	lane = h->taken++ % ANSWERS_OF == ANSWERS_OF - 1 ? LANE_PROVEN : LANE_ANSWERS;
	while (lane < LANES && !h->lanes[lane].n)
		lane++;
	if (lane == LANES && h->lanes[LANE_ANSWERS].n)
		lane = LANE_ANSWERS;
	if (lane < LANES) {
		struct handshake_ring *r = &h->lanes[lane];

		*out = r->messages[r->first];
		r->first = (r->first + 1) % LANE_SIZE;
		r->n--;
	}
	pthread_mutex_unlock(&h->lanes_lock);
	return lane;
}

bool handshakes_relayed(struct handshakes *h, const void *msg, size_t len, const struct endpoint *from)
{
	return gate_source_allow(h->relayed, from, clock_now()) && handshakes_put(h, LANE_RELAYED, msg, len, from);
}

/* ---- the keys of the gate ------------------------------------------------------- */

static void release_keys(void *ctx, void *keys)
{
	struct handshakes *h = ctx;

	pthread_mutex_lock(&h->keys_lock);
	secret_free(h->keys_pool, keys);
	pthread_mutex_unlock(&h->keys_lock);
}

/* With the lock held. Without memory workers go on with the ones they have. */
static void publish_keys(struct handshakes *h)
{
	struct gate_keys *snapshot = secret_alloc(h->keys_pool);
	const struct gate_keys *old;

	if (!snapshot) {
		log_error("handshakes: no memory for new keys of the gate");
		return;
	}
	*snapshot = *h->own;
	h->site.keys(h->site.ctx, snapshot);
	old = atomic_exchange(&h->keys, snapshot);
	if (old)
		retired_add(h->site.retired, (void *)old, release_keys, h);
}

void handshakes_identity(struct handshakes *h, const uint8_t public[KEY_LEN], bool valid)
{
	pthread_mutex_lock(&h->keys_lock);
	gate_keys_init(h->own, public, valid);
	publish_keys(h);
	pthread_mutex_unlock(&h->keys_lock);
	handshakes_wake(h); /* it makes a secret */
}

/* Returns when the next secret is due. */
static uint64_t renew_keys(struct handshakes *h, uint64_t now)
{
	uint8_t secret[KEY_LEN];
	uint64_t due;

	pthread_mutex_lock(&h->keys_lock);
	if (h->own->valid && gate_keys_stale(h->own, now)) {
		crypto_random(secret, sizeof(secret));
		gate_keys_renew(h->own, secret, now);
		crypto_wipe(secret, sizeof(secret));
		publish_keys(h);
	}
	due = h->own->valid ? gate_keys_next(h->own) : UINT64_MAX;
	pthread_mutex_unlock(&h->keys_lock);
	return due;
}

/* ---- the thread ----------------------------------------------------------------- */

enum drop_reason handshakes_drop_reason(enum engine_result result)
{
	static const enum drop_reason reasons[] = {
		[ENGINE_BAD_LENGTH] = DROP_WG_LENGTH,	    [ENGINE_BAD_TYPE] = DROP_WG_TYPE,
		[ENGINE_BAD_MAC1] = DROP_WG_MAC1,	    [ENGINE_RATE_LIMITED] = DROP_WG_RATE,
		[ENGINE_FORGED] = DROP_WG_HANDSHAKE,	    [ENGINE_UNKNOWN_PEER] = DROP_WG_HANDSHAKE,
		[ENGINE_OLD_TIMESTAMP] = DROP_WG_HANDSHAKE, [ENGINE_FLOOD] = DROP_WG_RATE,
		[ENGINE_UNKNOWN_INDEX] = DROP_WG_INDEX,	    [ENGINE_NO_IDENTITY] = DROP_WG_HANDSHAKE,
		[ENGINE_NO_MEMORY] = DROP_WG_BUSY,
	};

	return reasons[result];
}

/* Workers have not seen what a relay brought: the gate is here. */
static enum engine_result judge_relayed(struct handshakes *h, const struct handshake *m, uint64_t now)
{
	struct message_cookie reply;
	uint8_t nonce[XNONCE_LEN];
	enum engine_result result;
	bool proven;

	crypto_random(nonce, sizeof(nonce));
	pthread_mutex_lock(&h->keys_lock);
	result = gate_judge(h->own, h->sources, &h->load, m->message, m->len, &m->from, now, &proven);
	if (result == ENGINE_COOKIE_SENT)
		gate_cookie(h->own, &reply, m->message, m->len, &m->from, nonce);
	pthread_mutex_unlock(&h->keys_lock);
	if (result == ENGINE_COOKIE_SENT)
		h->site.send(h->site.ctx, &reply, sizeof(reply), &m->from);
	return result;
}

/* True: there may be more. */
static bool take_messages(struct handshakes *h)
{
	struct handshake m;

	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		enum engine_result result = ENGINE_OK;
		enum lane lane = handshakes_take(h, &m);
		struct engine_time time = {.mono = clock_now(), .wall = clock_wall()};

		if (lane == LANES)
			return false;
		if (lane == LANE_RELAYED)
			result = judge_relayed(h, &m, time.mono);
		if (result == ENGINE_OK)
			result = engine_input(*h->site.engine, m.message, m.len, &m.from, &time);
		if (result != ENGINE_OK && result != ENGINE_COOKIE_SENT)
			h->site.drop(h->site.ctx, handshakes_drop_reason(result));
	}
	return true;
}

/* Does what a worker wants, and takes back what it is done with. */
static void take_wishes(struct engine *e, struct worker *w)
{
	struct engine_time time = {.mono = clock_now(), .wall = clock_wall()};
	uint32_t requests[MAIL_REQUESTS];
	struct garbage garbage;
	unsigned n = worker_take_wishes(w, requests, &garbage);

	for (unsigned i = 0; i < n; i++)
		engine_initiate(e, requests[i], &time);
	engine_release(e, &garbage);
}

static uint64_t handshakes_sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does what there is to do; returns when there will be more. */
static uint64_t turn(struct handshakes *h)
{
	struct engine *engine = *h->site.engine;
	struct engine_time time;
	uint64_t due;
	bool more;

	for (unsigned w = 0; w < h->site.n_workers; w++)
		take_wishes(engine, &h->site.workers[w]);
	more = take_messages(h);
	time = (struct engine_time){.mono = clock_now(), .wall = clock_wall()};
	engine_set_under_load(engine, gate_is_loaded(&h->load, time.mono));
	due = handshakes_sooner(engine_tick(engine, &time), renew_keys(h, time.mono));
	if (retired_release(h->site.retired))
		due = handshakes_sooner(due, time.mono + NS_PER_SEC);
	return more ? 0 : due;
}

static void woken(void *ctx)
{
	struct handshakes *h = ctx;
	eventfd_t count;

	if (eventfd_read(h->event, &count) && errno != EAGAIN)
		log_error("eventfd: %s", strerror(errno));
}

static void *handshakes_run(void *arg)
{
	struct handshakes *h = arg;

	pthread_setname_np(pthread_self(), "handshakes");
	while (!atomic_load(&h->stop))
		loop_run_once(&h->loop, turn(h));
	return NULL;
}

/* ---- life ------------------------------------------------------------------------ */

int handshakes_open(struct handshakes *h, const struct handshakes_site *site)
{
	static const uint8_t nobody[KEY_LEN];
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN];
	int err;

	*h = (struct handshakes){
		.site = *site,
		.is_open = true,
		.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.loop.epoll = -1,
	};
	pthread_mutex_init(&h->lanes_lock, NULL);
	pthread_mutex_init(&h->keys_lock, NULL);
	err = h->event < 0 ? -errno : loop_init(&h->loop);
	err = err ?: loop_add(&h->loop, &h->watch, h->event, woken, h);
	if (err)
		return err;
	crypto_random(hash_key, sizeof(hash_key));
	h->sources = ratelimit_new(hash_key);
	h->relayed = ratelimit_new(hash_key);
	h->keys_pool = secret_pool_new(sizeof(struct gate_keys));
	h->own = h->keys_pool ? secret_alloc(h->keys_pool) : NULL;
	for (int i = 0; i < LANES; i++)
		h->lanes[i].messages = calloc(LANE_SIZE, sizeof(struct handshake));
	for (int i = 0; i < LANES; i++)
		err = h->lanes[i].messages ? err : -ENOMEM;
	if (err || !h->sources || !h->relayed || !h->own)
		return -ENOMEM;
	handshakes_identity(h, nobody, false);
	return atomic_load(&h->keys) ? 0 : -ENOMEM;
}

int handshakes_start(struct handshakes *h)
{
	int err;

	atomic_store(&h->stop, false);
	err = -pthread_create(&h->thread, NULL, handshakes_run, h);
	h->running = !err;
	return err;
}

void handshakes_stop(struct handshakes *h)
{
	if (!h->running)
		return;
	atomic_store(&h->stop, true);
	handshakes_wake(h);
	pthread_join(h->thread, NULL);
	h->running = false;
}

void handshakes_close(struct handshakes *h)
{
	if (!h->is_open)
		return;
	for (int i = 0; i < LANES; i++)
		free(h->lanes[i].messages);
	secret_pool_free(h->keys_pool);
	ratelimit_free(h->sources);
	ratelimit_free(h->relayed);
	loop_free(&h->loop);
	if (h->event >= 0)
		close(h->event);
	pthread_mutex_destroy(&h->lanes_lock);
	pthread_mutex_destroy(&h->keys_lock);
	*h = (struct handshakes){.event = -1};
}
