/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_IPV6_H
#define SLUICE_IPV6_H

#include <stdbool.h>

/* Is IPv6 switched off on an interface, or absent from this kernel? An interface that is not there yet: "default". */
bool ipv6_is_off(const char *interface);

/* The kernel's answer to an IPv6 address, route or rule where the family is off. */
bool ipv6_refused(int err);

#endif
