/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be wrong with a server, in words (trouble.h). */
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "trouble.h"

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
} kinds[TROUBLE_KINDS] = {
	[TROUBLE_NONE] = {"none", "nothing is wrong", NULL, "nothing to do"},
	[TROUBLE_NO_RELAY] = {"no-relay", "the server's DERP map has no relay for it", NULL,
			      "the administrator of the tailnet has to put one there"},
	[TROUBLE_BUSY] = {"busy", "too many connections are open", NULL, "it is tried again by itself"},
	[TROUBLE_NAME] = {"name", "its name does not resolve", name_text, "are /etc/resolv.conf and the name right?"},
	[TROUBLE_NO_ADDRESS] = {"no-address", "it has no address that may be tried", NULL,
				"may its addresses be tried, as the DERP map has them?"},
	[TROUBLE_NO_ROUTE] = {"no-route", "there is no way to it", errno_text,
			      "has this machine a route to it, and may it go there?"},
	[TROUBLE_TCP_SILENT] = {"tcp-silent", "nothing answers at its address", NULL,
				"does a firewall drop TCP to it? is it up?"},
	[TROUBLE_TCP] = {"tcp", "it does not take the connection", errno_text,
			 "is it up? does a firewall reject TCP to it?"},
	[TROUBLE_TLS_SILENT] = {"tls-silent", "it takes the connection, and then does not speak TLS", NULL,
				"does a firewall look into TLS, or the way there lose large packets (MTU)?"},
	[TROUBLE_TLS] = {"tls", "TLS fails", tls_text, "does a proxy or a firewall stand between?"},
	[TROUBLE_CERT_UNTRUSTED] = {"cert-untrusted",
				    "TLS: nobody whom this machine trusts vouches for its certificate", NULL,
				    "is its root to be named as tailnet.ca_file? does a proxy stand between?"},
	[TROUBLE_CERT_EXPIRED] = {"cert-expired", "TLS: its certificate has expired", NULL, CLOCK},
	[TROUBLE_CERT_NOT_YET] = {"cert-not-yet", "TLS: its certificate is not valid yet", NULL, CLOCK},
	[TROUBLE_CERT_NAME] = {"cert-name", "TLS: its certificate is for another name", NULL,
			       "is the name right? does a proxy stand between?"},
	[TROUBLE_CERT_HASH] = {"cert-hash", "TLS: its certificate is not the one that the DERP map names", NULL,
			       "was it renewed, and its hash in the DERP map not? does a proxy stand between?"},
	[TROUBLE_CERT_MANY] = {"cert-many", "TLS: it shows others beside the certificate that the DERP map names", NULL,
			       "a relay with a pinned certificate has to show that one alone"},
	[TROUBLE_CERT] = {"cert", "TLS: its certificate is not good enough", NULL, "a new one is needed"},
	[TROUBLE_HTTP_SILENT] = {"http-silent", "it does not answer the request", NULL, "is it overloaded?"},
	[TROUBLE_HTTP] = {"http", "it answers as an ordinary web server: HTTP status", NULL,
			  "is it a relay? a proxy or a captive portal answers so, too"},
	[TROUBLE_NO_HTTP] = {"no-http", "it does not speak HTTP", NULL, "are its name and port right?"},
	[TROUBLE_DERP_SILENT] = {"derp-silent", "it does not go on with the login", NULL, "is it overloaded?"},
	[TROUBLE_NO_DERP] = {"no-derp", "it does not speak DERP", NULL, "are its name and port right?"},
	[TROUBLE_LOGIN] = {"login", "it hangs up when we log in", NULL,
			   "does it admit nodes of this tailnet (headscale: verify_clients, derper: -verify-clients)?"},
	[TROUBLE_BROKEN] = {"broken", "the connection broke", errno_text, "it is tried again by itself"},
	[TROUBLE_CLOSED] = {"closed", "it closed the connection", NULL, "it is tried again by itself"},
	[TROUBLE_STUCK] = {"stuck", "it does not read what it is sent", NULL, "is it overloaded?"},
	[TROUBLE_SILENT] = {"silent", "nothing is heard of it any more", NULL, "is it up, and the way to it?"},
};

static enum trouble_kind trouble_kind_of(const struct trouble *t)
{
	return (unsigned)t->kind < TROUBLE_KINDS ? t->kind : TROUBLE_NONE;
}

bool trouble_equal(const struct trouble *a, const struct trouble *b)
{
	return a->kind == b->kind && a->number == b->number;
}

const char *trouble_name(const struct trouble *t)
{
	return kinds[trouble_kind_of(t)].name;
}

const char *trouble_text(const struct trouble *t, char *buf, size_t size)
{
	enum trouble_kind kind = trouble_kind_of(t);

	if (kinds[kind].number && t->number)
		snprintf(buf, size, "%s: %s", kinds[kind].text, kinds[kind].number(t->number));
	else if (kind == TROUBLE_HTTP)
		snprintf(buf, size, "%s %d", kinds[kind].text, t->number);
	else
		snprintf(buf, size, "%s", kinds[kind].text);
	return buf;
}

const char *trouble_advice(const struct trouble *t)
{
	return kinds[trouble_kind_of(t)].advice;
}
