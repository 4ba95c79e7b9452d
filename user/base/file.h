/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_FILE_H
#define SLUICE_FILE_H

#include <stddef.h>

/* Makes the folder (0700) if absent. 0 or -errno; -EPERM: it belongs to somebody
 * else or others may read it. */
int file_folder(const char *folder);

/* Reads a whole file, at most @max; NULL with errno, EFBIG when it is longer. Freed by the caller; terminated. */
char *file_read_fd(int fd, size_t max, size_t *len);
/* The same by its name; ENOTSUP when it is not a regular file. */
char *file_read(const char *path, size_t max, size_t *len);

/* Writes all of it to a descriptor, however many calls that takes. 0 or -errno. */
int file_write_all(int fd, const char *text, size_t len);
/* Writes a file by way of a temporary one and rename: the old one stays whole on failure. 0 or -errno. */
int file_write(const char *path, const char *text, size_t len);

#endif
