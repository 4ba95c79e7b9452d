/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_GSO_H
#define SLUICE_GSO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/wireguard/packet.h"

#define GSO_HEADERS 128 /* the longest IP and TCP header that the kernel segments by */

/*
 * A frame read from the TAP, cut into the packets it stands for.
 *
 * Nothing is copied but headers: each packet is laid out around its payload
 * where that lies, its header over the end of the payload before it. So a packet
 * is valid until the next is asked for, and the bytes behind a packet belong to
 * the next one: who pads in place puts back what was there.
 */
struct gso {
	struct packet whole;
	uint8_t *next, *end; /* payload that is left */
	uint32_t done;	     /* payload bytes handed out */
	uint16_t segment;    /* payload of every packet but the last; 0: one packet as it is */
	uint16_t header;     /* bytes of IP and transport header */
	uint16_t count;	     /* packets handed out */
	uint8_t headers[GSO_HEADERS];
};

/*
 * Begins with @len bytes at @frame: virtio-net header, Ethernet header, packet.
 * Completes the checksum of a single packet where that was left to us. False: no
 * whole IP packet, or segmentation of a kind that was not asked for.
 */
bool gso_begin(struct gso *s, uint8_t *frame, size_t len);

/* The next packet, NULL after the last. */
uint8_t *gso_next(struct gso *s, size_t *len);

#endif
