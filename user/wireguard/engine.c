/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handshakes and timers (whitepaper sections 5 and 6).
 *
 * A handshake message passes these gates, the cheap ones first; whoever fails at
 * one hears nothing, and nothing is changed (W10):
 *
 *	[gate.h: mac1 -> mac2 or a budget] -> length and type -> the peer's keys
 *	-> timestamp and rate of this peer -> answer
 *
 * Our initiation and our answers to the peer's are kept apart: two initiations
 * that cross each other in flight make two sessions, and neither side has to retry.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "user/base/clock.h"

#define PEERS_A_TICK	64
#define FORGED_ANSWERS	8		      /* to one message; then the next one has to be answered */
#define TAI_EPOCH	0x400000000000000aull /* 1970 in TAI64 */
#define TIMESTAMP_GRAIN (1u << 24)	      /* ns; our clock is nobody's business in more detail */

struct engine *engine_enter(const struct engine *e)
{
	struct engine *mine = (struct engine *)e; /* to look takes the lock, too */

	pthread_mutex_lock(&mine->lock);
	return mine;
}

void engine_leave(struct engine **e)
{
	pthread_mutex_unlock(&(*e)->lock);
}

void engine_random(struct engine *e, void *buf, size_t len)
{
	e->ops->random(e->ctx, buf, len);
}

void engine_command(struct engine *e, const struct peer *p, struct transport_command c)
{
	c.transport = p->transport;
	e->ops->command(e->ctx, p->transport->worker, &c);
}

/* ---- indices ---- */

uint32_t engine_take_index(struct engine *e, struct transport *t)
{
	uint32_t index;

	do
		engine_random(e, &index, sizeof(index));
	while (!index || index_find(&e->indices, index));
	if (!index_insert(&e->indices, index, t))
		return 0;
	e->ops->index(e->ctx, index, t->worker, true);
	return index;
}

void engine_free_index(struct engine *e, uint32_t index, const struct transport *t)
{
	index_remove(&e->indices, index);
	e->ops->index(e->ctx, index, t->worker, false);
}

static struct peer *peer_of_index(struct engine *e, uint32_t index)
{
	struct transport *t = index_find(&e->indices, index);

	return t ? engine_peer_by_id(e, t->peer) : NULL;
}

/* ---- time ---- */

static struct timer_stamps read_stamps(const struct transport_stamps *s)
{
#define READ(name) .name = atomic_load_explicit(&s->name, memory_order_relaxed)
	return (struct timer_stamps){
		READ(last_sent),       READ(last_received),	  READ(last_data_sent),
		READ(unanswered_sent), READ(unanswered_received), READ(confirmed),
	};
#undef READ
}

void engine_schedule(struct engine *e, struct peer *p, uint64_t now)
{
	struct timer_stamps stamps = read_stamps(&p->transport->stamps);

	timer_queue_set(&e->timers, &p->timer, timers_next(&p->timers, &stamps, now));
	if (p->timer.due >= e->next)
		return;
	e->next = p->timer.due;
	if (e->ops->sooner)
		e->ops->sooner(e->ctx);
}

static void write_timestamp(uint8_t timestamp[TIMESTAMP_LEN], uint64_t wall) /* TAI64N */
{
	uint64_t seconds = htobe64(TAI_EPOCH + wall / NS_PER_SEC);
	uint32_t ns = htobe32((uint32_t)(wall % NS_PER_SEC) & ~(TIMESTAMP_GRAIN - 1));

	memcpy(timestamp, &seconds, sizeof(seconds));
	memcpy(timestamp + sizeof(seconds), &ns, sizeof(ns));
}

void engine_timestamp_limit(uint8_t timestamp[TIMESTAMP_LEN], uint64_t wall)
{
	uint8_t limit[TIMESTAMP_LEN];

	write_timestamp(limit, wall);
	if (memcmp(timestamp, limit, TIMESTAMP_LEN) > 0)
		memcpy(timestamp, limit, TIMESTAMP_LEN);
}

/* Always greater than the last one sent (W8). */
static void next_timestamp(struct peer *p, uint64_t wall)
{
	uint8_t timestamp[TIMESTAMP_LEN];

	write_timestamp(timestamp, wall);
	if (memcmp(timestamp, p->sent_timestamp, TIMESTAMP_LEN) > 0) {
		memcpy(p->sent_timestamp, timestamp, TIMESTAMP_LEN);
		return;
	}
	/* The clock went back: count on from the last one, as one big-endian number. */
	for (size_t i = TIMESTAMP_LEN; i-- > 0;) {
		if (++p->sent_timestamp[i])
			break;
	}
}

/* ---- we begin ---- */

void engine_abandon(struct engine *e, struct peer *p)
{
	timers_handshake_done(&p->timers);
	if (!p->pending_index)
		return;
	engine_free_index(e, p->pending_index, p->transport);
	p->pending_index = 0;
	crypto_wipe(&p->pending, sizeof(p->pending));
}

/* The last thing that is written into a message; it may be answered with a cookie from now on. */
static void write_macs(struct peer *p, void *msg, size_t len, uint64_t now)
{
	cookie_macs_write(&p->cookies, msg, len, now);
	p->cookies_forged = 0;
}

/* A new initiation, in place of the one before. */
static bool write_initiation(struct engine *e, struct peer *p, struct message_initiation *msg,
			     const struct engine_time *now)
{
	uint8_t ephemeral[KEY_LEN];
	uint32_t index;
	bool ok;

	if (p->pending_index)
		engine_free_index(e, p->pending_index, p->transport);
	p->pending_index = 0;
	index = engine_take_index(e, p->transport);
	if (!index)
		return false;
	next_timestamp(p, now->wall);
	engine_random(e, ephemeral, sizeof(ephemeral));
	ok = noise_initiation_write(&p->pending, msg, &e->own->identity, &p->noise, index, ephemeral,
				    p->sent_timestamp);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	p->pending_forged = 0;
	if (ok)
		p->pending_index = index;
	else
		engine_free_index(e, index, p->transport);
	return ok;
}

static void send_initiation(struct engine *e, struct peer *p, bool retry, const struct engine_time *now)
{
	struct message_initiation msg;
	struct endpoint to;
	uint32_t jitter;

	peer_look_at_endpoint(p);
	to = p->endpoint;
	if (!e->has_identity || !to.port) {
		engine_abandon(e, p);
		return;
	}
	if (retry) /* perhaps our own address is what stopped working */
		memset(&to.local, 0, sizeof(to.local));
	engine_random(e, &jitter, sizeof(jitter));
	timers_initiation_sent(&p->timers, retry, jitter % REKEY_JITTER_MAX, now->mono);
	if (!write_initiation(e, p, &msg, now))
		return; /* no memory, which a retry may find; or a key nobody can have */
	write_macs(p, &msg, sizeof(msg), now->mono);
	e->ops->send(e->ctx, &msg, sizeof(msg), &to);
}

void engine_begin(struct engine *e, struct peer *p, const struct engine_time *now)
{
	struct timer_stamps stamps = read_stamps(&p->transport->stamps);

	if (timers_handshake_pending(&p->timers, &stamps))
		return;
	if (timers_may_initiate(&p->timers, now->mono))
		send_initiation(e, p, false, now);
	else
		timers_postpone_initiation(&p->timers, now->mono);
	engine_schedule(e, p, now->mono);
}

void engine_initiate(struct engine *e, uint32_t peer_id, const struct engine_time *now)
{
	ENGINE_LOCKED(e);
	struct peer *p = engine_peer_by_id(e, peer_id);

	if (p)
		engine_begin(e, p, now);
}

/* ---- a session is made ---- */

/* The peer is where an authenticated message of its came from (W12). */
static void move_peer(struct engine *e, struct peer *p, const struct endpoint *from)
{
	peer_look_at_endpoint(p);
	if (endpoint_equal(&p->endpoint, from) || (p->transport->fixed && p->endpoint.port))
		return;
	p->endpoint = *from;
	engine_command(e, p, (struct transport_command){.op = TRANSPORT_ENDPOINT, .endpoint = *from});
}

/* Hands the session to the peer's worker; before the peer hears of it. */
static void engine_install(struct engine *e, struct peer *p, struct session *s, const struct endpoint *from,
			   const struct engine_time *now)
{
	move_peer(e, p, from);
	p->made_before = p->made;
	p->made = (struct made){.wall = now->wall, .mono = now->mono, .initiator = s->initiator};
	timers_session_made(&p->timers, now->mono);
	engine_command(e, p, (struct transport_command){.op = TRANSPORT_INSTALL, .session = s});
	engine_schedule(e, p, now->mono);
}

/* ---- they begin ---- */

static enum engine_result engine_answer(struct engine *e, struct peer *p, struct noise_state *state,
					const struct endpoint *from, const struct engine_time *now)
{
	struct session *s = secret_alloc(e->session_pool);
	uint32_t index = s ? engine_take_index(e, p->transport) : 0;
	struct message_response msg;
	uint8_t ephemeral[KEY_LEN];
	struct noise_keys keys;
	bool ok;

	if (!index) {
		secret_free(e->session_pool, s);
		return ENGINE_NO_MEMORY;
	}
	engine_random(e, ephemeral, sizeof(ephemeral));
	ok = noise_response_write(state, &msg, &keys, &p->noise, index, ephemeral);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	if (!ok) {
		engine_free_index(e, index, p->transport);
		secret_free(e->session_pool, s);
		return ENGINE_FORGED;
	}
	session_init(s, &keys, index, false, p->transport, now->mono);
	crypto_wipe(&keys, sizeof(keys));
	engine_install(e, p, s, from, now);
	write_macs(p, &msg, sizeof(msg), now->mono);
	e->ops->send(e->ctx, &msg, sizeof(msg), from);
	return ENGINE_OK;
}

static enum engine_result check_initiation(struct engine *e, const struct message_initiation *msg,
					   struct noise_state *state, struct peer **peer,
					   uint8_t timestamp[TIMESTAMP_LEN], uint64_t now)
{
	uint8_t public[KEY_LEN];
	struct peer *p;

	if (!noise_initiation_read_static(state, msg, &e->own->identity, public))
		return ENGINE_FORGED;
	p = engine_peer(e, public);
	if (!p)
		return ENGINE_UNKNOWN_PEER;
	if (!noise_initiation_read_timestamp(state, msg, &p->noise, timestamp))
		return ENGINE_FORGED;
	if (memcmp(timestamp, p->timestamp, TIMESTAMP_LEN) <= 0)
		return ENGINE_OLD_TIMESTAMP;
	if (p->initiation_read && now - p->initiation_read < NS_PER_SEC / INITIATIONS_PER_SECOND)
		return ENGINE_FLOOD;
	*peer = p;
	return ENGINE_OK;
}

static enum engine_result input_initiation(struct engine *e, const struct message_initiation *msg,
					   const struct endpoint *from, const struct engine_time *now)
{
	enum engine_result result;
	uint8_t timestamp[TIMESTAMP_LEN];
	struct noise_state state;
	struct peer *p;

	if (!e->has_identity)
		return ENGINE_NO_IDENTITY;
	result = check_initiation(e, msg, &state, &p, timestamp, now->mono);
	if (result == ENGINE_OK)
		result = engine_answer(e, p, &state, from, now);
	if (result == ENGINE_OK) {
		memcpy(p->timestamp, timestamp, TIMESTAMP_LEN);
		p->initiation_read = now->mono;
	}
	crypto_wipe(&state, sizeof(state));
	return result;
}

/* ---- they answer ---- */

static enum engine_result input_response(struct engine *e, const struct message_response *msg,
					 const struct endpoint *from, const struct engine_time *now)
{
	uint32_t index = le32toh(msg->receiver_index);
	struct peer *p = peer_of_index(e, index);
	struct noise_keys keys;
	struct session *s;

	if (!p || p->pending_index != index)
		return ENGINE_UNKNOWN_INDEX;
	if (p->pending_forged >= FORGED_ANSWERS)
		return ENGINE_RATE_LIMITED;
	s = secret_alloc(e->session_pool);
	if (!s)
		return ENGINE_NO_MEMORY;
	if (!noise_response_read(&p->pending, msg, &keys, &e->own->identity, &p->noise)) {
		secret_free(e->session_pool, s);
		p->pending_forged++;
		return ENGINE_FORGED;
	}
	session_init(s, &keys, index, true, p->transport, now->mono);
	crypto_wipe(&keys, sizeof(keys));
	p->pending_index = 0; /* it is the session's now */
	timers_handshake_done(&p->timers);
	engine_install(e, p, s, from, now);
	return ENGINE_OK;
}

static enum engine_result input_cookie(struct engine *e, const struct message_cookie *msg, uint64_t now)
{
	struct peer *p = peer_of_index(e, le32toh(msg->receiver_index));

	if (!p)
		return ENGINE_UNKNOWN_INDEX;
	/*
	 * Whoever saw an index of ours on the wire sends as many as it likes, and each would be opened. Not one try
	 * alone: then the first forged one would be the end of the true one.
	 */
	if (p->cookies_forged >= FORGED_ANSWERS)
		return ENGINE_RATE_LIMITED;
	/* Used with the next message; where it came from means nothing (W12). */
	if (cookie_reply_read(&p->cookies, msg, now))
		return ENGINE_OK;
	p->cookies_forged++;
	return ENGINE_FORGED;
}

enum engine_result engine_input(struct engine *e, const void *msg, size_t len, const struct endpoint *from,
				const struct engine_time *now)
{
	ENGINE_LOCKED(e);
	uint32_t type;

	if (len < sizeof(type))
		return ENGINE_BAD_LENGTH;
	memcpy(&type, msg, sizeof(type));
	switch (le32toh(type)) {
	case MESSAGE_INITIATION:
		return len == sizeof(struct message_initiation) ? input_initiation(e, msg, from, now)
								: ENGINE_BAD_LENGTH;
	case MESSAGE_RESPONSE:
		return len == sizeof(struct message_response) ? input_response(e, msg, from, now) : ENGINE_BAD_LENGTH;
	case MESSAGE_COOKIE:
		return len == sizeof(struct message_cookie) ? input_cookie(e, msg, now->mono) : ENGINE_BAD_LENGTH;
	default:
		return ENGINE_BAD_TYPE;
	}
}

/* ---- what is due ---- */

/*
 * Is the session to be renewed by us although the peer would do it (W1)? It is one that the
 * peer has used. A peer with keys is looked at every KEEPALIVE_TIMEOUT (timers_next()), so
 * there are two tries and more before the peer's own turn.
 */
static bool is_to_be_kept(const struct engine *e, const struct peer *p, const struct timer_stamps *s, uint64_t now)
{
	uint64_t age = now - p->made.mono;

	return e->under_load && p->made.wall && age >= REKEY_UNDER_LOAD_TIME && age < REJECT_AFTER_TIME &&
	       s->last_received > p->made.mono && s->confirmed >= p->made.mono;
}

static void run_peer(struct engine *e, struct peer *p, const struct engine_time *now)
{
	struct timer_stamps stamps = read_stamps(&p->transport->stamps);
	unsigned due = timers_run(&p->timers, &stamps, now->mono);

	if (due & TIMER_ZERO_KEYS)
		engine_command(e, p, (struct transport_command){.op = TRANSPORT_CLEAR});
	if (due & TIMER_GIVE_UP) {
		engine_abandon(e, p);
		engine_command(e, p, (struct transport_command){.op = TRANSPORT_DROP_STAGED});
	}
	if (due & TIMER_RETRY)
		send_initiation(e, p, true, now);
	if (due & TIMER_NEW_HANDSHAKE || is_to_be_kept(e, p, &stamps, now->mono))
		engine_begin(e, p, now);
	if (due & TIMER_KEEPALIVE)
		engine_command(e, p, (struct transport_command){.op = TRANSPORT_SEND_KEEPALIVE});
	engine_schedule(e, p, now->mono);
}

uint64_t engine_tick(struct engine *e, const struct engine_time *now)
{
	ENGINE_LOCKED(e);
	struct timer_entry *first;

	e->next = 0; /* what is put into the queue meanwhile is seen below */
	for (unsigned n = 0; (first = timer_queue_first(&e->timers)) && first->due <= now->mono; n++) {
		if (n == PEERS_A_TICK)
			break;
		run_peer(e, (struct peer *)((char *)first - offsetof(struct peer, timer)), now);
	}
	e->next = first ? first->due : UINT64_MAX;
	return e->next;
}

void engine_release(struct engine *e, struct garbage *g)
{
	ENGINE_LOCKED(e);

	while (g->sessions) {
		struct session *s = g->sessions;

		g->sessions = s->next;
		engine_free_index(e, s->local_index, s->transport);
		secret_free(e->session_pool, s);
	}
	while (g->transports) {
		struct transport *t = g->transports;

		g->transports = t->next_gone;
		e->slots[t->peer].transport = NULL;
		if (t->peer < e->first_free)
			e->first_free = t->peer;
		free(t);
	}
}

/* ---- ourselves ---- */

static void open_lock(struct engine *e)
{
	pthread_mutexattr_t recursive;

	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&e->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
}

struct engine *engine_new(const struct engine_ops *ops, void *ctx)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	open_lock(e);
	e->next = UINT64_MAX;
	e->ops = ops;
	e->ctx = ctx;
	e->allowed_changed = true; /* that there are none yet is news, too */
	engine_random(e, e->hash_key, sizeof(e->hash_key));
	e->allowed = allowedips_set_new();
	e->own_pool = secret_pool_new(sizeof(struct own));
	e->peer_pool = secret_pool_new(sizeof(struct peer));
	e->session_pool = secret_pool_new(sizeof(struct session));
	if (e->allowed && e->own_pool && e->peer_pool && e->session_pool)
		e->own = secret_alloc(e->own_pool);
	if (e->own)
		return e;
	engine_free(e);
	return NULL;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	peer_free_all(e);
	timer_queue_free(&e->timers);
	index_free(&e->indices);
	secret_pool_free(e->session_pool);
	secret_pool_free(e->peer_pool);
	secret_pool_free(e->own_pool);
	allowedips_set_free(e->allowed);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void engine_set_identity(struct engine *e, const uint8_t secret[KEY_LEN])
{
	ENGINE_LOCKED(e);
	struct noise_identity id;

	noise_identity_init(&id, secret);
	if (!crypto_equal(&id, &e->own->identity, sizeof(id))) {
		e->own->identity = id;
		e->has_identity = !key_is_zero(secret);
		peer_new_identity(e);
		if (e->ops->identity)
			e->ops->identity(e->ctx, id.public, e->has_identity);
	}
	crypto_wipe(&id, sizeof(id));
}

bool engine_public_key(const struct engine *e, uint8_t public[KEY_LEN])
{
	ENGINE_LOCKED(e);

	memcpy(public, e->own->identity.public, KEY_LEN);
	return e->has_identity;
}

void engine_secret_key(const struct engine *e, uint8_t secret[KEY_LEN])
{
	ENGINE_LOCKED(e);

	memcpy(secret, e->own->identity.secret, KEY_LEN);
}

void engine_fix_endpoints(struct engine *e)
{
	e->fixed = true;
}

void engine_set_under_load(struct engine *e, bool under_load)
{
	ENGINE_LOCKED(e);

	e->under_load = under_load;
}
