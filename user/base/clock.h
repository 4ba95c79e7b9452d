/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CLOCK_H
#define SLUICE_CLOCK_H

#include <stdint.h>

/* Times and durations are nanoseconds in 64 bits. */
#define NS_PER_US  1000ull
#define NS_PER_MS  (1000 * NS_PER_US)
#define NS_PER_SEC (1000 * NS_PER_MS)

uint64_t clock_now(void);  /* CLOCK_MONOTONIC */
uint64_t clock_wall(void); /* CLOCK_REALTIME: since 1970 */
uint64_t clock_boot(void); /* CLOCK_BOOTTIME: goes on while the machine sleeps */

#endif
