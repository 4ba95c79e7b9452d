/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NARROW_H
#define SLUICE_NARROW_H

#include "budget.h"
#include "filter.h"

/*
 * What passes where two have to agree: the rules of a coordination server, and a
 * local policy that may only take away from them. Pure.
 *
 * A deny of either denies. With @both an accept needs an accept of each: the result
 * has one for every pair that has something in common, which is what the pair has
 * in common, under the local rule's name; ICMP comes with such a pair only. Without,
 * the local policy has no accepts to agree with, and the server's stand as they are,
 * numbered behind the local rules.
 *
 * A copy of everything; freed with filter_free(). Once @budget is spent, rules are missing: not to be used.
 */
struct filter *filter_narrow(const struct filter *server, const struct filter *local, bool both, struct budget *budget);

struct filter *filter_copy(const struct filter *f);

#endif
