/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_LOCK_H
#define SLUICE_LOCK_H

/*
 * Locks the file or folder @path (flock) until the descriptor that is returned is closed, or the process ends.
 * @flags: of open(); O_CREAT makes a file of mode 0600. -EWOULDBLOCK: another process holds the lock; else -errno.
 */
int lock_take(const char *path, int flags);

#endif
