/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BENEATH_H
#define SLUICE_BENEATH_H

#include <sys/stat.h>

/*
 * Files that somebody names who may not name any file: a policy's author, say. A file that a name leads to by whatever
 * "..", link or mount of names is in the folder, or it is refused.
 */

/*
 * Opens the regular file @name beneath @folder ("": the working folder), which is looked up anew each time: it may
 * be a link that is exchanged as a whole. @flags: O_RDONLY or O_PATH. *st is the file's. Never waits for the writer
 * of a pipe. fd or -errno: -EXDEV when it leads out of the folder, -ENOTSUP when it is no regular file.
 */
int beneath_open(const char *folder, const char *name, int flags, struct stat *st);

/* The meaning of an error of beneath_open(), for people. */
const char *beneath_error(int err);

#endif
