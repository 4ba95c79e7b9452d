/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_BACKOFF_H
#define SLUICE_TAILNET_BACKOFF_H

#include <stdint.h>

#include "user/base/clock.h"

/* Half of @pause to one and a half: not all clients of a server come back at once. */
static inline uint64_t jittered(uint64_t pause, uint32_t random)
{
	return pause / 2 + (pause >> 16) * (random & 0xffff);
}

/* Before the next try, after so many that failed: 1 s, twice as long every time, at most 30 s; jittered. */
static inline uint64_t backoff(unsigned failures, uint32_t random)
{
	uint64_t seconds = failures < 5 ? 1ull << failures : 30;

	return jittered(seconds * NS_PER_SEC, random);
}

#endif
