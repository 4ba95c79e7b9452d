/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_FRAGMENTS_SETUP_H
#define SLUICE_TEST_FRAGMENTS_SETUP_H

/* A table of unfinished packets, what it dropped and told, and packets that are known again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>

#include "policy/addr.h"
#include "fragments.h"
#include "tests/unit/random.h"
#include "user/datapath/fragment.h"
#include "user/datapath/reassemble.h"

#define N(table)   (sizeof(table) / sizeof(*(table)))
#define SECOND	   1000000000ull
#define PACKET_MAX 66000

struct test {
	struct reassembly *r;
	uint64_t drops[DROP_MAX];
	uint64_t now;
	uint32_t scope; /* of what add() adds */
	unsigned told;	/* of packets that never became whole */
	struct unfinished last;
	uint8_t first[NOTICE_BYTES];
};

static inline void count(void *ctx, enum drop_reason reason, unsigned n)
{
	struct test *t = ctx;

	t->drops[reason] += n;
}

static inline void hear(void *ctx, const struct unfinished *u)
{
	struct test *t = ctx;

	t->told++;
	t->last = *u;
	memcpy(t->first, u->first, u->len);
}

static inline int open_test(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	t->r = reassembly_new(count, hear, t);
	t->now = 1000 * SECOND;
	t->scope = 7;
	*state = t;
	return 0;
}

static inline int close_test(void **state)
{
	struct test *t = *state;

	reassembly_free(t->r);
	free(t);
	return 0;
}

static inline uint64_t all_drops(const struct test *t)
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_MAX; i++)
		n += t->drops[i];
	return n;
}

static inline void assert_whole(const uint8_t *got, size_t len, bool v6, size_t data, uint8_t from)
{
	static uint8_t want[PACKET_MAX];
	size_t n = whole_packet(want, v6, data, from);

	assert_non_null(got);
	assert_int_equal(len, n);
	if (!v6) { /* the identification stays, and is part of the sum */
		assert_int_equal(csum_finish(csum_add(0, got, 20)), 0);
		memcpy(want + 4, got + 4, 2);
		memcpy(want + 10, got + 10, 2);
	}
	assert_memory_equal(got, want, n);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_test, close_test)

#endif
