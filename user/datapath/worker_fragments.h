/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_WORKER_FRAGMENTS_H
#define SLUICE_WORKER_FRAGMENTS_H

#include "fragment.h"
#include "gso.h"
#include "worker.h"

/*
 * A worker's part in fragments, both ways. A packet that a client sends in fragments goes to
 * the TAP whole (TAP_CLIENT, with the size of its fragments). One that a service sends in fragments comes from the
 * programs and goes back to them whole (bpf/fragment.h). Where a packet that may be cut
 * is larger than its way allows, it is cut here.
 */
struct worker_fragments;

bool worker_fragments_open(struct worker *w); /* false: out of memory */
void worker_fragments_close(struct worker *w);

/* In epoll_wait's milliseconds, after dropping what waited too long; -1: nothing waits. */
int worker_fragments_timeout(struct worker *w);

/* A fragment that @client sent. */
void worker_fragments_from_client(struct worker *w, const struct packet *p, uint32_t client);

/* A frame that the programs sent for what is done here; false: it is another. */
bool worker_fragments_take(struct worker *w, uint8_t *frame, size_t len);

/*
 * The packets of a frame from the TAP, one by one. The walk lives as long as the frame, so
 * whatever goes wrong with one frame is over with it. cut: zero, for a start.
 */
struct fragments_walk {
	struct gso split;
	struct fragmenter cut; /* of the packet that is being cut */
};

/*
 * The next packet, as gso_next(), cut where it is larger than @mtu; one that cannot be
 * cut is dropped. Valid until the next call. NULL: that was all.
 */
const uint8_t *worker_fragments_next(struct worker *w, struct fragments_walk *walk, size_t mtu, size_t *len);

#endif
