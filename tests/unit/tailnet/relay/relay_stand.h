/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_RELAY_STAND_H
#define SLUICE_TEST_RELAY_STAND_H

/*
 * A relay that behaves as a case says stands at an address of this host, with a certificate that is good or is not; and
 * the client of relays that meets it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "user/wireguard/crypto.h"
#include "user/wireguard/messages.h"
#include "user/tailnet/relay/derp.h"
#include "user/tailnet/relay/relay.h"
#include "user/base/clock.h"
#include "user/base/url.h"

#define HOST   "relay.test"
#define REGION 9
#define DAY    86400
#define KEY                    \
	"\x01\0\0\0\x28"       \
	"DERP\xf0\x9f\x94\x91" \
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define PEER	"pppppppppppppppppppppppppppppppp"
#define OTHER	"qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
#define UPGRADE "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"

/* ---- certificates ---------------------------------------------------------------------- */

enum which { GOOD, UNKNOWN, EXPIRED, EARLY, ELSEWHERE, META, CERTS };

static const struct {
	const char *cn, *host;
	int from, to; /* days from now */
	bool trusted;
} wanted[CERTS] = {
	[GOOD] = {HOST, HOST, -1, 1, true},
	[UNKNOWN] = {HOST, HOST, -1, 1, false},
	[EXPIRED] = {HOST, HOST, -2, -1, true},
	[EARLY] = {HOST, HOST, 1, 2, true},
	[ELSEWHERE] = {"b.test", "b.test", -1, 1, true},
	[META] = {"derpkey0123", "b.test", -2, -1, false},
};

static struct {
	gnutls_x509_privkey_t key[CERTS]; /* else each would vouch for the others */
	gnutls_x509_crt_t cert[CERTS];
	char pin[CERTS][80]; /* as a DERP map names it */
	char ca[16384];	     /* those that are trusted */
} pki;

static inline void make_cert(enum which which)
{
	gnutls_x509_crt_t c;
	unsigned char serial = (unsigned char)(which + 1);

	assert_int_equal(gnutls_x509_privkey_init(&pki.key[which]), 0);
	assert_int_equal(gnutls_x509_privkey_generate(pki.key[which], GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
			 0);
	assert_int_equal(gnutls_x509_crt_init(&c), 0);
	gnutls_x509_crt_set_version(c, 3);
	gnutls_x509_crt_set_serial(c, &serial, 1);
	gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, wanted[which].cn,
				      (unsigned)strlen(wanted[which].cn));
	gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, wanted[which].host,
					     (unsigned)strlen(wanted[which].host), GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_activation_time(c, time(NULL) + wanted[which].from * DAY);
	gnutls_x509_crt_set_expiration_time(c, time(NULL) + wanted[which].to * DAY);
	gnutls_x509_crt_set_key(c, pki.key[which]);
	assert_int_equal(gnutls_x509_crt_sign2(c, c, pki.key[which], GNUTLS_DIG_SHA256, 0), 0);
	pki.cert[which] = c;
}

static inline void publish(enum which which)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1];
	gnutls_datum_t der, pem;

	assert_int_equal(gnutls_x509_crt_export2(pki.cert[which], GNUTLS_X509_FMT_DER, &der), 0);
	crypto_hash_sha256(hash, der.data, der.size);
	snprintf(pki.pin[which], sizeof(pki.pin[which]), CONN_CERT_HASH "%s",
		 sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)));
	gnutls_free(der.data);
	if (!wanted[which].trusted)
		return;
	assert_int_equal(gnutls_x509_crt_export2(pki.cert[which], GNUTLS_X509_FMT_PEM, &pem), 0);
	strncat(pki.ca, (char *)pem.data, sizeof(pki.ca) - strlen(pki.ca) - 1);
	gnutls_free(pem.data);
}

static inline int setup(void **state)
{
	const char *what;

	if (!crypto_init(&what))
		return -1;
	for (int i = 0; i < CERTS; i++) {
		make_cert((enum which)i);
		publish((enum which)i);
	}
	return 0;
}

static inline int teardown(void **state)
{
	for (int i = 0; i < CERTS; i++) {
		gnutls_x509_crt_deinit(pki.cert[i]);
		gnutls_x509_privkey_deinit(pki.key[i]);
	}
	return 0;
}

/* ---- a relay ------------------------------------------------------------------------------- */

enum manner {
	REFUSES,    /* nobody listens */
	DEAF,	    /* SYNs get no answer */
	MUTE,	    /* takes connections and says nothing */
	HANGS_UP,   /* at once */
	PLAIN,	    /* no TLS */
	ANSWERS,    /* the request, with a text */
	NO_REQUEST, /* TLS, and no answer to the request */
	HEARS,	    /* a text, who we are, and then silence */
	DENIES,	    /* a text, who we are, and then the end */
	GREETS,	    /* a text, who we are, its own information, and then the end */
	CLAIMS,	    /* the same, and a packet of PEER's; when it has got one for it, OTHER's */
	CARRIES,    /* the same, and that PEER is gone comes before OTHER's */
	ADMITS,	    /* the same as GREETS, and it stays until it is told to end */
};

struct relay_at {
	enum manner manner;
	const char *text;
	size_t text_len;
	enum which certs[2];
	unsigned n_certs;
	int listener, hang_up[2];
	uint16_t port;
	atomic_bool quiet; /* nothing will come any more */
	atomic_bool carried;
	atomic_char then_to; /* whom the next packet was for */
	pthread_t thread;
	int filler[4]; /* of the queue, if deaf */
};

static inline size_t read_at_least(gnutls_session_t tls, size_t least)
{
	char buf[4096];
	size_t got = 0;
	ssize_t n = 1;

	while (got < least && n > 0) {
		n = gnutls_record_recv(tls, buf, sizeof(buf));
		got += n > 0 ? (size_t)n : 0;
	}
	return got;
}

static inline void wait_for_end(struct relay_at *r)
{
	struct pollfd end = {.fd = r->hang_up[0], .events = POLLIN};

	atomic_store(&r->quiet, true);
	poll(&end, 1, -1);
}

static inline void carry(struct relay_at *r, gnutls_session_t tls)
{
	char next[5 + 32 + 5];

	gnutls_record_send(tls, "\x05\0\0\0\x22" PEER "hi", 5 + 34);
	read_at_least(tls, 6 + 5 + 32 + 5); /* NotePreferred, and "hello" to it */
	atomic_store(&r->carried, true);
	if (r->manner == CARRIES)
		gnutls_record_send(tls, "\x08\0\0\0\x21" PEER "\x01", 5 + 33);
	gnutls_record_send(tls, "\x05\0\0\0\x22" OTHER "hi", 5 + 34);
	if (gnutls_record_recv(tls, next, sizeof(next)) > 5)
		atomic_store(&r->then_to, next[5]);
}

static inline void speak(struct relay_at *r, gnutls_session_t tls)
{
	if (gnutls_handshake(tls) < 0)
		return;
	read_at_least(tls, 1);
	if (r->manner == NO_REQUEST) {
		wait_for_end(r);
		return;
	}
	gnutls_record_send(tls, r->text, r->text_len);
	if (r->manner >= HEARS)
		read_at_least(tls, 5 + 32 + 24 + 16);
	if (r->manner >= GREETS)
		gnutls_record_send(tls, "\x03\0\0\0\x02xx", 7);
	if (r->manner == CLAIMS || r->manner == CARRIES)
		carry(r, tls);
	if (r->manner == HEARS || r->manner >= CLAIMS)
		wait_for_end(r);
	gnutls_bye(tls, GNUTLS_SHUT_WR);
}

/* As they are: GnuTLS would leave out what is no chain, were it told of X.509. */
static inline void show_certs(gnutls_certificate_credentials_t credentials, const struct relay_at *r)
{
	gnutls_pcert_st list[2];
	gnutls_privkey_t key;

	for (unsigned i = 0; i < r->n_certs; i++)
		gnutls_pcert_import_x509(&list[i], pki.cert[r->certs[i]], 0);
	gnutls_privkey_init(&key);
	gnutls_privkey_import_x509(key, pki.key[r->certs[0]], GNUTLS_PRIVKEY_IMPORT_COPY);
	if (gnutls_certificate_set_key(credentials, NULL, 0, list, (int)r->n_certs, key) < 0)
		abort();
}

static inline void serve_tls(struct relay_at *r, int fd)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t tls;

	gnutls_certificate_allocate_credentials(&credentials);
	show_certs(credentials, r);
	gnutls_init(&tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(tls);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(tls, fd);
	speak(r, tls);
	gnutls_deinit(tls);
	gnutls_certificate_free_credentials(credentials);
}

static inline void serve(struct relay_at *r, int fd)
{
	if (r->manner == MUTE)
		wait_for_end(r);
	else if (r->manner == PLAIN)
		(void)!write(fd, "220 mail.test ESMTP\r\n", 21);
	else if (r->manner != HANGS_UP)
		serve_tls(r, fd);
	close(fd);
}

/* One connection after the other, until the listener is shut. */
static inline void *run(void *ctx)
{
	struct relay_at *r = ctx;
	int fd;

	while ((fd = accept(r->listener, NULL, NULL)) >= 0)
		serve(r, fd);
	return NULL;
}

static inline struct sockaddr_in local(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A queue for one that is full: the kernel answers no SYN any more. */
static inline void fill_queue(struct relay_at *r)
{
	struct sockaddr_in at = local(r->port);

	for (size_t i = 0; i < sizeof(r->filler) / sizeof(*r->filler); i++) {
		r->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(r->filler[i], (struct sockaddr *)&at, sizeof(at));
	}
	atomic_store(&r->quiet, true);
}

static inline void stand(struct relay_at *r)
{
	struct sockaddr_in at = local(0);
	socklen_t len = sizeof(at);

	r->n_certs = r->n_certs ? r->n_certs : 1;
	r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(r->listener, (struct sockaddr *)&at, &len), 0);
	r->port = ntohs(at.sin_port);
	assert_int_equal(pipe2(r->hang_up, O_CLOEXEC), 0);
	if (r->manner == REFUSES)
		return;
	assert_int_equal(listen(r->listener, r->manner == DEAF ? 0 : 8), 0);
	if (r->manner == DEAF)
		fill_queue(r);
	else
		assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
}

static inline void fall(struct relay_at *r)
{
	close(r->hang_up[1]);
	shutdown(r->listener, SHUT_RDWR);
	if (r->manner == DEAF)
		for (size_t i = 0; i < sizeof(r->filler) / sizeof(*r->filler); i++)
			close(r->filler[i]);
	else if (r->manner != REFUSES)
		pthread_join(r->thread, NULL);
	close(r->listener);
	close(r->hang_up[0]);
}

/* ---- us ---------------------------------------------------------------------------------- */

struct us {
	struct conns conns;
	struct relays *relays;
	struct derp_node nodes[2];
	struct derp_region region;
	struct derpmap map;
	uint64_t now;
	unsigned told, packets;
	struct wire_relay_state last;
	char host[URL_HOST_MAX + 1];
};

static inline void on_tell(void *ctx, const struct wire_message *m)
{
	static const char box[120] = "who we are";
	struct us *us = ctx;

	if (m->type == WIRE_RELAY_HELLO)
		relays_box(us->relays, &(struct wire_relay_box){m->hello.region, (uint8_t *)box, sizeof(box)});
	if (m->type == WIRE_RELAY_PACKET)
		us->packets++;
	if (m->type != WIRE_RELAY_STATE)
		return;
	us->told++;
	us->last = m->relay;
	snprintf(us->host, sizeof(us->host), "%s", m->relay.host ? m->relay.host : "");
}

static inline void begin(struct us *us, const struct relay_at *first, const struct relay_at *second, const char *cert)
{
	const struct relay_at *all[] = {first, second};
	char error[128];

	*us = (struct us){.now = NS_PER_SEC, .region = {.id = REGION, .nodes = us->nodes}};
	us->map = (struct derpmap){.regions = &us->region, .n = 1};
	for (size_t i = 0; i < 2 && all[i]; i++) {
		struct derp_node *n = &us->nodes[us->region.n_nodes++];

		snprintf(n->host, sizeof(n->host), "%s", i ? "b.test" : HOST);
		snprintf(n->cert, sizeof(n->cert), "%s", cert ? cert : "");
		n->has_v4 = true;
		n->v4 = addr_from_v4(htonl(INADDR_LOOPBACK));
		n->derp_port = all[i]->port;
	}
	assert_true(conns_init(&us->conns, pki.ca, error, sizeof(error)));
	us->relays = relays_new(&us->conns, on_tell, us);
	relays_set_map(us->relays, &us->map, us->now);
	relays_set_home(us->relays, REGION, us->now);
	assert_int_equal(us->told, 0); /* nobody we could say that we are */
	relays_set_key(us->relays, (uint8_t[KEY_LEN]){1}, us->now);
}

static inline void finish(struct us *us)
{
	relays_free(us->relays);
	conns_free(&us->conns);
}

/* Rounds of the loop until @told has been told so often. Time passes only once a relay has said its last. */
static inline void await(struct us *us, unsigned told, const struct relay_at *r)
{
	struct pollfd fds[CONNS_MAX];

	while (us->told < told) {
		uint64_t due = relays_tick(us->relays, us->now), deadline;
		size_t n = conns_prepare(&us->conns, fds, &deadline);
		bool quiet = r && atomic_load(&r->quiet);

		deadline = due < deadline ? due : deadline;
		if (us->told < told &&
		    !poll(fds, n,
			  quiet			? 100
			  : deadline <= us->now ? 0
						: 1000) &&
		    quiet && deadline > us->now)
			us->now = deadline;
		conns_handle(&us->conns, fds, n, us->now);
	}
}

/* ---- tests --------------------------------------------------------------------------------- */

#define TEXT(s) .text = s, .text_len = sizeof(s) - 1

#endif
