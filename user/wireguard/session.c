/* SPDX-License-Identifier: BSD-2-Clause */
/* A session's keys at work, and how long they may be. */
#include <endian.h>
#include <string.h>

#include "session.h"

void session_init(struct session *s, const struct noise_keys *keys, uint32_t local_index, bool initiator,
		  struct transport *transport, uint64_t now)
{
	memset(s, 0, sizeof(*s));
	s->local_index = local_index;
	s->remote_index = keys->remote_index;
	s->initiator = initiator;
	s->transport = transport;
	s->birth = now;
	aead_key_init(&s->send_key, keys->send);
	aead_key_init(&s->receive_key, keys->receive);
}

bool session_alive(const struct session *s, uint64_t now)
{
	return session_age(s, now) < REJECT_AFTER_TIME && s->send_counter < REJECT_AFTER_MESSAGES;
}

bool session_wants_rekey(const struct session *s, uint64_t now)
{
	return s->send_counter >= REKEY_AFTER_MESSAGES || (s->initiator && session_age(s, now) >= REKEY_AFTER_TIME);
}

static size_t padding(size_t len, size_t mtu)
{
	size_t pad = -len % PADDING;

	if (len + pad <= mtu)
		return pad;
	return len < mtu ? mtu - len : 0;
}

size_t session_sealed_len(size_t len, size_t mtu)
{
	return DATA_MIN_LEN + len + padding(len, mtu);
}

size_t session_seal(const struct session *s, uint64_t counter, uint8_t *out, const uint8_t *packet, size_t len,
		    size_t mtu)
{
	struct message_data header = {
		.type = htole32(MESSAGE_DATA),
		.receiver_index = htole32(s->remote_index),
		.counter = htole64(counter),
	};
	size_t pad = padding(len, mtu);

	memcpy(out, &header, sizeof(header));
	aead_seal(&s->send_key, counter, out + DATA_HEADER_LEN, packet, len, pad);
	return DATA_MIN_LEN + len + pad;
}

bool session_open(const struct session *s, uint8_t *msg, size_t len)
{
	const struct message_data *m = (const void *)msg;

	return aead_open(&s->receive_key, le64toh(m->counter), msg + DATA_HEADER_LEN, m->sealed, len - DATA_HEADER_LEN);
}
