/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: the netmap that outlives the gateway, and of whom it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tailnet/netmap/netmap_text.h"
#include "user/tailnet/kept_netmap.h"
#include "user/base/file.h"

#define SERVER "https://hs.test/base"

static int set_up(void **state)
{
	*state = mem_strdup("/tmp/sluice-map-XXXXXX");
	return mkdtemp(*state) ? 0 : -1;
}

static int tear_down(void **state)
{
	int rc;

	kept_netmap_drop(*state);
	rc = rmdir(*state);
	free(*state);
	return rc;
}

static void keep(const char *folder, const char *server)
{
	struct netmap m = {0};
	struct netmap_copy r = {0};
	struct carrier c = {.roster = &r};
	const struct teller t = {carry, &c};

	apply(&m, "{" SELF ",\"Peers\":[" NODE("2", "02", "") "]}");
	netmap_copy_tell(&m, true, &t);
	kept_netmap_save(folder, server, &r);
	netmap_free(&m);
	netmap_copy_free(&r);
}

static size_t peers_kept(const char *folder, const char *server)
{
	struct netmap_copy r = {0};
	size_t n = kept_netmap_load(folder, server, &r) ? r.map.n_peers : 0;

	assert_true(n || !r.map.self.node);
	netmap_copy_free(&r);
	return n;
}

static void of_one_server(void **state)
{
	static const struct {
		const char *server;
		bool same;
	} cases[] = {
		{SERVER, true},
		{"https://HS.Test/base", true},
		{"https://hs.test:443/base", true},
		{"http://hs.test/base", false},
		{"https://hs.test:444/base", false},
		{"https://hs.test/Base", false},
		{"https://hs.test/", false},
		{"https://hs.test", false},
		{"https://other.test/base", false},
		{"no URL", false},
	};

	keep(*state, SERVER);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (peers_kept(*state, cases[i].server) != cases[i].same)
			fail_msg("%s: wanted %s", cases[i].server, cases[i].same ? "the same" : "another");
	keep(*state, "HTTPS://hs.test:444"); /* and no older one's */
	assert_int_equal(peers_kept(*state, SERVER), 0);
	kept_netmap_drop(*state);
	assert_int_equal(peers_kept(*state, "https://hs.test:444"), 0);
}

/* Half a file, another's, or none: nothing is taken, and nothing breaks. */
static void damaged(void **state)
{
	char *path = mem_printf("%s/netmap", (char *)*state), *bytes;
	size_t len;

	keep(*state, SERVER);
	bytes = file_read(path, 1 << 20, &len);
	assert_non_null(bytes);
	for (size_t cut = 0; cut < len; cut++) {
		assert_int_equal(file_write(path, bytes, cut), 0);
		assert_int_equal(peers_kept(*state, SERVER), 0);
		bytes[cut] ^= 1; /* it may say another key, or a later date */
		assert_int_equal(file_write(path, bytes, len), 0);
		assert_int_equal(peers_kept(*state, SERVER), 0);
		bytes[cut] ^= 1;
	}
	assert_int_equal(file_write(path, bytes, len), 0);
	assert_int_equal(peers_kept(*state, SERVER), 1);
	free(bytes);
	free(path);
}

/* Faults 51: where the newest cannot be written, an older one that lets in who is out is not left. */
static void test_fault_51_no_older_netmap(void **state)
{
	char *temporary = mem_printf("%s/netmap.new", (char *)*state);

	keep(*state, SERVER);
	assert_int_equal(peers_kept(*state, SERVER), 1);
	assert_int_equal(mkdir(temporary, 0700), 0);
	keep(*state, SERVER);
	assert_int_equal(peers_kept(*state, SERVER), 0);
	assert_int_equal(rmdir(temporary), 0);
	free(temporary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_one_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fault_51_no_older_netmap, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
