/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_WG_TEST_H
#define SLUICE_WG_TEST_H

/* What the tests of the WireGuard engine share: cmocka, hex, random numbers that repeat. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "user/wireguard/crypto.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline size_t unhex(uint8_t *out, size_t size, const char *hex)
{
	size_t n;

	if (sodium_hex2bin(out, size, hex, strlen(hex), NULL, &n, NULL))
		fail_msg("bad hex: %s", hex);
	return n;
}

/* splitmix64: the same numbers in every run. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline void test_random_bytes(uint64_t *state, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)test_random(state);
}

/* Before all tests of a file. */
static inline int test_init(void **state)
{
	const char *what;

	(void)state;
	if (crypto_init(&what))
		return 0;
	print_error("known answer wrong: %s\n", what);
	return -1;
}

#endif
