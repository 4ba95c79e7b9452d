/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RETIRED_H
#define SLUICE_RETIRED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/contract.h"

/*
 * Snapshots that were replaced and that workers may still be reading: each is released when every worker has passed a
 * quiet point. A worker's word tells: it is odd while the worker may hold a pointer to a snapshot, and it is another
 * after each such time. Any thread.
 */
struct retired_list {
	pthread_mutex_t lock;
	struct retired *first;
	const _Atomic uint64_t *pass[MAX_WORKERS];
	unsigned n_readers;
};

void retired_open(struct retired_list *l);
/* Before the first retired_add(). @pass stays where it is until retired_close(). */
void retired_reader(struct retired_list *l, const _Atomic uint64_t *pass);
/* Releases all: nobody reads any more. */
void retired_close(struct retired_list *l);

/* Without memory for the note, @what is lost: that is better than to free it too early. */
void retired_add(struct retired_list *l, void *what, void (*release)(void *ctx, void *what), void *ctx);
/* True: there are some left. */
bool retired_release(struct retired_list *l);

#endif
