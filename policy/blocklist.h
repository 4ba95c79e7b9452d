/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BLOCKLIST_H
#define SLUICE_BLOCKLIST_H

#include "diag.h"
#include "prefixes.h"

/*
 * Reads a block list: one address or CIDR a line, white space around it; from "#"
 * or ";" to the end of the line is a comment. Appends to @out; after the last of
 * several lists prefixes_merge() makes them one set.
 *
 * True: every line was sound. Otherwise each broken one is reported with its
 * number, and @out is as before: half a list blocks less than its author thinks.
 */
bool blocklist_read(const char *file, const char *text, size_t len, struct prefixes *out, struct diags *d);

#endif
