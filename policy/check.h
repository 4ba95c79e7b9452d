/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_CHECK_H
#define SLUICE_POLICY_CHECK_H

#include "reach.h"

/*
 * Warnings about a sound policy that does not do what it says: rules that can
 * never match (nobody is their source, their destination lies outside every route,
 * a deny covers all of them), and a policy without rules, unless it @narrows those of
 * a coordination server. With an inventory without nodes only what does not depend on
 * it is looked at. Once @budget is spent, the rest is not searched, and that is said.
 */
void policy_check(const struct policy *p, const struct inventory *inv, bool narrows, struct budget *budget,
		  struct diags *d);

#endif
