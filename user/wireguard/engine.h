/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allowedips.h"
#include "endpoint.h"
#include "messages.h"
#include "transport.h"

/*
 * The control side of WireGuard: who we are, who the peers are, handshakes, timers. It
 * does no I/O and reads no clock: bytes and times come in, what is to be done goes out
 * through engine_ops, which are called before the function that causes them returns, and
 * which must not call back.
 *
 * Two threads call it, and each call is whole: a lock inside.
 *
 *  - The control thread says who we and the peers are, and nobody else does: a struct peer
 *    that it holds stays one until it removes the peer itself.
 *  - The handshake thread brings what arrives and what is due: input, tick, initiate,
 *    release. It makes the sessions. A finished one goes to the peer's worker by the
 *    command TRANSPORT_INSTALL, is the worker's from then on, and comes back by release.
 */
struct engine;
struct peer;

struct engine_time {
	uint64_t mono; /* monotonic ns; never 0, never less than before */
	uint64_t wall; /* Unix time in ns; may jump */
};

struct engine_ops {
	/* Sends a handshake message by the underlay; it may be lost. */
	void (*send)(void *ctx, const void *msg, size_t len, const struct endpoint *to);
	/* Queues a command for a worker, in order, never lost (transport.h). */
	void (*command)(void *ctx, unsigned worker, const struct transport_command *c);
	/* A receiver index came into use for a peer of @worker, or went out of use.
	 * Comes before the message that tells the peer. */
	void (*index)(void *ctx, uint32_t index, unsigned worker, bool used);
	/* A new snapshot of all allowed IPs; the callee owns it. */
	void (*allowed)(void *ctx, struct allowedips *snapshot);
	/* The worker of a new peer. */
	unsigned (*worker)(void *ctx, uint32_t peer_id);
	/* Fills with random bytes fit for keys. */
	void (*random)(void *ctx, void *buf, size_t len);
	/* Something is due before what engine_tick() last returned. NULL: the caller looks by itself. */
	void (*sooner)(void *ctx);
	/* Our key is another one, by which macs are to be checked (gate.h). NULL: not wanted. */
	void (*identity)(void *ctx, const uint8_t public[KEY_LEN], bool valid);
};

/* NULL: no memory, or none can be locked. @ops and @ctx outlive the engine. */
struct engine *engine_new(const struct engine_ops *ops, void *ctx);
/* All workers have ended; whatever they still hold is freed and wiped here. No ops are called. */
void engine_free(struct engine *e);

/* Our private key; all zero removes it, and with it every handshake. Sessions end.
 * A peer with our own public key is removed. */
void engine_set_identity(struct engine *e, const uint8_t secret[KEY_LEN]);
bool engine_public_key(const struct engine *e, uint8_t public[KEY_LEN]); /* false: there is no identity */
void engine_secret_key(const struct engine *e, uint8_t secret[KEY_LEN]); /* for `wg show`; wipe it */

/* Endpoints of peers that are added from now on are only set by engine_peer_set_endpoint(),
 * for somebody else finds the paths (disco): messages move nobody (else W12). */
void engine_fix_endpoints(struct engine *e);

/*
 * While true, strangers ask for more than they get (gate.h). Sessions that are in use are
 * then renewed by us before the peer would do it (REKEY_UNDER_LOAD_TIME): its initiation
 * competes with theirs, its response to ours does not, for it carries an index that they
 * would have to guess.
 */
void engine_set_under_load(struct engine *e, bool under_load);

/* ---- input ---- */
enum engine_result { /* of a handshake message, at the gate (gate.h) and behind it */
		     ENGINE_OK,
		     ENGINE_COOKIE_SENT, /* under load: asked to come again with a cookie */
		     ENGINE_BAD_LENGTH,
		     ENGINE_BAD_TYPE,	  /* not a handshake message, reserved bytes included */
		     ENGINE_BAD_MAC1,	  /* not meant for our key */
		     ENGINE_RATE_LIMITED, /* too many from this source (W7), or from all who have not shown that they
					     are real */
		     ENGINE_FORGED,	  /* does not decrypt, or a low-order point (W11) */
		     ENGINE_UNKNOWN_PEER,
		     ENGINE_OLD_TIMESTAMP, /* replayed initiation (W8) */
		     ENGINE_FLOOD,	   /* more than INITIATIONS_PER_SECOND by this peer (W8) */
		     ENGINE_UNKNOWN_INDEX, /* no handshake of ours has this index */
		     ENGINE_NO_IDENTITY,
		     ENGINE_NO_MEMORY,
};

/* One datagram that is a handshake message (types 1 to 3) and has passed the gate.
 * Everything but ENGINE_OK sends not one byte and changes nothing (W10). */
enum engine_result engine_input(struct engine *e, const void *msg, size_t len, const struct endpoint *from,
				const struct engine_time *now);

/* Does what is due, a bounded part of it at a time. Returns when to call again, in
 * monotonic ns, not after now where something is left, UINT64_MAX: not before another
 * call; calling earlier costs nothing. */
uint64_t engine_tick(struct engine *e, const struct engine_time *now);

/* Starts a handshake with a peer, if none is under way, its endpoint is known and
 * the last initiation is old enough. For TRANSPORT_HANDSHAKE, and at start for
 * peers whose endpoint was remembered. */
void engine_initiate(struct engine *e, uint32_t peer_id, const struct engine_time *now);

/* Wipes and frees what workers gave back, with its indices and peer ids. */
void engine_release(struct engine *e, struct garbage *g);

/* ---- peers ---- */
struct peer *engine_peer(const struct engine *e, const uint8_t public[KEY_LEN]); /* NULL: unknown */
struct peer *engine_peer_by_id(const struct engine *e, uint32_t id);
/* Walks the peers by id; @after NULL: the first. */
struct peer *engine_peer_next(const struct engine *e, const struct peer *after);
size_t engine_peer_count(const struct engine *e);

/* NULL: no memory (ENOMEM), our own key (EINVAL), or already there (EEXIST). The
 * id is small, stays the peer's, and is given to another only after the worker let
 * go of the transport. */
struct peer *engine_peer_add(struct engine *e, const uint8_t public[KEY_LEN]);
void engine_peer_remove(struct engine *e, struct peer *p);
void engine_remove_all(struct engine *e);

/* Takes effect with a handshake, which is begun at once when there is a session (W16). */
void engine_peer_set_psk(struct engine *e, struct peer *p, const uint8_t psk[KEY_LEN], const struct engine_time *now);
void engine_peer_set_endpoint(struct engine *e, struct peer *p, const struct endpoint *to);
/* Seconds; 0 is off. Switching it on sends one at once. */
void engine_peer_set_keepalive(struct engine *e, struct peer *p, uint16_t seconds, const struct engine_time *now);
/* Allowed IPs reach workers with engine_publish_allowed(). False: no memory. */
bool engine_peer_allow(struct engine *e, struct peer *p, const struct prefix *prefix);
void engine_peer_disallow(struct engine *e, struct peer *p, const struct prefix *prefix);
void engine_peer_disallow_all(struct engine *e, struct peer *p);
const struct prefix *engine_peer_each_allowed(const struct engine *e, const struct peer *p, const void **cursor);
/* Builds and hands out a snapshot when something has changed, and the first time. False: no memory,
 * the old one stays. */
bool engine_publish_allowed(struct engine *e);

struct engine_peer_state {
	uint32_t id;
	unsigned worker;
	uint8_t public[KEY_LEN];
	bool has_psk;
	struct endpoint endpoint; /* port 0: unknown */
	uint16_t keepalive;	  /* seconds */
	uint64_t last_handshake;  /* Unix time in ns; 0: never */
	uint64_t last_received;	  /* monotonic ns; 0: never */
	uint64_t tx_bytes, rx_bytes;
	uint8_t timestamp[TIMESTAMP_LEN]; /* the greatest received; to be kept over a restart (W8) */
};

void engine_peer_state(const struct engine *e, const struct peer *p, struct engine_peer_state *out);
uint32_t engine_peer_id(const struct peer *p);
/* The peer's transport, for its fixed fields and what is meant for the control thread. */
const struct transport *engine_peer_transport(const struct peer *p);
void engine_peer_psk(const struct peer *p, uint8_t psk[KEY_LEN]); /* for `wg show`; wipe it */
/* After a restart: refuse timestamps up to this one. Never goes back. */
void engine_peer_restore_timestamp(struct peer *p, const uint8_t timestamp[TIMESTAMP_LEN]);
/*
 * Brings one that is to be kept back to @wall, when the peer was heard: if its clock was ahead it is set right one
 * day, and what is refused for ever after a restart is then its own.
 */
void engine_timestamp_limit(uint8_t timestamp[TIMESTAMP_LEN], uint64_t wall);

#endif
