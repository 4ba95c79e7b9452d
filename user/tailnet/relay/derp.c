/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DERP, the relay protocol, client side (derp.h). A frame is a type, a BE32
 * length and that many bytes:
 *
 *   <- 01 ServerKey    "DERP", a key emoji, 32 bytes of key
 *   -> 02 ClientInfo   node key, nonce, box of {"version":2,...}
 *   <- 03 ServerInfo   nonce, box: limits, of no interest
 *   -> 04 SendPacket   to, packet        <- 05 RecvPacket   from, packet
 *   <- 06 KeepAlive                      -> 07 NotePreferred  1: our home
 *   <- 08 PeerGone     key, reason       <- 12 Ping  -> 13 Pong  8 bytes
 *   <- 14 Health       text              <- 15 Restarting  BE32 ms, BE32 ms
 *
 * Frames of other types are passed over: there will be more.
 */
#include <stdlib.h>
#include <string.h>

#include "derp.h"
#include "policy/alloc.h"

enum frame_type {
	FRAME_SERVER_KEY = 0x01,
	FRAME_CLIENT_INFO = 0x02,
	FRAME_SERVER_INFO = 0x03,
	FRAME_SEND_PACKET = 0x04,
	FRAME_RECV_PACKET = 0x05,
	FRAME_NOTE_PREFERRED = 0x07,
	FRAME_PEER_GONE = 0x08,
	FRAME_PING = 0x12,
	FRAME_PONG = 0x13,
	FRAME_RESTARTING = 0x15,
};

#define KEPT_MAX    (KEY_LEN + DERP_PACKET_MAX)
#define SKIPPED_MAX (1u << 20)
#define PING_LEN    8

static const uint8_t magic[8] = {'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91};

void derp_init(struct derp *d, const struct derp_ops *ops, void *ctx)
{
	*d = (struct derp){.ops = ops, .ctx = ctx, .frame = mem_alloc(KEPT_MAX, 1)};
}

void derp_free(struct derp *d)
{
	free(d->frame);
	*d = (struct derp){.state = DERP_DEAD};
}

static bool derp_die(struct derp *d, const char *why)
{
	d->state = DERP_DEAD;
	d->error = why;
	return false;
}

static bool derp_send_frame(struct derp *d, enum frame_type type, const void *a, size_t a_len, const void *b,
			    size_t b_len)
{
	uint8_t frame[5 + KEPT_MAX];
	struct writer w = writer_to(frame, sizeof(frame));

	write_u8(&w, (uint8_t)type);
	write_be32(&w, (uint32_t)(a_len + b_len));
	write_bytes(&w, a, a_len);
	write_bytes(&w, b, b_len);
	return !w.bad && d->ops->send(d->ctx, frame, writer_len(&w));
}

bool derp_login(struct derp *d, const uint8_t *client_info, size_t len)
{
	if (d->state != DERP_LOGIN)
		return false;
	d->state = DERP_INFO;
	return derp_send_frame(d, FRAME_CLIENT_INFO, client_info, len, NULL, 0);
}

bool derp_send_packet(struct derp *d, const uint8_t to[KEY_LEN], const uint8_t *bytes, size_t len)
{
	return d->state == DERP_OPEN && len <= DERP_PACKET_MAX &&
	       derp_send_frame(d, FRAME_SEND_PACKET, to, KEY_LEN, bytes, len);
}

bool derp_send_preferred(struct derp *d, bool home)
{
	uint8_t byte = home;

	return d->state == DERP_OPEN && derp_send_frame(d, FRAME_NOTE_PREFERRED, &byte, 1, NULL, 0);
}

static bool take_server_key(struct derp *d, struct reader *r)
{
	const uint8_t *start = read_bytes(r, sizeof(magic)), *key = read_bytes(r, KEY_LEN);

	if (!key || memcmp(start, magic, sizeof(magic)) != 0)
		return derp_die(d, "the relay does not speak its protocol");
	d->state = DERP_LOGIN;
	d->ops->server_key(d->ctx, key);
	return true;
}

/* Frames of a session. Lengths are judged leniently: frames have grown before. */
static bool take_session_frame(struct derp *d, struct reader *r)
{
	const uint8_t *bytes;
	size_t len;

	switch (d->type) {
	case FRAME_RECV_PACKET:
		bytes = read_bytes(r, KEY_LEN);
		len = reader_left(r);
		if (bytes)
			d->ops->packet(d->ctx, bytes, r->at, len);
		return true;
	case FRAME_PEER_GONE:
		bytes = read_bytes(r, KEY_LEN);
		if (bytes)
			d->ops->gone(d->ctx, bytes);
		return true;
	case FRAME_PING:
		bytes = read_bytes(r, PING_LEN);
		return !bytes || derp_send_frame(d, FRAME_PONG, bytes, PING_LEN, NULL, 0) ||
		       derp_die(d, "sending failed");
	case FRAME_RESTARTING:
		d->ops->restarting(d->ctx, read_be32(r));
		return true;
	default:
		return true;
	}
}

static bool take_frame(struct derp *d)
{
	struct reader r = reader_of(d->frame, d->got < KEPT_MAX ? d->got : KEPT_MAX);

	switch (d->state) {
	case DERP_KEY:
		return d->type == FRAME_SERVER_KEY ? take_server_key(d, &r)
						   : derp_die(d, "the relay does not speak its protocol");
	case DERP_INFO:
		if (d->type != FRAME_SERVER_INFO)
			return true;
		d->state = DERP_OPEN;
		d->ops->ready(d->ctx);
		return true;
	case DERP_OPEN:
		return take_session_frame(d, &r);
	default:
		return true; /* before we have logged in, nothing is for us */
	}
}

static bool read_header(struct derp *d)
{
	struct reader r = reader_of(d->header, sizeof(d->header));
	uint32_t most;

	d->type = read_u8(&r);
	d->wants = read_be32(&r);
	d->got = 0;
	most = d->type == FRAME_RECV_PACKET ? KEPT_MAX : SKIPPED_MAX;
	return d->wants <= most || derp_die(d, "a frame from the relay is too long");
}

/* Takes what belongs to the frame; only the first bytes of a long one are kept. */
static size_t take_bytes(struct derp *d, const uint8_t *bytes, size_t len)
{
	size_t part = d->wants - d->got < len ? d->wants - d->got : len;

	if (d->got < KEPT_MAX)
		memcpy(d->frame + d->got, bytes, part < KEPT_MAX - d->got ? part : KEPT_MAX - d->got);
	d->got += (uint32_t)part;
	return part;
}

bool derp_receive(struct derp *d, const uint8_t *bytes, size_t len)
{
	while (len && d->state != DERP_DEAD) {
		if (d->header_len < sizeof(d->header)) {
			d->header[d->header_len++] = *bytes++;
			len--;
			if (d->header_len == sizeof(d->header) && !read_header(d))
				return false;
		} else {
			size_t part = take_bytes(d, bytes, len);

			bytes += part;
			len -= part;
		}
		if (d->header_len == sizeof(d->header) && d->got == d->wants) {
			d->header_len = 0;
			if (!take_frame(d))
				return false;
		}
	}
	return d->state != DERP_DEAD;
}
