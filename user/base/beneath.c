/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening what others name, within a folder (beneath.h). */
#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ATTEMPTS 16 /* -EAGAIN: something was renamed while ".." was walked */

static int open_within(int folder, const char *name, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags & O_PATH ? flags | O_CLOEXEC : flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < ATTEMPTS; i++) {
		fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* A device or a pipe in its place is not even opened: that alone can do something. */
static int check_kind(int folder, const char *name)
{
	struct stat st;
	int fd = open_within(folder, name, O_PATH), err = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -ENOTSUP;
	close(fd);
	return err;
}

int beneath_open(const char *folder, const char *name, int flags, struct stat *st)
{
	int dir = open(*folder ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (dir < 0)
		return -errno;
	fd = check_kind(dir, name) ?: open_within(dir, name, flags);
	close(dir);
	if (fd < 0)
		return fd;
	if (!fstat(fd, st) && S_ISREG(st->st_mode))
		return fd;
	close(fd); /* exchanged in between */
	return -ENOTSUP;
}

const char *beneath_error(int err)
{
	switch (err) {
	case -EXDEV:
		return "it leads out of the folders that it may be in";
	case -ENOTSUP:
		return "it is no regular file";
	case -EFBIG:
		return "it is too large";
	default:
		return strerror(-err);
	}
}
