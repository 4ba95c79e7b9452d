/* SPDX-License-Identifier: BSD-2-Clause */
/* Disco messages, sealed and opened (disco_message.h). */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "disco_message.h"
#include "user/wireguard/crypto.h"

#define OPENED_MAX   2048 /* pings are padded up to the path's MTU */
#define ENDPOINT_LEN 18

static const uint8_t magic[DISCO_MAGIC_LEN] = {'T', 'S', 0xf0, 0x9f, 0x92, 0xac};

static_assert(DISCO_NONCE_LEN == crypto_box_NONCEBYTES && KEY_LEN == crypto_box_BEFORENMBYTES, "NaCl box");

const uint8_t *disco_sender(const uint8_t *bytes, size_t len)
{
	if (len < DISCO_OVERHEAD + 2 || memcmp(bytes, magic, DISCO_MAGIC_LEN) != 0)
		return NULL;
	return bytes + DISCO_MAGIC_LEN;
}

bool disco_shared(const uint8_t secret[KEY_LEN], const uint8_t public[KEY_LEN], uint8_t shared[KEY_LEN])
{
	return crypto_box_beforenm(shared, public, secret) == 0;
}

static void write_endpoint(struct writer *w, const struct addr_port *ap)
{
	write_addr(w, &ap->addr);
	write_be16(w, ap->port);
}

static struct addr_port disco_message_read_endpoint(struct reader *r)
{
	struct addr_port ap = {.addr = read_addr(r)};

	ap.port = read_be16(r);
	return ap;
}

static void write_body(struct writer *w, const struct disco_message *m)
{
	write_u8(w, (uint8_t)m->type);
	write_u8(w, 0); /* version */
	if (m->type != DISCO_CALL_ME_MAYBE)
		write_bytes(w, m->tx, DISCO_TX_LEN);
	if (m->type == DISCO_PING)
		write_bytes(w, m->node, KEY_LEN);
	if (m->type == DISCO_PONG)
		write_endpoint(w, &m->seen);
	for (size_t i = 0; m->type == DISCO_CALL_ME_MAYBE && i < m->n_endpoints; i++)
		write_endpoint(w, &m->endpoints[i]);
}

size_t disco_seal(const struct disco_message *m, const uint8_t shared[KEY_LEN], const uint8_t public[KEY_LEN],
		  const uint8_t nonce[DISCO_NONCE_LEN], uint8_t out[DISCO_MAX])
{
	uint8_t plain[DISCO_MAX];
	struct writer body = writer_to(plain, sizeof(plain)), w = writer_to(out, DISCO_MAX);

	write_body(&body, m);
	write_bytes(&w, magic, sizeof(magic));
	write_bytes(&w, public, KEY_LEN);
	write_bytes(&w, nonce, DISCO_NONCE_LEN);
	crypto_box_easy_afternm(write_room(&w, writer_len(&body) + crypto_box_MACBYTES), plain, writer_len(&body),
				nonce, shared);
	return writer_len(&w);
}

/* A message longer than we know is accepted: messages have grown before. */
static bool disco_message_read_body(struct reader *r, struct disco_message *m)
{
	m->type = (enum disco_type)read_u8(r);
	read_u8(r); /* version: everything so far is 0, and later ones only add */
	switch (m->type) {
	case DISCO_PING:
		read_copy(r, m->tx, DISCO_TX_LEN);
		if (reader_left(r) >= KEY_LEN)
			read_copy(r, m->node, KEY_LEN);
		return !r->bad;
	case DISCO_PONG:
		read_copy(r, m->tx, DISCO_TX_LEN);
		m->seen = disco_message_read_endpoint(r);
		return !r->bad;
	case DISCO_CALL_ME_MAYBE:
		while (reader_left(r) >= ENDPOINT_LEN && m->n_endpoints < DISCO_ENDPOINTS_MAX)
			m->endpoints[m->n_endpoints++] = disco_message_read_endpoint(r);
		return true;
	default:
		return false;
	}
}

bool disco_open(const uint8_t *bytes, size_t len, const uint8_t shared[KEY_LEN], struct disco_message *out)
{
	const uint8_t *nonce = bytes + DISCO_MAGIC_LEN + KEY_LEN, *box = nonce + DISCO_NONCE_LEN;
	uint8_t plain[OPENED_MAX];
	struct reader r;
	size_t box_len;

	if (!disco_sender(bytes, len))
		return false;
	box_len = len - (size_t)(box - bytes);
	if (box_len > sizeof(plain) || crypto_box_open_easy_afternm(plain, box, box_len, nonce, shared) != 0)
		return false;
	*out = (struct disco_message){0};
	r = reader_of(plain, box_len - crypto_box_MACBYTES);
	return disco_message_read_body(&r, out);
}
