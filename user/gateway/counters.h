/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

#include "site.h"
#include "user/answers/rates.h"

/* What was forwarded and dropped: now, and in the last minutes. */
void counters_drops(const struct site *s, uint64_t out[DROP_MAX]);
void counters_sample(struct rates *h, const struct site *s); /* once a second */

#endif
