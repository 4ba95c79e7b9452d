/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RESET_H
#define SLUICE_RESET_H

#include "segment.h"
#include "gso.h"
#include "worker.h"

/*
 * A worker's part in telling who has lost a flow (bpf/reset.h): which segment gets a reset,
 * and how many, the programs decide. Here it is made.
 */

/*
 * The reset that answers the segment @p, as RFC 9293 section 3.10.7.1 has it of a connection
 * that does not exist: @p may be a super-packet, which it acknowledges whole. Returns its
 * length; 0: @p gets none. Pure.
 */
size_t reset_of(const struct packet *p, uint8_t out[SEGMENT_MAX]);

/*
 * Takes a frame from the TAP, of @len bytes in w->frame. Where it is a client's segment for
 * which a reset was asked, w->frame becomes that reset, as if it had come by the TAP; one for
 * a service leaves by the TAP. Returns the length of what w->frame holds now, @len where
 * nothing was asked; 0: there is no more to do.
 */
size_t reset_frame(struct worker *w, size_t len);

#endif
