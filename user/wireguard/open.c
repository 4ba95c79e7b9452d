/* SPDX-License-Identifier: BSD-2-Clause */
/* In: a data message is opened, checked, and its packet handed on. */
#include <endian.h>

#include "ecn.h"
#include "transport_private.h"

enum open_result transport_open_find(const struct transport_set *set, const uint8_t *msg, size_t len, uint64_t now,
				     struct session **session)
{
	const struct message_data *m = (const void *)msg;
	struct session *s;

	if (len < DATA_MIN_LEN)
		return OPEN_BAD_LENGTH;
	s = index_find(&set->sessions, le32toh(m->receiver_index));
	if (!s)
		return OPEN_NO_SESSION;
	*session = s;
	if (session_age(s, now) >= REJECT_AFTER_TIME || le64toh(m->counter) >= REJECT_AFTER_MESSAGES)
		return OPEN_EXPIRED;
	return OPEN_OK;
}

/* The first data on a responder's new session: the initiator has the keys (W15). */
static void confirm(struct transport_set *set, struct transport *t, uint64_t now)
{
	transport_retire(set, &t->previous);
	t->previous = t->current;
	t->current = t->next;
	t->next = NULL;
	t->asked_handshake = 0;
	stamp(&t->stamps.confirmed, session_not_before(t->current, now));
	transport_want(set, t, TRANSPORT_FLUSH);
}

/* The initiator's last chance for an exchange of keys without a gap (W1). */
static void rekey_on_receive(struct transport_set *set, struct transport *t, uint64_t now)
{
	struct session *s = t->current;

	if (s && s->initiator && session_age(s, now) >= REKEY_ON_RECEIVE_TIME)
		transport_want_handshake(set, t, now);
}

/* An authenticated message came, whatever is in it. */
static void open_note(struct transport *t, size_t len, bool data, uint64_t now)
{
	stamp(&t->stamps.last_received, now);
	stamp(&t->stamps.unanswered_sent, 0);
	count(&t->stamps.rx_bytes, len);
	if (!data)
		return;
	stamp(&t->stamps.last_data_received, now);
	stamp_first(&t->stamps.unanswered_received, now);
	count(&t->stamps.rx_packets, 1);
}

static enum open_result look_inside(const struct transport *t, const struct allowedips *allowed, uint8_t *plain,
				    size_t len, uint8_t tos, struct packet *packet)
{
	if (!packet_parse(plain, len, packet))
		return OPEN_BAD_PACKET;
	/* An IPv4 address in an IPv6 header would be taken for the IPv4 one from here on. */
	if (packet->v6 && (addr_is_v4(&packet->src) || addr_is_v4(&packet->dst)))
		return OPEN_BAD_PACKET;
	if (allowedips_lookup(allowed, &packet->src) != t->peer)
		return OPEN_WRONG_SOURCE;
	return ecn_decapsulate(plain, tos) ? OPEN_OK : OPEN_CONGESTED;
}

enum open_result transport_open_accept(struct transport_set *set, struct session *session,
				       const struct allowedips *allowed, uint8_t *msg, size_t len,
				       const struct endpoint *from, uint8_t tos, uint64_t now, struct opened *out)
{
	const struct message_data *m = (const void *)msg;
	struct transport *t = session->transport;
	size_t plain_len = len - DATA_MIN_LEN;

	out->transport = t;
	if (!replay_accept(&session->replay, le64toh(m->counter)))
		return OPEN_REPLAY;

	if (session == t->next)
		confirm(set, t, now);
	rekey_on_receive(set, t, now);
	transport_follow(set, t, allowed, from, now);
	open_note(t, len, plain_len > 0, now);
	if (!plain_len)
		return OPEN_KEEPALIVE;
	return look_inside(t, allowed, msg + DATA_HEADER_LEN, plain_len, tos, &out->packet);
}

enum open_result transport_open(struct transport_set *set, const struct allowedips *allowed, uint8_t *msg, size_t len,
				const struct endpoint *from, uint8_t tos, uint64_t now, struct opened *out)
{
	struct session *session;
	enum open_result result;

	out->transport = NULL;
	result = transport_open_find(set, msg, len, now, &session);
	if (result != OPEN_OK)
		return result;
	if (!session_open(session, msg, len)) {
		out->transport = session->transport;
		return OPEN_FORGED;
	}
	return transport_open_accept(set, session, allowed, msg, len, from, tos, now, out);
}
