/* SPDX-License-Identifier: BSD-2-Clause */
/* W18: where keys live, as the kernel sees that memory; and an endpoint between threads. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wg_test.h"

#include "user/wireguard/endpoint.h"
#include "user/wireguard/secret_pool.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool mlock_is_real = false; /* the sanitizers make nothing of it */
#else
static const bool mlock_is_real = true;
#endif

/* The flags of the mapping that holds @at, from /proc/self/smaps. */
static void flags_of(const void *at, char flags[512])
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long first, last;
	bool here = false;
	char line[512];

	assert_non_null(f);
	flags[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			here = first <= (unsigned long)at && (unsigned long)at < last;
		else if (here && !strncmp(line, "VmFlags:", 8))
			strcpy(flags, line + 8);
	}
	fclose(f);
}

static void test_W18_memory_is_locked_and_not_dumped(void **state)
{
	struct secret_pool *p = secret_pool_new(700);
	void *objects[1000];
	char flags[512];

	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		objects[i] = secret_alloc(p);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 64, 0);
		memset(objects[i], 0xff, 700);
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i += 333) {
		flags_of(objects[i], flags);
		if (mlock_is_real) /* locked: never in swap */
			assert_non_null(strstr(flags, " lo"));
		assert_non_null(strstr(flags, " dd")); /* not in a core file */
		assert_non_null(strstr(flags, " wf")); /* wiped in a forked child */
	}
	secret_pool_free(p);
}

static void test_W18_freed_objects_are_wiped(void **state)
{
	static const uint8_t zero[700];
	struct secret_pool *p = secret_pool_new(sizeof(zero));
	uint8_t *a = secret_alloc(p), *b = secret_alloc(p), *again;

	assert_memory_equal(a, zero, sizeof(zero));
	memset(a, 0xff, sizeof(zero));
	memset(b, 0xee, sizeof(zero));
	secret_free(p, a);
	assert_memory_equal(a + sizeof(void *), zero, sizeof(zero) - sizeof(void *)); /* but for a link */
	again = secret_alloc(p);
	assert_ptr_equal(again, a);
	assert_memory_equal(again, zero, sizeof(zero));
	assert_int_equal(b[0] & b[699], 0xee);
	secret_free(p, NULL);
	secret_pool_free(p);
	secret_pool_free(NULL);
}

/* No memory to lock is an error, not a reason to do without. In a child, which is
 * nobody: root may lock what it likes. */
static int alloc_without_limit(void)
{
	struct rlimit none = {0, 0};
	struct secret_pool *p = secret_pool_new(64);

	if ((geteuid() == 0 && setuid(65534)) || setrlimit(RLIMIT_MEMLOCK, &none))
		return 2;
	if (secret_alloc(p))
		return 1;
	return errno == EPERM || errno == ENOMEM || errno == EAGAIN ? 0 : 3;
}

static void test_W18_no_unlocked_secrets(void **state)
{
	int status;
	pid_t child;

	if (!mlock_is_real)
		skip();
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(alloc_without_limit());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the endpoint cell ---- */

static void *write_endpoints(void *arg)
{
	for (unsigned i = 0; i < 200000; i++) {
		struct endpoint e;

		memset(&e, (int)(i & 0xff), sizeof(e));
		endpoint_publish(arg, &e);
	}
	return NULL;
}

/* What is read is one of the written ones as a whole, and time goes forward. */
static void test_endpoint_is_never_torn(void **state)
{
	struct endpoint_cell cell = {0};
	uint32_t last = 0;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_endpoints, &cell), 0);
	while (last < 2 * 200000) {
		struct endpoint e, want;
		uint32_t version = endpoint_read(&cell, &e);

		memset(&want, e.addr.b[0], sizeof(want));
		if (!endpoint_equal(&e, &want) || version < last || version % 2)
			fail_msg("torn at version %u", version);
		last = version;
	}
	pthread_join(writer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W18_memory_is_locked_and_not_dumped),
		cmocka_unit_test(test_W18_freed_objects_are_wiped),
		cmocka_unit_test(test_W18_no_unlocked_secrets),
		cmocka_unit_test(test_endpoint_is_never_torn),
	};

	return cmocka_run_group_tests_name("secret_pool", tests, test_init, NULL);
}
