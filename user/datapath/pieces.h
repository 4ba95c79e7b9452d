/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PIECES_H
#define SLUICE_PIECES_H

#include "cut.h"
#include "split.h"
#include "worker.h"

/*
 * A worker's part in fragments, both ways. What a client sends in fragments goes to
 * the TAP whole (TAP_CLIENT, with the size of its fragments). What a service sends in fragments comes from the
 * programs and goes back to them whole (bpf/fragment.h). Where a packet that may be cut
 * is larger than its way allows, it is cut here.
 */
struct pieces;

bool pieces_open(struct worker *w); /* false: out of memory */
void pieces_close(struct worker *w);

/* In epoll_wait's milliseconds, after dropping what waited too long; -1: nothing waits. */
int pieces_timeout(struct worker *w);

/* A fragment that @client sent. */
void pieces_from_client(struct worker *w, const struct packet *p, uint32_t client);

/* A frame that the programs sent for what is done here; false: it is another. */
bool pieces_take(struct worker *w, uint8_t *frame, size_t len);

/*
 * What a frame from the TAP becomes, packet by packet. It lives as long as the frame, so
 * whatever goes wrong with one frame is over with it. cut: zero, for a start.
 */
struct pieces_walk {
	struct split split;
	struct cut cut; /* of the packet that is being cut */
};

/*
 * The next packet, as split_next(), cut where it is larger than @mtu; one that cannot be
 * cut is dropped. Valid until the next call. NULL: that was all.
 */
const uint8_t *pieces_next(struct worker *w, struct pieces_walk *walk, size_t mtu, size_t *len);

#endif
