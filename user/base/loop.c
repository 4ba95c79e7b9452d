/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define EVENTS 32

int loop_init(struct loop *l)
{
	*l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	return l->epoll < 0 ? -errno : 0;
}

void loop_free(struct loop *l)
{
	if (l->epoll >= 0)
		close(l->epoll);
	l->epoll = -1;
}

int loop_add(struct loop *l, struct loop_watch *w, int fd, void (*ready)(void *), void *context)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e))
		return -errno;
	*w = (struct loop_watch){.fd = fd, .ready = ready, .context = context, .next = l->watches};
	l->watches = w;
	return 0;
}

void loop_remove(struct loop *l, struct loop_watch *w)
{
	for (struct loop_watch **at = &l->watches; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
			break;
		}
	}
}

/* A callback may have removed, and freed, the watch of a later event. */
static bool is_watched(const struct loop *l, const struct loop_watch *w)
{
	for (const struct loop_watch *at = l->watches; at; at = at->next)
		if (at == w)
			return true;
	return false;
}

static int timeout_until(uint64_t deadline)
{
	uint64_t now = clock_now(), ms;

	if (deadline == UINT64_MAX)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

void loop_run_once(struct loop *l, uint64_t deadline)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->epoll, events, EVENTS, timeout_until(deadline));

	for (int i = 0; i < n; i++) {
		struct loop_watch *w = events[i].data.ptr;

		if (is_watched(l, w))
			w->ready(w->context);
	}
}
