/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clocks that can be set for one program: LD_PRELOAD this, CLOCK_AHEAD names a file of
 * eight bytes with the seconds that CLOCK_REALTIME is ahead, in host order, to be
 * changed at any time, and CLOCK_LATER one for CLOCK_MONOTONIC, to be changed upwards.
 * Other clocks, and those without a file, are as they are.
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

static _Atomic int64_t *ahead, *later;

static _Atomic int64_t *open_offset(const char *path)
{
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *page;

	if (fd < 0 || ftruncate(fd, sizeof(*ahead)))
		return NULL;
	page = mmap(NULL, sizeof(*ahead), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

__attribute__((constructor)) static void start(void)
{
	ahead = open_offset(getenv("CLOCK_AHEAD"));
	later = open_offset(getenv("CLOCK_LATER"));
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (syscall(SYS_clock_gettime, clock, ts))
		return -1;
	if (clock == CLOCK_REALTIME && ahead)
		ts->tv_sec += atomic_load(ahead);
	if (clock == CLOCK_MONOTONIC && later)
		ts->tv_sec += atomic_load(later);
	return 0;
}
