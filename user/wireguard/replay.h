/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REPLAY_H
#define SLUICE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

/*
 * The sliding window against replays (RFC 6479): a ring of words in which moving
 * forward clears whole words instead of shifting. Zero initialised. One thread.
 */
struct replay {
	uint64_t next; /* one more than the greatest counter seen */
	uint64_t seen[REPLAY_BITS / REPLAY_WORD_BITS];
};

/* True once for each counter inside the window or ahead of it, and remembers it.
 * False: seen, older than the window, or not below REJECT_AFTER_MESSAGES (W3, W6).
 * Only for counters of authenticated messages. */
bool replay_accept(struct replay *r, uint64_t counter);

#endif
