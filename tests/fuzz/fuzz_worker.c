/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One worker that lives through everything, with all it carries from packet to packet:
 * frames of the TAP of every kind, fragments of clients, a session that comes, goes and
 * runs out of counters, an MTU that changes. Whatever the packets say of themselves, each
 * message has its own counter, opens, and has one whole packet inside that fits (or a
 * keepalive); what goes to the TAP is whole, too. The input is a list of steps: what to do,
 * two bytes of length, and bytes.
 */
#include "tests/worker_alone.h"
#include "user/datapath/reassemble.h"
#include "user/wireguard/packet.h"
#include "user/base/clock.h"

#define MTU_LEAST 1280
#define MTU_MOST  9000

enum step { RAW, TO_CLIENT, CUT, REASSEMBLE, FROM_CLIENT, WAIT, NEW_SESSION, NO_SESSION, LAST_COUNTERS, STEPS };

static uint8_t out[ALONE_ROOM];

static void look_at_messages(struct alone *t)
{
	struct packet p;
	size_t len;

	while (alone_take(t, out, &len)) {
		if (!len)
			continue;
		MUST(packet_parse(out, len, &p));
		MUST(p.len <= MTU_MOST && len - p.len < PADDING);
	}
}

static void look_at_tap(struct alone *t)
{
	const size_t head = sizeof(struct virtio_net_hdr) + ETH_HLEN;
	struct packet p;
	ssize_t n;

	while ((n = read(t->outside, out, sizeof(out))) > 0) {
		MUST((size_t)n > head && out[sizeof(struct virtio_net_hdr) + ETH_ALEN] == TAP_MAC_0);
		MUST(packet_parse(out + head, (size_t)n - head, &p));
	}
}

static void throw_away(struct alone *t)
{
	struct garbage garbage;

	transport_take_garbage(&t->w.transports, &garbage);
}

static void from_client(struct alone *t, const uint8_t *bytes, size_t len)
{
	static uint8_t copy[ALONE_ROOM];
	struct packet p;

	memcpy(copy, bytes, len);
	if (!packet_parse(copy, len, &p))
		return;
	if (!p.proto && reassemble_is_fragment(p.data, p.len))
		worker_fragments_from_client(&t->w, &p, 1 + bytes[0] % 3);
	else
		gro_add(&t->w.gro, &p, 1 + bytes[0] % 3);
	gro_flush(&t->w.gro);
}

static void take_step(struct alone *t, enum step step, const uint8_t *bytes, size_t len)
{
	uint16_t number = len > 1 ? (uint16_t)(bytes[0] << 8 | bytes[1]) : 0;

	switch (step) {
	case RAW:
		if (len)
			MUST(write(t->outside, bytes, len) == (ssize_t)len);
		break;
	case TO_CLIENT:
		alone_put(t, len && bytes[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6, TAP_CLIENT, 0, bytes, len);
		break;
	case CUT:
		alone_put(t, ETH_P_CUT, TAP_PIECE, 1 << 16 | number % 2000, bytes, len);
		break;
	case REASSEMBLE:
		alone_put(t, ETH_P_REASSEMBLE, TAP_RETURN, 2, bytes, len);
		break;
	case FROM_CLIENT:
		from_client(t, bytes, len);
		break;
	case WAIT:
		t->w.now += (uint64_t)number * NS_PER_MS;
		t->w.mtu = MTU_LEAST + number % (MTU_MOST - MTU_LEAST);
		worker_fragments_timeout(&t->w);
		break;
	case NO_SESSION:
		alone_command(t, TRANSPORT_CLEAR);
		throw_away(t);
		break;
	case NEW_SESSION:
		alone_command(t, TRANSPORT_CLEAR);
		throw_away(t);
		alone_session(t);
		break;
	default:
		if (t->transport.current)
			t->next = t->session.send_counter = REJECT_AFTER_MESSAGES - number % 8;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct alone *t;

	if (!t) {
		t = alone_open(MTU_LEAST);
		alone_session(t);
	}
	while (size >= 3) {
		enum step step = data[0] % STEPS;
		size_t len = (size_t)(data[1] << 8 | data[2]);

		data += 3, size -= 3;
		len = len < size ? len : size;
		take_step(t, step, data, len);
		alone_run(t);
		look_at_messages(t);
		look_at_tap(t);
		data += len, size -= len;
	}
	return 0;
}
