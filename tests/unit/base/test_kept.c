/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that say who is out (faults 51): whatever is cut off, changed, missing or disowned, an older one is never taken
 * for the newest, and a whole copy is used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/kept.h"

#define MAX 4096

static char folder[64], file[128], second[160];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/sluice-kept-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/policy", folder);
	snprintf(second, sizeof(second), "%s.2", file);
	return 0;
}

static int remove_folder(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void put(const char *text, uint64_t serial)
{
	assert_int_equal(kept_write(file, 2, serial, text, strlen(text)), 0);
}

/* What is read, as "result:text"; the message is in @why. */
static const char *get(char why[256])
{
	static const char *const names[] = {"ok", "absent", "disowned", "damaged", "failed"};
	static char out[MAX];
	uint64_t serial;
	size_t len;
	char *text;
	enum kept_result r = kept_read(file, 2, MAX, &text, &len, &serial, why, 256);

	assert_int_equal(text != NULL, r == KEPT_OK || r == KEPT_DISOWNED);
	if (text)
		assert_int_equal(len, strlen(text));
	snprintf(out, sizeof(out), "%s:%s", names[r], text ? text : "");
	free(text);
	return out;
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void test_the_newest_is_read(void **state)
{
	char why[256];

	assert_string_equal(get(why), "absent:");
	put("first", 1);
	put("second\nwith lines\n", 2);
	assert_string_equal(get(why), "ok:second\nwith lines\n");
	assert_string_equal(why, "");
	put("", 3);
	assert_string_equal(get(why), "ok:");
	assert_int_equal(kept_write("/nonexistent/policy", 2, 1, "x", 1), -ENOENT);
}

/* Each byte cut off, and each byte changed: the other copy is used, and of both none. */
static void test_fault_51_one_byte(void **state)
{
	char why[256];
	off_t size;

	put("everything but bob", 7);
	size = size_of(file);
	for (off_t i = 0; i < size; i++) {
		put("everything but bob", 7);
		flip(file, i);
		assert_string_equal(get(why), "ok:everything but bob");
		assert_non_null(strstr(why, "/policy: damaged"));
		flip(second, i);
		if (strcmp(get(why), "damaged:"))
			fail_msg("byte %ld: %s", (long)i, get(why));
		put("everything but bob", 7);
		assert_int_equal(truncate(second, i), 0);
		assert_string_equal(get(why), "ok:everything but bob");
		assert_int_equal(truncate(file, i), 0);
		if (strcmp(get(why), "damaged:"))
			fail_msg("cut at %ld: %s", (long)i, get(why));
	}
}

/* A crash between the two copies, and one copy that somebody removed. */
static void test_one_copy_is_enough(void **state)
{
	char why[256], old[160];

	put("old", 1);
	snprintf(old, sizeof(old), "%s.old", file);
	assert_int_equal(rename(file, old), 0);
	assert_string_equal(get(why), "ok:old");
	put("new", 2);
	assert_int_equal(rename(old, file), 0); /* the first copy was not written yet */
	assert_string_equal(get(why), "ok:new");
	assert_int_equal(unlink(second), 0);
	assert_string_equal(get(why), "ok:old");
	assert_int_equal(truncate(file, 3), 0);
	assert_string_equal(get(why), "damaged:");
}

static void test_fault_51_disowned(void **state)
{
	char why[256];

	put("old", 1);
	assert_int_equal(kept_disown(file, 2), 0);
	assert_string_equal(get(why), "disowned:old");
	flip(second, 30);
	assert_string_equal(get(why), "disowned:old");
	put("new", 2);
	assert_string_equal(get(why), "ok:new");
	unlink(file);
	unlink(second);
	assert_int_equal(kept_disown(file, 2), 0); /* there is nothing to disown */
}

static void test_what_cannot_be_read_is_not_absent(void **state)
{
	char why[256];

	put("text", 1);
	unlink(file);
	unlink(second);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_string_equal(get(why), "failed:");
	assert_non_null(strstr(why, "/policy: "));
	rmdir(file);
	assert_int_equal(mkfifo(file, 0600), 0); /* does not hang */
	assert_string_equal(get(why), "failed:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_newest_is_read, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_fault_51_one_byte, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_one_copy_is_enough, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_fault_51_disowned, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_not_absent, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
