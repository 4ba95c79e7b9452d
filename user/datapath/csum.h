/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CSUM_H
#define SLUICE_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The Internet checksum (RFC 1071) in host order of the words as they lie in
 * memory: sums may be added, folded and stored without swapping bytes.
 */

/* Adds @len bytes to @sum. An odd length is padded with zero, so only the last
 * piece of a message may be odd. */
uint64_t csum_add(uint64_t sum, const void *data, size_t len);

/* Sums of pseudo headers: addresses of @addr_len bytes each (4 or 16), protocol
 * and length of the upper layer (RFC 793, RFC 8200 section 8.1). */
uint64_t csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t len);

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What goes into a checksum field. */
static inline uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

#endif
