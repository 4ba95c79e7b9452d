/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REMEMBER_H
#define SLUICE_REMEMBER_H

#include "clients.h"
#include "state.h"

/* What the next start wants to know (state.h), and what this one does with it. */
struct remember {
	struct state state;  /* as it was at start, then as it was last saved */
	size_t greeted;	     /* clients, by remember_greet() */
	uint64_t save_after; /* monotonic ns */
};

/* Makes the folder. False with one line in @error. */
bool remember_folder(const char *folder, char *error, size_t size);
/* Reads the state of an earlier run; logs a warning where it cannot be read. Always true. */
bool remember_load(struct remember *r, const char *folder);
/* Writes it, if it has changed. */
void remember_save(struct remember *r, const struct site *s, const struct clients *clients);
/* Once a second: the same, where saving does not take too much of the time. */
void remember_second(struct remember *r, const struct site *s, const struct clients *clients, uint64_t now);
/* After a start: begins a handshake with those who were there a moment ago, wherever they were then, so that their
 * connections go on. Some at a time, for their answers must be heard between. True: there are more. */
bool remember_greet(struct remember *r, const struct site *s, const struct clients *clients);
/* The client may come with an older timestamp: its clock was set back. */
void remember_no_timestamp(struct remember *r, const uint8_t public[KEY_LEN]);
/* Writes down at once that we switch an interface's UDP GRO on. False: it could not be written. */
bool remember_offload(struct remember *r, const struct site *s, const char *interface);

#endif
