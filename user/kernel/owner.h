/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_OWNER_H
#define SLUICE_OWNER_H

#include <stdint.h>

/*
 * The mark of one gateway on what it shares the host with others for: filters of clsact, routes without a device.
 * The folder of the pins names a gateway, so the mark is made of its path: 24 bits of FNV-1a, which is no secret.
 * An object with another mark belongs to another gateway, and is neither replaced nor removed. NULL: 0.
 */
#define OWNER_MARK_BITS 24

static inline uint32_t owner_mark(const char *pins)
{
	uint32_t hash = 2166136261u;

	if (!pins)
		return 0;
	for (; *pins; pins++)
		hash = (hash ^ (uint8_t)*pins) * 16777619u;
	return (hash >> OWNER_MARK_BITS ^ hash) & ((1u << OWNER_MARK_BITS) - 1);
}

#endif
