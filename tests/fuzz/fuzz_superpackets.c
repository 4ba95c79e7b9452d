/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What clients send inside the tunnel, merged for the TAP and cut again as for the way
 * back: whatever the packets say of themselves, each comes out once and as it was, of the
 * same client, but for what segmentation counts anew (the IPv4 id and its checksum).
 * The input is a list of steps: a byte of flags, two of length, and the packet, or what is
 * different from a good one or from the one before it.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/contract.h"
#include "user/datapath/gro.h"
#include "user/datapath/csum.h"
#include "user/datapath/gso.h"

#define PACKETS 128 /* of a batch */
#define ROOM	1600
#define FRAME	(sizeof(struct virtio_net_hdr) + ETH_HLEN + 65536 + 128)

enum { /* flags */
       CLIENTS = 3,
       FLUSH = 4,
       MEND = 8,   /* a right checksum, or hardly anything would merge */
       AGAIN = 16, /* the next of its flow */
       GOOD = 32,  /* one that merges, for a start */
       V6 = 64,
       UDP = 128,
};

static uint8_t batch[PACKETS][ROOM];
static uint64_t balance; /* sum of what went in, less what came out */

static size_t checksum_field(const struct packet *p)
{
	if (p->proto == IPPROTO_TCP)
		return p->len >= p->l4 + 20 ? p->l4 + 16u : 0;
	return p->proto == IPPROTO_UDP && p->len >= p->l4 + 8 ? p->l4 + 6u : 0;
}

static uint16_t transport_sum(const struct packet *p)
{
	size_t at = p->v6 ? 8 : 12, size = p->v6 ? 16 : 4;
	uint32_t len = p->len - p->l4;
	uint64_t sum = csum_pseudo(p->data + at, p->data + at + size, size, p->proto, len);

	return csum_fold(csum_add(sum, p->data + p->l4, len));
}

static void mend(const struct packet *p)
{
	size_t field = checksum_field(p);
	uint16_t sum = 0;

	if (!field)
		return;
	memcpy(p->data + field, &sum, sizeof(sum));
	sum = (uint16_t)~transport_sum(p);
	if (!sum && p->proto == IPPROTO_UDP)
		sum = 0xffff;
	memcpy(p->data + field, &sum, sizeof(sum));
}

/* A number for the packet as its receiver sees it. */
static uint64_t digest(const struct packet *p, uint32_t client)
{
	uint64_t h = 0xcbf29ce484222325u ^ client;
	size_t field = checksum_field(p);
	bool right = field && transport_sum(p) == 0xffff;

	for (size_t i = 0; i < p->len; i++) {
		bool counted = !p->v6 && (i == 4 || i == 5 || i == 10 || i == 11);
		bool zero = right && (i == field || i == field + 1); /* written 0 or 0xffff, it may be the same */

		h = (h ^ (counted || zero ? 0 : p->data[i])) * 0x100000001b3u;
	}
	return h;
}

/* @flags: V6, UDP. Returns its length. */
static size_t good(uint8_t *out, uint8_t flags)
{
	uint8_t proto = flags & UDP ? IPPROTO_UDP : IPPROTO_TCP, ip = flags & V6 ? 40 : 20;
	uint8_t transport = flags & UDP ? 8 : 20, len = ip + transport + 30;

	memset(out, 0, len);
	out[0] = flags & V6 ? 0x60 : 0x45;
	out[flags & V6 ? 5 : 3] = flags & V6 ? len - ip : len;
	out[flags & V6 ? 6 : 9] = proto;
	if (flags & UDP) {
		out[ip + 5] = len - ip;
	} else {
		out[ip + 12] = 0x50;
		out[ip + 13] = 0x10; /* ACK */
	}
	return len;
}

/* The next of the flow of @last, of @len bytes. */
static void go_on(uint8_t *next, const uint8_t *last, size_t len)
{
	struct packet p;
	__be32 seq;

	memcpy(next, last, len);
	if (packet_parse(next, len, &p) && p.proto == IPPROTO_TCP && p.len >= p.l4 + 20) {
		memcpy(&seq, next + p.l4 + 4, sizeof(seq));
		seq = htonl(ntohl(seq) + p.len - p.l4 - (next[p.l4 + 12] >> 4) * 4u);
		memcpy(next + p.l4 + 4, &seq, sizeof(seq));
	}
}

/* Pairs of place and bits. */
static void differ(uint8_t *packet, size_t len, const uint8_t *diff, size_t n)
{
	for (; n >= 2 && len; diff += 2, n -= 2)
		packet[diff[0] % len] ^= diff[1];
}

static void take(void *context, const struct iovec *iov, unsigned n)
{
	static uint8_t frame[FRAME];
	struct tap_mac mac;
	struct gso split;
	struct packet p;
	size_t len = 0;
	uint8_t *out;

	for (unsigned i = 0; i < n; i++) {
		if (len + iov[i].iov_len > sizeof(frame))
			abort();
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	memcpy(&mac, frame + sizeof(struct virtio_net_hdr) + ETH_ALEN, sizeof(mac));
	if (mac.local != TAP_MAC_0 || mac.kind != TAP_CLIENT || !gso_begin(&split, frame, len))
		abort();
	while ((out = gso_next(&split, &len))) {
		if (!packet_parse(out, len, &p) || p.len != len)
			abort();
		balance -= digest(&p, mac.id[3]);
	}
}

static void flush(struct gro *c, size_t *n)
{
	gro_flush(c);
	if (balance)
		abort();
	*n = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gro c;
	struct packet p;
	size_t n = 0, last = 0; /* bytes of the packet before */

	if (!size)
		return 0;
	balance = 0;
	gro_init(&c, data[0] & 1, data[0] & 2, take, NULL);
	data++, size--;
	while (size >= 3) {
		uint8_t flags = data[0];
		size_t len = (size_t)(data[1] << 8 | data[2]) % ROOM;

		data += 3, size -= 3;
		if (len > size)
			len = size;
		if (flags & GOOD)
			last = good(batch[n], flags);
		else if (flags & AGAIN && n)
			go_on(batch[n], batch[n - 1], last);
		else
			memcpy(batch[n], data, last = len);
		if (flags & (GOOD | AGAIN))
			differ(batch[n], last, data, len);
		data += len, size -= len;
		if (packet_parse(batch[n], last, &p)) {
			if (flags & MEND)
				mend(&p);
			balance += digest(&p, flags % CLIENTS);
			gro_add(&c, &p, flags % CLIENTS);
			n++;
		}
		if (flags & FLUSH || n == PACKETS)
			flush(&c, &n);
	}
	flush(&c, &n);
	return 0;
}
