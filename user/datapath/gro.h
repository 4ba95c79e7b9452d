/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_GRO_H
#define SLUICE_GRO_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "user/wireguard/packet.h"

/*
 * Decrypted packets become GSO super-packets again, so that the kernel's way
 * (4 us a super-packet of 44, 1.8 us a single packet) is paid once a batch.
 *
 * Packets stay where they were decrypted: a super-packet is a new header and a
 * list of pointers to payloads, written with one writev. They must stay put
 * until gro_flush(). Merging follows the kernel's GRO: same flow, client,
 * TOS, TTL and DF, same TCP options, window and acknowledgment, sequence numbers
 * that follow on, equal sizes but for the last. Order within a flow is kept;
 * a checksum that is wrong is never mended by merging.
 */
#define GRO_FLOWS    64	 /* slots; flows that meet in one flush each other out */
#define GRO_SEGMENTS 64	 /* UDP_MAX_SEGMENTS of older kernels */
#define GRO_HEADERS  128 /* Ethernet, IPv6 and the longest TCP header are 114 */

/* One frame: iov[0] is the virtio-net header, the rest the Ethernet frame. */
typedef void gro_emit(void *context, const struct iovec *iov, unsigned n);

struct gro_slot {
	bool used, closed; /* closed: the last segment was short or pushed */
	uint32_t client;
	uint32_t hash;
	uint32_t next_seq; /* TCP: of the segment that would follow, host order */
	uint16_t header;   /* bytes of IP and transport header */
	uint16_t segment;  /* payload of every segment but the last */
	uint16_t n;
	uint32_t len; /* IP length of the whole */
	struct packet first;
	struct iovec payload[GRO_SEGMENTS];
};

struct gro {
	struct gro_slot slot[GRO_FLOWS];
	uint8_t used[GRO_FLOWS]; /* in order of their first packet */
	unsigned n_used;
	struct ethhdr eth; /* as the frame's consumer wants it, less the protocol */
	bool gso, uso;	   /* the TAP takes TCP, UDP super-packets */
	gro_emit *emit;
	void *context;
};

void gro_init(struct gro *c, bool gso, bool uso, gro_emit *emit, void *context);

/* Takes one packet of @client; what it does not merge with is emitted. */
void gro_add(struct gro *c, const struct packet *packet, uint32_t client);

/* Emits everything held back: at the end of a batch. */
void gro_flush(struct gro *c);

#endif
