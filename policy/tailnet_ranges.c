/* SPDX-License-Identifier: BSD-2-Clause */
#include "tailnet_ranges.h"

#include <string.h>

static struct prefix prefix_of(const char *text)
{
	struct prefix p = {0};

	prefix_parse(text, strlen(text), &p, NULL);
	return p;
}

bool tailnet_range_of(const struct addr *a, struct prefix *out)
{
	const struct prefix v4 = prefix_of(TAILNET_V4), v6 = prefix_of(TAILNET_V6);
	const struct prefix chromeos = prefix_of(TAILNET_CHROMEOS);
	const struct prefix service4 = prefix_of(TAILNET_SERVICE_V4), service6 = prefix_of(TAILNET_SERVICE_V6);

	*out = addr_is_v4(a) ? v4 : v6;
	return prefix_contains(out, a) && !prefix_contains(&chromeos, a) && !prefix_contains(&service4, a) &&
	       !prefix_contains(&service6, a);
}

bool tailnet_range_has(const struct addr *a)
{
	struct prefix range;

	return tailnet_range_of(a, &range);
}

bool tailnet_range_covers(const struct prefix *p)
{
	struct prefix range;

	tailnet_range_of(&p->addr, &range);
	return prefix_covers(&range, p);
}
