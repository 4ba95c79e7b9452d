/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_TROUBLE_H
#define SLUICE_TAILNET_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Why a server cannot be reached, or is no longer: a kind and a number, never a text of
 * the other end's, so that it may be told across the gateway's wall and to a terminal. Pure.
 *
 * In the order of a connection's course: of two tries the one that came farther tells more.
 */
enum trouble_kind {
	TROUBLE_NONE,
	TROUBLE_NO_RELAY,   /* the DERP map has a region, and no relay in it */
	TROUBLE_BUSY,	    /* too many connections of ours */
	TROUBLE_NAME,	    /* does not resolve; number: EAI_* */
	TROUBLE_NO_ADDRESS, /* has none of a family that may be tried */
	TROUBLE_NO_ROUTE,   /* connect(2) fails at once; number: errno */
	TROUBLE_TCP_SILENT, /* SYNs without an answer */
	TROUBLE_TCP,	    /* number: errno */
	TROUBLE_TLS_SILENT,
	TROUBLE_TLS, /* number: of GnuTLS */
	TROUBLE_CERT_UNTRUSTED,
	TROUBLE_CERT_EXPIRED,
	TROUBLE_CERT_NOT_YET,
	TROUBLE_CERT_NAME,
	TROUBLE_CERT_HASH, /* not the one that is pinned */
	TROUBLE_CERT_MANY, /* pinned, and others beside it */
	TROUBLE_CERT,	   /* else: revoked, a weak algorithm, ...; number: gnutls_certificate_status_t */
	TROUBLE_HTTP_SILENT,
	TROUBLE_HTTP, /* number: status */
	TROUBLE_NO_HTTP,
	TROUBLE_DERP_SILENT,
	TROUBLE_NO_DERP,
	TROUBLE_LOGIN,	/* closed when it had heard who we are */
	TROUBLE_BROKEN, /* number: errno, 0: none */
	TROUBLE_CLOSED, /* by the other end */
	TROUBLE_STUCK,	/* does not read what it is sent */
	TROUBLE_SILENT, /* it was connected, and nothing is heard of it any more */
	TROUBLE_KINDS
};

struct trouble {
	enum trouble_kind kind;
	int number; /* as the kind says, else 0 */
};

bool trouble_equal(const struct trouble *a, const struct trouble *b);

/* For scripts: "cert-expired". Never NULL. */
const char *trouble_name(const struct trouble *t);
/* For people, in one sentence without its subject: "its certificate has expired". Into @buf. */
const char *trouble_text(const struct trouble *t, char *buf, size_t size);
/* What to look at; never NULL. */
const char *trouble_advice(const struct trouble *t);

#endif
