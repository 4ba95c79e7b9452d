/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

#include <stdio.h>

const char *version_commit(void); /* of git describe */
/* Commit, AEAD, libraries as they are now linked, kernel: lines for people. */
void version_print(FILE *out);

#endif
