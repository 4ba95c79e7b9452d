/* SPDX-License-Identifier: BSD-2-Clause */
/* Anti-replay window after RFC 6479. */
#include "replay.h"

#define WORDS (REPLAY_BITS / REPLAY_WORD_BITS)

static void move_forward(struct replay *r, uint64_t counter)
{
	uint64_t word = r->next ? (r->next - 1) / REPLAY_WORD_BITS : 0;
	uint64_t steps = counter / REPLAY_WORD_BITS - word;

	if (steps > WORDS)
		steps = WORDS;
	while (steps--)
		r->seen[++word % WORDS] = 0;
	r->next = counter + 1;
}

bool replay_accept(struct replay *r, uint64_t counter)
{
	uint64_t bit = 1ull << counter % REPLAY_WORD_BITS;
	uint64_t *word = &r->seen[counter / REPLAY_WORD_BITS % WORDS];

	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= r->next)
		move_forward(r, counter);
	else if (r->next - counter > REPLAY_WINDOW)
		return false;
	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}
