/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TRIAL_H
#define SLUICE_TRIAL_H

#include <stddef.h>

/*
 * Work on what others wrote, first tried in a process that may die of it. The child is a copy of this process, does the
 * same work with bounded time and memory, and ends; nothing of its result is taken. Work whose cost its input alone
 * decides (a policy is compiled, its tests are asked) may be done here then: it ends, and within these bounds.
 *
 * Secrets are wiped in the child (secret_pool.c), its descriptors are closed but for the standard ones, which say
 * nothing, and the kernel ends the child first when memory is short.
 */
struct trial_limits {
	unsigned seconds; /* of processor time; four times as long in all, for what waits */
	size_t bytes;	  /* of memory, above what this process has */
};

enum trial_end {
	TRIAL_DONE,
	TRIAL_TIME,   /* it took longer */
	TRIAL_MEMORY, /* it took more */
	TRIAL_DIED,   /* of a fault: a signal, an assertion */
	TRIAL_NONE,   /* no process could be made: errno */
};

/*
 * Runs @work(@ctx) in a child and waits for it; from any thread. @work may allocate, read files and call pure code,
 * but must not take locks that other threads of this process hold, nor write anywhere but into its own memory.
 */
enum trial_end trial_run(const struct trial_limits *limits, void (*work)(void *ctx), void *ctx);

/* "needs more than 5 s of processor time": the end of a sentence about the work. @limits as it had them. */
const char *trial_end_text(enum trial_end end, const struct trial_limits *limits, char *buf, size_t size);

#endif
