/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CA_FILE_H
#define SLUICE_CA_FILE_H

#include <stddef.h>

#define CA_FILE_MAX 49152 /* bytes, of all certificates */

/*
 * Reads the certificates of an extra root: a regular file with at least one in PEM form.
 * Freed by the caller; NULL: @error has a line with the path in it.
 */
char *ca_file_read(const char *path, char *error, size_t size);

#endif
