/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HANDSHAKES_H
#define SLUICE_HANDSHAKES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "user/base/loop.h"
#include "user/wireguard/gate.h"

/*
 * Handshakes have a thread of their own, so that neither packets nor commands wait for
 * curve operations, nor a handshake for a command:
 *
 *	worker: gate.h --lanes--> this thread: the engine --commands--> the peer's worker
 *	           \--cookie to a stranger, without the thread
 *
 * The thread runs the engine's input and timers (engine.h), and makes the keys that
 * workers judge by. Lanes are its only door. It always takes the first message of the
 * first lane that has one: who answers us, and who has shown to be real, do not wait
 * behind strangers. A lane that is full refuses; none makes another wait.
 */
enum lane {
	LANE_ANSWERS,	/* responses and cookies: they name an index of ours */
	LANE_PROVEN,	/* initiations with a cookie */
	LANE_RELAYED,	/* what relays brought: the gate is passed here */
	LANE_STRANGERS, /* other initiations */
	LANES,
};

#define LANE_SIZE 4096 /* messages: at least what strangers may bring at once (GATE_STRANGERS_BURST) */

struct handshake {
	uint16_t len;
	uint8_t message[HANDSHAKE_MAX_LEN];
	struct endpoint from;
};

struct worker;
struct retired_list;

/* What the thread works on; all of it belongs to the device and outlives the thread. */
struct handshakes_site {
	struct engine **engine; /* there by handshakes_start() */
	struct worker *workers;
	unsigned n_workers;
	struct retired_list *retired;
	void (*send)(void *ctx, const void *msg, size_t len, const struct endpoint *to);
	void (*drop)(void *ctx, enum drop_reason reason);
	void (*keys)(void *ctx, const struct gate_keys *keys); /* what macs are checked by from now on */
	void *ctx;
};

struct handshakes {
	struct handshakes_site site;
	bool is_open;
	struct gate_load load;
	_Atomic(const struct gate_keys *) keys; /* what workers judge by: a snapshot, never NULL */
	_Atomic bool stop;
	int event; /* eventfd: a worker or the control thread has something for the thread; -1: closed */
	pthread_t thread;
	bool running;

	pthread_mutex_t lanes_lock;
	struct handshake_ring {
		struct handshake *messages; /* LANE_SIZE of them */
		unsigned first, n;
	} lanes[LANES];
	unsigned taken; /* under lanes_lock */

	pthread_mutex_t keys_lock;     /* of these two: the control thread changes the identity */
	struct secret_pool *keys_pool; /* of snapshots */
	struct gate_keys *own;	       /* the latest */

	struct ratelimit *sources; /* the thread's, of what relays bring; the control thread's: relayed */
	struct ratelimit *relayed; /* what one peer may bring into LANE_RELAYED */
	struct loop loop;
	struct loop_watch watch;
};

/* 0 or -errno; handshakes_close() in either case. */
int handshakes_open(struct handshakes *h, const struct handshakes_site *site);
void handshakes_close(struct handshakes *h); /* fine when it is not open */
int handshakes_start(struct handshakes *h);  /* 0 or -errno */
void handshakes_stop(struct handshakes *h);  /* fine when it does not run */

/* Any thread. False: the lane is full. */
bool handshakes_put(struct handshakes *h, enum lane lane, const void *msg, size_t len, const struct endpoint *from);
void handshakes_wake(struct handshakes *h);

/* ---- for the control thread ---- */
/* From the relay of a peer. False: too much, of this peer or of all. */
bool handshakes_relayed(struct handshakes *h, const void *msg, size_t len, const struct endpoint *from);
/* Macs are checked by this key from now on. */
void handshakes_identity(struct handshakes *h, const uint8_t public[KEY_LEN], bool valid);

/* Why a message that got this result is dropped. */
enum drop_reason handshakes_drop_reason(enum engine_result result);

#endif
