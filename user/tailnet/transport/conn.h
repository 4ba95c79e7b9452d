/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CONN_H
#define SLUICE_TAILNET_CONN_H

#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"
#include "user/tailnet/types/conn_error.h"
#include "user/base/clock.h"
#include "user/base/url.h"

/*
 * TCP connections with or without TLS, none of which ever blocks. One thread
 * owns them all and drives them by conns_prepare(), poll(2) and conns_handle().
 */
struct conn_ops { /* may open, send and close, also itself */
	void (*opened)(void *ctx);
	void (*received)(void *ctx, const uint8_t *bytes, size_t len);
	void (*closed)(void *ctx, const struct conn_error *why); /* not after conn_close() */
};

#define CONNS_MAX 64

struct conns {
	struct conn *list;
	size_t n;
	uint64_t now; /* while conns_handle() calls back: its time */
	gnutls_certificate_credentials_t trust;
};

/* @ca: PEM of roots besides the system's, may be empty. False: @error says why. */
bool conns_init(struct conns *all, const char *ca, char *error, size_t size);
void conns_free(struct conns *all);

/* Fills in at most CONNS_MAX entries, returns how many; *deadline becomes the
 * first time (monotonic ns) at which conns_handle() has to be called in any case. */
size_t conns_prepare(struct conns *all, struct pollfd *fds, uint64_t *deadline);
void conns_handle(struct conns *all, const struct pollfd *fds, size_t n, uint64_t now);

#define CONN_CERT_HASH "sha256-raw:" /* the certificate is pinned: SHA-256 of all of it, in hexadecimal */

struct conn_target {
	struct url url;
	const struct addr *addrs; /* to be tried in turn; none: the name is looked up */
	size_t n_addrs;
	const char *cert; /* whom its certificate is for, or CONN_CERT_HASH and its hash; NULL or "": the host */
	bool unverified;  /* the other end proves itself inside, by a key that we know; a hash counts all the same */
};

/* NULL: too many. Ops follow from conns_prepare() and conns_handle() only: within CONN_OPEN_TIME
 * one of opened and closed. */
#define CONN_OPEN_TIME (15 * NS_PER_SEC)
struct conn *conn_open(struct conns *all, const struct conn_target *to, const struct conn_ops *ops, void *ctx,
		       uint64_t now);
/* Queues; what cannot be sent ends the connection. */
void conn_send(struct conn *c, const void *bytes, size_t len);
size_t conn_queued(const struct conn *c); /* bytes not sent yet */
void conn_close(struct conn *c);	  /* @c is not to be used any more */

#endif
