/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_OUTSIDE_H
#define SLUICE_OUTSIDE_H

#include <stdbool.h>

#include "policy/addr.h"

/*
 * Which address the world knows this machine by, asked of others: a STUN server, or the metadata service of the cloud
 * that the machine runs in. Both wait, some seconds at most.
 */

enum outside_answer { OUTSIDE_SEEN, OUTSIDE_UNREACHABLE, OUTSIDE_SILENT };

/* @server: HOST:PORT. *why for people, where it is unreachable; static. */
enum outside_answer outside_stun(const char *server, struct addr *seen, const char **why);

/* *cloud: its name; static. False: there is no such service here, or it knows no public address. */
bool outside_cloud(struct addr *seen, const char **cloud);

#endif
