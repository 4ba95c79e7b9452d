/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a start has to know of the run before: each client's endpoint, last handshake
 * and greatest timestamp, and which key the clients know this gateway by. Written now
 * and then and at the end.
 */
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "remember.h"
#include "user/base/log.h"
#include "user/base/clock.h"
#include "user/base/file.h"

#define SAVE_AGAIN    (5 * NS_PER_SEC) /* after a failure */
#define SAVE_SHARE    50	       /* writing the state takes at most this part of the time */
#define GREET_SECONDS 600	       /* a handshake this young: the client was here when we stopped */
#define GREET_TURN    (5 * NS_PER_MS)

/* Fills in the facts to remember of a client; false: it is no peer now. */
static bool peer_state(const struct site *s, const struct client *c, struct state_peer *out)
{
	struct engine_peer_state now;

	if (!c->peer)
		return false;
	engine_peer_state(s->device->engine, c->peer, &now);
	if (endpoint_is_relay(&now.endpoint))
		now.endpoint = (struct endpoint){0}; /* its relay is in the netmap */
	*out = (struct state_peer){
		.endpoint = {.addr = now.endpoint.addr, .port = now.endpoint.port},
		.handshake = now.last_handshake ? now.last_handshake / NS_PER_SEC : c->seen,
	};
	memcpy(out->public, now.public, sizeof(out->public));
	memcpy(out->timestamp, now.timestamp, sizeof(out->timestamp));
	engine_timestamp_limit(out->timestamp, (out->handshake + 1) * NS_PER_SEC);
	return true;
}

static bool same_state(const struct state_peer *a, const struct state_peer *b)
{
	return !memcmp(a->public, b->public, KEY_LEN) && !memcmp(a->timestamp, b->timestamp, TIMESTAMP_LEN) &&
	       endpoint_equal(&a->endpoint, &b->endpoint) && a->handshake == b->handshake;
}

/* Asked every few seconds of ten thousand clients: compares without allocating. */
static bool worth_saving(const struct remember *r, const struct site *s, const struct clients *clients)
{
	const struct state_peer *was;
	struct state_peer p;
	size_t n = 0;

	for (size_t i = 0; i < clients->n; i++) {
		if (!peer_state(s, &clients->list[i], &p))
			continue;
		was = state_peer_find(&r->state, p.public);
		if (!was || !same_state(was, &p))
			return true;
		n++;
	}
	return n != r->state.n_peers || !r->state.has_identity || r->state.unsaved;
}

bool remember_folder(const char *folder, char *error, size_t size)
{
	int err = file_folder(folder);

	if (err)
		snprintf(error, size, "%s: %s", folder,
			 err == -EPERM ? "the folder must be ours alone (chmod 700)" : strerror(-err));
	return !err;
}

bool remember_load(struct remember *r, const char *folder)
{
	char why[512];

	if (state_load(folder, &r->state, why, sizeof(why)))
		log_warning("%s: what it remembered is lost", why);
	return true;
}

void remember_save(struct remember *r, const struct site *s, const struct clients *clients)
{
	uint64_t begun = clock_now();
	struct state_peer *peers;
	size_t n = 0;
	int err;

	if (!worth_saving(r, s, clients))
		return;
	peers = mem_alloc(clients->n + 1, sizeof(*peers));
	for (size_t i = 0; i < clients->n; i++)
		n += peer_state(s, &clients->list[i], &peers[n]);
	free(r->state.peers);
	r->state.peers = peers;
	r->state.n_peers = n;
	state_sort(&r->state);
	r->state.has_identity = engine_public_key(s->device->engine, r->state.identity);
	err = state_save(s->config->state, &r->state);
	if (err && !r->state.unsaved)
		log_warning("%s: %s: a start would not know where clients are", s->config->state, strerror(-err));
	r->state.unsaved = err;
	r->save_after = begun + SAVE_SHARE * (clock_now() - begun) + (err ? SAVE_AGAIN : 0);
}

static bool was_here(const struct state_peer *was, uint64_t wall)
{
	return was && was->endpoint.port && was->handshake && was->handshake + GREET_SECONDS > wall / NS_PER_SEC;
}

bool remember_greet(struct remember *r, const struct site *s, const struct clients *clients)
{
	struct engine_time now = {.mono = clock_now(), .wall = clock_wall()};
	uint64_t end = now.mono + GREET_TURN;

	while (r->greeted < clients->n && now.mono < end) {
		const struct client *c = &clients->list[r->greeted++];

		if (!c->peer || !was_here(state_peer_find(&r->state, c->config->public_key), now.wall))
			continue;
		engine_initiate(s->device->engine, engine_peer_id(c->peer), &now);
		now.mono = clock_now();
	}
	return r->greeted < clients->n;
}

void remember_second(struct remember *r, const struct site *s, const struct clients *clients, uint64_t now)
{
	if (now >= r->save_after)
		remember_save(r, s, clients);
}

void remember_no_timestamp(struct remember *r, const uint8_t public[KEY_LEN])
{
	for (size_t i = 0; i < r->state.n_peers; i++)
		if (!memcmp(r->state.peers[i].public, public, KEY_LEN))
			memset(r->state.peers[i].timestamp, 0, TIMESTAMP_LEN);
}

bool remember_offload(struct remember *r, const struct site *s, const char *interface)
{
	struct state *now = &r->state;

	for (size_t i = 0; i < now->n_offload; i++)
		if (!strcmp(now->offload[i], interface))
			return true;
	if (now->n_offload == STATE_OFFLOADS)
		return false;
	snprintf(now->offload[now->n_offload++], IFNAMSIZ, "%s", interface);
	if (!state_save(s->config->state, now))
		return true;
	now->n_offload--; /* else it would count as written the next time */
	return false;
}
