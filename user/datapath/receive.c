/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker does with datagrams: tell WireGuard's message types apart, open
 * data messages where they lie, and write what was inside to the TAP, merged into
 * super-packets (gro.h). Handshakes are judged here, and done by their own thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/log.h"
#include "user/wireguard/crypto.h"
#include "worker_fragments.h"
#include "reassemble.h"
#include "tap.h"
#include "worker.h"

#define RECEIVE_ROUNDS 4 /* batches until the TAP has its turn */

static const enum drop_reason open_drops[] = {
	[OPEN_BAD_LENGTH] = DROP_WG_LENGTH,	 [OPEN_NO_SESSION] = DROP_WG_INDEX,
	[OPEN_EXPIRED] = DROP_WG_EXPIRED,	 [OPEN_FORGED] = DROP_WG_AUTH,
	[OPEN_REPLAY] = DROP_WG_REPLAY,		 [OPEN_BAD_PACKET] = DROP_MALFORMED,
	[OPEN_WRONG_SOURCE] = DROP_INNER_SOURCE, [OPEN_CONGESTED] = DROP_WG_ECN,
};

/* The TAP takes a frame or drops it; there is nothing to wait for. */
static void write_frame(void *context, const struct iovec *iov, unsigned n)
{
	struct worker *w = context;

	if (writev(w->tap_fd, iov, (int)n) < 0)
		worker_drop(w, DROP_TAP, n > 2 ? n - 2 : 1);
}

void receive_init(struct worker *w, bool gso, bool uso)
{
	gro_init(&w->gro, gso, uso, write_frame, w);
	if (w->shared->to_host)
		memcpy(w->gro.eth.h_dest, w->shared->tap_mac, ETH_ALEN);
	else
		tap_mac_put(w->gro.eth.h_dest, TAP_CLIENT, 0); /* somebody else's */
}

static void deliver(struct worker *w, const struct opened *o)
{
	uint32_t peer = o->transport->peer, client = 0;

	if (!w->shared->to_host) {
		if (peer < w->shared->n_peers)
			client = atomic_load_explicit(&w->shared->client_of_peer[peer], memory_order_relaxed);
		if (!client) {
			worker_drop(w, DROP_CLIENT, 1);
			return;
		}
	}
	if (client && !o->packet.proto && reassemble_is_fragment(o->packet.data, o->packet.len))
		worker_fragments_from_client(w, &o->packet, client);
	else
		gro_add(&w->gro, &o->packet, client);
}

static void receive_data(struct worker *w, uint8_t *msg, size_t len, const struct rx_message *m)
{
	struct opened opened;
	enum open_result result =
		transport_open(&w->transports, w->allowed, msg, len, &m->from, m->tos, w->now, &opened);

	if (result == OPEN_OK)
		deliver(w, &opened);
	else if (result != OPEN_KEEPALIVE)
		worker_drop(w, open_drops[result], 1);
}

static void send_cookie(struct worker *w, const uint8_t *msg, size_t len, const struct rx_message *m)
{
	struct message_cookie reply;
	uint8_t nonce[XNONCE_LEN];

	crypto_random(nonce, sizeof(nonce));
	gate_cookie(w->keys, &reply, msg, len, &m->from, nonce);
	if (!underlay_send_one(&w->underlay, &m->from, UNDERLAY_EXPEDITED, &reply, sizeof(reply)))
		worker_drop(w, DROP_SEND, 1);
}

static void receive_handshake(struct worker *w, const uint8_t *msg, size_t len, size_t expected,
			      const struct rx_message *m)
{
	struct handshakes *h = w->shared->handshakes;
	enum lane lane = LANE_ANSWERS;
	enum engine_result result;
	bool proven;

	if (len != expected) {
		worker_drop(w, DROP_WG_LENGTH, 1);
		return;
	}
	if (!transport_may_be_at(&w->transports, w->allowed, &m->from)) { /* the answer would go there */
		worker_drop(w, DROP_LOOP, 1);
		return;
	}
	result = gate_judge(w->keys, w->sources, &h->load, msg, len, &m->from, w->now, &proven);
	if (msg[0] == MESSAGE_INITIATION)
		lane = proven ? LANE_PROVEN : LANE_STRANGERS;
	if (result == ENGINE_COOKIE_SENT)
		send_cookie(w, msg, len, m);
	else if (result != ENGINE_OK)
		worker_drop(w, handshakes_drop_reason(result), 1);
	else if (!handshakes_put(h, lane, msg, len, &m->from))
		worker_drop(w, DROP_WG_BUSY, 1);
}

static void receive_datagram(struct worker *w, uint8_t *msg, size_t len, const struct rx_message *m)
{
	if (len < 4) {
		worker_drop(w, DROP_WG_LENGTH, 1);
		return;
	}
	if (msg[1] || msg[2] || msg[3]) { /* as all of disco and STUN have it */
		if (!worker_pass_other(w, msg, len, &m->from))
			worker_drop(w, DROP_WG_RESERVED, 1);
		return;
	}
	switch (msg[0]) {
	case MESSAGE_DATA:
		receive_data(w, msg, len, m);
		break;
	case MESSAGE_INITIATION:
		receive_handshake(w, msg, len, sizeof(struct message_initiation), m);
		break;
	case MESSAGE_RESPONSE:
		receive_handshake(w, msg, len, sizeof(struct message_response), m);
		break;
	case MESSAGE_COOKIE:
		receive_handshake(w, msg, len, sizeof(struct message_cookie), m);
		break;
	default:
		worker_drop(w, DROP_WG_TYPE, 1);
	}
}

void receive(struct worker *w, int family)
{
	for (int round = 0; round < RECEIVE_ROUNDS; round++) {
		int n = underlay_receive(&w->underlay, family, &w->rx);

		if (n < 0)
			log_warning("receiving on the underlay: %s", strerror(-n));
		if (n <= 0)
			break;
		worker_apply_commands(w); /* a session must be known before its first message (transport.h) */
		for (int i = 0; i < n; i++) {
			struct rx_message m;

			rx_message(&w->rx, i, &m);
			for (size_t at = 0; at < m.len; at += m.segment)
				receive_datagram(w, m.data + at, m.len - at < m.segment ? m.len - at : m.segment, &m);
		}
		gro_flush(&w->gro);
		if (n < RX_MESSAGES)
			break;
	}
}

void receive_arrivals(struct worker *w)
{
	struct datagrams arrived = worker_arrivals(w);
	struct datagram *p;

	if (!arrived.n)
		return;
	while ((p = datagrams_take(&arrived))) {
		const struct rx_message m = {.data = p->bytes, .len = p->len, .segment = p->len, .from = p->at};

		receive_datagram(w, p->bytes, p->len, &m);
		gro_flush(&w->gro); /* it holds pointers into the message */
		free(p);
	}
}
