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

/* ---- what the engine wants done ---------------------------------------------- */

void device_drop(struct device *d, enum drop_reason reason)
{
	atomic_fetch_add_explicit(&d->drops[reason], 1, memory_order_relaxed);
}

void device_send_handshake(struct device *d, const void *msg, size_t len, const struct endpoint *to)
{
	if (!underlay_send_one(&d->workers[0].underlay, to, UNDERLAY_EXPEDITED, msg, len))
		device_drop(d, DROP_SEND);
}

static void op_send(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
	device_send_handshake(ctx, msg, len, to);
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

static void release_allowed(void *ctx, void *snapshot)
{
	allowedips_free(snapshot);
}

static void op_allowed(void *ctx, struct allowedips *snapshot)
{
	struct device *d = ctx;
	struct allowedips *old = atomic_exchange(&d->shared.allowed, snapshot);

	if (!old)
		return;
	retired_add(&d->retired, old, release_allowed, NULL);
	handshakes_wake(&d->handshakes); /* it releases the old one */
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

static void op_sooner(void *ctx)
{
	handshakes_wake(&((struct device *)ctx)->handshakes);
}

static void op_identity(void *ctx, const uint8_t public[KEY_LEN], bool valid)
{
	handshakes_identity(&((struct device *)ctx)->handshakes, public, valid);
}

static const struct engine_ops engine_ops = {
	.send = op_send,
	.command = op_command,
	.index = op_index,
	.allowed = op_allowed,
	.worker = op_worker,
	.random = op_random,
	.sooner = op_sooner,
	.identity = op_identity,
};

/* ---- what workers bring ------------------------------------------------------- */

struct bag { /* one worker's mail, out of its lock */
	struct notice notices[MAIL_NOTICES];
	unsigned n_notices;
	struct datagrams leaving, others;
};

static void device_collect(struct mail *m, struct bag *bag)
{
	pthread_mutex_lock(&m->lock);
	bag->n_notices = m->n_notices;
	memcpy(bag->notices, m->notices, m->n_notices * sizeof(m->notices[0]));
	m->n_notices = 0;
	bag->leaving = m->leaving;
	bag->others = m->others;
	m->leaving = m->others = (struct datagrams){0};
	pthread_mutex_unlock(&m->lock);
}

static void take_parcels(struct device *d, struct bag *bag)
{
	struct datagram *p;
	uint32_t peer;

	while ((p = datagrams_take(&bag->others))) {
		d->options.other(d->options.ctx, p->bytes, p->len, &p->at);
		free(p);
	}
	while ((p = datagrams_take(&bag->leaving))) {
		if (endpoint_relay_peer(&p->at, &peer))
			d->options.relay(d->options.ctx, peer, p->at.port, p->bytes, p->len);
		free(p);
	}
}

static void take_mail(void *ctx)
{
	struct device *d = ctx;
	struct bag bag;
	uint64_t count;

	if (read(d->shared.control_event, &count, sizeof(count)) < 0)
		return;
	for (unsigned w = 0; w < d->n_workers; w++) {
		device_collect(&d->workers[w].mail, &bag);
		for (unsigned i = 0; d->options.notice && i < bag.n_notices; i++)
			d->options.notice(d->options.ctx, &bag.notices[i]);
		take_parcels(d, &bag);
	}
}

void device_relayed(struct device *d, const struct peer *peer, uint16_t region, const uint8_t *msg, size_t len)
{
	struct endpoint from = endpoint_of_relay(region, engine_peer_id(peer));
	unsigned worker = engine_peer_transport(peer)->worker;

	if (len && msg[0] == MESSAGE_DATA) {
		if (!worker_arrive(&d->workers[worker], &from, msg, len))
			device_drop(d, DROP_WG_BUSY);
	} else if (!handshakes_relayed(&d->handshakes, msg, len, &from)) {
		device_drop(d, len > HANDSHAKE_MAX_LEN ? DROP_WG_LENGTH : DROP_WG_RATE);
	}
}

bool device_send(struct device *d, const struct endpoint *to, const void *bytes, size_t len)
{
	bool sent = underlay_send_one(&d->workers[0].underlay, to, 0, bytes, len);

	if (!sent)
		device_drop(d, DROP_SEND);
	return sent;
}

/* ---- life --------------------------------------------------------------------- */

static bool device_fail(char *error, size_t size, const char *what, int err)
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
		snprintf(error, size,
			 "%s: another process attaches to it whenever it is made: end that process, or "
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
		return device_fail(error, size, d->options.interface, err);
	}
	return false;
}

/* A worker's sockets, as all of them are. 0 or -errno with nothing left open. */
static int open_underlay(const struct device *d, struct underlay *u, uint16_t port)
{
	int err = underlay_open(u, port);

	if (err)
		return err;
	if (d->options.mark)
		err = underlay_mark(u, d->options.mark);
	if (!err && d->options.opened)
		err = d->options.opened(d->options.ctx, u);
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
			return device_fail(error, size, "worker", err);
		}
		retired_reader(&d->retired, &d->workers[i].pass);
	}
	d->options.listen = port;
	return true;
}

static void handshake_out(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
	device_send_handshake(ctx, msg, len, to);
}

static void handshake_drop(void *ctx, enum drop_reason reason)
{
	device_drop(ctx, reason);
}

static void handshake_keys(void *ctx, const struct gate_keys *keys)
{
	struct device *d = ctx;

	if (d->options.gate)
		d->options.gate(d->options.ctx, keys);
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
		return device_fail(error, size, "eventfd", -errno);
	d->workers = calloc(d->n_workers, sizeof(*d->workers));
	d->shared.client_of_peer = calloc(MAX_CLIENTS, sizeof(*d->shared.client_of_peer));
	if (!d->workers || !d->shared.client_of_peer)
		return device_fail(error, size, "workers", -ENOMEM);
	err = handshakes_open(&d->handshakes, &(struct handshakes_site){
						      .engine = &d->engine,
						      .workers = d->workers,
						      .n_workers = d->n_workers,
						      .retired = &d->retired,
						      .send = handshake_out,
						      .drop = handshake_drop,
						      .keys = handshake_keys,
						      .ctx = d,
					      });
	if (err)
		return device_fail(error, size, "handshakes: locked memory (raise RLIMIT_MEMLOCK)", err);
	if (!open_tap(d, error, size))
		return false;
	memcpy(d->shared.tap_mac, d->tap.mac, sizeof(d->shared.tap_mac));
	if (!open_workers(d, error, size))
		return false;
	d->engine = engine_new(&engine_ops, d);
	if (!d->engine)
		return device_fail(error, size, "engine: locked memory (raise RLIMIT_MEMLOCK)", -ENOMEM);
	if (!engine_publish_allowed(d->engine))
		return device_fail(error, size, "allowed addresses", -ENOMEM);
	if (d->options.other)
		engine_fix_endpoints(d->engine);
	err = loop_add(d->loop, &d->mail, d->shared.control_event, take_mail, d);
	return err ? device_fail(error, size, "epoll", err) : true;
}

bool device_open(struct device *d, struct loop *loop, const struct device_options *options, char *error, size_t size)
{
	*d = (struct device){
		.options = *options,
		.loop = loop,
		.n_workers = options->workers,
		.shared = {.to_host = options->to_host,
			   .datagrams = options->other,
			   .n_peers = MAX_CLIENTS,
			   .control_event = -1},
	};
	d->shared.mtu = options->mtu;
	d->shared.handshakes = &d->handshakes;
	retired_open(&d->retired);
	if (assemble(d, error, size))
		return true;
	device_close(d);
	return false;
}

static void device_stop(struct device *d)
{
	handshakes_stop(&d->handshakes); /* it sends by a worker's socket */
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
			device_stop(d);
			return err;
		}
		d->n_running++;
	}

	int err = handshakes_start(&d->handshakes);

	if (err)
		device_stop(d);
	return err;
}

void device_close(struct device *d)
{
	device_stop(d);
	if (d->mail.ready)
		loop_remove(d->loop, &d->mail);
	if (d->engine)
		engine_free(d->engine);
	for (unsigned i = 0; d->workers && i < d->n_workers; i++)
		if (worker_exists(&d->workers[i]))
			worker_free(&d->workers[i]);
	retired_close(&d->retired); /* into the handshakes' pool, too */
	handshakes_close(&d->handshakes);
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

	device_stop(d);
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
	return device_fail(error, size, "workers", err);
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
	device_stop(d);
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
		out[r] = atomic_load_explicit(&d->drops[r], memory_order_relaxed);
		for (unsigned i = 0; i < d->n_workers; i++)
			out[r] += atomic_load_explicit(&d->workers[i].drops[r], memory_order_relaxed);
	}
}
