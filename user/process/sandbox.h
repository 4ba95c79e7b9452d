/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_SANDBOX_H
#define SLUICE_TAILNET_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the network process may do. Both end in a state that cannot be left; false:
 * it could not be entered, @error says what failed.
 */

/*
 * Another user (sluice-net), a file system of its own (sandbox_root.c), no groups, no capabilities, no new
 * privileges, bounded memory and files. When not started by root, all of it but the first two. Where the user is
 * absent it is nobody, and where the host gives no file system its own is kept: @lacks (@size bytes, as @error) says
 * what is less than it should be; empty: nothing.
 */
bool sandbox_drop(char *lacks, char *error, size_t size);

/* Part of it: needs CAP_SYS_ADMIN. False with errno: some of it may be done. */
bool sandbox_root(void);

/* Only the system calls of a program that talks over TCP and looks names up; no new
 * program, no file opened for writing, no executable memory, no service of the host's
 * by a UNIX socket, nothing asked of a device. */
bool sandbox_lock(char *error, size_t size);

#endif
