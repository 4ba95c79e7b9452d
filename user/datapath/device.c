/* SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/log.h"

#define BUSY_BACKLOG (MAIL_HANDSHAKES / 8) /* handshakes found waiting: under load */
#define BUSY_TIME NS_PER_SEC		   /* and for this long after */

/* A snapshot that workers may still be reading: freed when each has passed a quiet point. */
struct retired {
	struct retired *next;
	struct allowedips *allowed;
	uint64_t pass[MAX_WORKERS];
};

static struct engine_time now(void)
{
	return (struct engine_time){.mono = loop_now(), .wall = loop_wall()};
}

/* ---- what the engine wants done ---------------------------------------------- */

static void op_send(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
	struct device *d = ctx;
	const uint8_t expedited = 0x88; /* AF41, as the kernel's module marks handshakes */

	if (!underlay_send_one(&d->workers[0].underlay, to, expedited, msg, len))
		d->drops[DROP_SEND]++;
}

static void op_command(void *ctx, unsigned worker, const struct transport_command *c)
{
	struct device *d = ctx;

	worker_command(&d->workers[worker], c);
}

static void op_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
	struct device *d = ctx;

	if (d->options.index)
		d->options.index(d->options.ctx, index, worker, used);
}

static void free_retired(struct device *d)
{
	struct retired **at = &d->retired;

	while (*at) {
		struct retired *r = *at;
		bool quiet = true;

		for (unsigned i = 0; i < d->n_running; i++)
			quiet &= worker_quiet(&d->workers[i], r->pass[i]);
		if (!quiet) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		allowedips_free(r->allowed);
		free(r);
	}
}

static void op_allowed(void *ctx, struct allowedips *snapshot)
{
	struct device *d = ctx;
	struct retired *r = calloc(1, sizeof(*r));
	struct allowedips *old = atomic_exchange(&d->shared.allowed, snapshot);

	if (!old || !r) { /* without memory for the note, an old snapshot is better lost than freed too early */
		free(r);
		return;
	}
	r->allowed = old;
	for (unsigned i = 0; i < d->n_workers; i++)
		r->pass[i] = worker_pass(&d->workers[i]);
	r->next = d->retired;
	d->retired = r;
}

static unsigned op_worker(void *ctx, uint32_t peer)
{
	struct device *d = ctx;

	return d->options.worker ? d->options.worker(d->options.ctx, peer) : peer % d->n_workers;
}

static void op_random(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static const struct engine_ops engine_ops = {
	.send = op_send,
	.command = op_command,
	.index = op_index,
	.allowed = op_allowed,
	.worker = op_worker,
	.random = op_random,
};

/* ---- what workers bring ------------------------------------------------------- */

static const enum drop_reason input_drops[] = {
	[ENGINE_BAD_LENGTH] = DROP_WG_LENGTH,	 [ENGINE_BAD_TYPE] = DROP_WG_TYPE,
	[ENGINE_BAD_MAC1] = DROP_WG_MAC1,	 [ENGINE_RATE_LIMITED] = DROP_WG_RATE,
	[ENGINE_FORGED] = DROP_WG_HANDSHAKE,	 [ENGINE_UNKNOWN_PEER] = DROP_WG_HANDSHAKE,
	[ENGINE_OLD_TIMESTAMP] = DROP_WG_HANDSHAKE, [ENGINE_FLOOD] = DROP_WG_RATE,
	[ENGINE_UNKNOWN_INDEX] = DROP_WG_INDEX,	 [ENGINE_NO_IDENTITY] = DROP_WG_HANDSHAKE,
	[ENGINE_NO_MEMORY] = DROP_WG_BUSY,
};

struct bag { /* one worker's mail, out of its lock */
	struct handshake handshakes[MAIL_HANDSHAKES];
	uint32_t requests[MAIL_REQUESTS];
	struct notice notices[MAIL_NOTICES];
	unsigned n_handshakes, n_requests, n_notices;
	struct garbage garbage;
	struct parcels leaving, others;
};

static void collect(struct mail *m, struct bag *bag)
{
	pthread_mutex_lock(&m->lock);
	bag->n_handshakes = m->n_handshakes;
	bag->n_requests = m->n_requests;
	bag->garbage = m->garbage;
	memcpy(bag->handshakes, m->handshakes, m->n_handshakes * sizeof(m->handshakes[0]));
	memcpy(bag->requests, m->requests, m->n_requests * sizeof(m->requests[0]));
	bag->n_notices = m->n_notices;
	memcpy(bag->notices, m->notices, m->n_notices * sizeof(m->notices[0]));
	m->n_handshakes = 0;
	m->n_requests = 0;
	m->n_notices = 0;
	m->garbage = (struct garbage){0};
	bag->leaving = m->leaving;
	bag->others = m->others;
	m->leaving = m->others = (struct parcels){0};
	pthread_mutex_unlock(&m->lock);
}

static void take_handshakes(struct device *d, const struct bag *bag)
{
	struct engine_time time = now();

	if (bag->n_handshakes >= BUSY_BACKLOG)
		d->busy_until = time.mono + BUSY_TIME;
	engine_set_under_load(d->engine, time.mono < d->busy_until);
	for (unsigned i = 0; i < bag->n_handshakes; i++) {
		const struct handshake *h = &bag->handshakes[i];
		enum engine_result result = engine_input(d->engine, h->message, h->len, &h->from, &time);

		if (result != ENGINE_OK && result != ENGINE_COOKIE_SENT)
			d->drops[input_drops[result]]++;
	}
}

static void take_parcels(struct device *d, struct bag *bag)
{
	struct parcel *p;
	uint32_t peer;

	while ((p = parcels_take(&bag->others))) {
		d->options.other(d->options.ctx, p->bytes, p->len, &p->at);
		free(p);
	}
	while ((p = parcels_take(&bag->leaving))) {
		if (endpoint_relay_peer(&p->at, &peer))
			d->options.relay(d->options.ctx, peer, p->at.port, p->bytes, p->len);
		free(p);
	}
}

static void take_mail(void *ctx)
{
	struct device *d = ctx;
	static struct bag bag; /* 50 KiB; the control thread is one */
	uint64_t count;

	if (read(d->shared.control_event, &count, sizeof(count)) < 0)
		return;
	for (unsigned w = 0; w < d->n_workers; w++) {
		struct engine_time time = now();

		collect(&d->workers[w].mail, &bag);
		take_handshakes(d, &bag);
		for (unsigned i = 0; i < bag.n_requests; i++)
			engine_initiate(d->engine, bag.requests[i], &time);
		engine_release(d->engine, &bag.garbage);
		for (unsigned i = 0; d->options.notice && i < bag.n_notices; i++)
			d->options.notice(d->options.ctx, &bag.notices[i]);
		take_parcels(d, &bag);
	}
}

void device_relayed(struct device *d, const struct peer *peer, uint16_t region, const uint8_t *msg, size_t len)
{
	struct endpoint from = endpoint_of_relay(region, engine_peer_id(peer));
	unsigned worker = engine_peer_transport(peer)->worker;
	struct engine_time time = now();
	enum engine_result result;

	if (len && msg[0] == MESSAGE_DATA) {
		if (!worker_arrive(&d->workers[worker], &from, msg, len))
			d->drops[DROP_WG_BUSY]++;
		return;
	}
	result = engine_input(d->engine, msg, len, &from, &time);
	if (result != ENGINE_OK && result != ENGINE_COOKIE_SENT)
		d->drops[input_drops[result]]++;
}

bool device_send(struct device *d, const struct endpoint *to, const void *bytes, size_t len)
{
	bool sent = underlay_send_one(&d->workers[0].underlay, to, 0, bytes, len);

	d->drops[DROP_SEND] += !sent;
	return sent;
}

uint64_t device_tick(struct device *d)
{
	struct engine_time time = now();
	uint64_t due = engine_tick(d->engine, &time);

	free_retired(d);
	if (d->retired && due > time.mono + NS_PER_SEC)
		due = time.mono + NS_PER_SEC;
	return due;
}

/* ---- life --------------------------------------------------------------------- */

static bool fail(char *error, size_t size, const char *what, int err)
{
	snprintf(error, size, "%s: %s", what, strerror(-err));
	return false;
}

static bool open_tap(struct device *d, char *error, size_t size)
{
	/* A plain device ends with its process: what has its name already is another's. */
	int err = tap_open(&d->tap, d->options.interface, d->n_workers, d->options.to_host);

	if (d->tap.made_anew)
		log_warning("%s: another process had it open, or any user could have: it was made anew",
			    d->options.interface);
	if (!err)
		return true;
	switch (err) {
	case -EPERM:
	case -EACCES:
		snprintf(error, size, "%s: cannot make a TAP: needs CAP_NET_ADMIN (run as root)", d->options.interface);
		break;
	case -EBUSY:
		snprintf(error, size, "%s: another process has this interface%s", d->options.interface,
			 d->options.to_host ? ": choose another name, or `ip link delete` it" : " open");
		break;
	case -EAGAIN:
		snprintf(error, size, "%s: another process attaches to it whenever it is made: end that process, or "
			 "close /dev/net/tun to others (chmod 600)",
			 d->options.interface);
		break;
	case -EINVAL:
		snprintf(error, size, "%s: the name belongs to an interface that is no TAP of ours",
			 d->options.interface);
		break;
	case -ENOENT:
		snprintf(error, size, "/dev/net/tun is missing: load the module tun");
		break;
	default:
		return fail(error, size, d->options.interface, err);
	}
	return false;
}

/* A worker's sockets, as all of them are. 0 or -errno with nothing left open. */
static int open_underlay(const struct device *d, struct underlay *u, uint16_t port)
{
	int err = underlay_open(u, port);

	if (err || !d->options.mark)
		return err;
	err = underlay_mark(u, d->options.mark);
	if (err)
		underlay_close(u);
	return err;
}

static bool open_workers(struct device *d, char *error, size_t size)
{
	uint16_t port = d->options.listen;

	for (unsigned i = 0; i < d->n_workers; i++) {
		struct underlay u;
		int err = open_underlay(d, &u, port);

		if (err) {
			snprintf(error, size, "UDP port %u: %s%s", port, strerror(-err),
				 err == -EADDRINUSE ? " (another WireGuard, or another Sluice?)" : "");
			return false;
		}
		port = u.port;
		err = worker_init(&d->workers[i], i, &d->shared, &u, d->tap.fd[i], d->tap.gso, d->tap.uso);
		if (err) {
			underlay_close(&u);
			return fail(error, size, "worker", err);
		}
	}
	d->options.listen = port;
	return true;
}

static bool assemble(struct device *d, char *error, size_t size)
{
	int err = underlay_port_free(d->options.listen);

	if (err) {
		snprintf(error, size, "UDP port %u: %s%s", d->options.listen, strerror(-err),
			 err == -EADDRINUSE ? " (another WireGuard, or another Sluice?)" : "");
		return false;
	}
	d->shared.control_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->shared.control_event < 0)
		return fail(error, size, "eventfd", -errno);
	d->workers = calloc(d->n_workers, sizeof(*d->workers));
	d->shared.client_of_peer = calloc(MAX_CLIENTS, sizeof(*d->shared.client_of_peer));
	if (!d->workers || !d->shared.client_of_peer)
		return fail(error, size, "workers", -ENOMEM);
	if (!open_tap(d, error, size))
		return false;
	memcpy(d->shared.tap_mac, d->tap.mac, sizeof(d->shared.tap_mac));
	if (!open_workers(d, error, size))
		return false;
	d->engine = engine_new(&engine_ops, d);
	if (!d->engine)
		return fail(error, size, "engine: locked memory (raise RLIMIT_MEMLOCK)", -ENOMEM);
	if (!engine_publish_allowed(d->engine))
		return fail(error, size, "allowed addresses", -ENOMEM);
	if (d->options.other)
		engine_fix_endpoints(d->engine);
	err = loop_add(d->loop, &d->mail, d->shared.control_event, take_mail, d);
	return err ? fail(error, size, "epoll", err) : true;
}

bool device_open(struct device *d, struct loop *loop, const struct device_options *options, char *error, size_t size)
{
	*d = (struct device){
		.options = *options,
		.loop = loop,
		.n_workers = options->workers,
		.shared = {.to_host = options->to_host,
			   .parcels = options->other,
			   .n_peers = MAX_CLIENTS,
			   .control_event = -1},
	};
	d->shared.mtu = options->mtu;
	if (assemble(d, error, size))
		return true;
	device_close(d);
	return false;
}

static void stop(struct device *d)
{
	atomic_store(&d->shared.stop, true);
	while (d->n_running)
		worker_stop(&d->workers[--d->n_running]);
}

int device_start(struct device *d)
{
	atomic_store(&d->shared.stop, false);
	while (d->n_running < d->n_workers) {
		int err = worker_start(&d->workers[d->n_running]);

		if (err) {
			stop(d);
			return err;
		}
		d->n_running++;
	}
	return 0;
}

void device_close(struct device *d)
{
	stop(d);
	if (d->mail.ready)
		loop_remove(d->loop, &d->mail);
	if (d->engine)
		engine_free(d->engine);
	for (unsigned i = 0; d->workers && i < d->n_workers; i++)
		if (worker_exists(&d->workers[i]))
			worker_free(&d->workers[i]);
	free_retired(d);
	allowedips_free(atomic_load(&d->shared.allowed));
	free(d->workers);
	free((void *)d->shared.client_of_peer);
	tap_close(&d->tap);
	if (d->shared.control_event >= 0)
		close(d->shared.control_event);
	*d = (struct device){0};
}

/* ---- changes ------------------------------------------------------------------ */

void device_set_client(struct device *d, uint32_t peer, uint32_t client)
{
	if (peer < d->shared.n_peers)
		atomic_store_explicit(&d->shared.client_of_peer[peer], client, memory_order_relaxed);
}

void device_set_mtu(struct device *d, uint32_t mtu)
{
	atomic_store(&d->shared.mtu, mtu);
}

bool device_tap_gone(const struct device *d)
{
	return atomic_load(&d->shared.tap_gone);
}

bool device_replace_tap(struct device *d, char *error, size_t size)
{
	int err = 0;

	stop(d);
	tap_close(&d->tap);
	if (!open_tap(d, error, size))
		return false;
	memcpy(d->shared.tap_mac, d->tap.mac, sizeof(d->shared.tap_mac));
	for (unsigned i = 0; i < d->n_workers && !err; i++)
		err = worker_retap(&d->workers[i], d->tap.fd[i]);
	atomic_store(&d->shared.tap_gone, false);
	err = err ?: device_start(d);
	if (!err)
		return true;
	atomic_store(&d->shared.tap_gone, true); /* to be tried again */
	return fail(error, size, "workers", err);
}

/* All workers move to the sockets that are theirs of @fresh, or none does. 0 or -errno. */
static int rebind(struct device *d, struct underlay *fresh)
{
	int err = 0;

	for (unsigned i = 0; i < d->n_workers && !err; i++)
		err = worker_watch(&d->workers[i], &fresh[i]);
	for (unsigned i = 0; i < d->n_workers; i++) {
		if (err)
			underlay_close(&fresh[i]);
		else
			worker_rebind(&d->workers[i], &fresh[i]);
	}
	return err;
}

int device_set_port(struct device *d, uint16_t port)
{
	struct underlay fresh[MAX_WORKERS];
	int err = underlay_port_free(port), started;
	unsigned n;

	for (n = 0; n < d->n_workers && !err; n++) {
		err = open_underlay(d, &fresh[n], n ? fresh[0].port : port);
		if (err)
			break;
	}
	if (err) {
		while (n)
			underlay_close(&fresh[--n]);
		return err;
	}
	port = fresh[0].port;
	stop(d);
	err = rebind(d, fresh);
	if (!err)
		d->options.listen = port;
	started = device_start(d);
	return err ?: started;
}

int device_set_mark(struct device *d, uint32_t mark)
{
	int err = 0;

	for (unsigned i = 0; i < d->n_workers && !err; i++)
		err = underlay_mark(&d->workers[i].underlay, mark);
	if (!err)
		d->options.mark = mark;
	return err;
}

void device_drops(const struct device *d, uint64_t out[DROP_MAX])
{
	for (int r = 0; r < DROP_MAX; r++) {
		out[r] = d->drops[r];
		for (unsigned i = 0; i < d->n_workers; i++)
			out[r] += atomic_load_explicit(&d->workers[i].drops[r], memory_order_relaxed);
	}
}
