/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_PRINT_H
#define SLUICE_POLICY_PRINT_H

#include "policy.h"

/*
 * The policy as YAML, canonical: today's names of fields, prefixes without host
 * bits, ports and protocols spelled one way. Parsing it gives the same policy;
 * comments and what a gateway ignores (ssh, the insides of app, ...) are not kept.
 * To be freed.
 */
char *policy_print(const struct policy *p);

/* "22,80-443" or "*", into @buf. */
const char *policy_ports_str(const struct policy_portlist *ports, char *buf, size_t size);

#endif
