/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RETIRED_H
#define SLUICE_RETIRED_H

#include <pthread.h>
#include <stdbool.h>

#include "worker.h"

/*
 * Snapshots that were replaced and that workers may still be reading: each is released
 * when every worker has passed a quiet point (worker_quiet()). Any thread.
 */
struct retired_list {
	pthread_mutex_t lock;
	struct retired *first;
};

void retired_open(struct retired_list *l);
void retired_close(struct retired_list *l); /* after the last retired_release() */

/* Without memory for the note, @what is lost: that is better than to free it too early. */
void retired_add(struct retired_list *l, const struct worker *workers, unsigned n, void *what,
		 void (*release)(void *ctx, void *what), void *ctx);
/* @n: workers that run. True: there are some left. */
bool retired_release(struct retired_list *l, const struct worker *workers, unsigned n);

#endif
