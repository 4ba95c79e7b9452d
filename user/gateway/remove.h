/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REMOVE_H
#define SLUICE_REMOVE_H

#include <stdbool.h>

struct config;

/*
 * Removes all that a gateway of this configuration left on the host. For the process that holds its locks (locks.h).
 * @each (may be NULL) is told of everything removed. 0 or -errno of the first failure.
 */
int gateway_remove(const struct config *config, void (*each)(void *ctx, const char *what), void *ctx);

/* The same, tried again where the kernel had no answer or no memory. False: not all is gone, which is in the log; so is
 * what was removed, with @tell. */
bool remove_whole(const struct config *config, bool tell);

#endif
