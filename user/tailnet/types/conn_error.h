/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CONN_ERROR_H
#define SLUICE_TAILNET_CONN_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Why a server cannot be reached, or is no longer: a kind and a number, never a text of
 * the other end's, so that it may be told across the gateway's wall and to a terminal. Pure.
 *
 * In the order of a connection's course: of two tries the one that came farther tells more.
 */
enum conn_error_kind {
	CONN_ERROR_NONE,
	CONN_ERROR_NO_RELAY,   /* the DERP map has a region, and no relay in it */
	CONN_ERROR_BUSY,       /* too many connections of ours */
	CONN_ERROR_NAME,       /* does not resolve; number: EAI_* */
	CONN_ERROR_NO_ADDRESS, /* has none of a family that may be tried */
	CONN_ERROR_NO_ROUTE,   /* connect(2) fails at once; number: errno */
	CONN_ERROR_TCP_SILENT, /* SYNs without an answer */
	CONN_ERROR_TCP,	       /* number: errno */
	CONN_ERROR_TLS_SILENT,
	CONN_ERROR_TLS, /* number: of GnuTLS */
	CONN_ERROR_CERT_UNTRUSTED,
	CONN_ERROR_CERT_EXPIRED,
	CONN_ERROR_CERT_NOT_YET,
	CONN_ERROR_CERT_NAME,
	CONN_ERROR_CERT_HASH, /* not the one that is pinned */
	CONN_ERROR_CERT_MANY, /* pinned, and others beside it */
	CONN_ERROR_CERT,      /* else: revoked, a weak algorithm, ...; number: gnutls_certificate_status_t */
	CONN_ERROR_HTTP_SILENT,
	CONN_ERROR_HTTP, /* number: status */
	CONN_ERROR_NO_HTTP,
	CONN_ERROR_DERP_SILENT,
	CONN_ERROR_NO_DERP,
	CONN_ERROR_LOGIN,  /* closed when it had heard who we are */
	CONN_ERROR_BROKEN, /* number: errno, 0: none */
	CONN_ERROR_CLOSED, /* by the other end */
	CONN_ERROR_STUCK,  /* does not read what it is sent */
	CONN_ERROR_SILENT, /* it was connected, and nothing is heard of it any more */
	CONN_ERROR_KINDS
};

struct conn_error {
	enum conn_error_kind kind;
	int number; /* as the kind says, else 0 */
};

bool conn_error_equal(const struct conn_error *a, const struct conn_error *b);

/* For scripts: "cert-expired". Never NULL. */
const char *conn_error_name(const struct conn_error *t);
/* For people, in one sentence without its subject: "its certificate has expired". Into @buf. */
const char *conn_error_text(const struct conn_error *t, char *buf, size_t size);
/* Advice: where to look; never NULL. */
const char *conn_error_advice(const struct conn_error *t);

#endif
