/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates of TLS sessions (certificate.h). */
#include <gnutls/x509.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "certificate.h"
#include "policy/addr.h"

/* A certificate in which a relay tells its key to who looks for it: no part of the chain (derp.MetaCert). */
#define META_PREFIX "derpkey"

/*
 * A clock that is wrong makes all certificates of a chain wrong, and so nobody vouch for anything: dates
 * come first. A wrong name says more than that nobody vouches for it, too.
 */
struct conn_error certificate_trouble(gnutls_session_t tls, int rc)
{
	unsigned status = gnutls_session_get_verify_cert_status(tls);

	if (rc != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return (struct conn_error){CONN_ERROR_TLS, rc};
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return (struct conn_error){CONN_ERROR_CERT_NOT_YET, 0};
	if (status & GNUTLS_CERT_EXPIRED)
		return (struct conn_error){CONN_ERROR_CERT_EXPIRED, 0};
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		return (struct conn_error){CONN_ERROR_CERT_NAME, 0};
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE))
		return (struct conn_error){CONN_ERROR_CERT_UNTRUSTED, 0};
	return (struct conn_error){CONN_ERROR_CERT, (int)status};
}

static bool is_meta(gnutls_x509_crt_t cert)
{
	char name[256];
	size_t size = sizeof(name);

	return !gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) &&
	       !strncmp(name, META_PREFIX, strlen(META_PREFIX));
}

static bool has_hash(const gnutls_datum_t *der, const char *wanted)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char text[2 * sizeof(hash) + 1];

	crypto_hash_sha256(hash, der->data, der->size);
	return !strcasecmp(sodium_bin2hex(text, sizeof(text), hash, sizeof(hash)), wanted);
}

static enum conn_error_kind certificate_check(gnutls_x509_crt_t cert, const char *host, time_t now)
{
	struct addr address;

	if (!addr_parse(host, strlen(host), &address) && !gnutls_x509_crt_check_hostname(cert, host))
		return CONN_ERROR_CERT_NAME;
	if (now > gnutls_x509_crt_get_expiration_time(cert))
		return CONN_ERROR_CERT_EXPIRED;
	return now < gnutls_x509_crt_get_activation_time(cert) ? CONN_ERROR_CERT_NOT_YET : CONN_ERROR_NONE;
}

/*
 * One of those that the other end shows; *@seen: the pinned one stands before it. That one comes first: the
 * handshake proves the key of the first alone, and anybody can show the pinned one behind his own.
 */
static enum conn_error_kind check_shown(const gnutls_datum_t *der, const char *hash, const char *host, time_t now,
					bool *seen)
{
	enum conn_error_kind kind = CONN_ERROR_CERT_HASH;
	gnutls_x509_crt_t cert;

	if (gnutls_x509_crt_init(&cert) < 0)
		return CONN_ERROR_CERT;
	if (gnutls_x509_crt_import(cert, der, GNUTLS_X509_FMT_DER) < 0)
		kind = CONN_ERROR_CERT;
	else if (*seen)
		kind = is_meta(cert) ? CONN_ERROR_NONE : CONN_ERROR_CERT_MANY;
	else if (!is_meta(cert) && (*seen = has_hash(der, hash)))
		kind = certificate_check(cert, host, now);
	gnutls_x509_crt_deinit(cert);
	return kind;
}

enum conn_error_kind certificate_pinned(gnutls_session_t tls, const char *hash, const char *host, time_t now)
{
	enum conn_error_kind kind = CONN_ERROR_NONE;
	bool seen = false;
	unsigned n = 0;
	const gnutls_datum_t *shown = gnutls_certificate_get_peers(tls, &n);

	for (unsigned i = 0; shown && i < n && !kind; i++)
		kind = check_shown(&shown[i], hash, host, now, &seen);
	return kind || seen ? kind : CONN_ERROR_CERT_HASH;
}
