/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NOTICES_H
#define SLUICE_NOTICES_H

#include "clients.h"

struct ring_buffer;

/* ICMP errors and other messages that the programs ask for. */
struct notices {
	const struct site *site;
	const struct clients *clients;
	struct notices_listener {
		void (*unrouted)(void *ctx, const struct addr *dst); /* a client's packet had no route */
		void (*refused)(void *ctx, enum drop_reason reason); /* a packet of the gateway's own died */
		void *ctx;
	} to;
	struct ring_buffer *ring;
	struct loop_watch watch;
	int icmp4, icmp6;
};

/* False with one line in @error; notices_close() is to be called nevertheless. */
bool notices_open(struct notices *n, const struct site *s, const struct clients *clients, struct notices_listener to,
		  char *error, size_t size);
/* Sends the ICMP error that @notice describes. */
void notices_send(const struct notices *n, const struct notice *notice);
void notices_close(struct notices *n); /* also of one that was never opened, which is all zero */

#endif
