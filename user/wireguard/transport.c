/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's transports and sessions, and the commands that change them. */
#include <stdlib.h>
#include <string.h>

#include "transport_private.h"

void transport_set_free(struct transport_set *set)
{
	index_free(&set->sessions);
	index_free(&set->transports);
}

struct transport *transport_find(const struct transport_set *set, uint32_t peer)
{
	return index_find(&set->transports, peer + 1);
}

/* ---- what is to be done ---- */

void transport_want(struct transport_set *set, struct transport *t, unsigned todo)
{
	if (!t->todo) {
		t->next_todo = set->todo;
		set->todo = t;
	}
	t->todo |= todo;
}

struct transport *transport_take_todo(struct transport_set *set, unsigned *todo)
{
	struct transport *t = set->todo;

	if (!t)
		return NULL;
	set->todo = t->next_todo;
	*todo = t->todo;
	t->todo = 0;
	return t;
}

static void forget_todo(struct transport_set *set, struct transport *t)
{
	struct transport **at = &set->todo;

	if (!t->todo)
		return;
	while (*at != t)
		at = &(*at)->next_todo;
	*at = t->next_todo;
	t->todo = 0;
}

void transport_want_handshake(struct transport_set *set, struct transport *t, uint64_t now)
{
	/* Once is enough: the engine tries again by itself. */
	if (t->asked_handshake && now - t->asked_handshake < REKEY_TIMEOUT)
		return;
	t->asked_handshake = now;
	transport_want(set, t, TRANSPORT_HANDSHAKE);
}

/* ---- garbage ---- */

void transport_retire(struct transport_set *set, struct session **s)
{
	if (!*s)
		return;
	index_remove(&set->sessions, (*s)->local_index);
	(*s)->next = set->garbage.sessions;
	set->garbage.sessions = *s;
	*s = NULL;
}

bool transport_take_garbage(struct transport_set *set, struct garbage *out)
{
	*out = set->garbage;
	set->garbage = (struct garbage){NULL, NULL};
	return out->sessions || out->transports;
}

/* ---- commands ---- */

static void clear_sessions(struct transport_set *set, struct transport *t)
{
	transport_retire(set, &t->previous);
	transport_retire(set, &t->current);
	transport_retire(set, &t->next);
	t->asked_handshake = 0;
}

static void remove_transport(struct transport_set *set, struct transport *t)
{
	clear_sessions(set, t);
	transport_drop_staged(t);
	forget_todo(set, t);
	index_remove(&set->transports, t->peer + 1);
	t->next_gone = set->garbage.transports;
	set->garbage.transports = t;
}

/* Our peer has the keys for sure, since it answered: send on them from now on. */
static void install_initiated(struct transport_set *set, struct transport *t, struct session *s, uint64_t now)
{
	transport_retire(set, &t->previous);
	if (t->next) { /* newer than current, and it may still be in use by the peer */
		t->previous = t->next;
		t->next = NULL;
		transport_retire(set, &t->current);
	} else {
		t->previous = t->current;
	}
	t->current = s;
	stamp(&t->stamps.confirmed, session_not_before(s, now));
	/* It may not send before it hears from us. */
	transport_want(set, t, TRANSPORT_FLUSH | TRANSPORT_KEEPALIVE);
}

static void install_answered(struct transport_set *set, struct transport *t, struct session *s)
{
	transport_retire(set, &t->next);
	t->next = s;
	transport_retire(set, &t->previous);
}

static bool transport_install(struct transport_set *set, struct transport *t, struct session *s, uint64_t now)
{
	if (!index_insert(&set->sessions, s->local_index, s)) {
		transport_retire(set, &s);
		return false;
	}
	if (s->initiator)
		install_initiated(set, t, s, now);
	else
		install_answered(set, t, s);
	t->asked_handshake = 0;
	/* The handshake was an answer to everything, in both directions. */
	stamp(&t->stamps.unanswered_sent, 0);
	stamp(&t->stamps.unanswered_received, 0);
	return true;
}

static void move(struct transport *t, const struct endpoint *to)
{
	t->endpoint = *to;
	endpoint_publish(&t->published, to);
}

/* Only who finds the paths knows whether the peer is to be sent to there. */
static void note_elsewhere(struct transport *t, const struct endpoint *from, uint64_t now)
{
	if (endpoint_is_relay(from))
		return;
	if (!endpoint_equal(&t->elsewhere, from)) {
		t->elsewhere = *from;
		endpoint_publish(&t->published_elsewhere, from);
	}
	stamp(&t->stamps.came, now);
}

bool transport_may_be_at(const struct transport_set *set, const struct allowedips *allowed, const struct endpoint *from)
{
	if (!set->outside || endpoint_is_relay(from))
		return true;
	if (from->port == set->port && (!addr_cmp(&from->addr, &from->local) || endpoint_is_on_host(from)))
		return false;
	return (endpoint_is_plausible(from) || endpoint_is_on_host(from)) &&
	       allowedips_lookup(allowed, &from->addr) == ALLOWEDIPS_NONE;
}

void transport_follow(const struct transport_set *set, struct transport *t, const struct allowedips *allowed,
		      const struct endpoint *from, uint64_t now)
{
	bool same = endpoint_equal(&t->endpoint, from);

	if (t->fixed && same)
		stamp(&t->stamps.heard, now);
	if (same || !transport_may_be_at(set, allowed, from))
		return;
	if (t->fixed && t->endpoint.port)
		note_elsewhere(t, from, now);
	else
		move(t, from);
}

static void transport_set_endpoint(struct transport_set *set, struct transport *t, const struct endpoint *to)
{
	if (!endpoint_equal(&t->endpoint, to))
		move(t, to);
	if (t->n_staged) /* perhaps this is what they waited for */
		transport_want(set, t, TRANSPORT_FLUSH);
}

bool transport_apply(struct transport_set *set, const struct transport_command *c, uint64_t now)
{
	struct transport *t = c->transport;

	switch (c->op) {
	case TRANSPORT_ADD:
		return index_insert(&set->transports, t->peer + 1, t);
	case TRANSPORT_REMOVE:
		remove_transport(set, t);
		break;
	case TRANSPORT_INSTALL:
		return transport_install(set, t, c->session, now);
	case TRANSPORT_CLEAR:
		clear_sessions(set, t);
		break;
	case TRANSPORT_ENDPOINT:
		transport_set_endpoint(set, t, &c->endpoint);
		break;
	case TRANSPORT_SEND_KEEPALIVE:
		transport_want(set, t, TRANSPORT_FLUSH | TRANSPORT_KEEPALIVE);
		break;
	case TRANSPORT_DROP_STAGED:
		transport_drop_staged(t);
		break;
	}
	return true;
}

/* ---- staged packets ---- */

bool transport_stage(struct transport *t, const uint8_t *packet, size_t len)
{
	struct staged *s = malloc(sizeof(*s) + len);
	bool room = t->n_staged < MAX_STAGED;

	if (!s)
		return false;
	if (!room)
		free(transport_unstage(t));
	s->next = NULL;
	s->len = len;
	memcpy(s->packet, packet, len);
	if (t->staged_last)
		t->staged_last->next = s;
	else
		t->staged_first = s;
	t->staged_last = s;
	t->n_staged++;
	return room;
}

struct staged *transport_unstage(struct transport *t)
{
	struct staged *s = t->staged_first;

	if (!s)
		return NULL;
	t->staged_first = s->next;
	if (!t->staged_first)
		t->staged_last = NULL;
	t->n_staged--;
	return s;
}

void transport_drop_staged(struct transport *t)
{
	struct staged *s;

	while ((s = transport_unstage(t)))
		free(s);
}
