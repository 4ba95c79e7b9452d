/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_OWN_SOURCE_H
#define SLUICE_OWN_SOURCE_H

#include <stdbool.h>

#include "policy/addr.h"

/*
 * Do this machine's own connections to the world leave from @a? An exclusive egress
 * address should be another one: their answers are dropped there.
 */
bool is_own_source(const struct addr *a);
#define OWN_SOURCE_WARNING                                                                                       \
	"egress.exclusive: this machine's own connections leave from %s, and their answers (SSH, DNS, updates) " \
	"would be dropped: it needs another address for itself"

#endif
