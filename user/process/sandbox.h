/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_SANDBOX_H
#define SLUICE_TAILNET_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the network process may do. Both end in a state that cannot be left; false:
 * it could not be entered, @error says what failed.
 */

/* Another user (sluice-net, else nobody), no groups, no capabilities, no new
 * privileges, bounded memory and files. When not started by root, all of it but the user. */
bool sandbox_drop(char *error, size_t size);

/* Only the system calls of a program that talks over TCP and looks names up; no
 * new program, no file opened for writing, no executable memory. */
bool sandbox_lock(char *error, size_t size);

#endif
