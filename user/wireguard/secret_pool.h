/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SECRET_POOL_H
#define SLUICE_SECRET_POOL_H

#include <stddef.h>

/*
 * A pool of equal objects that hold secrets (W18): its memory is locked, left out
 * of core files, and not inherited by a forked child. Objects come zeroed and are
 * wiped when they are freed. Not thread safe: one thread allocates and frees,
 * though another may use an object in between. Slabs are kept until the pool goes.
 */
struct secret_pool;

struct secret_pool *secret_pool_new(size_t object_size);
void secret_pool_free(struct secret_pool *p); /* wipes everything, objects still in use too */
/* NULL, with errno: no memory, or no more may be locked (RLIMIT_MEMLOCK: EPERM, ENOMEM or EAGAIN). */
void *secret_alloc(struct secret_pool *p);
void secret_free(struct secret_pool *p, void *object); /* NULL is fine */

#endif
