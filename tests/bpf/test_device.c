/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that cannot have all of what it asks the system for: it has all of it, or is as it was. The system's
 * calls are counted here, and refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "user/wireguard/crypto.h"
#include "user/datapath/device.h"

#define WORKERS 3
#define THREADS (WORKERS + 1) /* and the handshakes' */

static unsigned room; /* for so many threads more */

/* The program's own, in the place of the library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	if (!room)
		return EAGAIN;
	room--;
	return real(thread, attr, start, arg);
}

static unsigned watches = UINT_MAX; /* so many descriptors more can be watched */

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *e)
{
	int (*real)(int, int, int, struct epoll_event *);

	*(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
	if (op == EPOLL_CTL_ADD && !watches) {
		errno = ENOSPC;
		return -1;
	}
	watches -= op == EPOLL_CTL_ADD;
	return real(epoll, op, fd, e);
}

static unsigned threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(tasks);
	while ((e = readdir(tasks)))
		n += e->d_name[0] != '.';
	closedir(tasks);
	return n;
}

/* One that was joined is still listed for a moment. */
static bool settles_at(unsigned n)
{
	for (int i = 0; i < 5000 && threads() != n; i++)
		usleep(1000);
	return threads() == n;
}

static const struct device_options options = {.interface = "tried", .workers = WORKERS, .mtu = 1420, .to_host = true};

static void all_start_or_none(void **state)
{
	static struct device device;
	struct loop loop;
	char error[256];
	unsigned alone = threads();

	assert_int_equal(loop_init(&loop), 0);
	for (unsigned n = 0; n < THREADS; n++) {
		assert_true(device_open(&device, &loop, &options, error, sizeof(error)));
		room = n;
		assert_int_equal(device_start(&device), -EAGAIN);
		assert_true(settles_at(alone));
		room = THREADS; /* it was no more than a shortage */
		assert_int_equal(device_start(&device), 0);
		assert_true(settles_at(alone + THREADS));
		device_close(&device);
		assert_true(settles_at(alone));
	}
	loop_free(&loop);
}

static unsigned descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(all);
	while (readdir(all))
		n++;
	closedir(all);
	return n;
}

/* That a worker is deaf nobody would see: the port is open. */
static void all_move_or_none(void **state)
{
	static struct device device;
	struct loop loop;
	char error[256];
	unsigned open;
	uint16_t port;

	room = UINT_MAX;
	assert_int_equal(loop_init(&loop), 0);
	assert_true(device_open(&device, &loop, &options, error, sizeof(error)));
	assert_int_equal(device_start(&device), 0);
	port = device.options.listen;
	open = descriptors();
	for (unsigned n = 0; n < WORKERS; n++) {
		watches = n;
		assert_int_equal(device_set_port(&device, 0), -ENOSPC);
		watches = UINT_MAX;
		assert_int_equal(device.options.listen, port);
		assert_int_equal(device.workers[0].underlay.port, port);
		assert_int_equal(device.n_running, WORKERS);
		assert_int_equal(descriptors(), open);
	}
	assert_int_equal(device_set_port(&device, 0), 0);
	assert_int_not_equal(device.options.listen, port);
	assert_int_equal(descriptors(), open);
	device_close(&device);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_start_or_none), cmocka_unit_test(all_move_or_none)};
	const char *what;

	if (!crypto_init(&what) || unshare(CLONE_NEWNET))
		return 1;
	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
