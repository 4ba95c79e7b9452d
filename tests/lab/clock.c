/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A clock on the wall that can be set for one program: LD_PRELOAD this, CLOCK_AHEAD
 * names a file of eight bytes with the seconds that CLOCK_REALTIME is ahead, in host
 * order, to be changed at any time. Other clocks are as they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *ahead;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("CLOCK_AHEAD");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *page;

	if (fd < 0 || ftruncate(fd, sizeof(*ahead)))
		return;
	page = mmap(NULL, sizeof(*ahead), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		ahead = page;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (syscall(SYS_clock_gettime, clock, ts))
		return -1;
	if (clock == CLOCK_REALTIME && ahead)
		ts->tv_sec += atomic_load(ahead);
	return 0;
}
