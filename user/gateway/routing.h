/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ROUTING_H
#define SLUICE_ROUTING_H

#include "site.h"

/* The host's routes to the clients' addresses. */
struct routing {
	struct routing_again { /* what could not be done */
		struct prefix prefix;
		bool add; /* else it is to go */
	} *again;
	size_t n;
};

void routing_add(struct routing *r, const struct site *s, const struct prefix *p);
void routing_remove(struct routing *r, const struct site *s, const struct prefix *p);
void routing_retry(struct routing *r, const struct site *s); /* once a second */
void routing_close(struct routing *r);

#endif
