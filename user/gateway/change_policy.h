/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CHANGE_POLICY_H
#define SLUICE_CHANGE_POLICY_H

#include "changes.h"

/* `policy apply` and `policy rollback`. */
struct change_policy_wanted {
	const char *file, *text; /* NULL: one of the history */
	size_t len;
	uint32_t number;      /* that one; 0: the policy before the running one */
	const char *if_match; /* NULL: whatever runs */
	bool dry, allow_empty, not_kept;
};

struct change *change_policy(const struct change_policy_wanted *w);

#endif
