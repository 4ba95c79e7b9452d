/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker does with frames from the TAP: find the peer by destination, cut
 * super-packets, seal every packet behind the one before it, and send runs of
 * equal size with one UDP_SEGMENT message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/wireguard/ecn.h"
#include "worker_fragments.h"
#include "reset.h"
#include "gso.h"
#include "tap.h"
#include "worker.h"

#define SEND_FRAMES 64 /* until the underlay has its turn */

static void send_flush(struct worker *w)
{
	unsigned refused;

	if (!w->n_tx)
		return;
	refused = underlay_send(&w->underlay, w->tx, w->n_tx);
	if (refused)
		worker_drop(w, DROP_SEND, refused);
	w->n_tx = 0;
}

static bool send_fits(const struct tx_batch *b, size_t size, uint8_t tos)
{
	return size <= b->segment && b->count < TX_SEGMENTS && b->len + size <= TX_SIZE && b->tos == tos;
}

/* The batch that the next datagram of @t, of @size bytes, goes to. */
static struct tx_batch *batch_for(struct worker *w, const struct transport *t, size_t size, uint8_t tos)
{
	struct tx_batch *b;

	for (unsigned i = w->n_tx; i-- > 0;) {
		if (w->tx_owner[i] != t)
			continue;
		if (send_fits(&w->tx[i], size, tos))
			return &w->tx[i];
		w->tx_owner[i] = NULL; /* nothing may overtake what comes now */
		break;
	}
	if (w->n_tx == TX_BATCHES)
		send_flush(w);
	b = &w->tx[w->n_tx];
	w->tx_owner[w->n_tx++] = t;
	b->to = t->endpoint;
	b->len = 0;
	b->count = 0;
	b->segment = (uint16_t)size;
	b->tos = tos;
	return b;
}

/* A packet that cannot be sealed adds nothing to a batch: the bytes in its memory are of other packets. */
static void seal_one(struct worker *w, struct transport *t, const uint8_t *packet, size_t len, uint8_t tos)
{
	size_t size = session_sealed_len(len, w->mtu);
	struct tx_batch *b;

	if (size > TX_SIZE) { /* the MTU of the interface may be larger */
		worker_drop(w, DROP_TOO_BIG, 1);
		return;
	}
	b = batch_for(w, t, size, tos);
	if (transport_seal(t, b->data + b->len, packet, len, w->mtu) != size) {
		worker_drop(w, DROP_NO_SESSION, 1);
		w->n_tx -= !b->count; /* it was made for this packet, so it is the last */
		return;
	}
	b->len += size;
	b->count++;
	if (size < b->segment)
		w->tx_owner[b - w->tx] = NULL; /* only the last may be shorter */
}

static uint8_t outer_tos(const uint8_t *packet)
{
	return ecn_encapsulate(ecn_tos(packet));
}

/* No session: what is cut is kept until there is one. */
static void stage(struct worker *w, struct transport *t, struct fragments_walk *walk)
{
	const uint8_t *packet;
	size_t len;

	while ((packet = worker_fragments_next(w, walk, w->mtu, &len)))
		if (!transport_stage(t, packet, len))
			worker_drop(w, DROP_NO_SESSION, 1);
}

static unsigned packets_of(const struct gso *s)
{
	size_t payload = (size_t)(s->end - s->next);

	return s->segment ? (unsigned)((payload + s->segment - 1) / s->segment) : 1;
}

static void send_one_frame(struct worker *w, size_t frame_len)
{
	struct fragments_walk walk = {.cut = {0}};
	const struct gso *split = &walk.split;
	struct transport *t;
	const uint8_t *packet;
	uint32_t peer;
	size_t len;

	if (worker_fragments_take(w, w->frame, frame_len))
		return;
	frame_len = reset_frame(w, frame_len);
	if (!frame_len)
		return;
	if (!gso_begin(&walk.split, w->frame, frame_len)) {
		worker_drop(w, DROP_MALFORMED, 1);
		return;
	}
	peer = allowedips_lookup(w->allowed, &split->whole.dst);
	t = peer == ALLOWEDIPS_NONE ? NULL : transport_find(&w->transports, peer);
	if (!t) {
		if (!probe_catch(&w->shared->probe, &split->whole.dst, split->whole.data, split->whole.len, w->now))
			worker_drop(w, DROP_NO_PEER, packets_of(split));
		return;
	}
	switch (transport_seal_begin(&w->transports, t, true, w->now)) {
	case SEAL_OK: {
		uint8_t tos = outer_tos(split->whole.data);

		while ((packet = worker_fragments_next(w, &walk, w->mtu, &len)))
			seal_one(w, t, packet, len, tos);
		break;
	}
	case SEAL_NO_SESSION:
		stage(w, t, &walk);
		break;
	case SEAL_NO_ENDPOINT:
		worker_drop(w, DROP_NO_ENDPOINT, packets_of(split));
		break;
	}
}

void send_frames(struct worker *w)
{
	for (int i = 0; i < SEND_FRAMES; i++) {
		ssize_t n = read(w->tap_fd, w->frame, TAP_FRAME_MAX);

		if (n < 0 && errno == EBADFD)
			worker_tap_gone(w);
		if (n <= 0)
			break;
		send_one_frame(w, (size_t)n);
	}
	send_flush(w);
}

static void send_keepalive(struct worker *w, struct transport *t)
{
	if (transport_seal_begin(&w->transports, t, false, w->now) == SEAL_OK)
		seal_one(w, t, w->frame, 0, 0);
}

/* Returns whether anything was sent. */
static bool send_staged(struct worker *w, struct transport *t)
{
	struct staged *p;

	if (!t->n_staged || transport_seal_begin(&w->transports, t, true, w->now) != SEAL_OK)
		return false;
	while ((p = transport_unstage(t))) {
		seal_one(w, t, p->packet, p->len, outer_tos(p->packet));
		free(p);
	}
	return true;
}

void send_todo(struct worker *w)
{
	struct transport *t;
	unsigned todo;

	while ((t = transport_take_todo(&w->transports, &todo))) {
		bool sent = todo & (TRANSPORT_FLUSH | TRANSPORT_KEEPALIVE) && send_staged(w, t);

		if (todo & TRANSPORT_KEEPALIVE && !sent)
			send_keepalive(w, t);
		if (todo & TRANSPORT_HANDSHAKE)
			worker_request_handshake(w, t->peer);
	}
	send_flush(w);
}
