/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_DIFF_NAMES_H
#define SLUICE_POLICY_DIFF_NAMES_H

#include "diff.h"

/* Private to diff*.c: a difference before it is known how to call those it is about. */
struct delta {
	bool gains;
	struct prefix dst;
	struct prefixes except;
	struct ports ports;
	uint32_t *clients; /* indices of nodes */
	size_t n_clients;
};

/* Appends changes with names. Takes over what the deltas own. */
void name_deltas(struct policy_diff *diff, struct delta *v, size_t n, const struct reach *old, const struct reach *new,
		 struct budget *budget);

#endif
