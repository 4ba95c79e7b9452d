/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_WORKER_ALONE_H
#define TESTS_WORKER_ALONE_H

/*
 * A worker without a thread: frames go in by a socket in the TAP's place, and what it
 * seals leaves by a relay, which here is a list in memory. What must hold of every
 * message is looked at when it is taken; whoever breaks it ends the program.
 */
#include <endian.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/datapath/handshakes.h"
#include "user/datapath/worker_fragments.h"
#include "user/datapath/tap.h"
#include "user/datapath/worker.h"
#include "user/base/clock.h"

#define ALONE_PEER 3
#define ALONE_ROOM 66000 /* for any packet */

#define MUST(condition)                                                                 \
	do                                                                              \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	while (0)

struct alone {
	struct worker w;
	struct worker_shared shared;
	struct handshakes handshakes; /* nobody takes from its lanes */
	struct transport transport;
	struct session session, theirs; /* of one exchange of keys, seen from both ends */
	struct allowedips_set *allowed;
	int outside;   /* of the TAP */
	uint64_t next; /* counter that the next message has */
	uint32_t index;
};

static inline void alone_command(struct alone *t, enum transport_op op)
{
	struct transport_command c = {.op = op,
				      .transport = &t->transport,
				      .session = &t->session,
				      .endpoint = endpoint_of_relay(1, ALONE_PEER)};

	MUST(transport_apply(&t->w.transports, &c, t->w.now));
}

static inline void alone_session(struct alone *t)
{
	struct noise_keys keys = {.remote_index = 9};

	t->index++;
	memcpy(keys.send, &t->index, sizeof(t->index));
	keys.receive[KEY_LEN - 1] = 1;
	session_init(&t->session, &keys, t->index, true, &t->transport, t->w.now);
	memcpy(keys.receive, &t->index, sizeof(t->index));
	keys.receive[KEY_LEN - 1] = 0;
	session_init(&t->theirs, &keys, 9, false, NULL, t->w.now);
	t->next = 0;
	alone_command(t, TRANSPORT_INSTALL);
}

/* All addresses are the peer's. */
static inline struct alone *alone_open(size_t mtu)
{
	struct alone *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
	const struct prefix all[] = {{.len = 0}, {.addr = addr_from_v4(0), .len = 96}};
	const struct underlay none = {.fd = {-1, -1}};
	int tap[2];

	MUST(t);
	memset(t, 0, sizeof(*t));
	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tap));
	t->outside = tap[1];
	t->shared.datagrams = true;
	t->shared.control_event = eventfd(0, EFD_NONBLOCK);
	t->handshakes.event = eventfd(0, EFD_NONBLOCK);
	t->shared.handshakes = &t->handshakes;
	MUST(!worker_init(&t->w, 0, &t->shared, &none, tap[0], true, true));
	t->allowed = allowedips_set_new();
	for (size_t i = 0; i < 2; i++)
		MUST(allowedips_give(t->allowed, &all[i], ALONE_PEER));
	t->w.allowed = allowedips_snapshot(t->allowed);
	t->w.now = 2 * NS_PER_SEC;
	t->w.mtu = mtu;
	t->transport.peer = ALONE_PEER;
	alone_command(t, TRANSPORT_ADD);
	alone_command(t, TRANSPORT_ENDPOINT);
	return t;
}

static inline void alone_close(struct alone *t)
{
	alone_command(t, TRANSPORT_REMOVE);
	allowedips_free((void *)t->w.allowed);
	allowedips_set_free(t->allowed);
	close(t->outside);
	close(t->w.tap_fd);
	close(t->shared.control_event);
	close(t->handshakes.event);
	worker_free(&t->w);
	free(t);
}

/* A frame of the TAP with this type and Ethernet source around @packet. */
static inline void alone_put(struct alone *t, uint16_t type, enum tap_mac_kind kind, uint32_t id, const uint8_t *packet,
			     size_t len)
{
	static uint8_t frame[sizeof(struct virtio_net_hdr) + ETH_HLEN + ALONE_ROOM];
	uint8_t *eth = frame + sizeof(struct virtio_net_hdr);
	uint16_t be = htobe16(type);
	size_t size = sizeof(struct virtio_net_hdr) + ETH_HLEN + len;

	MUST(len <= ALONE_ROOM);
	memset(frame, 0, sizeof(struct virtio_net_hdr) + ETH_HLEN);
	tap_mac_put(eth + ETH_ALEN, kind, id);
	memcpy(eth + 2 * ETH_ALEN, &be, sizeof(be));
	memcpy(eth + ETH_HLEN, packet, len);
	MUST(write(t->outside, frame, size) == (ssize_t)size);
}

/* What the worker does with what it was given, and with what waited for a session. */
static inline void alone_run(struct alone *t)
{
	send_frames(&t->w);
	send_todo(&t->w);
	t->w.mail.n_requests = 0;
	t->w.mail.n_notices = 0;
}

/*
 * The next message that left, opened: *@len bytes at @out (ALONE_ROOM), keepalives 0.
 * Each counter comes once, and none is left out. False: there is none.
 */
static inline bool alone_take(struct alone *t, uint8_t *out, size_t *len)
{
	struct datagram *p = datagrams_take(&t->w.mail.leaving);
	const struct message_data *m;

	if (!p)
		return false;
	m = (const void *)p->bytes;
	MUST(p->len >= DATA_MIN_LEN && p->len <= DATA_MIN_LEN + ALONE_ROOM);
	MUST(le64toh(m->counter) == t->next);
	t->next++;
	MUST(session_open(&t->theirs, p->bytes, p->len));
	*len = p->len - DATA_MIN_LEN;
	memcpy(out, p->bytes + DATA_HEADER_LEN, *len);
	free(p);
	return true;
}

#endif
