/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_WORKER_H
#define SLUICE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "user/wireguard/allowedips.h"
#include "gro.h"
#include "user/wireguard/messages.h"
#include "handshakes.h"
#include "datagrams.h"
#include "probe.h"
#include "user/wireguard/transport.h"
#include "underlay.h"

/*
 * A worker is one thread with its own UDP sockets, its own TAP queue and the
 * transports of its own peers. It runs each packet to completion: no packet
 * changes threads, no lock is taken and nothing is allocated for one.
 *
 * Who owns what of a client:
 *  - its sessions, counters, replay windows, staged packets and endpoint (so also
 *    roaming): the one worker the client was given to for as long as it exists;
 *  - its handshakes and timers: the handshake thread (handshakes.h). Workers judge
 *    handshake messages (they arrive at any worker), answer strangers with a cookie or
 *    with silence, pass the others on, and get sessions back.
 * Data messages reach the owner because its sockets are chosen by receiver index
 * (steer_udp), packets from the TAP because its queue is chosen by client (steer_tap).
 */

/* What others and the worker tell each other; a lock each, taken once a batch. */
#define MAIL_REQUESTS  256
#define MAIL_NOTICES   32   /* more are forgotten: they are a courtesy */
#define MAIL_DATAGRAMS 1024 /* of each kind; more are dropped, counted */

struct mail {
	pthread_mutex_t lock;
	_Atomic unsigned waiting;	    /* commands; looked at without the lock */
	struct transport_command *commands; /* to the worker */
	unsigned n_commands, cap_commands;
	struct datagrams arrived; /* to the worker: data messages that came by a relay */
	_Atomic bool has_arrived;

	uint32_t requests[MAIL_REQUESTS]; /* to the handshake thread: peers that need one */
	unsigned n_requests;
	struct garbage garbage;		     /* to it, too */
	struct notice notices[MAIL_NOTICES]; /* to control: errors to send, as the programs ask for them, too */
	unsigned n_notices;
	struct datagrams leaving; /* for a relay */
	struct datagrams others;  /* disco, STUN, or nonsense */
};

/* What all workers of a device share. */
struct worker_shared {
	_Atomic(struct allowedips *) allowed; /* before a worker starts there is one; replaced by control, see
						 retired.h */
	_Atomic uint32_t mtu;		      /* of the tunnel */
	_Atomic bool stop;
	_Atomic bool tap_gone;		  /* somebody deleted the interface */
	bool to_host;			  /* a plain device: every packet is the host's */
	bool datagrams;			  /* in a tailnet: datagrams of other protocols and of relays are mail */
	_Atomic uint32_t *client_of_peer; /* by peer id, 0: no identity, forwards nothing; NULL when to_host */
	uint32_t n_peers;		  /* of client_of_peer */
	uint8_t tap_mac[ETH_ALEN];
	struct probe_watch probe; /* caught by the worker of CLIENT_GATEWAY */
	int control_event;	  /* eventfd: there is mail for control */
	struct handshakes *handshakes;
};

struct worker {
	unsigned id;
	struct worker_shared *shared;
	struct underlay underlay;
	int tap_fd;
	int event; /* eventfd: there are commands, or the end has come */
	int epoll;
	pthread_t thread;
	struct mail mail;
	_Atomic uint64_t pass; /* odd: inside the loop; even: holds no pointer of the shared ones (retired.h) */
	_Atomic uint64_t drops[DROP_MAX];

	struct transport_set transports;
	struct ratelimit *sources;	  /* of handshakes */
	const struct allowedips *allowed; /* of this pass */
	const struct gate_keys *keys;	  /* likewise */
	uint64_t now;			  /* of this batch */
	size_t mtu;
	struct gro gro;
	struct rx_batch rx;
	struct tx_batch tx[TX_BATCHES];
	const struct transport *tx_owner[TX_BATCHES]; /* NULL: takes no more */
	unsigned n_tx;
	uint8_t *frame;			    /* TAP_FRAME_MAX */
	struct worker_fragments *fragments; /* worker_fragments.h */
};

/* Takes over @underlay's sockets on success. Returns 0, or -errno with a worker that is none. */
int worker_init(struct worker *w, unsigned id, struct worker_shared *shared, const struct underlay *underlay,
		int tap_fd, bool gso, bool uso);
int worker_start(struct worker *w);
/* After shared->stop is set: waits for the thread. */
void worker_stop(struct worker *w);
/* It is none then: worker_exists(). */
void worker_free(struct worker *w);
static inline bool worker_exists(const struct worker *w)
{
	return w->shared;
}
/* While stopped: will listen to @underlay, too, until that is closed. 0 or -errno. */
int worker_watch(struct worker *w, const struct underlay *underlay);
/* While stopped: other sockets, which are watched already. Takes @underlay over. */
void worker_rebind(struct worker *w, const struct underlay *underlay);
/* While stopped: another queue, after the interface was made anew. 0 or -errno. */
int worker_retap(struct worker *w, int tap_fd);

/* ---- for the control and the handshake thread ---- */
/* Queues a command, in order; never lost (a gateway that cannot allocate 100 bytes ends). */
void worker_command(struct worker *w, const struct transport_command *c);
/* Hands in a data message that came by a relay. False: too many wait already. */
bool worker_arrive(struct worker *w, const struct endpoint *from, const void *msg, size_t len);
/* Takes the worker's requests for handshakes (room for MAIL_REQUESTS peers) and its garbage; returns how many. */
unsigned worker_take_wishes(struct worker *w, uint32_t *requests, struct garbage *garbage);
void worker_ring(int event); /* an eventfd: its reader has something to do */

/* ---- inside the worker ---- */
static inline void worker_drop(struct worker *w, enum drop_reason reason, uint64_t n)
{
	uint64_t was = atomic_load_explicit(&w->drops[reason], memory_order_relaxed);

	atomic_store_explicit(&w->drops[reason], was + n, memory_order_relaxed);
}

void worker_apply_commands(struct worker *w);
void worker_tap_gone(struct worker *w);
void worker_request_handshake(struct worker *w, uint32_t peer);
void worker_notice(struct worker *w, const struct notice *n);
/* A datagram that is not WireGuard's, for the control thread. False: not wanted, or too many wait already. */
bool worker_pass_other(struct worker *w, const void *bytes, size_t len, const struct endpoint *from);
/* Moves out what came by relays. */
struct datagrams worker_arrivals(struct worker *w);
/* The underlay's way out for what goes to a relay; called by other threads, too. */
bool worker_leave(void *worker, const struct endpoint *to, const void *data, size_t len);
/* Sessions and transports that are over go to the handshake thread, which frees them. */
void worker_pass_garbage(struct worker *w);

/* receive.c: underlay -> open -> coalesce -> TAP */
void receive(struct worker *w, int family);
void receive_arrivals(struct worker *w); /* what came by relays */
void receive_init(struct worker *w, bool gso, bool uso);

/* send.c: TAP -> split -> seal -> underlay */
void send_frames(struct worker *w);
void send_todo(struct worker *w); /* staged packets, keepalives, requests for handshakes */

#endif
