/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_TEST_MAPS_H
#define SLUICE_POLICY_TEST_MAPS_H

#include "user/ruleset/ruleset.h"

struct policy_test_maps_result { /* counts, added to */
	size_t *passed, *failed;
	size_t *elsewhere; /* about clients or destinations that this gateway does not have */
};

/*
 * The policy's tests once more, as what will run: the compiled tables in a scratch
 * instance of the maps, and for each assertion packets pushed through the real
 * program. Needs root. @r passed ruleset_test(). Failures are reported in @d; false
 * with *error (from malloc) when the kernel does not let it be tried.
 */
bool policy_test_maps(struct ruleset *r, const struct config *config, const struct policy_test_maps_result *result,
		      struct diags *d, char **error);

#endif
