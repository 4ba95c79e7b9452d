/* SPDX-License-Identifier: BSD-2-Clause */
/* The texts of connection errors (conn_error.h). */
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "conn_error.h"

/* Every number has a text, whoever made it up. */
static const char *errno_text(int number)
{
	return strerror(number);
}

static const char *name_text(int number)
{
	return gai_strerror(number);
}

static const char *tls_text(int number)
{
	return gnutls_strerror(number);
}

#define CLOCK "is this machine's clock right (`date`)? else the server's certificate has to be renewed"

static const struct {
	const char *name, *text;
	const char *(*number)(int number); /* what it says; NULL: it is none for people */
	const char *advice;
} kinds[CONN_ERROR_KINDS] = {
	[CONN_ERROR_NONE] = {"none", "nothing is wrong", NULL, "nothing to do"},
	[CONN_ERROR_NO_RELAY] = {"no-relay", "the server's DERP map has no relay for it", NULL,
				 "the administrator of the tailnet has to put one there"},
	[CONN_ERROR_BUSY] = {"busy", "too many connections are open", NULL, "it is tried again by itself"},
	[CONN_ERROR_NAME] = {"name", "its name does not resolve", name_text,
			     "are /etc/resolv.conf and the name right?"},
	[CONN_ERROR_NO_ADDRESS] = {"no-address", "it has no address that may be tried", NULL,
				   "may its addresses be tried, as the DERP map has them?"},
	[CONN_ERROR_NO_ROUTE] = {"no-route", "there is no way to it", errno_text,
				 "has this machine a route to it, and may it go there?"},
	[CONN_ERROR_TCP_SILENT] = {"tcp-silent", "nothing answers at its address", NULL,
				   "does a firewall drop TCP to it? is it up?"},
	[CONN_ERROR_TCP] = {"tcp", "it does not take the connection", errno_text,
			    "is it up? does a firewall reject TCP to it?"},
	[CONN_ERROR_TLS_SILENT] = {"tls-silent", "it takes the connection, and then does not speak TLS", NULL,
				   "does a firewall look into TLS, or the way there lose large packets (MTU)?"},
	[CONN_ERROR_TLS] = {"tls", "TLS fails", tls_text, "does a proxy or a firewall stand between?"},
	[CONN_ERROR_CERT_UNTRUSTED] = {"cert-untrusted",
				       "TLS: nobody whom this machine trusts vouches for its certificate", NULL,
				       "is its root to be named as tailnet.ca_file? does a proxy stand between?"},
	[CONN_ERROR_CERT_EXPIRED] = {"cert-expired", "TLS: its certificate has expired", NULL, CLOCK},
	[CONN_ERROR_CERT_NOT_YET] = {"cert-not-yet", "TLS: its certificate is not valid yet", NULL, CLOCK},
	[CONN_ERROR_CERT_NAME] = {"cert-name", "TLS: its certificate is for another name", NULL,
				  "is the name right? does a proxy stand between?"},
	[CONN_ERROR_CERT_HASH] = {"cert-hash", "TLS: its certificate is not the one that the DERP map names", NULL,
				  "was it renewed, and its hash in the DERP map not? does a proxy stand between?"},
	[CONN_ERROR_CERT_MANY] = {"cert-many", "TLS: it shows others beside the certificate that the DERP map names",
				  NULL, "a relay with a pinned certificate has to show that one alone"},
	[CONN_ERROR_CERT] = {"cert", "TLS: its certificate is not good enough", NULL, "a new one is needed"},
	[CONN_ERROR_HTTP_SILENT] = {"http-silent", "it does not answer the request", NULL, "is it overloaded?"},
	[CONN_ERROR_HTTP] = {"http", "it answers as an ordinary web server: HTTP status", NULL,
			     "is it a relay? a proxy or a captive portal answers so, too"},
	[CONN_ERROR_NO_HTTP] = {"no-http", "it does not speak HTTP", NULL, "are its name and port right?"},
	[CONN_ERROR_DERP_SILENT] = {"derp-silent", "it does not go on with the login", NULL, "is it overloaded?"},
	[CONN_ERROR_NO_DERP] = {"no-derp", "it does not speak DERP", NULL, "are its name and port right?"},
	[CONN_ERROR_LOGIN] =
		{"login", "it hangs up when we log in", NULL,
		 "does it admit nodes of this tailnet (headscale: verify_clients, derper: -verify-clients)?"},
	[CONN_ERROR_BROKEN] = {"broken", "the connection broke", errno_text, "it is tried again by itself"},
	[CONN_ERROR_CLOSED] = {"closed", "it closed the connection", NULL, "it is tried again by itself"},
	[CONN_ERROR_STUCK] = {"stuck", "it does not read what it is sent", NULL, "is it overloaded?"},
	[CONN_ERROR_SILENT] = {"silent", "nothing is heard of it any more", NULL, "is it up, and the way to it?"},
};

static enum conn_error_kind conn_error_kind_of(const struct conn_error *t)
{
	return (unsigned)t->kind < CONN_ERROR_KINDS ? t->kind : CONN_ERROR_NONE;
}

bool conn_error_equal(const struct conn_error *a, const struct conn_error *b)
{
	return a->kind == b->kind && a->number == b->number;
}

const char *conn_error_name(const struct conn_error *t)
{
	return kinds[conn_error_kind_of(t)].name;
}

const char *conn_error_text(const struct conn_error *t, char *buf, size_t size)
{
	enum conn_error_kind kind = conn_error_kind_of(t);

	if (kinds[kind].number && t->number)
		snprintf(buf, size, "%s: %s", kinds[kind].text, kinds[kind].number(t->number));
	else if (kind == CONN_ERROR_HTTP)
		snprintf(buf, size, "%s %d", kinds[kind].text, t->number);
	else
		snprintf(buf, size, "%s", kinds[kind].text);
	return buf;
}

const char *conn_error_advice(const struct conn_error *t)
{
	return kinds[conn_error_kind_of(t)].advice;
}
