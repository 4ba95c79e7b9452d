/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_EMULATED_H
#define TEST_EMULATED_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* qemu-user 7.2 of Debian 12 has no openat2(), which every kernel has that we run on: what needs it is skipped there.
 */
static inline bool lacks_openat2(void)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == ENOSYS;
}

#endif
