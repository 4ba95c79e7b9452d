/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker and the other threads tell each other things here (struct mail of worker.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/log.h"
#include "worker.h"

#define RING_TRIES 3

/* Whoever waits for it, to end among other things, waits for ever should it be lost. */
void worker_ring(int event)
{
	uint64_t one = 1;

	for (int i = 0; i < RING_TRIES; i++)
		if (write(event, &one, sizeof(one)) > 0 || errno == EAGAIN)
			return;
	log_error("eventfd: %s", strerror(errno));
}

void worker_command(struct worker *w, const struct transport_command *c)
{
	struct mail *m = &w->mail;

	pthread_mutex_lock(&m->lock);
	if (m->n_commands == m->cap_commands) {
		m->cap_commands = m->cap_commands ? 2 * m->cap_commands : 64;
		m->commands = realloc(m->commands, m->cap_commands * sizeof(*c));
		if (!m->commands) {
			log_error("out of memory: a command for worker %u cannot be queued", w->id);
			abort();
		}
	}
	m->commands[m->n_commands++] = *c;
	atomic_store_explicit(&m->waiting, m->n_commands, memory_order_release);
	pthread_mutex_unlock(&m->lock);
	worker_ring(w->event);
}

void worker_apply_commands(struct worker *w)
{
	struct mail *m = &w->mail;

	if (!atomic_load_explicit(&m->waiting, memory_order_acquire))
		return;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n_commands; i++)
		if (!transport_apply(&w->transports, &m->commands[i], w->now))
			log_error("worker %u: out of memory", w->id);
	m->n_commands = 0;
	atomic_store_explicit(&m->waiting, 0, memory_order_relaxed);
	pthread_mutex_unlock(&m->lock);
}

void worker_pass_garbage(struct worker *w)
{
	struct garbage g;

	if (!transport_take_garbage(&w->transports, &g))
		return;
	pthread_mutex_lock(&w->mail.lock);
	while (g.sessions) {
		struct session *s = g.sessions;

		g.sessions = s->next;
		s->next = w->mail.garbage.sessions;
		w->mail.garbage.sessions = s;
	}
	while (g.transports) {
		struct transport *t = g.transports;

		g.transports = t->next_gone;
		t->next_gone = w->mail.garbage.transports;
		w->mail.garbage.transports = t;
	}
	pthread_mutex_unlock(&w->mail.lock);
	handshakes_wake(w->shared->handshakes);
}

void worker_request_handshake(struct worker *w, uint32_t peer)
{
	pthread_mutex_lock(&w->mail.lock);
	if (w->mail.n_requests < MAIL_REQUESTS) /* else it asks again */
		w->mail.requests[w->mail.n_requests++] = peer;
	pthread_mutex_unlock(&w->mail.lock);
	handshakes_wake(w->shared->handshakes);
}

void worker_notice(struct worker *w, const struct notice *n)
{
	pthread_mutex_lock(&w->mail.lock);
	if (w->mail.n_notices < MAIL_NOTICES)
		w->mail.notices[w->mail.n_notices++] = *n;
	pthread_mutex_unlock(&w->mail.lock);
	worker_ring(w->shared->control_event);
}

/* The caller rings. False: too many wait already. */
static bool worker_mail_queue(struct worker *w, struct datagrams *in, const struct endpoint *who, const void *data,
			      size_t len)
{
	bool room;

	pthread_mutex_lock(&w->mail.lock);
	room = datagrams_add(in, who, data, len, MAIL_DATAGRAMS);
	pthread_mutex_unlock(&w->mail.lock);
	return room;
}

bool worker_pass_other(struct worker *w, const void *bytes, size_t len, const struct endpoint *from)
{
	if (!w->shared->datagrams || !worker_mail_queue(w, &w->mail.others, from, bytes, len))
		return false;
	worker_ring(w->shared->control_event);
	return true;
}

bool worker_leave(void *ctx, const struct endpoint *to, const void *data, size_t len)
{
	struct worker *w = ctx;

	if (!worker_mail_queue(w, &w->mail.leaving, to, data, len))
		return false;
	worker_ring(w->shared->control_event);
	return true;
}

bool worker_arrive(struct worker *w, const struct endpoint *from, const void *msg, size_t len)
{
	if (!worker_mail_queue(w, &w->mail.arrived, from, msg, len))
		return false;
	atomic_store_explicit(&w->mail.has_arrived, true, memory_order_release);
	worker_ring(w->event);
	return true;
}

struct datagrams worker_arrivals(struct worker *w)
{
	struct datagrams got = {0};

	if (!atomic_load_explicit(&w->mail.has_arrived, memory_order_acquire))
		return got;
	pthread_mutex_lock(&w->mail.lock);
	got = w->mail.arrived;
	w->mail.arrived = (struct datagrams){0};
	atomic_store_explicit(&w->mail.has_arrived, false, memory_order_relaxed);
	pthread_mutex_unlock(&w->mail.lock);
	return got;
}

unsigned worker_take_wishes(struct worker *w, uint32_t *requests, struct garbage *garbage)
{
	unsigned n;

	pthread_mutex_lock(&w->mail.lock);
	n = w->mail.n_requests;
	memcpy(requests, w->mail.requests, n * sizeof(requests[0]));
	*garbage = w->mail.garbage;
	w->mail.n_requests = 0;
	w->mail.garbage = (struct garbage){0};
	pthread_mutex_unlock(&w->mail.lock);
	return n;
}
