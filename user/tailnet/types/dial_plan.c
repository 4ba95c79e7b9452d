/* SPDX-License-Identifier: BSD-2-Clause */
/* Other ways to the coordination server (dial_plan.h). */
#include <string.h>

#include "dial_plan.h"

struct candidate {
	struct addr addr;
	int64_t priority;
};

/* In its place among those before it; the least of too many is dropped. */
static size_t insert(struct candidate *list, size_t n, const struct candidate *c)
{
	size_t i = n;

	while (i && list[i - 1].priority < c->priority)
		i--;
	if (i == DIAL_PLAN_MAX)
		return n;
	n -= n == DIAL_PLAN_MAX;
	memmove(&list[i + 1], &list[i], (n - i) * sizeof(*list));
	list[i] = *c;
	return n + 1;
}

bool dial_plan_read(struct fields *f, const json_t *message, struct dial_plan *out)
{
	json_t *plan = field_object(f, message, "ControlDialPlan"), *value;
	struct candidate list[DIAL_PLAN_MAX];
	size_t i;

	*out = (struct dial_plan){0};
	json_array_foreach (field_array(f, plan, "Candidates"), i, value) {
		const char *ip = field_string(f, value, "IP"), *proxy = field_string(f, value, "ACEHost");
		struct candidate c = {.priority = field_int(f, value, "Priority", INT64_MIN, INT64_MAX)};

		if (!fields_bad(f) && ip && !(proxy && *proxy) && addr_parse(ip, strlen(ip), &c.addr))
			out->n = insert(list, out->n, &c);
	}
	for (i = 0; i < out->n; i++)
		out->v[i] = list[i].addr;
	return plan;
}
