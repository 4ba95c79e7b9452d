/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_FRAGMENT_H
#define SLUICE_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A packet becomes fragments that fit an MTU (RFC 791 section 3.2, RFC 8200 section
 * 4.5). Whether it may be cut, its sender said (DF), or somebody did it before us;
 * that is the caller's to know. Pure.
 */
struct fragmenter {
	const uint8_t *packet;
	size_t header;	  /* bytes that every fragment repeats */
	size_t at, len;	  /* of what follows the header: cut so far, and all */
	size_t room;	  /* of it in a fragment */
	uint32_t id;	  /* as it goes on the wire */
	uint16_t next_at; /* IPv6: the field that will name the fragment header */
	bool v6;
};

/*
 * @packet (whole, as its header says; borrowed until the end) for @mtu, under the
 * identification @id, of which IPv4 takes 16 bits. False: it is a fragment already, no
 * IP packet, or @mtu leaves no room; then nothing is left to be cut.
 */
bool fragment_begin(struct fragmenter *c, const uint8_t *packet, size_t len, size_t mtu, uint32_t id);

/* Writes the next fragment to @out, which has room for the MTU. Returns its length, 0: that was all. */
size_t fragment_next(struct fragmenter *c, uint8_t *out);

#endif
