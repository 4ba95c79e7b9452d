/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CHANGE_CONFIG_H
#define SLUICE_CHANGE_CONFIG_H

#include "changes.h"

/*
 * Reads the configuration @file again, disconnects at once the clients that are not in it any more, and applies all of
 * it live in its turn. @dry: only tells what that would change.
 */
struct change *change_config(const char *file, struct running *now, bool dry);

#endif
