/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DISCO_H
#define SLUICE_TAILNET_DISCO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disco_message.h"
#include "user/tailnet/types/node.h"
#include "user/wireguard/endpoint.h"
#include "user/base/key.h"
#include "user/base/clock.h"

/*
 * Which way to send to each peer: straight to one of its endpoints, or by its
 * home relay. A path is trusted while its pongs come back. Pure, and owned by the
 * control thread; times are monotonic nanoseconds and never 0.
 *
 * We answer every ping of a known peer, which is what makes a peer send straight
 * to us. For peers that we send to we also look ourselves: all endpoints at once,
 * then the best one again and again.
 */
struct disco;

#define DISCO_HEARTBEAT	       (3 * NS_PER_SEC)	  /* a trusted path is pinged this often */
#define DISCO_TRUST	       (6500 * NS_PER_MS) /* since its last pong */
#define DISCO_SEARCH_INTERVAL  (5 * NS_PER_SEC)	  /* between pings to all endpoints */
#define DISCO_UPGRADE_INTERVAL (60 * NS_PER_SEC)  /* the same while there is a trusted path */
#define DISCO_ACTIVE_TIME      (45 * NS_PER_SEC)  /* since we have sent last; then nothing is pinged any more */
#define DISCO_PROBATION	       (2 * NS_PER_SEC)	  /* an old path is used on, until a pong must have come */

struct disco_result {
	bool direct;
	struct endpoint endpoint; /* if direct */
	uint16_t region;	  /* if not */
	uint64_t latency;	  /* ns */
};

struct disco_ops { /* must not call back */
	void (*send)(void *ctx, const void *bytes, size_t len, const struct endpoint *to);
	void (*relay)(void *ctx, uint16_t region, const uint8_t node[KEY_LEN], const void *bytes, size_t len);
	/* Send to the peer by this path from now on; @to NULL: by the relay of @region (0: it has none). */
	void (*path)(void *ctx, const uint8_t node[KEY_LEN], const struct endpoint *to, uint16_t region);
	/* A pong has come: for `sluice ping`. */
	void (*pong)(void *ctx, const uint8_t node[KEY_LEN], const struct disco_result *r);
	void (*random)(void *ctx, void *buf, size_t len);
};

struct disco *disco_new(const struct disco_ops *ops, void *ctx);
void disco_free(struct disco *d); /* NULL is fine; wipes */

/* Our disco key and our node's public key. All paths are forgotten when the disco key changes. */
void disco_set_identity(struct disco *d, const uint8_t secret[KEY_LEN], const uint8_t node[KEY_LEN]);
/* Where we may be reached, for "call me maybe"; at most DISCO_ENDPOINTS_MAX. */
void disco_set_endpoints(struct disco *d, const struct addr_port *endpoints, size_t n);

/*
 * A peer as the netmap has it, new or changed. Its word about its endpoints and its disco key is a claim: it is
 * sent to by its relay until a pong, or WireGuard, has come from somewhere else.
 */
void disco_peer_set(struct disco *d, const struct tailnet_node *n, uint64_t now);
void disco_peer_remove(struct disco *d, const uint8_t node[KEY_LEN]);

enum disco_input {
	DISCO_TAKEN,
	DISCO_STRANGER, /* or a forgery: it changes nothing */
	DISCO_TOO_MANY, /* from this source, of this peer, or of strangers in all (disco_limit.h) */
};

/* A datagram with disco's magic. */
enum disco_input disco_input(struct disco *d, const uint8_t *bytes, size_t len, const struct endpoint *from,
			     uint64_t now);
/* @node: who sent it by the relay. */
enum disco_input disco_input_relayed(struct disco *d, const uint8_t *bytes, size_t len, uint16_t region,
				     const uint8_t node[KEY_LEN], uint64_t now);

/* We have sent to the peer, or are about to. */
void disco_traffic(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now);
/* What WireGuard has authenticated came from there: as good as a pong on a known path. */
void disco_heard(struct disco *d, const uint8_t node[KEY_LEN], const struct endpoint *from, uint64_t then);
/* It came straight from somewhere else than its path: for a peer whose pongs prove nothing, that is its path. */
void disco_came(struct disco *d, const uint8_t node[KEY_LEN], const struct endpoint *from, uint64_t now);

/* Pings all ways, for ops->pong. False: unknown, or it has no disco key. */
bool disco_ping(struct disco *d, const uint8_t node[KEY_LEN], uint64_t now);
/* How the peer is reached now. False: unknown, or not at all. */
bool disco_path(const struct disco *d, const uint8_t node[KEY_LEN], struct disco_result *out);

/* Does what is due; returns when to call again. */
uint64_t disco_tick(struct disco *d, uint64_t now);

#endif
