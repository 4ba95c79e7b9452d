/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PROGRAMS_H
#define SLUICE_PROGRAMS_H

#include "user/config/config.h"
#include "user/kernel/maps.h"

/* Loads programs and maps, and logs what was taken over. NULL with one line in @error. */
struct maps *programs_open(const struct config *config, char *error, size_t size);

#endif
