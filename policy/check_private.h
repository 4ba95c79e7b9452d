/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_CHECK_PRIVATE_H
#define SLUICE_POLICY_CHECK_PRIVATE_H

#include "check.h"

/* Private to check*.c. */
struct checker {
	const struct policy *p;
	const struct inventory *inv;
	const struct inventory_node *gateway; /* whose rules it is about; NULL: everybody's */
	struct resolver *r;
	struct budget *budget;
	struct diags *d;
	struct prefixes routes; /* approved, merged: a default route hides all others */
	struct prefixes plain;	/* addresses of nodes, and routes that are no default route */
	bool exit;		/* some route is a default route */
};

void check_shadowed(const struct checker *c, const struct filter *f);
void check_divided(const struct checker *c, const struct filter *f);

#endif
