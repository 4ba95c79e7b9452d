/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_DIGITS_H
#define SLUICE_POLICY_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A number of decimal digits alone, at most @max: no sign, no space, not nothing.
 * Leading zeros are as good as others: who refuses them asks digits_lead().
 */
static inline bool digits_parse(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value) || value > max)
			return false;
	}
	*out = value;
	return len;
}

/* "07", not "7" or "0". */
static inline bool digits_lead(const char *text, size_t len)
{
	return len > 1 && text[0] == '0';
}

#endif
