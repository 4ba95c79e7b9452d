/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_LINK_H
#define SLUICE_TAILNET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/ipc/wire.h"

/*
 * One end of the socket pair between gateway and network process. Neither ever
 * waits for the other: what does not fit is queued, relayed packets are dropped.
 */
struct link_message;

struct link {
	int fd;
	enum wire_direction in;
	struct link_message *first, **last; /* waiting to be sent */
	size_t queued;			    /* bytes */
	uint64_t dropped;		    /* relayed packets */
	uint8_t *out_buf, *in_buf;	    /* WIRE_MAX bytes each: who takes a packet may send another */
};

#define LINK_QUEUE_MAX (64u << 20) /* a netmap of the largest size fits */

void link_init(struct link *l, int fd, enum wire_direction in);
void link_free(struct link *l); /* closes; wipes */

/* False: the other end is gone or has not read for very long. */
bool link_send(struct link *l, const struct wire_message *m);
bool link_flush(struct link *l);
bool link_wants_write(const struct link *l);

enum link_result {
	LINK_MESSAGE, /* @out is to be freed; the packet in it lives until the next call */
	LINK_NOTHING,
	LINK_MALFORMED, /* dropped; the other end is not what it should be */
	LINK_GONE,
};

enum link_result link_receive(struct link *l, struct wire_message *out);

#endif
