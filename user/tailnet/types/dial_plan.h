/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DIAL_PLAN_H
#define SLUICE_TAILNET_DIAL_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "json_fields.h"
#include "policy/addr.h"

/*
 * Addresses at which the coordination server can be reached when its name cannot be looked up
 * (ControlDialPlan). They are no proof of anything: the certificate is asked for as ever. Ways
 * by a proxy are left out. Pure.
 */
#define DIAL_PLAN_MAX 8

struct dial_plan {
	struct addr v[DIAL_PLAN_MAX]; /* the preferred ones first */
	size_t n;
};

/* Reads the plan of a message; false: it has none, *out is as it was. */
bool dial_plan_read(struct fields *f, const json_t *message, struct dial_plan *out);

#endif
