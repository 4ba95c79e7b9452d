/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "underlay.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BUFFER_BYTES (8 << 20) /* of a socket: a few milliseconds at line rate */

static int underlay_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static void enlarge(int fd, int forced, int option)
{
	if (underlay_set(fd, SOL_SOCKET, forced, BUFFER_BYTES))
		underlay_set(fd, SOL_SOCKET, option, BUFFER_BYTES);
}

/*
 * WireGuard sets no DF: a peer behind a narrow link gets fragments rather than nothing.
 * IPv4's routers cut by themselves, so what ICMP says of the path, which anybody may
 * forge who guesses a client's endpoint, is not believed. IPv6's do not.
 */
static int options4(int fd)
{
	return underlay_set(fd, IPPROTO_IP, IP_PKTINFO, 1) ?: underlay_set(fd, IPPROTO_IP, IP_RECVTOS, 1)
		?: underlay_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
}

static int options6(int fd)
{
	return underlay_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) ?: underlay_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
		?: underlay_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
		?: underlay_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
}

static socklen_t any_address(int family, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (family == AF_INET) {
		struct sockaddr_in *sin = (void *)out;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (void *)out;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	return sizeof(*sin6);
}

static int open_one(struct underlay *u, int family, uint16_t port)
{
	struct sockaddr_storage any;
	socklen_t len = any_address(family, port, &any);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	enlarge(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	err = underlay_set(fd, SOL_SOCKET, SO_REUSEPORT, 1) ?: family == AF_INET ? options4(fd) : options6(fd);
	if (!err && bind(fd, (void *)&any, len))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	u->gro = !underlay_set(fd, IPPROTO_UDP, UDP_GRO, 1);
	u->gso = !underlay_set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	return fd;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, (void *)&name, &len))
		return 0;
	return ntohs(name.ss_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_port
					       : ((struct sockaddr_in6 *)&name)->sin6_port);
}

static bool family_missing(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

int underlay_open(struct underlay *u, uint16_t port)
{
	*u = (struct underlay){.fd = {-1, -1}, .port = port};
	u->fd[UNDERLAY_4] = open_one(u, AF_INET, port);
	if (u->fd[UNDERLAY_4] < 0 && !family_missing(u->fd[UNDERLAY_4]))
		return u->fd[UNDERLAY_4];
	if (u->fd[UNDERLAY_4] >= 0)
		u->port = bound_port(u->fd[UNDERLAY_4]);
	u->fd[UNDERLAY_6] = open_one(u, AF_INET6, u->port);
	if (u->fd[UNDERLAY_6] >= 0) {
		u->port = bound_port(u->fd[UNDERLAY_6]);
		return 0;
	}
	if (family_missing(u->fd[UNDERLAY_6]) && u->fd[UNDERLAY_4] >= 0)
		return 0;

	int err = u->fd[UNDERLAY_6];

	underlay_close(u);
	return err;
}

void underlay_close(struct underlay *u)
{
	for (int i = 0; i < UNDERLAY_FAMILIES; i++) {
		if (u->fd[i] >= 0)
			close(u->fd[i]);
		u->fd[i] = -1;
	}
}

int underlay_port_free(uint16_t port)
{
	static const int families[] = {AF_INET, AF_INET6};
	int err = 0;

	for (int i = 0; port && !err && i < UNDERLAY_FAMILIES; i++) {
		struct sockaddr_storage any;
		socklen_t len = any_address(families[i], port, &any);
		int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		if (families[i] == AF_INET6)
			underlay_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		if (bind(fd, (void *)&any, len) && !family_missing(-errno))
			err = -errno;
		close(fd);
	}
	return err;
}

int underlay_mark(const struct underlay *u, uint32_t mark)
{
	int err = 0;

	for (int i = 0; i < UNDERLAY_FAMILIES; i++)
		if (u->fd[i] >= 0)
			err = err ?: underlay_set(u->fd[i], SOL_SOCKET, SO_MARK, (int)mark);
	return err;
}

/* ---- receive --------------------------------------------------------------- */

int rx_batch_init(struct rx_batch *b)
{
	memset(b, 0, sizeof(*b));
	b->buffer = calloc(RX_MESSAGES, RX_SIZE);
	if (!b->buffer)
		return -ENOMEM;
	for (int i = 0; i < RX_MESSAGES; i++) {
		b->iov[i] = (struct iovec){b->buffer[i], RX_SIZE};
		b->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &b->name[i],
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->control[i],
		};
	}
	return 0;
}

void rx_batch_free(struct rx_batch *b)
{
	free(b->buffer);
	b->buffer = NULL;
}

int underlay_receive(struct underlay *u, int family, struct rx_batch *b)
{
	int n;

	for (int i = 0; i < RX_MESSAGES; i++) { /* the kernel overwrote them */
		b->msg[i].msg_hdr.msg_namelen = sizeof(b->name[i]);
		b->msg[i].msg_hdr.msg_controllen = sizeof(b->control[i]);
	}
	n = recvmmsg(u->fd[family], b->msg, RX_MESSAGES, MSG_DONTWAIT, NULL);
	if (n >= 0)
		return n;
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EMSGSIZE:
		return 0;
	default:
		return -errno;
	}
}

static void read_control(struct cmsghdr *c, struct rx_message *out)
{
	if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
		int size;

		memcpy(&size, CMSG_DATA(c), sizeof(size));
		if (size > 0 && (size_t)size < out->segment)
			out->segment = (size_t)size;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		out->tos = *CMSG_DATA(c);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		int tclass;

		memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
		out->tos = (uint8_t)tclass;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		out->from.local = addr_from_v4(info.ipi_addr.s_addr);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		memcpy(&out->from.local, &info.ipi6_addr, sizeof(out->from.local));
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			out->from.ifindex = info.ipi6_ifindex;
	}
}

void rx_message(const struct rx_batch *b, int i, struct rx_message *out)
{
	const struct mmsghdr *m = &b->msg[i];
	struct msghdr h = m->msg_hdr;

	*out = (struct rx_message){.data = b->buffer[i], .len = m->msg_len, .segment = m->msg_len};
	if (b->name[i].ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const void *)&b->name[i];

		out->from.addr = addr_from_v4(sin->sin_addr.s_addr);
		out->from.port = ntohs(sin->sin_port);
	} else {
		const struct sockaddr_in6 *sin6 = (const void *)&b->name[i];

		memcpy(&out->from.addr, &sin6->sin6_addr, sizeof(out->from.addr));
		out->from.port = ntohs(sin6->sin6_port);
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
		read_control(c, out);
}

/* ---- send ------------------------------------------------------------------ */

#define TX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)))

struct tx_header {
	struct sockaddr_storage name;
	_Alignas(struct cmsghdr) char control[TX_CONTROL];
	struct iovec iov;
};

static void put_control(struct msghdr *m, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c = (void *)((char *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static void put_source(struct msghdr *m, const struct endpoint *to, bool v4)
{
	if (addr_is_zero(&to->local))
		return;
	if (v4) {
		struct in_pktinfo info = {.ipi_spec_dst.s_addr = to->local.w[3]};

		put_control(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_ifindex = to->ifindex};

		memcpy(&info.ipi6_addr, &to->local, sizeof(info.ipi6_addr));
		put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

/* Fills @m; returns the socket's family. */
static int address_message(struct msghdr *m, struct tx_header *h, const struct endpoint *to, uint8_t tos)
{
	bool v4 = addr_is_v4(&to->addr);

	memset(h, 0, sizeof(*h));
	*m = (struct msghdr){.msg_name = &h->name, .msg_iov = &h->iov, .msg_iovlen = 1, .msg_control = h->control};
	m->msg_namelen = any_address(v4 ? AF_INET : AF_INET6, to->port, &h->name);
	if (v4) {
		((struct sockaddr_in *)&h->name)->sin_addr.s_addr = to->addr.w[3];
	} else {
		memcpy(&((struct sockaddr_in6 *)&h->name)->sin6_addr, &to->addr, sizeof(to->addr));
		((struct sockaddr_in6 *)&h->name)->sin6_scope_id = to->ifindex;
	}
	put_source(m, to, v4);
	if (tos) {
		int value = tos;

		put_control(m, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &value, sizeof(value));
	}
	return v4 ? UNDERLAY_4 : UNDERLAY_6;
}

static bool is_relayed(const struct underlay *u, const struct endpoint *to)
{
	return u->relay && endpoint_is_relay(to);
}

bool underlay_send_one(const struct underlay *u, const struct endpoint *to, uint8_t tos, const void *data, size_t len)
{
	struct tx_header h;
	struct msghdr m;
	int family = address_message(&m, &h, to, tos);

	if (is_relayed(u, to))
		return u->relay(u->relay_ctx, to, data, len);
	h.iov = (struct iovec){(void *)data, len};
	if (sendmsg(u->fd[family], &m, MSG_DONTWAIT) >= 0)
		return true;
	if (addr_is_zero(&to->local) || errno == EAGAIN || errno == ENOBUFS)
		return false;

	/* our address of then is gone: let routing choose another */
	struct endpoint any = *to;

	any.local = (struct addr){0};
	address_message(&m, &h, &any, tos);
	h.iov = (struct iovec){(void *)data, len};
	return sendmsg(u->fd[family], &m, MSG_DONTWAIT) >= 0;
}

static unsigned send_each(const struct underlay *u, const struct tx_batch *b)
{
	unsigned refused = 0;

	for (size_t at = 0; at < b->len; at += b->segment) {
		size_t len = b->len - at < b->segment ? b->len - at : b->segment;

		refused += !underlay_send_one(u, &b->to, b->tos, b->data + at, len);
	}
	return refused;
}

static unsigned send_family(const struct underlay *u, int family, struct mmsghdr *msg, const struct tx_batch **batch,
			    unsigned n)
{
	unsigned sent = 0, refused = 0;

	while (sent < n) { /* part of them may have gone: go on behind what was sent */
		int done = sendmmsg(u->fd[family], msg + sent, n - sent, MSG_DONTWAIT);

		if (done > 0) {
			sent += (unsigned)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == ENOBUFS)
			refused += batch[sent]->count;
		else /* a NIC without checksum offload answers UDP_SEGMENT with EIO, and only when it is tried */
			refused += send_each(u, batch[sent]);
		sent++;
	}
	return refused;
}

unsigned underlay_send(const struct underlay *u, const struct tx_batch *batches, unsigned n)
{
	struct tx_header header[TX_BATCHES];
	struct mmsghdr msg[UNDERLAY_FAMILIES][TX_BATCHES];
	const struct tx_batch *batch[UNDERLAY_FAMILIES][TX_BATCHES];
	unsigned count[UNDERLAY_FAMILIES] = {0}, refused = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct tx_batch *b = &batches[i];
		struct msghdr m;
		int family = address_message(&m, &header[i], &b->to, b->tos);

		if (is_relayed(u, &b->to)) {
			refused += send_each(u, b);
			continue;
		}
		if (u->fd[family] < 0) {
			refused += b->count;
			continue;
		}
		if (b->count > 1 && !u->gso) {
			refused += send_each(u, b);
			continue;
		}
		header[i].iov = (struct iovec){b->data, b->len};
		if (b->count > 1)
			put_control(&m, IPPROTO_UDP, UDP_SEGMENT, &b->segment, sizeof(b->segment));
		batch[family][count[family]] = b;
		msg[family][count[family]++].msg_hdr = m;
	}
	for (int f = 0; f < UNDERLAY_FAMILIES; f++)
		refused += send_family(u, f, msg[f], batch[f], count[f]);
	return refused;
}
