/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SEGMENT_H
#define SLUICE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/* A TCP segment without payload, as an IP packet. Pure. */
struct segment { /* ports and numbers in host order */
	struct addr src, dst;
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags; /* TH_SYN, ... */
	uint16_t mss;  /* the only option; 0: none */
};

#define SEGMENT_MAX 64

/* Writes it to @out, checksums and all, and returns its length. */
size_t segment_put(const struct segment *s, uint8_t out[SEGMENT_MAX]);

#endif
