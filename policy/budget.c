/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps and bytes that a policy may cost (budget.h). */
#include "budget.h"

struct budget budget_usual(void)
{
	return (struct budget){.steps = BUDGET_STEPS, .bytes = BUDGET_BYTES};
}

bool budget_pay(struct budget *b, uint64_t n)
{
	if (!b)
		return true;
	if (b->spent || n > b->steps) {
		b->spent = true;
		return false;
	}
	b->steps -= n;
	return true;
}

bool budget_pay_sort(struct budget *b, uint64_t n)
{
	return budget_pay(b, n ? n * (64 - (unsigned)__builtin_clzll(n)) : 0);
}

bool budget_hold(struct budget *b, uint64_t n, size_t size)
{
	uint64_t bytes;

	if (!b)
		return true;
	if (b->spent)
		return false;
	if (__builtin_mul_overflow(n, size, &bytes) || bytes > b->bytes) {
		b->spent = b->by_memory = true;
		return false;
	}
	b->bytes -= bytes;
	return true;
}

void budget_release(struct budget *b, uint64_t n, size_t size)
{
	if (b && !b->spent)
		b->bytes += n * size;
}

void budget_at(struct budget *b, struct diag_at at)
{
	if (b && !b->spent)
		b->at = at;
}

bool budget_report(const struct budget *b, struct diags *d)
{
	if (!budget_is_spent(b))
		return false;
	diag_error(d, b->at,
		   "the policy is too much to work out: up to here it takes more %s than one may; write wider "
		   "prefixes, fewer ports or fewer rules for the same sources",
		   b->by_memory ? "memory" : "steps");
	return true;
}
