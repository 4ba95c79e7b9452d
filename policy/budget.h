/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_BUDGET_H
#define SLUICE_POLICY_BUDGET_H

#include "diag.h"
#include <stdint.h>

/*
 * What working out a policy may cost. An author of little trust writes a few lines that mean a billion
 * addresses: every loop over what was written, and over what follows from it, pays for itself here, in steps
 * (not by the clock, so that the same policy is refused on every machine) and in bytes that are held.
 *
 * A budget that is spent stays so. Then every part returns early with something that is not to be used, frees
 * as always, and the caller asks budget_is_spent() once, at the end. NULL is a budget without end.
 */
struct budget {
	uint64_t steps, bytes; /* left */
	bool spent, by_memory;
	struct diag_at at; /* of the rule or section at hand, for the message */
};

/*
 * A step is 10 to 40 ns: at most some four seconds of one core. Lists are held in up to twice their size while they
 * grow. 10,000 rules for 10,000 clients in 1,000 groups take a fiftieth of the steps (tests/bench/scale_bombs.c).
 */
#define BUDGET_STEPS 100000000ull
#define BUDGET_BYTES (192ull << 20)

struct budget budget_usual(void);

/* Pays for @n steps; false: the budget is spent. */
bool budget_pay(struct budget *b, uint64_t n);
/* Pays for a sort of @n items. */
bool budget_pay_sort(struct budget *b, uint64_t n);
/* Before @n items of @size bytes are held, and after they were freed. */
bool budget_hold(struct budget *b, uint64_t n, size_t size);
void budget_release(struct budget *b, uint64_t n, size_t size);

/* What is worked on now. */
void budget_at(struct budget *b, struct diag_at at);

/* True when it is spent: reported, with the place, as an error. */
bool budget_report(const struct budget *b, struct diags *d);

static inline bool budget_is_spent(const struct budget *b)
{
	return b && b->spent;
}

#endif
