/* SPDX-License-Identifier: BSD-2-Clause */
/* Out: packets for a peer become data messages. */
#include "transport_private.h"

static void seal_note(struct transport *t, bool data, uint64_t now)
{
	stamp(&t->stamps.last_sent, now);
	stamp(&t->stamps.unanswered_received, 0);
	if (!data)
		return;
	stamp(&t->stamps.last_data_sent, now);
	stamp_first(&t->stamps.unanswered_sent, now);
}

enum seal_result transport_seal_begin(struct transport_set *set, struct transport *t, bool data, uint64_t now)
{
	struct session *session = t->current;

	if (!t->endpoint.port)
		return SEAL_NO_ENDPOINT;
	if (!session || !session_alive(session, now)) {
		transport_want_handshake(set, t, now);
		return SEAL_NO_SESSION;
	}
	if (session_wants_rekey(session, now))
		transport_want_handshake(set, t, now);
	seal_note(t, data, now);
	return SEAL_OK;
}

size_t transport_seal(struct transport *t, uint8_t *out, const uint8_t *packet, size_t len, size_t mtu)
{
	struct session *session = t->current;
	size_t n;

	if (!session || session->send_counter >= REJECT_AFTER_MESSAGES)
		return 0;
	n = session_seal(session, session->send_counter++, out, packet, len, mtu);
	count(&t->stamps.tx_bytes, n);
	if (len)
		count(&t->stamps.tx_packets, 1);
	return n;
}
