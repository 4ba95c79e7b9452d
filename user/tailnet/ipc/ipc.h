/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_IPC_H
#define SLUICE_TAILNET_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/ipc/wire.h"

/*
 * One end of the socket pair between gateway and network process. Neither ever
 * waits for the other: what does not fit is queued, relayed packets are dropped.
 */
struct ipc_message;

struct ipc {
	int fd;
	enum wire_direction in;
	struct ipc_message *first, **last; /* waiting to be sent */
	size_t queued;			   /* bytes */
	uint64_t dropped;		   /* relayed packets */
	uint8_t *out_buf, *in_buf;	   /* WIRE_MAX bytes each: who takes a packet may send another */
};

#define IPC_QUEUE_MAX (64u << 20) /* a netmap of the largest size fits */

void ipc_init(struct ipc *l, int fd, enum wire_direction in);
void ipc_free(struct ipc *l); /* closes; wipes */

/* False: the other end is gone or has not read for very long. */
bool ipc_send(struct ipc *l, const struct wire_message *m);
bool ipc_flush(struct ipc *l);
bool ipc_wants_write(const struct ipc *l);

enum ipc_result {
	IPC_MESSAGE, /* @out is to be freed; the packet in it lives until the next call */
	IPC_NOTHING,
	IPC_MALFORMED, /* dropped; the other end is not what it should be */
	IPC_GONE,
};

enum ipc_result ipc_receive(struct ipc *l, struct wire_message *out);

#endif
