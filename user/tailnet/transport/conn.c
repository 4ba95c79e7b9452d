/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections (conn.h):
 *
 *   RESOLVE -> CONNECT -> [TLS] -> OPEN -> DEAD
 *
 * Addresses are tried one after the other, each for a short time. A connection
 * that is closed is DEAD until the round is over, and freed then: whoever is
 * being called back may close whatever it wants.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "certificate.h"
#include "conn.h"
#include "lookup.h"
#include "policy/alloc.h"
#include "user/base/clock.h"
#include "user/base/url.h"

#define CONNECT_TIMEOUT (4 * NS_PER_SEC) /* an address */
#define QUEUE_MAX	(8u << 20)
#define READ_SIZE	16384
#define READS_MAX	16 /* in a row, then the others have their turn */

enum conn_state { CONN_RESOLVE, CONN_CONNECT, CONN_TLS, CONN_OPEN, CONN_DEAD };

struct conn {
	enum conn_state state;
	struct conn *next;
	struct conns *all;
	const struct conn_ops *ops;
	void *ctx;
	struct url url;
	char cert[URL_HOST_MAX + 1]; /* as in struct conn_target */
	bool unverified;
	int fd; /* of the state: the resolver's pipe or the socket */
	struct lookup_answer addrs;
	size_t tried;
	gnutls_session_t tls;	 /* NULL: none */
	uint64_t deadline, last; /* of the address being tried; of it all */
	uint8_t *queue;
	size_t queued, cap;
	struct conn_error why; /* of the addresses that failed: with the one that came farthest */
};

/* ---- the set ----------------------------------------------------------------------- */

bool conns_init(struct conns *all, const char *ca, char *error, size_t size)
{
	const gnutls_datum_t pem = {(unsigned char *)ca, (unsigned)strlen(ca)};
	int rc;

	*all = (struct conns){0};
	rc = gnutls_certificate_allocate_credentials(&all->trust);
	if (rc >= 0)
		gnutls_certificate_set_x509_system_trust(all->trust); /* there may be none */
	if (rc >= 0 && pem.size)
		rc = gnutls_certificate_set_x509_trust_mem(all->trust, &pem, GNUTLS_X509_FMT_PEM);
	if (rc >= 0 && (!pem.size || rc > 0))
		return true;
	snprintf(error, size, "ca_file: %s", rc < 0 ? gnutls_strerror(rc) : "has no certificate in it");
	return false;
}

static void conn_free(struct conn *c)
{
	if (c->tls)
		gnutls_deinit(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	free(c->queue);
	free(c);
}

static void sweep(struct conns *all)
{
	for (struct conn **at = &all->list; *at;) {
		struct conn *c = *at;

		if (c->state != CONN_DEAD) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		all->n--;
		conn_free(c);
	}
}

void conns_free(struct conns *all)
{
	for (struct conn *c = all->list; c; c = c->next)
		c->state = CONN_DEAD;
	sweep(all);
	if (all->trust)
		gnutls_certificate_free_credentials(all->trust);
	all->trust = NULL;
}

/* ---- one connection ------------------------------------------------------------------ */

static void conn_end(struct conn *c, enum conn_error_kind kind, int number)
{
	const struct conn_error why = {kind, number};

	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->ops->closed(c->ctx, &why);
}

/* Sends @len bytes or some of them; 0: not now, < 0: never again. */
static ssize_t send_some(struct conn *c, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	if (c->tls) {
		n = gnutls_record_send(c->tls, bytes, len);
		return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? 0 : n;
	}
	n = send(c->fd, bytes, len, MSG_NOSIGNAL);
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static void conn_flush(struct conn *c)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < c->queued && (n = send_some(c, c->queue + sent, c->queued - sent)) > 0)
		sent += (size_t)n;
	memmove(c->queue, c->queue + sent, c->queued - sent);
	c->queued -= sent;
	if (n < 0)
		conn_end(c, CONN_ERROR_BROKEN, c->tls ? 0 : errno);
}

void conn_send(struct conn *c, const void *bytes, size_t len)
{
	if (c->state == CONN_DEAD)
		return;
	/* Over the bound the other end has not read for very long: the queue stays over
	 * it, and the next round ends the connection. */
	if (c->queued <= QUEUE_MAX)
		mem_append(&c->queue, &c->queued, &c->cap, bytes, len);
}

size_t conn_queued(const struct conn *c)
{
	return c->queued;
}

void conn_close(struct conn *c)
{
	bool last_word = c->state == CONN_OPEN && c->queued;

	c->state = CONN_DEAD; /* first: whoever closes is not called back when the other end is gone, too */
	if (last_word)
		conn_flush(c); /* as much of it as goes at once */
}

struct conn *conn_open(struct conns *all, const struct conn_target *to, const struct conn_ops *ops, void *ctx,
		       uint64_t now)
{
	struct conn *c;

	if (all->n == CONNS_MAX)
		return NULL;
	c = mem_alloc(1, sizeof(*c));
	*c = (struct conn){.state = CONN_RESOLVE,
			   .next = all->list,
			   .all = all,
			   .ops = ops,
			   .ctx = ctx,
			   .url = to->url,
			   .unverified = to->unverified,
			   .fd = -1};
	snprintf(c->cert, sizeof(c->cert), "%s", to->cert ? to->cert : "");
	for (; c->addrs.n < to->n_addrs && c->addrs.n < LOOKUP_MAX; c->addrs.n++)
		c->addrs.addrs[c->addrs.n] = to->addrs[c->addrs.n];
	if (!c->addrs.n && addr_parse(to->url.host, strlen(to->url.host), &c->addrs.addrs[0]))
		c->addrs.n = 1;
	c->deadline = now; /* begins with the next round */
	c->last = now + CONN_OPEN_TIME;
	all->list = c;
	all->n++;
	return c;
}

/* ---- opening --------------------------------------------------------------------------- */

static int conn_connect_to(const struct addr *a, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v4 = addr_is_v4(a);
	int one = 1, fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	memcpy(&in.sin_addr, &a->w[3], sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, a, sizeof(in6.sin6_addr));
	rc = v4 ? connect(fd, (struct sockaddr *)&in, sizeof(in)) : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (!rc || errno == EINPROGRESS)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void conn_note(struct conn *c, enum conn_error_kind kind, int number)
{
	if (kind > c->why.kind)
		c->why = (struct conn_error){kind, number};
}

static void conn_try_next(struct conn *c, uint64_t now)
{
	if (c->tls)
		gnutls_deinit(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	while (c->tried < c->addrs.n) {
		const struct addr *a = &c->addrs.addrs[c->tried++];

		c->fd = conn_connect_to(a, c->url.port);
		if (c->fd >= 0) {
			c->state = CONN_CONNECT;
			c->deadline = now + CONNECT_TIMEOUT < c->last ? now + CONNECT_TIMEOUT : c->last;
			return;
		}
		conn_note(c, CONN_ERROR_NO_ROUTE, -c->fd);
		c->fd = -1;
	}
	conn_note(c, CONN_ERROR_NO_ADDRESS, 0); /* if there was none to be tried */
	conn_end(c, c->why.kind, c->why.number);
}

static void conn_start(struct conn *c, uint64_t now)
{
	if (c->addrs.n) {
		conn_try_next(c, now);
		return;
	}
	c->fd = lookup_start(c->url.host);
	c->deadline = c->last;
	if (c->fd < 0) {
		c->fd = -1;
		conn_end(c, CONN_ERROR_NAME, EAI_AGAIN);
	}
}

static void finish_resolving(struct conn *c, uint64_t now)
{
	if (!lookup_finish(c->fd, &c->addrs))
		conn_end(c, CONN_ERROR_NAME, EAI_AGAIN);
	else if (c->addrs.error)
		conn_end(c, CONN_ERROR_NAME, c->addrs.error);
	else
		conn_try_next(c, now);
}

/* The hash that the other end's certificate has to have; NULL: a chain of trust decides. */
static const char *pinned_hash(const struct conn *c)
{
	return strncmp(c->cert, CONN_CERT_HASH, strlen(CONN_CERT_HASH)) ? NULL : c->cert + strlen(CONN_CERT_HASH);
}

static int start_tls(struct conn *c)
{
	bool is_addr = addr_parse(c->url.host, strlen(c->url.host), &(struct addr){0});
	int rc = gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

	if (rc < 0) {
		c->tls = NULL;
		return rc;
	}
	rc = gnutls_priority_set_direct(c->tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL);
	if (rc >= 0)
		rc = gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->all->trust);
	if (rc >= 0 && !is_addr)
		rc = gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, c->url.host, strlen(c->url.host));
	if (!c->unverified && !pinned_hash(c))
		gnutls_session_set_verify_cert(c->tls, *c->cert ? c->cert : c->url.host, 0);
	gnutls_transport_set_int(c->tls, c->fd);
	return rc;
}

static void opened(struct conn *c)
{
	c->state = CONN_OPEN;
	c->deadline = UINT64_MAX;
	c->ops->opened(c->ctx);
}

static void go_on_tls(struct conn *c, uint64_t now)
{
	struct conn_error trouble = {0};
	int rc = gnutls_handshake(c->tls);

	if (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED || (rc < 0 && !gnutls_error_is_fatal(rc)))
		return;
	if (rc < 0)
		trouble = certificate_trouble(c->tls, rc);
	else if (pinned_hash(c))
		trouble.kind = certificate_pinned(c->tls, pinned_hash(c), c->url.host, time(NULL));
	if (trouble.kind) {
		conn_note(c, trouble.kind, trouble.number);
		conn_try_next(c, now);
		return;
	}
	opened(c);
}

/* Said by this host or by a router, and not by the other end. */
static bool conn_is_no_route(int error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES || error == EPERM;
}

static void finish_connecting(struct conn *c, uint64_t now)
{
	socklen_t len = sizeof(int);
	int error = 0, rc;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		conn_note(c, conn_is_no_route(error) ? CONN_ERROR_NO_ROUTE : CONN_ERROR_TCP, error);
		conn_try_next(c, now);
		return;
	}
	if (!c->url.tls) {
		opened(c);
		return;
	}
	rc = start_tls(c);
	if (rc < 0) {
		conn_end(c, CONN_ERROR_TLS, rc);
		return;
	}
	c->state = CONN_TLS;
	/* A path that loses large packets only hangs here: another address gets its time, too. */
	c->deadline = c->tried < c->addrs.n ? now + (c->last - now) / 2 : c->last;
	go_on_tls(c, now);
}

/* ---- open ------------------------------------------------------------------------------- */

/* > 0: bytes; 0: the end; -EAGAIN: nothing now; else broken. */
static ssize_t conn_read_some(struct conn *c, uint8_t *buf, size_t size)
{
	ssize_t n;

	if (!c->tls) {
		n = recv(c->fd, buf, size, 0);
		return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
	}
	do
		n = gnutls_record_recv(c->tls, buf, size);
	while (n == GNUTLS_E_INTERRUPTED);
	return n >= 0 ? n : n == GNUTLS_E_AGAIN ? -EAGAIN : -EPROTO;
}

static void conn_read_all(struct conn *c)
{
	uint8_t buf[READ_SIZE];
	ssize_t n = -EAGAIN;

	/* GnuTLS may hold bytes that poll(2) does not see: those are read in any case. */
	for (int i = 0; c->state == CONN_OPEN && (i < READS_MAX || (c->tls && gnutls_record_check_pending(c->tls)));
	     i++) {
		n = conn_read_some(c, buf, sizeof(buf));
		if (n <= 0)
			break;
		c->ops->received(c->ctx, buf, (size_t)n);
	}
	if (c->state == CONN_OPEN && n <= 0 && n != -EAGAIN)
		conn_end(c, n == 0 ? CONN_ERROR_CLOSED : CONN_ERROR_BROKEN, n == 0 || c->tls ? 0 : (int)-n);
}

static void conn_time_out(struct conn *c, uint64_t now)
{
	if (c->state == CONN_RESOLVE) {
		conn_end(c, CONN_ERROR_NAME, EAI_AGAIN);
		return;
	}
	conn_note(c, c->state == CONN_TLS ? CONN_ERROR_TLS_SILENT : CONN_ERROR_TCP_SILENT, 0);
	if (now < c->last)
		conn_try_next(c, now);
	else
		conn_end(c, c->why.kind, c->why.number);
}

static void conn_handle(struct conn *c, short events, uint64_t now)
{
	if (c->state == CONN_RESOLVE && c->fd < 0) {
		conn_start(c, now);
		return;
	}
	if (now >= c->deadline && c->state != CONN_DEAD) {
		conn_time_out(c, now);
		return;
	}
	if (c->state == CONN_OPEN && c->queued > QUEUE_MAX)
		conn_end(c, CONN_ERROR_STUCK, 0);
	if (c->state == CONN_OPEN && c->queued)
		conn_flush(c);
	if (!events)
		return;
	if (c->state == CONN_RESOLVE)
		finish_resolving(c, now);
	else if (c->state == CONN_CONNECT)
		finish_connecting(c, now);
	else if (c->state == CONN_TLS)
		go_on_tls(c, now);
	else if (c->state == CONN_OPEN && events & ~POLLOUT)
		conn_read_all(c);
}

static short conn_wanted(const struct conn *c)
{
	if (c->state == CONN_CONNECT)
		return POLLOUT;
	if (c->state == CONN_TLS)
		return gnutls_record_get_direction(c->tls) ? POLLOUT : POLLIN;
	return c->state == CONN_OPEN && c->queued ? POLLIN | POLLOUT : POLLIN;
}

size_t conns_prepare(struct conns *all, struct pollfd *fds, uint64_t *deadline)
{
	size_t n = 0;

	*deadline = UINT64_MAX;
	sweep(all);
	for (struct conn *c = all->list; c; c = c->next) {
		if (c->state == CONN_OPEN && c->queued && c->queued <= QUEUE_MAX)
			conn_flush(c); /* most often all of it goes, and poll(2) need not be asked */
		if (c->state == CONN_DEAD)
			*deadline = 0;
		else if (c->deadline < *deadline)
			*deadline = c->deadline;
		fds[n++] = (struct pollfd){.fd = c->fd, .events = c->state == CONN_DEAD ? 0 : conn_wanted(c)};
	}
	return n;
}

/* New ones are put in front, so those that were prepared are the last @n. */
void conns_handle(struct conns *all, const struct pollfd *fds, size_t n, uint64_t now)
{
	struct conn *c = all->list;

	all->now = now;
	for (size_t skip = all->n - n; skip; skip--)
		c = c->next;
	for (size_t i = 0; i < n; i++, c = c->next)
		if (c->state != CONN_DEAD)
			conn_handle(c, fds[i].revents, now);
}
