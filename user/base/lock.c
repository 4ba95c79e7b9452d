/* SPDX-License-Identifier: BSD-2-Clause */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    10
#define LOCK_PAUSE_NS 10000000

/* The process that held it may have removed the file, and a lock on what has no name keeps nobody out. */
static bool lock_is_named(int fd, const char *path)
{
	struct stat held, named;

	return !fstat(fd, &held) && !stat(path, &named) && named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

/* check --host and doctor only look: they hold the lock for a moment. */
static bool lock_is_held(int fd)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return false;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return true;
		nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return true;
}

int lock_take(const char *path, int flags)
{
	for (;;) {
		int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
		int err;

		if (fd < 0)
			return -errno;
		err = lock_is_held(fd) ? -errno : 0;
		if (!err && lock_is_named(fd, path))
			return fd;
		close(fd);
		if (err && err != -EWOULDBLOCK && flags & O_CREAT)
			unlink(path); /* it was made in vain */
		if (err)
			return err;
	}
}
