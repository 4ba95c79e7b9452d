/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_NETCHECK_H
#define SLUICE_TAILNET_NETCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/base/clock.h"
#include "user/tailnet/types/derpmap.h"

/*
 * How the world sees us, and which relay is near: binding requests (RFC 8489) to
 * the tailnet's STUN servers, from the WireGuard port, so that the answer is the
 * address at which peers reach it. Pure; times are monotonic ns.
 */
#define NETCHECK_INTERVAL   (25 * NS_PER_SEC) /* short enough to keep a NAT's mapping */
#define NETCHECK_FULL_EVERY 8		      /* rounds: then all regions, else the home region only */

struct netcheck_result {
	uint16_t home;		  /* region; 0: there is none */
	bool udp, ipv6;		  /* somebody answered; over IPv6 */
	struct addr_port seen[2]; /* as seen by IPv4, by IPv6; port 0: not known */
};

struct netcheck;

struct netcheck_ops { /* must not call back */
	void (*send)(void *ctx, const void *bytes, size_t len, const struct addr_port *to);
	void (*result)(void *ctx, const struct netcheck_result *r); /* when it has changed, after a round */
	void (*random)(void *ctx, void *buf, size_t len);
};

struct netcheck *netcheck_new(const struct netcheck_ops *ops, void *ctx);
void netcheck_free(struct netcheck *n); /* NULL is fine */

/* Copied; begins a round. There is no result before the first map. */
void netcheck_set_map(struct netcheck *n, const struct derpmap *map, uint64_t now);
/* The relay of a region cannot be reached, or can: where UDP is blocked that is all there is to choose by. */
void netcheck_set_relay(struct netcheck *n, uint16_t region, bool away);
/* A datagram that is a STUN message. False: not an answer to us. */
bool netcheck_input(struct netcheck *n, const uint8_t *bytes, size_t len, const struct addr_port *from, uint64_t now);
uint64_t netcheck_tick(struct netcheck *n, uint64_t now);

/* The request that the servers of a tailnet answer: with SOFTWARE "tailnode" and a FINGERPRINT. */
#define NETCHECK_REQUEST_LEN 40
void netcheck_request(const uint8_t id[12], uint8_t out[NETCHECK_REQUEST_LEN]);

#endif
