/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CHANGE_BLOCKLISTS_H
#define SLUICE_CHANGE_BLOCKLISTS_H

#include "changes.h"

/* Block lists whose files changed. */
struct refresh {
	bool under_way;	     /* such a change waits or is worked on */
	uint64_t look_after; /* monotonic ns */
};

void refresh_second(struct refresh *r, struct changes *q, uint64_t now);

#endif
