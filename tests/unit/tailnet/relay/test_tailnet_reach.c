/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T9: why a relay cannot be reached. A relay that behaves as a case says stands at an address of this host;
 * what the gateway is told of it is the kind of trouble, once a try.
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

static void make_cert(enum which which)
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

static void publish(enum which which)
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

static int setup(void **state)
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

static int teardown(void **state)
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

static size_t read_at_least(gnutls_session_t tls, size_t least)
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

static void wait_for_end(struct relay_at *r)
{
	struct pollfd end = {.fd = r->hang_up[0], .events = POLLIN};

	atomic_store(&r->quiet, true);
	poll(&end, 1, -1);
}

static void carry(struct relay_at *r, gnutls_session_t tls)
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

static void speak(struct relay_at *r, gnutls_session_t tls)
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
static void show_certs(gnutls_certificate_credentials_t credentials, const struct relay_at *r)
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

static void serve_tls(struct relay_at *r, int fd)
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

static void serve(struct relay_at *r, int fd)
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
static void *run(void *ctx)
{
	struct relay_at *r = ctx;
	int fd;

	while ((fd = accept(r->listener, NULL, NULL)) >= 0)
		serve(r, fd);
	return NULL;
}

static struct sockaddr_in local(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A queue for one that is full: the kernel answers no SYN any more. */
static void fill_queue(struct relay_at *r)
{
	struct sockaddr_in at = local(r->port);

	for (size_t i = 0; i < sizeof(r->filler) / sizeof(*r->filler); i++) {
		r->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(r->filler[i], (struct sockaddr *)&at, sizeof(at));
	}
	atomic_store(&r->quiet, true);
}

static void stand(struct relay_at *r)
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

static void fall(struct relay_at *r)
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

static void on_tell(void *ctx, const struct wire_message *m)
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

static void begin(struct us *us, const struct relay_at *first, const struct relay_at *second, const char *cert)
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

static void finish(struct us *us)
{
	relays_free(us->relays);
	conns_free(&us->conns);
}

/* Rounds of the loop until @told has been told so often. Time passes only once a relay has said its last. */
static void await(struct us *us, unsigned told, const struct relay_at *r)
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

static void pass(struct us *us, unsigned seconds)
{
	struct pollfd fds[CONNS_MAX];
	uint64_t deadline;

	us->now += seconds * NS_PER_SEC;
	relays_tick(us->relays, us->now);
	conns_handle(&us->conns, fds, conns_prepare(&us->conns, fds, &deadline), us->now);
}

/* ---- tests --------------------------------------------------------------------------------- */

#define TEXT(s) .text = s, .text_len = sizeof(s) - 1

static void says_why(void **state)
{
	static struct {
		const char *name;
		struct relay_at relay;
		const char *pin; /* of the DERP map */
		struct trouble why;
		bool unverified;
	} cases[] = {
		{"a firewall rejects", {.manner = REFUSES}, NULL, {TROUBLE_TCP, ECONNREFUSED}, false},
		{"a firewall drops", {.manner = DEAF}, NULL, {TROUBLE_TCP_SILENT, 0}, false},
		{"TLS is swallowed", {.manner = MUTE}, NULL, {TROUBLE_TLS_SILENT, 0}, false},
		{"hangs up", {.manner = HANGS_UP}, NULL, {TROUBLE_TLS, 0}, false},
		{"no TLS", {.manner = PLAIN}, NULL, {TROUBLE_TLS, 0}, false},
		{"nobody vouches", {.manner = ANSWERS, .certs = {UNKNOWN}}, NULL, {TROUBLE_CERT_UNTRUSTED, 0}, false},
		{"expired", {.manner = ANSWERS, .certs = {EXPIRED}}, NULL, {TROUBLE_CERT_EXPIRED, 0}, false},
		{"our clock is behind", {.manner = ANSWERS, .certs = {EARLY}}, NULL, {TROUBLE_CERT_NOT_YET, 0}, false},
		{"of another", {.manner = ANSWERS, .certs = {ELSEWHERE}}, NULL, {TROUBLE_CERT_NAME, 0}, false},
		{"of another, named",
		 {.manner = ADMITS, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)},
		 "b.test",
		 {0},
		 false},
		{"untested", {.manner = ADMITS, .certs = {UNKNOWN}, TEXT(UPGRADE KEY)}, NULL, {0}, true},
		{"untested, pinned",
		 {.manner = ANSWERS, .certs = {UNKNOWN}},
		 pki.pin[GOOD],
		 {TROUBLE_CERT_HASH, 0},
		 true},
		{"pinned", {.manner = ADMITS, .certs = {UNKNOWN}, TEXT(UPGRADE KEY)}, pki.pin[UNKNOWN], {0}, false},
		{"pinned, and its key's certificate",
		 {.manner = ADMITS, .certs = {UNKNOWN, META}, .n_certs = 2, TEXT(UPGRADE KEY)},
		 pki.pin[UNKNOWN],
		 {0},
		 false},
		{"pinned, shown behind a key's own by who has no key to it",
		 {.manner = ANSWERS, .certs = {META, UNKNOWN}, .n_certs = 2},
		 pki.pin[UNKNOWN],
		 {TROUBLE_CERT_HASH, 0},
		 false},
		{"pinned, and another",
		 {.manner = ANSWERS, .certs = {UNKNOWN, GOOD}, .n_certs = 2},
		 pki.pin[UNKNOWN],
		 {TROUBLE_CERT_MANY, 0},
		 false},
		{"pinned, another shown", {.manner = ANSWERS}, pki.pin[UNKNOWN], {TROUBLE_CERT_HASH, 0}, false},
		{"pinned, only its key's",
		 {.manner = ANSWERS, .certs = {META}},
		 pki.pin[META],
		 {TROUBLE_CERT_HASH, 0},
		 false},
		{"pinned, expired",
		 {.manner = ANSWERS, .certs = {EXPIRED}},
		 pki.pin[EXPIRED],
		 {TROUBLE_CERT_EXPIRED, 0},
		 false},
		{"pinned, our clock is behind",
		 {.manner = ANSWERS, .certs = {EARLY}},
		 pki.pin[EARLY],
		 {TROUBLE_CERT_NOT_YET, 0},
		 false},
		{"pinned, of another",
		 {.manner = ANSWERS, .certs = {ELSEWHERE}},
		 pki.pin[ELSEWHERE],
		 {TROUBLE_CERT_NAME, 0},
		 false},
		{"no answer", {.manner = NO_REQUEST}, NULL, {TROUBLE_HTTP_SILENT, 0}, false},
		{"not found",
		 {.manner = ANSWERS, TEXT("HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n<html>")},
		 NULL,
		 {TROUBLE_HTTP, 404},
		 false},
		{"a portal",
		 {.manner = ANSWERS, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")},
		 NULL,
		 {TROUBLE_HTTP, 200},
		 false},
		{"no HTTP", {.manner = ANSWERS, TEXT("220 mail.test ESMTP\r\n")}, NULL, {TROUBLE_NO_HTTP, 0}, false},
		{"no DERP",
		 {.manner = HEARS,
		  TEXT(UPGRADE "\x89"
			       "websocket?")},
		 NULL,
		 {TROUBLE_NO_DERP, 0},
		 false},
		{"leaves", {.manner = ANSWERS, TEXT(UPGRADE)}, NULL, {TROUBLE_CLOSED, 0}, false},
		{"no answer to the login", {.manner = HEARS, TEXT(UPGRADE KEY)}, NULL, {TROUBLE_DERP_SILENT, 0}, false},
		{"does not want us", {.manner = DENIES, TEXT(UPGRADE KEY)}, NULL, {TROUBLE_LOGIN, 0}, false},
		{"all is well", {.manner = ADMITS, TEXT(UPGRADE KEY)}, NULL, {0}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_at *r = &cases[i].relay;
		bool silent = r->manner == DEAF || r->manner == MUTE || r->manner == NO_REQUEST || r->manner == HEARS;
		struct us us;

		stand(r);
		begin(&us, r, NULL, cases[i].pin);
		us.nodes[0].unverified = cases[i].unverified;
		await(&us, 1, silent ? r : NULL);
		if (us.last.why.kind != cases[i].why.kind)
			fail_msg("%s: %s", cases[i].name, trouble_name(&us.last.why));
		if (cases[i].why.number)
			assert_int_equal(us.last.why.number, cases[i].why.number);
		assert_int_equal(us.last.state, cases[i].why.kind ? WIRE_RELAY_AWAY : WIRE_RELAY_UP);
		assert_int_equal(us.last.region, REGION);
		assert_string_equal(us.host, HOST);
		finish(&us);
		fall(r);
	}
}

/* Of several nodes the first that lets us in is it, and one try is told once: by what the first failed. */
static void nodes_in_turn(void **state)
{
	static const struct {
		enum manner first, second;
		enum wire_relay_standing state;
		enum trouble_kind why;
		const char *host;
	} cases[] = {
		{REFUSES, ADMITS, WIRE_RELAY_UP, TROUBLE_NONE, "b.test"},
		{ADMITS, REFUSES, WIRE_RELAY_UP, TROUBLE_NONE, HOST},
		{PLAIN, REFUSES, WIRE_RELAY_AWAY, TROUBLE_TLS, HOST},
		{REFUSES, PLAIN, WIRE_RELAY_AWAY, TROUBLE_TCP, HOST},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_at first = {.manner = cases[i].first, TEXT(UPGRADE KEY)};
		struct relay_at second = {.manner = cases[i].second, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)};
		struct us us;

		stand(&first);
		stand(&second);
		begin(&us, &first, &second, NULL);
		await(&us, 1, NULL);
		assert_int_equal(us.last.state, cases[i].state);
		assert_int_equal(us.last.why.kind, cases[i].why);
		assert_string_equal(us.host, cases[i].host);
		if (cases[i].state == WIRE_RELAY_AWAY) {
			pass(&us, 46); /* the longest pause */
			await(&us, 2, NULL);
			assert_int_equal(us.last.why.kind, cases[i].why);
		}
		finish(&us);
		fall(&first);
		fall(&second);
	}
}

/* A relay that was there and is not any more; what is left; what is logged out. */
static void comes_and_goes(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	assert_int_equal(us.last.state, WIRE_RELAY_UP);
	fall(&r);
	await(&us, 2, NULL);
	assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
	assert_int_equal(us.last.why.kind, TROUBLE_CLOSED);
	relays_retry(us.relays, us.now);
	await(&us, 3, NULL);
	assert_int_equal(us.last.why.kind, TROUBLE_TCP);
	relays_tick(us.relays, us.now);
	assert_int_equal(us.told, 3); /* it waits */
	relays_set_key(us.relays, (uint8_t[KEY_LEN]){0}, us.now);
	assert_int_equal(us.told, 4);
	assert_int_equal(us.last.state, WIRE_RELAY_LEFT);
	pass(&us, 60);
	assert_int_equal(us.told, 4); /* nobody asks for it */
	finish(&us);
}

/* A relay says something every minute; one that says nothing for two is gone, whatever TCP thinks. */
static void goes_silent(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	pass(&us, DERP_WATCHDOG - 1);
	assert_int_equal(us.told, 1);
	pass(&us, 1);
	assert_int_equal(us.told, 2);
	assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
	assert_int_equal(us.last.why.kind, TROUBLE_SILENT);
	finish(&us);
	fall(&r);
}

/* Others look for us at our old home until they have heard of the new one. */
static void an_old_home_is_left_late(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	pass(&us, 100);
	relays_set_home(us.relays, 0, us.now);
	pass(&us, 10);
	assert_int_equal(us.told, 1);
	finish(&us);
	fall(&r);
}

/* Who lets us in and hangs up again is not called every second for ever. */
static void pauses_grow(void **state)
{
	struct relay_at r = {.manner = GREETS, TEXT(UPGRADE KEY)};
	uint64_t pause = 0;
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	for (unsigned told = 2; told < 14; told += 2) {
		await(&us, told, NULL);
		assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
		pause = relays_tick(us.relays, us.now) - us.now;
		us.now += pause;
	}
	assert_true(pause >= 15 * NS_PER_SEC && pause <= 45 * NS_PER_SEC);
	finish(&us);
	fall(&r);
}

/* One round of the loop, without time. */
static void round_of(struct us *us)
{
	struct pollfd fds[CONNS_MAX];
	uint64_t deadline;
	size_t n;

	relays_tick(us->relays, us->now);
	n = conns_prepare(&us->conns, fds, &deadline);
	poll(fds, n, 20);
	conns_handle(&us->conns, fds, n, us->now);
}

static struct wire_relay_packet hello_to(const char *key, uint16_t region)
{
	struct wire_relay_packet p = {.region = region, .bytes = (const uint8_t *)"hello", .len = 5};

	memcpy(p.node_key, key, KEY_LEN);
	return p;
}

/*
 * Whoever came to us by our relay is answered there, as long as his own is not open, and until our
 * relay says that he is gone. What is not sent there is seen by what comes next on that connection.
 */
static void answered_where_heard(void **state)
{
	static const struct {
		const char *name;
		enum manner ours, his;
	} cases[] = {
		{"he leaves our relay", CARRIES, REFUSES},
		{"his own relay opens", CLAIMS, ADMITS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct relay_at ours = {.manner = cases[i].ours, TEXT(UPGRADE KEY)};
		struct relay_at his = {.manner = cases[i].his, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)};
		const struct wire_relay_packet hello = hello_to(PEER, REGION + 1), other = hello_to(OTHER, 0);
		struct derp_region regions[2];
		struct us us;

		print_message("  %s\n", cases[i].name);
		stand(&ours);
		stand(&his);
		begin(&us, &ours, &his, NULL);
		regions[0] = us.region;
		regions[0].n_nodes = 1;
		regions[1] = (struct derp_region){.id = REGION + 1, .nodes = &us.nodes[1], .n_nodes = 1};
		us.map = (struct derpmap){.regions = regions, .n = 2};
		relays_set_map(us.relays, &us.map, us.now);
		while (!us.packets)
			round_of(&us);
		assert_int_equal(us.told, 1);
		relays_send(us.relays, &hello, us.now);
		while (!atomic_load(&ours.carried) || us.packets < 2 || us.told < 2)
			round_of(&us);
		assert_int_equal(us.last.region, REGION + 1);
		assert_int_equal(us.last.state, cases[i].his == ADMITS ? WIRE_RELAY_UP : WIRE_RELAY_AWAY);
		relays_send(us.relays, &hello, us.now);
		relays_send(us.relays, &other, us.now);
		while (!atomic_load(&ours.then_to))
			round_of(&us);
		assert_int_equal(atomic_load(&ours.then_to), OTHER[0]);
		finish(&us);
		fall(&ours);
		fall(&his);
	}
}

static void no_relay_in_the_map(void **state)
{
	struct relay_at r = {.manner = REFUSES};
	struct us us;

	stand(&r);
	r.port = 0; /* STUN only */
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	assert_int_equal(us.last.why.kind, TROUBLE_NO_RELAY);
	finish(&us);
	fall(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_why),
		cmocka_unit_test(nodes_in_turn),
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(goes_silent),
		cmocka_unit_test(an_old_home_is_left_late),
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(answered_where_heard),
		cmocka_unit_test(no_relay_in_the_map),
	};

	return cmocka_run_group_tests_name("tailnet_reach", tests, setup, teardown);
}
