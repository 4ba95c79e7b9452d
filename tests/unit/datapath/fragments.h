/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_FRAGMENTS_H
#define TESTS_UNIT_FRAGMENTS_H

/* Packets of both families and pieces of them, written by hand: not by what is tested. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "user/datapath/csum.h"

/* The data of all packets, by offset. */
static inline uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 7 + (at >> 8));
}

static inline void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline size_t header_of(bool v6)
{
	return v6 ? 40 : 20;
}

/* IPv4 or IPv6 of @len bytes of data; addresses end in @from and 9. */
static inline size_t whole_packet(uint8_t *p, bool v6, size_t len, uint8_t from)
{
	size_t header = header_of(v6);
	uint16_t check;

	memset(p, 0, header);
	if (v6) {
		p[0] = 0x60;
		put16(p + 4, len);
		p[6] = IPPROTO_UDP;
		p[7] = 64;
		p[8] = p[24] = 0x20;
		p[23] = from;
		p[39] = 9;
	} else {
		p[0] = 0x45;
		put16(p + 2, header + len);
		p[8] = 64;
		p[9] = IPPROTO_UDP;
		p[12] = p[16] = 10;
		p[15] = from;
		p[19] = 9;
		check = csum_finish(csum_add(0, p, header));
		memcpy(p + 10, &check, 2);
	}
	for (size_t i = 0; i < len; i++)
		p[header + i] = byte_at(i);
	return header + len;
}

/* A fragment by hand, not by fragment.c. */
static inline size_t piece(uint8_t *p, bool v6, uint8_t from, uint16_t id, size_t at, size_t len, bool more)
{
	size_t header = header_of(v6);

	whole_packet(p, v6, 0, from);
	if (v6) {
		put16(p + 4, 8 + len);
		p[6] = IPPROTO_FRAGMENT;
		p[40] = IPPROTO_UDP;
		p[41] = 0;
		put16(p + 42, at | more);
		put16(p + 44, 0);
		put16(p + 46, id);
		header += 8;
	} else {
		put16(p + 2, header + len);
		put16(p + 4, id);
		put16(p + 6, at / 8 | (more ? 0x2000 : 0));
	}
	for (size_t i = 0; i < len; i++)
		p[header + i] = byte_at(at + i);
	return header + len;
}

#endif
