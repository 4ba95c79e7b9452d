/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RESOLVE_H
#define SLUICE_TAILNET_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/addr.h"

/*
 * Host names without waiting: the resolver of the C library blocks, so each
 * look-up is a thread of its own that writes its answer into a pipe.
 */
#define RESOLVE_MAX 16

struct resolve_answer {
	struct addr addrs[RESOLVE_MAX]; /* best first */
	size_t n;
	int error; /* EAI_*, 0: none */
};

/* Starts a look-up. Returns a descriptor that is readable when there is an answer, or -errno. */
int resolve_start(const char *host);
/* False: nothing came; the descriptor is the caller's to close in any case. */
bool resolve_finish(int fd, struct resolve_answer *out);

#endif
