/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_LOOKUP_H
#define SLUICE_TAILNET_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/addr.h"

/*
 * Host names without waiting: the resolver of the C library blocks, so each
 * look-up is a thread of its own that writes its answer into a pipe.
 */
#define LOOKUP_MAX 16

struct lookup_answer {
	struct addr addrs[LOOKUP_MAX]; /* best first */
	size_t n;
	int error; /* EAI_*, 0: none */
};

struct addrinfo;
/* What getaddrinfo(3) found, of IPv4 and IPv6. *out is zero. */
void lookup_take(struct lookup_answer *out, const struct addrinfo *list);

/* Starts a look-up. Returns a descriptor that is readable when there is an answer, or -errno. */
int lookup_start(const char *host);
/* False: nothing came; the descriptor is the caller's to close in any case. */
bool lookup_finish(int fd, struct lookup_answer *out);

#endif
