/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults 40 and 53: work that would end the process, or hold it, ends a child of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/alloc.h"
#include "user/process/trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct trial_limits limits = {.seconds = 1, .bytes = 64u << 20};
static int value;

static void small(void *ctx)
{
	char *text = mem_alloc(1 << 20, 1);

	memset(text, 1, 1 << 20);
	*(int *)ctx = 7; /* in its own memory */
	free(text);
}

static void endless(void *ctx)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static __attribute__((unused)) void large(void *ctx)
{
	for (;;)
		memset(mem_alloc(1 << 20, 1), 1, 1 << 20);
}

static void faulty(void *ctx)
{
	abort();
}

static __attribute__((unused)) void fallen(void *ctx)
{
	*(volatile int *)ctx = 1;
}

/* Has nothing open but its standard descriptors, which are no files of ours. */
static void curious(void *ctx)
{
	struct stat st;

	for (int fd = 0; fd < 64; fd++)
		if (!fstat(fd, &st) && !S_ISCHR(st.st_mode))
			abort();
}

static void test_fault_53_each_end_is_told(void **state)
{
	static const struct {
		void (*work)(void *);
		void *ctx;
		enum trial_end end;
		const char *text;
	} cases[] = {
		{small, &value, TRIAL_DONE, "is done"},
		{endless, NULL, TRIAL_TIME, "needs more than 1 s of processor time"},
		{faulty, NULL, TRIAL_DIED, "makes the compiler fail: please report it, with the policy"},
		{curious, NULL, TRIAL_DONE, "is done"},
#ifndef __SANITIZE_ADDRESS__ /* which has memory and signals of its own */
		{large, NULL, TRIAL_MEMORY, "needs more than 64 MiB of memory, or more than this machine has"},
		{fallen, (void *)16, TRIAL_DIED, "makes the compiler fail: please report it, with the policy"},
#endif
	};
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum trial_end end = trial_run(&limits, cases[i].work, cases[i].ctx);

		print_message("case %zu\n", i);
		assert_int_equal(end, cases[i].end);
		assert_string_equal(trial_end_text(end, &limits, text, sizeof(text)), cases[i].text);
	}
	assert_int_equal(value, 0);
}

/* As a change's thread does it, beside others that allocate. */
static void *allocate(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		free(mem_alloc(100, 1));
	return NULL;
}

static void test_fault_53_beside_other_threads(void **state)
{
	pthread_t threads[3];
	int stop = 0;

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, allocate, &stop), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(trial_run(&limits, small, &value), TRIAL_DONE);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_53_each_end_is_told),
		cmocka_unit_test(test_fault_53_beside_other_threads),
	};

	return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
