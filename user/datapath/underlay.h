/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_UNDERLAY_H
#define SLUICE_UNDERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "user/wireguard/endpoint.h"

/*
 * The UDP side of a worker: its own IPv4 and IPv6 socket on the WireGuard port,
 * shared by SO_REUSEPORT, with UDP_GRO in and UDP_SEGMENT out. This is all that
 * a receive by other means (AF_XDP) would have to replace.
 */
enum { UNDERLAY_4, UNDERLAY_6, UNDERLAY_FAMILIES };

struct underlay {
	int fd[UNDERLAY_FAMILIES]; /* -1: the host has no such family */
	uint16_t port;		   /* host order */
	bool gro, gso;		   /* granted by the kernel */
	/* Takes datagrams for a relay (endpoint_is_relay()); false: dropped. NULL: there are none. */
	bool (*relay)(void *ctx, const struct endpoint *to, const void *data, size_t len);
	void *relay_ctx;
};

/*
 * Opens both sockets on @port (0: the kernel chooses one for both). Returns 0 or
 * -errno with nothing left open; EADDRINUSE is the one people meet.
 */
int underlay_open(struct underlay *u, uint16_t port);
void underlay_close(struct underlay *u);

/* SO_REUSEPORT lets a second gateway of the same user in unasked: asks without
 * it. 0, also for port 0, or -EADDRINUSE and the like. */
int underlay_port_free(uint16_t port);
int underlay_mark(const struct underlay *u, uint32_t mark); /* SO_MARK, 0: none; 0 or -errno */

#define RX_MESSAGES 16
#define RX_SIZE	    65536 /* a GRO batch is at most 64 KiB: nothing is ever cut off */
#define RX_CONTROL  128

struct rx_message {
	uint8_t *data;
	size_t len;
	size_t segment;	      /* every datagram but the last has this size */
	uint8_t tos;	      /* outer TOS or traffic class */
	struct endpoint from; /* with the local address it came to */
};

struct rx_batch {
	struct mmsghdr msg[RX_MESSAGES];
	struct iovec iov[RX_MESSAGES];
	struct sockaddr_storage name[RX_MESSAGES];
	_Alignas(struct cmsghdr) char control[RX_MESSAGES][RX_CONTROL];
	uint8_t (*buffer)[RX_SIZE];
};

/* Returns 0 or -ENOMEM. */
int rx_batch_init(struct rx_batch *b);
void rx_batch_free(struct rx_batch *b);

/* Messages that are there now, 0..RX_MESSAGES, or -errno. Errors of ICMP that the
 * kernel reports on the socket are not errors of the receive. */
int underlay_receive(struct underlay *u, int family, struct rx_batch *b);

/* Message @i of the last receive. */
void rx_message(const struct rx_batch *b, int i, struct rx_message *out);

#define TX_SEGMENTS 64	  /* UDP_MAX_SEGMENTS of older kernels */
#define TX_SIZE	    65507 /* of one UDP datagram, super or not */
#define TX_BATCHES  32

/* Datagrams of equal size (the last may be shorter) to one place. */
struct tx_batch {
	struct endpoint to;
	size_t len;
	uint16_t segment;
	uint16_t count;
	uint8_t tos;
	uint8_t *data;
};

/* Sends @n (<= TX_BATCHES) batches; returns the number of datagrams that the kernel refused. */
unsigned underlay_send(const struct underlay *u, const struct tx_batch *batches, unsigned n);

#define UNDERLAY_EXPEDITED 0x88 /* AF41, as the kernel's module marks handshakes */

/* One datagram; true when it went out. Any thread. */
bool underlay_send_one(const struct underlay *u, const struct endpoint *to, uint8_t tos, const void *data, size_t len);

#endif
