/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/log.h"
#include "user/wireguard/crypto.h"
#include "worker_fragments.h"
#include "tap.h"
#include "worker.h"
#include "user/base/clock.h"

enum source { FROM_UNDERLAY_4, FROM_UNDERLAY_6, FROM_TAP, FROM_EVENT, SOURCES };

void worker_tap_gone(struct worker *w)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->tap_fd, NULL); /* it would be ready for ever */
	if (!atomic_exchange(&w->shared->tap_gone, true))
		worker_ring(w->shared->control_event);
}

static void worker_handle(struct worker *w, enum source source)
{
	uint64_t count;

	switch (source) {
	case FROM_UNDERLAY_4:
		receive(w, UNDERLAY_4);
		break;
	case FROM_UNDERLAY_6:
		receive(w, UNDERLAY_6);
		break;
	case FROM_TAP:
		send_frames(w);
		break;
	default:
		if (read(w->event, &count, sizeof(count)) < 0 && errno != EAGAIN)
			log_error("eventfd: %s", strerror(errno));
	}
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[SOURCES];
	char name[16];

	snprintf(name, sizeof(name), "worker %u", w->id);
	pthread_setname_np(pthread_self(), name);
	while (!atomic_load(&w->shared->stop)) { /* asked after the eventfd was emptied: no wake-up is lost */
		int n = epoll_wait(w->epoll, events, SOURCES, worker_fragments_timeout(w));

		atomic_fetch_add(&w->pass, 1);
		w->now = clock_now();
		w->allowed = atomic_load(&w->shared->allowed);
		w->keys = atomic_load(&w->shared->handshakes->keys);
		w->mtu = atomic_load_explicit(&w->shared->mtu, memory_order_relaxed);
		worker_apply_commands(w);
		receive_arrivals(w);
		for (int i = 0; i < n; i++)
			worker_handle(w, events[i].data.u32);
		send_todo(w);
		worker_pass_garbage(w);
		w->allowed = NULL;
		w->keys = NULL;
		atomic_fetch_add(&w->pass, 1);
	}
	return NULL;
}

static int worker_watch_fd(struct worker *w, int fd, enum source source)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = source};

	return fd >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int worker_watch(struct worker *w, const struct underlay *underlay)
{
	return worker_watch_fd(w, underlay->fd[UNDERLAY_4], FROM_UNDERLAY_4)
		       ?: worker_watch_fd(w, underlay->fd[UNDERLAY_6], FROM_UNDERLAY_6);
}

static int allocate(struct worker *w)
{
	int err = rx_batch_init(&w->rx);
	uint8_t hash_key[CRYPTO_SHORT_KEY_LEN];

	crypto_random(hash_key, sizeof(hash_key));
	w->sources = ratelimit_new(hash_key);
	w->frame = malloc(TAP_FRAME_MAX);
	if (!w->sources || !w->frame || !worker_fragments_open(w))
		return -ENOMEM;
	for (int i = 0; i < TX_BATCHES; i++) {
		w->tx[i].data = malloc(TX_SIZE);
		if (!w->tx[i].data)
			return -ENOMEM;
	}
	return err;
}

static void take_underlay(struct worker *w, const struct underlay *underlay)
{
	w->underlay = *underlay;
	w->transports.port = underlay->port;
	if (w->shared->datagrams) {
		w->underlay.relay = worker_leave;
		w->underlay.relay_ctx = w;
	}
}

int worker_init(struct worker *w, unsigned id, struct worker_shared *shared, const struct underlay *underlay,
		int tap_fd, bool gso, bool uso)
{
	int err;

	memset(w, 0, sizeof(*w));
	w->id = id;
	w->shared = shared;
	w->tap_fd = tap_fd;
	w->underlay = (struct underlay){.fd = {-1, -1}};
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	pthread_mutex_init(&w->mail.lock, NULL);
	err = w->event < 0 || w->epoll < 0 ? -errno : allocate(w);
	w->transports.outside = !shared->to_host;
	if (!err) {
		receive_init(w, gso, uso);
		err = worker_watch(w, underlay);
		err = err ?: worker_watch_fd(w, tap_fd, FROM_TAP);
		err = err ?: worker_watch_fd(w, w->event, FROM_EVENT);
	}
	if (err)
		worker_free(w);
	else
		take_underlay(w, underlay);
	return err;
}

int worker_start(struct worker *w)
{
	return -pthread_create(&w->thread, NULL, worker_run, w);
}

void worker_stop(struct worker *w)
{
	worker_ring(w->event);
	pthread_join(w->thread, NULL);
}

void worker_rebind(struct worker *w, const struct underlay *underlay)
{
	underlay_close(&w->underlay); /* epoll forgets what is closed */
	take_underlay(w, underlay);
}

int worker_retap(struct worker *w, int tap_fd)
{
	w->tap_fd = tap_fd;
	return worker_watch_fd(w, tap_fd, FROM_TAP);
}

void worker_free(struct worker *w)
{
	underlay_close(&w->underlay);
	if (w->event >= 0)
		close(w->event);
	if (w->epoll >= 0)
		close(w->epoll);
	rx_batch_free(&w->rx);
	for (int i = 0; i < TX_BATCHES; i++)
		free(w->tx[i].data);
	free(w->frame);
	ratelimit_free(w->sources);
	worker_fragments_close(w);
	free(w->mail.commands);
	datagrams_clear(&w->mail.arrived);
	datagrams_clear(&w->mail.leaving);
	datagrams_clear(&w->mail.others);
	transport_set_free(&w->transports);
	pthread_mutex_destroy(&w->mail.lock);
	memset(w, 0, sizeof(*w));
}
