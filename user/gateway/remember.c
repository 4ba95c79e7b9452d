/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a start has to know of the run before: each client's endpoint, last handshake
 * and greatest timestamp, and which key the clients know this gateway by. Written now
 * and then and at the end; read in gateway.c.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/clock.h"

#define SAVE_AGAIN    (5 * NS_PER_SEC) /* after a failure */
#define SAVE_SHARE    50	       /* writing the state takes at most this part of the time */
#define GREET_SECONDS 600	       /* a handshake this young: the client was here when we stopped */
#define GREET_TURN    (5 * NS_PER_MS)

/* What is to be remembered of a client; false: it is no peer now. */
static bool peer_state(const struct gateway *g, const struct client *c, struct state_peer *out)
{
	struct engine_peer_state s;

	if (!c->peer)
		return false;
	engine_peer_state(g->device.engine, c->peer, &s);
	if (endpoint_is_relay(&s.endpoint))
		s.endpoint = (struct endpoint){0}; /* its relay is in the netmap */
	*out = (struct state_peer){
		.endpoint = {.addr = s.endpoint.addr, .port = s.endpoint.port},
		.handshake = s.last_handshake ? s.last_handshake / NS_PER_SEC : c->seen,
	};
	memcpy(out->public, s.public, sizeof(out->public));
	memcpy(out->timestamp, s.timestamp, sizeof(out->timestamp));
	engine_timestamp_limit(out->timestamp, (out->handshake + 1) * NS_PER_SEC);
	return true;
}

/* Asked every few seconds of ten thousand clients: compares without allocating. */
static bool worth_saving(const struct gateway *g)
{
	const struct state_peer *was;
	struct state_peer p;
	size_t n = 0;

	for (size_t i = 0; i < g->clients.n; i++) {
		if (!peer_state(g, &g->clients.list[i], &p))
			continue;
		was = state_peer_find(&g->state, p.public);
		if (!was || memcmp(was, &p, sizeof(p)))
			return true;
		n++;
	}
	return n != g->state.n_peers || !g->state.has_identity || g->state.unsaved;
}

void gateway_remember(struct gateway *g)
{
	uint64_t begun = clock_now();
	struct state_peer *peers;
	size_t n = 0;
	int err;

	if (!worth_saving(g))
		return;
	peers = mem_alloc(g->clients.n + 1, sizeof(*peers));
	for (size_t i = 0; i < g->clients.n; i++)
		n += peer_state(g, &g->clients.list[i], &peers[n]);
	free(g->state.peers);
	g->state.peers = peers;
	g->state.n_peers = n;
	state_sort(&g->state);
	g->state.has_identity = engine_public_key(g->device.engine, g->state.identity);
	err = state_save(g->config->state, &g->state);
	if (err && !g->state.unsaved)
		log_warning("%s: %s: a start would not know where clients are", g->config->state, strerror(-err));
	g->state.unsaved = err;
	g->save_after = begun + SAVE_SHARE * (clock_now() - begun) + (err ? SAVE_AGAIN : 0);
}

static bool was_here(const struct state_peer *was, uint64_t wall)
{
	return was && was->endpoint.port && was->handshake && was->handshake + GREET_SECONDS > wall / NS_PER_SEC;
}

bool gateway_greet(struct gateway *g)
{
	struct engine_time now = {.mono = clock_now(), .wall = clock_wall()};
	uint64_t end = now.mono + GREET_TURN;

	while (g->greeted < g->clients.n && now.mono < end) {
		const struct client *c = &g->clients.list[g->greeted++];

		if (!c->peer || !was_here(state_peer_find(&g->state, c->config->public_key), now.wall))
			continue;
		engine_initiate(g->device.engine, engine_peer_id(c->peer), &now);
		now.mono = clock_now();
	}
	return g->greeted < g->clients.n;
}
