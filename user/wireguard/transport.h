/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TRANSPORT_H
#define SLUICE_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allowedips.h"
#include "endpoint.h"
#include "index.h"
#include "packet.h"
#include "session.h"

/*
 * The data path of a peer. Each peer belongs to one worker for its life, and the
 * worker alone touches its transport; nothing here takes a lock or, for data
 * messages, allocates. Three kinds of exception:
 *
 *  - stamps, counters and the endpoint cell are written by the worker and read by
 *    the engine's threads (relaxed atomics, a sequence counter);
 *  - commands come from the engine (engine.h) as messages, which the
 *    worker applies in order with transport_apply();
 *  - sessions and transports that the worker is done with go back as garbage, which
 *    the handshake thread passes to engine_release(). Until then they stay valid.
 *
 * A command to install a session is queued before the handshake message that makes
 * the peer use it is sent. So a worker that looks for commands after it received
 * datagrams and before it opens them never misses the session of a message.
 *
 * Sessions (W15): `current` sends. A responder's new session is `next` until data
 * arrives on it, since before that the initiator may not have it. `previous` only
 * receives. All three receive.
 */
struct transport_stamps {		 /* monotonic ns, 0: never; written by the worker */
	_Atomic uint64_t last_sent;	 /* anything, keepalives too */
	_Atomic uint64_t last_received;	 /* anything authenticated */
	_Atomic uint64_t last_data_sent; /* a packet, not a keepalive */
	_Atomic uint64_t last_data_received;
	_Atomic uint64_t unanswered_sent;     /* first data sent since anything was received, else 0 */
	_Atomic uint64_t unanswered_received; /* first data received since anything was sent, else 0 */
	_Atomic uint64_t confirmed;	      /* last change of the session that sends */
	_Atomic uint64_t heard;		     /* authenticated, from the endpoint that we send to; of a fixed one only */
	_Atomic uint64_t came;		     /* the same, straight from elsewhere (published_elsewhere) */
	_Atomic uint64_t tx_bytes, rx_bytes; /* of data messages, headers included */
	_Atomic uint64_t tx_packets, rx_packets;
};

/* What the worker is to do for a transport; bits. */
enum transport_todo {
	TRANSPORT_FLUSH = 1,	 /* seal and send the staged packets */
	TRANSPORT_KEEPALIVE = 2, /* and, should there be none, an empty packet */
	TRANSPORT_HANDSHAKE = 4, /* ask the handshake thread: engine_initiate() */
};

struct transport {
	/* fixed from birth */
	uint32_t peer;	 /* id */
	unsigned worker; /* whose it is */
	bool fixed;	 /* its endpoint is told, not followed: messages only give it one while it has none */

	/* the worker's own */
	struct session *previous, *current, *next;
	struct endpoint endpoint, elsewhere;
	uint64_t asked_handshake; /* when TRANSPORT_HANDSHAKE was last set */
	struct staged *staged_first, *staged_last;
	unsigned n_staged;
	unsigned todo;
	struct transport *next_todo; /* in the set's list, when todo is not 0 */
	struct transport *next_gone; /* in the garbage */

	/* for the engine's threads to read */
	struct transport_stamps stamps __attribute__((aligned(64)));
	struct endpoint_cell published, published_elsewhere;
};

/* All that one worker owns. Zero initialised. */
struct transport_set {
	bool outside;		       /* peers are outside the tunnel: transport_may_be_at() looks, as for a gateway */
	uint16_t port;		       /* ours, in host order */
	struct index_table sessions;   /* receiver index -> struct session */
	struct index_table transports; /* peer id + 1 -> struct transport */
	struct transport *todo;
	struct garbage {
		struct session *sessions;
		struct transport *transports;
	} garbage;
};

void transport_set_free(struct transport_set *set); /* its tables; take the garbage first */
struct transport *transport_find(const struct transport_set *set, uint32_t peer); /* NULL: not here */

/*
 * May a peer be there? Where the set's peers are outside: not at an address inside the
 * tunnel, or what is for it would come back in and be sealed again, for ever; nor where
 * nobody can be, nor at our own socket. At loopback what came by loopback: a proxy. Elsewhere (`sluice wireguard`)
 * allowed addresses may be the outer ones.
 */
bool transport_may_be_at(const struct transport_set *set, const struct allowedips *allowed,
			 const struct endpoint *from);

/* A peer that has something to do, taken off the list; *@todo gets its bits. NULL: none. */
struct transport *transport_take_todo(struct transport_set *set, unsigned *todo);
/* Moves all garbage to @out, to be sent to the handshake thread. False: there is none. */
bool transport_take_garbage(struct transport_set *set, struct garbage *out);

/* ---- commands ---- */
enum transport_op {
	TRANSPORT_ADD,	    /* a new peer */
	TRANSPORT_REMOVE,   /* the last command for it: sessions and transport become garbage */
	TRANSPORT_INSTALL,  /* session */
	TRANSPORT_CLEAR,    /* forget all sessions */
	TRANSPORT_ENDPOINT, /* endpoint */
	TRANSPORT_SEND_KEEPALIVE,
	TRANSPORT_DROP_STAGED,
};

struct transport_command {
	enum transport_op op;
	struct transport *transport;
	struct session *session;
	struct endpoint endpoint;
};

/* False, with errno ENOMEM: a table could not grow; a session then became garbage. */
bool transport_apply(struct transport_set *set, const struct transport_command *c, uint64_t now);

/* ---- in: a data message ---- */
enum open_result {
	OPEN_OK,
	OPEN_KEEPALIVE,	 /* authenticated and empty */
	OPEN_BAD_LENGTH, /* shorter than a header and a tag */
	OPEN_NO_SESSION, /* unknown receiver index */
	OPEN_EXPIRED,	 /* past its time or its number of messages (W2, W3) */
	OPEN_FORGED,
	OPEN_REPLAY,	   /* seen before, or older than the window (W6) */
	OPEN_BAD_PACKET,   /* not a whole IP packet inside */
	OPEN_WRONG_SOURCE, /* the inner source is not the peer's (W13) */
	OPEN_CONGESTED,	   /* RFC 6040: marked outside, cannot be marked inside */
};

struct opened {
	struct transport *transport; /* NULL up to OPEN_NO_SESSION */
	struct packet packet;	     /* inside the message; congestion mark already taken over */
};

/*
 * Opens one data message (type already known to be MESSAGE_DATA) of @len bytes in
 * place. @tos is the outer type of service. Whatever is authenticated moves the
 * window, the stamps and the endpoint (W12), also when what is inside is refused.
 */
enum open_result transport_open(struct transport_set *set, const struct allowedips *allowed, uint8_t *msg, size_t len,
				const struct endpoint *from, uint8_t tos, uint64_t now, struct opened *out);

/* The same in three steps, with session_open() in the middle on any core: find
 * checks the limits; accept does everything that follows, in order of arrival. */
enum open_result transport_open_find(const struct transport_set *set, const uint8_t *msg, size_t len, uint64_t now,
				     struct session **session);
enum open_result transport_open_accept(struct transport_set *set, struct session *session,
				       const struct allowedips *allowed, uint8_t *msg, size_t len,
				       const struct endpoint *from, uint8_t tos, uint64_t now, struct opened *out);

/* ---- out: packets for the peer ---- */
enum seal_result {
	SEAL_OK,
	SEAL_NO_SESSION,  /* stage the packet; a handshake has been asked for */
	SEAL_NO_ENDPOINT, /* nobody knows where the peer is */
};

/* May packets be sealed for @t now? One check and one set of stamps for any number of them in a row.
 * @data: they are packets, not a keepalive. */
enum seal_result transport_seal_begin(struct transport_set *set, struct transport *t, bool data, uint64_t now);
/*
 * Seals the next packet as session_seal() does and counts it. The session gives each
 * counter once, in the same step that uses it: one that was used twice would give the key
 * away. Returns 0, with nothing written to @out, when there is no counter left (W3) or no
 * session; a message has at least DATA_MIN_LEN bytes.
 */
size_t transport_seal(struct transport *t, uint8_t *out, const uint8_t *packet, size_t len, size_t mtu);

/* ---- packets that wait for a session (W4) ---- */
struct staged {
	struct staged *next;
	size_t len;
	uint8_t packet[];
};

/* Copies the packet to the end of the queue. False: the oldest had to go for it, or there was no memory. */
bool transport_stage(struct transport *t, const uint8_t *packet, size_t len);
struct staged *transport_unstage(struct transport *t); /* the oldest, to be freed with free(); NULL: none */
void transport_drop_staged(struct transport *t);

#endif
