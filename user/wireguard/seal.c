/* SPDX-License-Identifier: BSD-2-Clause */
/* Out: packets for a peer become data messages. */
#include "transport_private.h"

static void note(struct transport *t, unsigned n, bool data, uint64_t now)
{
	stamp(&t->stamps.last_sent, now);
	stamp(&t->stamps.unanswered_received, 0);
	if (!data)
		return;
	stamp(&t->stamps.last_data_sent, now);
	stamp_first(&t->stamps.unanswered_sent, now);
	count(&t->stamps.tx_packets, n);
}

enum seal_result transport_seal_begin(struct transport_set *set, struct transport *t, unsigned n, bool data,
				      uint64_t now, struct sealer *s)
{
	struct session *session = t->current;

	if (!t->endpoint.port)
		return SEAL_NO_ENDPOINT;
	if (!session || !session_alive(session, now) || REJECT_AFTER_MESSAGES - session->send_counter < n) {
		transport_want_handshake(set, t, now);
		return SEAL_NO_SESSION;
	}
	*s = (struct sealer){
		.transport = t, .session = session, .counter = session->send_counter, .left = n
	};
	session->send_counter += n;
	if (session_wants_rekey(session, now))
		transport_want_handshake(set, t, now);
	note(t, n, data, now);
	return SEAL_OK;
}

size_t transport_seal(struct sealer *s, uint8_t *out, const uint8_t *packet, size_t len, size_t mtu)
{
	size_t n;

	assert(s->left > 0); /* a counter used twice would give the key away */
	s->left--;
	n = session_seal(s->session, s->counter++, out, packet, len, mtu);
	count(&s->transport->stamps.tx_bytes, n);
	return n;
}
