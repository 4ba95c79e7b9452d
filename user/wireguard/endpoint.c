/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint between threads: a sequence lock with one writer. */
#include "endpoint.h"

#define WORDS (sizeof(struct endpoint) / sizeof(uint64_t))

void endpoint_publish(struct endpoint_cell *c, const struct endpoint *e)
{
	uint32_t version = atomic_load_explicit(&c->version, memory_order_relaxed);
	uint64_t words[WORDS];

	memcpy(words, e, sizeof(words));
	atomic_store_explicit(&c->version, version + 1, memory_order_relaxed);
	/* The odd version is seen before any new word. */
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&c->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&c->version, version + 2, memory_order_release);
}

uint32_t endpoint_read(const struct endpoint_cell *c, struct endpoint *out)
{
	uint64_t words[WORDS];
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&c->version, memory_order_acquire);
		for (size_t i = 0; i < WORDS; i++)
			words[i] = atomic_load_explicit(&c->words[i], memory_order_relaxed);
		/* The words are read before the version is looked at again. */
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&c->version, memory_order_relaxed);
	} while (before & 1 || before != after);
	memcpy(out, words, sizeof(words));
	return before;
}

static bool endpoint_is_loopback(const struct addr *a)
{
	static const struct addr loopback = {.b = {[15] = 1}};

	return addr_is_v4(a) ? a->b[12] == 127 : !addr_cmp(a, &loopback);
}

bool endpoint_is_on_host(const struct endpoint *e)
{
	return e->port && endpoint_is_loopback(&e->addr) && endpoint_is_loopback(&e->local);
}

bool endpoint_is_plausible(const struct endpoint *e)
{
	static const struct addr none;
	const uint8_t *b = e->addr.b;

	if (!e->port || endpoint_is_loopback(&e->addr))
		return false;
	if (addr_is_v4(&e->addr))
		return b[12] != 0 && b[12] < 224;
	return b[0] != 0xff && addr_cmp(&e->addr, &none);
}
