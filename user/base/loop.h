/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_LOOP_H
#define SLUICE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A thread's event loop: descriptors with callbacks and one deadline.
 * A watch is embedded in what it is about; removing one inside any callback is
 * fine, also one whose event is still waiting to be told.
 */
struct loop_watch {
	int fd;
	void (*ready)(void *context);
	void *context;
	struct loop_watch *next; /* in the loop's list */
};

struct loop {
	int epoll;
	struct loop_watch *watches;
	bool stop;
};

int loop_init(struct loop *l); /* 0 or -errno */
void loop_free(struct loop *l);
int loop_add(struct loop *l, struct loop_watch *w, int fd, void (*ready)(void *), void *context);
void loop_remove(struct loop *l, struct loop_watch *w);

/* Waits until @deadline (monotonic ns, UINT64_MAX: for ever) for events and tells
 * them. Returns after one round. */
void loop_run_once(struct loop *l, uint64_t deadline);

#endif
