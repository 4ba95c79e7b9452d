/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each timer is a function that says when it is due, from the stamps; timers_run()
 * compares with now, timers_next() takes the least. And the queue of due times.
 */
#include <stdlib.h>

#include "timers.h"

#define NEVER UINT64_MAX

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t timers_sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool timers_handshake_pending(const struct peer_timers *t, const struct timer_stamps *s)
{
	return t->retry_at && s->confirmed <= t->wanted_since;
}

static uint64_t retry_due(const struct peer_timers *t, const struct timer_stamps *s)
{
	return timers_handshake_pending(t, s) ? t->retry_at : NEVER;
}

static uint64_t keepalive_due(const struct peer_timers *t, const struct timer_stamps *s)
{
	if (!s->unanswered_received || s->unanswered_received == t->keepalive_for)
		return NEVER;
	return s->unanswered_received + KEEPALIVE_TIMEOUT;
}

static uint64_t persistent_due(const struct peer_timers *t, const struct timer_stamps *s)
{
	if (!t->persistent)
		return NEVER;
	return later(later(s->last_sent, s->last_received), t->persistent_sent) + t->persistent;
}

static uint64_t new_handshake_due(const struct peer_timers *t, const struct timer_stamps *s)
{
	uint64_t since = s->unanswered_sent;

	if (!since)
		return NEVER;
	if (since <= t->gave_up_waiting) { /* acted upon; was more sent after that? */
		if (s->last_data_sent <= t->gave_up_waiting)
			return NEVER;
		since = t->gave_up_waiting;
	}
	return since + NEW_HANDSHAKE_TIMEOUT + t->jitter;
}

static uint64_t zero_keys_due(const struct peer_timers *t)
{
	return t->zero_keys_at ? t->zero_keys_at : NEVER;
}

static unsigned run_retry(struct peer_timers *t)
{
	if (t->tries < MAX_HANDSHAKE_TRIES)
		return TIMER_RETRY;
	timers_handshake_done(t);
	return TIMER_GIVE_UP;
}

unsigned timers_run(struct peer_timers *t, const struct timer_stamps *s, uint64_t now)
{
	unsigned due = 0;

	if (!timers_handshake_pending(t, s))
		timers_handshake_done(t);
	if (retry_due(t, s) <= now)
		due |= run_retry(t);
	if (keepalive_due(t, s) <= now) {
		t->keepalive_for = s->unanswered_received;
		due |= TIMER_KEEPALIVE;
	}
	if (persistent_due(t, s) <= now) {
		t->persistent_sent = now;
		due |= TIMER_KEEPALIVE;
	}
	if (new_handshake_due(t, s) <= now) {
		t->gave_up_waiting = now;
		due |= TIMER_NEW_HANDSHAKE;
	}
	if (zero_keys_due(t) <= now) {
		t->zero_keys_at = 0;
		due |= TIMER_ZERO_KEYS;
	}
	return due;
}

uint64_t timers_next(const struct peer_timers *t, const struct timer_stamps *s, uint64_t now)
{
	uint64_t next = timers_sooner(retry_due(t, s), persistent_due(t, s));

	next = timers_sooner(next, timers_sooner(keepalive_due(t, s), new_handshake_due(t, s)));
	next = timers_sooner(next, zero_keys_due(t));
	/* With keys, data can be sent and received from now on; what follows from it is due
	 * no sooner than this. */
	return t->zero_keys_at ? timers_sooner(next, now + KEEPALIVE_TIMEOUT) : next;
}

bool timers_may_initiate(const struct peer_timers *t, uint64_t now)
{
	return !t->initiation_sent || now - t->initiation_sent >= REKEY_TIMEOUT;
}

void timers_initiation_sent(struct peer_timers *t, bool retry, uint64_t jitter, uint64_t now)
{
	t->tries = retry ? t->tries + 1 : 1;
	if (!retry)
		t->wanted_since = now;
	t->initiation_sent = now;
	t->jitter = jitter;
	t->retry_at = now + REKEY_TIMEOUT + jitter;
}

void timers_postpone_initiation(struct peer_timers *t, uint64_t now)
{
	t->tries = 0;
	t->wanted_since = now;
	t->retry_at = t->initiation_sent + REKEY_TIMEOUT;
}

void timers_session_made(struct peer_timers *t, uint64_t now)
{
	t->zero_keys_at = now + ZERO_KEYS_AFTER_TIME;
}

void timers_handshake_done(struct peer_timers *t)
{
	t->retry_at = 0;
	t->tries = 0;
}

/* ---- the queue: places count from 1, the parent of n is n / 2 ---- */

static void timers_put(struct timer_queue *q, size_t place, struct timer_entry *e)
{
	q->heap[place] = e;
	e->place = place;
}

static void timers_move_up(struct timer_queue *q, size_t place, struct timer_entry *e)
{
	for (; place > 1 && q->heap[place / 2]->due > e->due; place /= 2)
		timers_put(q, place, q->heap[place / 2]);
	timers_put(q, place, e);
}

static void move_down(struct timer_queue *q, size_t place, struct timer_entry *e)
{
	size_t child;

	for (; (child = 2 * place) <= q->n; place = child) {
		if (child < q->n && q->heap[child + 1]->due < q->heap[child]->due)
			child++;
		if (q->heap[child]->due >= e->due)
			break;
		timers_put(q, place, q->heap[child]);
	}
	timers_put(q, place, e);
}

static void timers_settle(struct timer_queue *q, size_t place, struct timer_entry *e)
{
	if (place > 1 && q->heap[place / 2]->due > e->due)
		timers_move_up(q, place, e);
	else
		move_down(q, place, e);
}

bool timer_queue_reserve(struct timer_queue *q, size_t n)
{
	size_t cap = q->cap ? q->cap : 64;
	struct timer_entry **heap;

	if (n <= q->cap)
		return true;
	while (cap < n)
		cap *= 2;
	heap = reallocarray(q->heap, cap + 1, sizeof(*heap));
	if (!heap)
		return false;
	q->heap = heap;
	q->cap = cap;
	return true;
}

static void take_off(struct timer_queue *q, struct timer_entry *e)
{
	struct timer_entry *last = q->heap[q->n--];

	if (last != e)
		timers_settle(q, e->place, last);
	e->place = 0;
}

void timer_queue_set(struct timer_queue *q, struct timer_entry *e, uint64_t due)
{
	e->due = due;
	if (e->place && due == NEVER)
		take_off(q, e);
	else if (e->place)
		timers_settle(q, e->place, e);
	else if (due != NEVER)
		timers_move_up(q, ++q->n, e);
}

struct timer_entry *timer_queue_first(const struct timer_queue *q)
{
	return q->n ? q->heap[1] : NULL;
}

void timer_queue_free(struct timer_queue *q)
{
	free(q->heap);
	*q = (struct timer_queue){0};
}
