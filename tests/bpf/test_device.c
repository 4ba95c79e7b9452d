/* SPDX-License-Identifier: BSD-2-Clause */
/* A device whose threads cannot all be had: none is left that works on what is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "user/crypto.h"
#include "user/device.h"

#define WORKERS 3

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

static void all_or_none(void **state)
{
	const struct device_options options = {
		.interface = "started", .workers = WORKERS, .mtu = 1420, .to_host = true};
	static struct device device;
	struct loop loop;
	char error[256];
	unsigned alone = threads();

	assert_int_equal(loop_init(&loop), 0);
	for (unsigned n = 0; n < WORKERS; n++) {
		assert_true(device_open(&device, &loop, &options, error, sizeof(error)));
		room = n;
		assert_int_equal(device_start(&device), -EAGAIN);
		assert_true(settles_at(alone));
		room = WORKERS; /* it was no more than a shortage */
		assert_int_equal(device_start(&device), 0);
		assert_true(settles_at(alone + WORKERS));
		device_close(&device);
		assert_true(settles_at(alone));
	}
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_or_none)};
	const char *what;

	if (!crypto_init(&what) || unshare(CLONE_NEWNET))
		return 1;
	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
