/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker_fragments.h"
#include "reassemble.h"
#include "tap.h"
#include "user/base/clock.h"

#define IPV6_MIN_MTU 1280

struct worker_fragments {
	struct reassembly *reassembly;
	uint64_t expire;	   /* UINT64_MAX: nothing waits */
	uint8_t piece[UINT16_MAX]; /* the last that worker_fragments_next() cut */
};

static void dropped(void *ctx, enum drop_reason reason, unsigned n)
{
	worker_drop(ctx, reason, n);
}

/* An error answers none, and none goes to many (RFC 1122 section 3.2.2, RFC 4443 section 2.4). */
static bool worker_fragments_may_answer(const struct unfinished *u)
{
	bool v4 = addr_is_v4(&u->src);

	if (v4 ? u->dst.b[12] >= 224 : u->dst.b[0] == 0xff)
		return false;
	if (u->proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return u->first_byte == (v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
	return u->proto == IPPROTO_UDP || u->proto == IPPROTO_TCP;
}

/*
 * A client's, in the place of the service that never saw a piece of it. A service hears
 * nothing: who is outside could have sent that in anybody's name.
 */
static void late(void *ctx, const struct unfinished *u)
{
	bool v4 = addr_is_v4(&u->src);
	struct notice n = {
		.kind = NOTICE_ICMP,
		.reason = DROP_FRAGMENT_TIMEOUT,
		.icmp_type = v4 ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED,
		.icmp_code = v4 ? ICMP_EXC_FRAGTIME : ICMP6_TIME_EXCEED_REASSEMBLY,
		.len = u->len,
		.client = u->scope,
		.tuple = {.src = u->src, .dst = u->dst, .proto = u->proto},
	};

	if (u->scope & REASSEMBLE_OUTSIDE || !worker_fragments_may_answer(u))
		return;
	memcpy(n.bytes, u->first, u->len);
	worker_notice(ctx, &n);
}

bool worker_fragments_open(struct worker *w)
{
	w->fragments = calloc(1, sizeof(*w->fragments));
	if (!w->fragments)
		return false;
	w->fragments->expire = UINT64_MAX;
	w->fragments->reassembly = reassembly_new(dropped, late, w);
	return w->fragments->reassembly;
}

void worker_fragments_close(struct worker *w)
{
	if (w->fragments)
		reassembly_free(w->fragments->reassembly);
	free(w->fragments);
	w->fragments = NULL;
}

int worker_fragments_timeout(struct worker *w)
{
	struct worker_fragments *p = w->fragments;

	if (p->expire == UINT64_MAX)
		return -1;
	if (p->expire <= w->now)
		p->expire = reassemble_expire(p->reassembly, w->now);
	return p->expire == UINT64_MAX ? -1 : (int)((p->expire - w->now) / NS_PER_MS) + 1;
}

/* One frame to the TAP, of these addresses. */
static void worker_fragments_give(struct worker *w, const struct ethhdr *eth, const uint8_t *packet, size_t len)
{
	if (tap_write(w->tap_fd, eth->h_dest, eth->h_source, packet, len))
		worker_drop(w, DROP_TAP, 1);
}

/* ---- put together --------------------------------------------------------------------- */

static uint8_t *worker_fragments_add(struct worker *w, uint32_t scope, const uint8_t *packet, size_t len,
				     struct joined *whole)
{
	struct worker_fragments *p = w->fragments;

	if (p->expire == UINT64_MAX) /* else one that waits for longer is the first to expire */
		p->expire = w->now + REASSEMBLE_NS;
	return reassemble(p->reassembly, scope, packet, len, w->now, whole);
}

/* How large the fragments may be that it leaves in (contract.h). */
static uint32_t fragments_of(const uint8_t *packet, size_t largest)
{
	if (packet[0] >> 4 == 4)
		return FRAGMENTS_ANY;
	return largest > IPV6_MIN_MTU ? (uint32_t)largest : IPV6_MIN_MTU;
}

void worker_fragments_from_client(struct worker *w, const struct packet *packet, uint32_t client)
{
	struct ethhdr eth = w->gro.eth;
	struct joined whole;
	uint8_t *got = worker_fragments_add(w, client, packet->data, packet->len, &whole);

	if (!got)
		return;
	tap_mac_put(eth.h_source, TAP_CLIENT, fragments_of(got, whole.largest) << 16 | client);
	worker_fragments_give(w, &eth, got, whole.len);
}

/* From a NIC; the frame's addresses are as the whole is to have them. */
static void from_nic(struct worker *w, const struct ethhdr *eth, const uint8_t *packet, size_t len)
{
	struct joined whole;
	uint8_t *got = worker_fragments_add(w, tap_mac_id(eth->h_source) | REASSEMBLE_OUTSIDE, packet, len, &whole);

	if (got)
		worker_fragments_give(w, eth, got, whole.len);
}

/* ---- cut -------------------------------------------------------------------------------- */

const uint8_t *worker_fragments_next(struct worker *w, struct fragments_walk *walk, size_t mtu, size_t *len)
{
	const uint8_t *packet;

	for (;;) {
		*len = fragment_next(&walk->cut, w->fragments->piece);
		if (*len)
			return w->fragments->piece;
		packet = gso_next(&walk->split, len);
		if (!packet || *len <= mtu)
			return packet;
		if (!fragment_begin(&walk->cut, packet, *len, mtu, randombytes_random()))
			worker_drop(w, DROP_TOO_BIG, 1);
	}
}

/* A translated packet, or several, for an MTU that the program names. */
static void worker_fragments_cut(struct worker *w, uint8_t *frame, size_t len)
{
	struct fragments_walk walk = {.cut = {0}};
	struct ethhdr eth = w->gro.eth;
	const uint8_t *packet;
	uint16_t mtu;

	if (!gso_begin(&walk.split, frame, len)) {
		worker_drop(w, DROP_MALFORMED, 1);
		return;
	}
	memcpy(eth.h_source, frame + sizeof(struct virtio_net_hdr) + offsetof(struct ethhdr, h_source), ETH_ALEN);
	mtu = (uint16_t)tap_mac_id(eth.h_source);
	while ((packet = worker_fragments_next(w, &walk, mtu, &len)))
		worker_fragments_give(w, &eth, packet, len);
}

bool worker_fragments_take(struct worker *w, uint8_t *frame, size_t len)
{
	const size_t head = sizeof(struct virtio_net_hdr) + sizeof(struct ethhdr);
	struct ethhdr eth;

	if (len < head)
		return false;
	memcpy(&eth, frame + sizeof(struct virtio_net_hdr), sizeof(eth));
	if (eth.h_proto == htons(ETH_P_REASSEMBLE))
		from_nic(w, &eth, frame + head, len - head);
	else if (eth.h_proto == htons(ETH_P_CUT))
		worker_fragments_cut(w, frame, len);
	else
		return false;
	return true;
}
