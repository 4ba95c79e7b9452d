/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages over a SOCK_SEQPACKET pair (ipc.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc.h"
#include "policy/alloc.h"
#include "user/wireguard/crypto.h"

struct ipc_message {
	struct ipc_message *next;
	size_t len;
	uint8_t bytes[];
};

void ipc_init(struct ipc *l, int fd, enum wire_direction in)
{
	int size = 4 << 20; /* the kernel takes less where it is not allowed */

	*l = (struct ipc){.fd = fd, .in = in, .out_buf = mem_alloc(WIRE_MAX, 1)};
	l->in_buf = mem_alloc(WIRE_MAX, 1);
	l->last = &l->first;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void drop_first(struct ipc *l)
{
	struct ipc_message *m = l->first;

	l->first = m->next;
	if (!l->first)
		l->last = &l->first;
	l->queued -= m->len;
	crypto_wipe(m->bytes, m->len);
	free(m);
}

void ipc_free(struct ipc *l)
{
	while (l->first)
		drop_first(l);
	if (l->in_buf) {
		crypto_wipe(l->in_buf, WIRE_MAX);
		crypto_wipe(l->out_buf, WIRE_MAX);
		free(l->in_buf);
		free(l->out_buf);
		close(l->fd);
	}
	*l = (struct ipc){.fd = -1};
}

enum sent { SENT, SENT_LATER, SENT_NEVER };

static enum sent send_now(struct ipc *l, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	do
		n = send(l->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return SENT;
	return errno == EAGAIN || errno == ENOBUFS ? SENT_LATER : SENT_NEVER;
}

bool ipc_flush(struct ipc *l)
{
	while (l->first) {
		enum sent sent = send_now(l, l->first->bytes, l->first->len);

		if (sent != SENT)
			return sent == SENT_LATER;
		drop_first(l);
	}
	return true;
}

static bool enqueue(struct ipc *l, const uint8_t *bytes, size_t len)
{
	struct ipc_message *m;

	if (l->queued + len > IPC_QUEUE_MAX)
		return false;
	m = mem_alloc(1, sizeof(*m) + len);
	m->len = len;
	memcpy(m->bytes, bytes, len);
	*l->last = m;
	l->last = &m->next;
	l->queued += len;
	return true;
}

/* Then it does not stay in a buffer. */
static bool has_auth_key(const struct wire_message *m)
{
	return m->type == WIRE_CONFIG || m->type == WIRE_RECONNECT;
}

bool ipc_send(struct ipc *l, const struct wire_message *m)
{
	size_t len = wire_encode(m, l->out_buf, WIRE_MAX);
	bool packet = m->type == WIRE_RELAY_PACKET;
	enum sent sent = SENT_LATER;

	if (!len)
		return true; /* has more in it than may be: nobody would take it */
	if (!l->first || packet)
		sent = send_now(l, l->out_buf, len);
	l->dropped += packet && sent == SENT_LATER;
	if (sent == SENT_LATER && !packet)
		sent = enqueue(l, l->out_buf, len) ? SENT_LATER : SENT_NEVER;
	if (has_auth_key(m))
		crypto_wipe(l->out_buf, len);
	return sent != SENT_NEVER;
}

bool ipc_wants_write(const struct ipc *l)
{
	return l->first;
}

enum ipc_result ipc_receive(struct ipc *l, struct wire_message *out)
{
	ssize_t n = recv(l->fd, l->in_buf, WIRE_MAX, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? IPC_NOTHING : IPC_GONE;
	if (n == 0)
		return IPC_GONE;
	if (n > WIRE_MAX || !wire_decode(l->in_buf, (size_t)n, l->in, out))
		return IPC_MALFORMED;
	if (has_auth_key(out))
		crypto_wipe(l->in_buf, (size_t)n);
	return IPC_MESSAGE;
}
