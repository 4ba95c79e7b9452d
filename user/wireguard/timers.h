/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TIMERS_H
#define SLUICE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messages.h"

/*
 * When something is to happen for a peer although nothing arrives (whitepaper
 * section 6). Pure. No timer is armed and disarmed on the data path: the worker
 * leaves time stamps (transport.h), and timers_run() derives from a copy of them
 * what is due. All times are monotonic ns, 0 is never.
 */
struct timer_stamps { /* a copy of struct transport_stamps */
	uint64_t last_sent;
	uint64_t last_received;
	uint64_t last_data_sent;
	uint64_t unanswered_sent;
	uint64_t unanswered_received;
	uint64_t confirmed;
};

struct peer_timers {		  /* the engine's; zero initialised */
	uint64_t persistent;	  /* interval of persistent keepalives in ns; 0: off */
	uint64_t initiation_sent; /* the last one */
	uint64_t wanted_since;	  /* when this attempt at a handshake began */
	uint64_t retry_at;	  /* 0: no handshake is under way */
	unsigned tries;		  /* initiations sent in this attempt */
	uint64_t zero_keys_at;	  /* 0: there are no keys */
	uint64_t keepalive_for;	  /* the unanswered_received that has been dealt with */
	uint64_t gave_up_waiting; /* when unanswered_sent was last acted upon */
	uint64_t persistent_sent; /* when the last persistent keepalive was asked for */
	uint64_t jitter;	  /* of the next retry or new handshake, < REKEY_JITTER_MAX */
};

/* Actions that are due; bits. */
enum timer_event {
	TIMER_RETRY = 1,	 /* send the initiation again */
	TIMER_GIVE_UP = 2,	 /* nobody answers: drop the staged packets (W4) */
	TIMER_KEEPALIVE = 4,	 /* data came and nothing went back, or a persistent one (W5) */
	TIMER_NEW_HANDSHAKE = 8, /* data went and nothing came back (W5) */
	TIMER_ZERO_KEYS = 16,	 /* keys are too old to keep (W2) */
};

/* The actions due at @now; notes that they are being done. */
unsigned timers_run(struct peer_timers *t, const struct timer_stamps *s, uint64_t now);
/* When to run them next, UINT64_MAX: not before something is sent. */
uint64_t timers_next(const struct peer_timers *t, const struct timer_stamps *s, uint64_t now);

/* Is an initiation of ours waiting for an answer, or for its time? A responder's session
 * that the peer confirmed meanwhile ends the wait. */
bool timers_handshake_pending(const struct peer_timers *t, const struct timer_stamps *s);
/* May an initiation be sent, or was the last less than REKEY_TIMEOUT ago? */
bool timers_may_initiate(const struct peer_timers *t, uint64_t now);
/* @retry: another try of the same attempt; else a new attempt begins. */
void timers_initiation_sent(struct peer_timers *t, bool retry, uint64_t jitter, uint64_t now);
/* Not now: as the first try, when it may be sent again. */
void timers_postpone_initiation(struct peer_timers *t, uint64_t now);
void timers_session_made(struct peer_timers *t, uint64_t now); /* either role */
void timers_handshake_done(struct peer_timers *t);	       /* the answer came: no more retries */

/*
 * A queue of due times: a binary heap, each entry embedded in what it is about
 * and knowing its place, so that it can be moved. One thread.
 */
struct timer_entry {
	uint64_t due;
	size_t place; /* 1-based; 0: not queued */
};

struct timer_queue { /* zero initialised */
	struct timer_entry **heap;
	size_t n, cap;
};

/* Room for @n entries; timer_queue_set() never fails afterwards. False: no memory. */
bool timer_queue_reserve(struct timer_queue *q, size_t n);
void timer_queue_set(struct timer_queue *q, struct timer_entry *e, uint64_t due); /* UINT64_MAX takes it off */
struct timer_entry *timer_queue_first(const struct timer_queue *q);		  /* NULL: empty */
void timer_queue_free(struct timer_queue *q);

#endif
