/* SPDX-License-Identifier: BSD-2-Clause */
/* T13: our keys in a tailnet, on disk: made once, kept, rotated, wiped on failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/wireguard/crypto.h"
#include "user/tailnet/tailkeys.h"

static char folder[64];
static char error[300];

static const char *file(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int setup(void **state)
{
	const char *what;

	strcpy(folder, "/tmp/sluice-tailkeys-XXXXXX");
	return mkdtemp(folder) && crypto_init(&what) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"machine.key", "node.key", "old-node.key", "disco.key"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(file(names[i]));
	return rmdir(folder);
}

static void made_once(void **state)
{
	static const char *const names[] = {"machine.key", "node.key", "disco.key"};
	struct tailkeys a, b;
	struct stat st;

	assert_true(tailkeys_load(folder, &a, error, sizeof(error)));
	assert_true(key_is_zero(a.old_node));
	assert_memory_not_equal(a.machine, a.node, KEY_LEN);
	assert_memory_not_equal(a.node, a.disco, KEY_LEN);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(stat(file(names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_true(tailkeys_load(folder, &b, error, sizeof(error)));
	assert_memory_equal(&a, &b, sizeof(a));
}

/* Between rotation and the server's word, a crash loses neither key. */
static void rotated(void **state)
{
	struct tailkeys before, k, again;
	uint8_t public[KEY_LEN];

	assert_true(tailkeys_load(folder, &k, error, sizeof(error)));
	before = k;
	crypto_public_key(before.node, public);
	assert_false(tailkeys_settle(folder, &k, public)); /* there is no other */
	assert_true(tailkeys_rotate(folder, &k, error, sizeof(error)));
	assert_memory_equal(k.old_node, before.node, KEY_LEN);
	assert_false(tailkeys_settle(folder, &k, public)); /* what the server knows is still the old one */
	assert_memory_equal(tailkeys_in_force(&k), before.node, KEY_LEN);
	assert_memory_not_equal(k.node, before.node, KEY_LEN);
	assert_memory_equal(k.machine, before.machine, KEY_LEN);
	assert_true(tailkeys_load(folder, &again, error, sizeof(error)));
	assert_memory_equal(&again, &k, sizeof(k));
	crypto_public_key(k.node, public);
	assert_true(tailkeys_settle(folder, &k, public));
	assert_true(key_is_zero(k.old_node));
	assert_true(tailkeys_load(folder, &again, error, sizeof(error)));
	assert_memory_equal(&again, &k, sizeof(k));
}

/* The server did not take the new one; until it does, others know us by the old one. */
static void reverted(void **state)
{
	struct tailkeys before, k, again;

	assert_true(tailkeys_load(folder, &k, error, sizeof(error)));
	before = k;
	assert_memory_equal(tailkeys_in_force(&k), before.node, KEY_LEN);
	assert_true(tailkeys_rotate(folder, &k, error, sizeof(error)));
	assert_memory_equal(tailkeys_in_force(&k), before.node, KEY_LEN);
	assert_true(tailkeys_revert(folder, &k, error, sizeof(error)));
	assert_memory_equal(&k, &before, sizeof(k));
	assert_true(tailkeys_load(folder, &again, error, sizeof(error)));
	assert_memory_equal(&again, &before, sizeof(k));
	assert_false(tailkeys_revert(folder, &k, error, sizeof(error)));
	assert_memory_equal(&k, &before, sizeof(k));
}

static void refused(void **state)
{
	struct tailkeys k;
	FILE *f;

	assert_true(tailkeys_load(folder, &k, error, sizeof(error)));
	assert_int_equal(chmod(file("node.key"), 0644), 0);
	assert_false(tailkeys_load(folder, &k, error, sizeof(error)));
	assert_non_null(strstr(error, "node.key"));
	assert_true(sodium_is_zero((uint8_t *)&k, sizeof(k)));
	assert_int_equal(chmod(file("node.key"), 0600), 0);
	f = fopen(file("disco.key"), "w");
	fputs("nonsense\n", f);
	fclose(f);
	assert_false(tailkeys_load(folder, &k, error, sizeof(error)));
	assert_non_null(strstr(error, "disco.key"));
	assert_false(tailkeys_load("/nonexistent", &k, error, sizeof(error)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(reverted, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("tailnet_keys", tests, NULL, NULL);
}
