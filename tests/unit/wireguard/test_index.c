/* SPDX-License-Identifier: BSD-2-Clause */
/* The table from receiver indices to pointers. */
#include "wg_test.h"

#include "user/wireguard/index.h"

/* The table of indices under random traffic, against an array. */
static void test_index_table(void **state)
{
	enum { N = 200 };
	static uint32_t live[N];
	struct index_table t = {0};
	static int values[N];
	uint64_t seed = 8;

	assert_null(index_find(&t, 1));
	for (int i = 0; i < 100000; i++) {
		size_t at = test_random(&seed) % N;

		if (live[at]) {
			assert_ptr_equal(index_find(&t, live[at]), &values[at]);
			index_remove(&t, live[at]);
			assert_null(index_find(&t, live[at]));
			live[at] = 0;
		} else { /* many collisions: unique, but low bits from a few */
			uint32_t index = (uint32_t)(at + 1) << 16 | (uint32_t)(test_random(&seed) % 7 + 1);

			assert_true(index_insert(&t, index, &values[at]));
			live[at] = index;
		}
	}
	for (size_t at = 0; at < N; at++) {
		if (live[at])
			assert_ptr_equal(index_find(&t, live[at]), &values[at]);
	}
	index_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_table),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
