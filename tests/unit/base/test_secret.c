/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys in files: what is read, and what is refused because somebody else could read
 * or replace it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/secret.h"

#define KEY "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="

static char folder[] = "/tmp/sluice-secret-XXXXXX";

static int set_up(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	return rmdir(folder);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const struct {
	const char *text;
	mode_t mode;
	enum secret_result result;
	const char *message;
} files[] = {
	{KEY "\n", 0600, SECRET_OK, ""},
	{KEY, 0400, SECRET_OK, ""},
	{KEY "\r\n", 0600, SECRET_OK, ""},
	{KEY "\n", 0640, SECRET_REFUSED, "mode 0640 lets others than its owner use the key: chmod 600"},
	{KEY "\n", 0604, SECRET_REFUSED, "mode 0604"},
	{KEY "\n", 0620, SECRET_REFUSED, "mode 0620"},
	{"", 0600, SECRET_BAD, "not a key"},
	{KEY "\n" KEY "\n", 0600, SECRET_BAD, "not a key"},
	{"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC", 0600, SECRET_BAD, "not a key"},
	{"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=", 0600, SECRET_BAD, "not a key"}, /* bits past the key */
	{" " KEY, 0600, SECRET_BAD, "not a key"},
};

static void test_files(void **state)
{
	static const uint8_t none[32];
	const char *path = path_of("key");

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		uint8_t key[32];
		char error[256] = "";
		FILE *out = fopen(path, "w");

		fputs(files[i].text, out);
		fclose(out);
		chmod(path, files[i].mode);
		memset(key, 0xaa, sizeof(key));
		assert_int_equal(secret_read(path, key, error, sizeof(error)), files[i].result);
		assert_non_null(strstr(error, files[i].message));
		assert_int_equal(memcmp(key, none, sizeof(key)) != 0, files[i].result == SECRET_OK);
		assert_int_equal(secret_read(path, NULL, error, sizeof(error)), files[i].result);
		unlink(path);
	}
}

static void test_what_is_no_file(void **state)
{
	const char *path = path_of("key");
	uint8_t key[32];
	char error[256];

	assert_int_equal(secret_read(path, key, error, sizeof(error)), SECRET_ABSENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(secret_read(path, key, error, sizeof(error)), SECRET_REFUSED);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: must not hang */
	assert_int_equal(secret_read(path, key, error, sizeof(error)), SECRET_REFUSED);
	assert_int_equal(unlink(path), 0);
}

static void test_create(void **state)
{
	const char *path = path_of("new");
	uint8_t key[32], back[32];
	char error[256];
	struct stat st;

	memset(key, 0x5a, sizeof(key));
	assert_int_equal(secret_create(path, key, error, sizeof(error)), SECRET_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(secret_read(path, back, error, sizeof(error)), SECRET_OK);
	assert_memory_equal(key, back, sizeof(key));
	assert_int_equal(secret_create(path, key, error, sizeof(error)), SECRET_FAILED); /* never over another */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(secret_create("/nonexistent/key", key, error, sizeof(error)), SECRET_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_create),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
