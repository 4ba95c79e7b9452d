/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_CERTIFICATE_H
#define SLUICE_TAILNET_CERTIFICATE_H

#include <gnutls/gnutls.h>
#include <time.h>

#include "user/tailnet/types/conn_error.h"

/* What is wrong with the certificate that the other end of a TLS session shows. */

/* Of a handshake that failed with @rc, a GnuTLS error: most often its certificate was not accepted. */
struct conn_error certificate_trouble(gnutls_session_t tls, int rc);

/*
 * Of a handshake that was made without a look at certificates, for one that is pinned: @hash is
 * SHA-256 of it in hexadecimal. As in Tailscale's client (net/tlsdial, SetConfigExpectedCertHash)
 * it has to be the only one, for @host (unless that is an address), and valid at @now: who has pinned
 * it still wants to hear that it was to be replaced. Unlike there it also has to be the first: TLS proves the
 * key of that one only. Returns CONN_ERROR_NONE when it is.
 */
enum conn_error_kind certificate_pinned(gnutls_session_t tls, const char *hash, const char *host, time_t now);

#endif
