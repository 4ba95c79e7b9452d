/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REASSEMBLE_H
#define SLUICE_REASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "user/base/clock.h"

/*
 * Fragments become packets again (RFC 791 section 3.2, RFC 8200 section 4.5), in
 * whatever order they come (RFC 4787 REQ-14). Pure: bytes and time in, a packet or
 * nothing out, and every fragment that dies is told to the owner with its reason.
 *
 * Nobody can take more than there is, or another's: a fixed number of packets wait, and
 * none longer than REASSEMBLE_NS. A client has a share of them, whatever addresses it
 * sends from; so has an address outside, and all of these together, for anybody out there
 * can send in any name. A sender that has a share gives up its own oldest; where all is full, the
 * client with the most does. Fragments that overlap or contradict each other end their packet, and
 * what still comes of it is refused, too (RFC 5722); one that was there already is
 * ignored. Not for two threads at once.
 */
#define REASSEMBLE_PACKETS    128 /* that wait at once; 66 KB each, touched as far as fragments reach */
#define REASSEMBLE_OF_SENDER  32  /* of one client, or of one address outside */
#define REASSEMBLE_OF_OUTSIDE 64  /* of all addresses outside */
#define REASSEMBLE_FRAGMENTS  128 /* of one packet: 64 KB over an MTU of 576 */
#define REASSEMBLE_NS	      (30 * NS_PER_SEC)

#define REASSEMBLE_OUTSIDE 0x80000000u /* in a scope: an interface where all the world comes in; else a client */

struct reassembly;

/* @n fragments died. */
typedef void reassemble_drop(void *ctx, enum drop_reason reason, unsigned n);

/*
 * The time of a packet is over whose first fragment came: its sender may hear of that
 * (RFC 792, RFC 4443 section 3.3). At most REASSEMBLE_OF_SENDER of a sender in REASSEMBLE_NS.
 */
struct unfinished {
	uint32_t scope;
	struct addr src, dst;
	const uint8_t *first; /* the fragment as it came, as far as an error quotes it */
	uint16_t len;
	uint8_t proto;	    /* IPv6: whatever follows the fragment header */
	uint8_t first_byte; /* of the data: an ICMP message's type */
};

typedef void reassemble_late(void *ctx, const struct unfinished *u);

/* @late may be NULL. NULL: out of memory. */
struct reassembly *reassembly_new(reassemble_drop *drop, reassemble_late *late, void *ctx);
void reassembly_free(struct reassembly *r); /* NULL is fine */

/* Whether the packet is a fragment; what is no whole IP packet is none. */
bool reassemble_is_fragment(const uint8_t *packet, size_t len);

struct joined {
	size_t len;
	size_t largest; /* of the fragments, with their headers */
};

/*
 * Takes one fragment. @scope keeps apart what must not meet (who sent it, where it
 * came in). Returns the packet that it completes, which *whole describes, valid until
 * the next call: header of the first fragment, without DF; congestion as RFC 3168
 * section 5.3 wants it. NULL: others are missing, or it was dropped.
 */
uint8_t *reassemble(struct reassembly *r, uint32_t scope, const uint8_t *packet, size_t len, uint64_t now,
		    struct joined *whole);

/* Drops what has waited long enough; returns when to call again, UINT64_MAX: nothing waits. */
uint64_t reassemble_expire(struct reassembly *r, uint64_t now);

#endif
