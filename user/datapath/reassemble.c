/* SPDX-License-Identifier: BSD-2-Clause */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>

#include "policy/addr.h"
#include "csum.h"
#include "reassemble.h"

#define HEADERS_MAX 256 /* of IPv6 with what stands before its fragment header */
#define UNIT	    8	/* offsets count these */

struct key {
	struct addr src, dst;
	uint32_t id, scope;
	uint8_t proto; /* IPv4 only: RFC 8200 leaves it out */
	uint8_t v6;
	uint8_t zero[6];
};

_Static_assert(sizeof(struct key) == 48, "no padding: keys are compared as bytes");

/* One fragment, as its header describes it. */
struct piece {
	struct key key;
	const uint8_t *header, *data;
	uint32_t header_len; /* without IPv6's fragment header */
	uint32_t at, len;    /* of the data, in the packet's */
	uint8_t next;	     /* IPv6: what follows the fragment header */
	uint16_t next_at;    /* IPv6: where the field is that names the fragment header */
	uint8_t ecn;
	bool more;
};

enum state { FREE, WAITING, REFUSED };

struct waiting {
	enum state state;
	enum drop_reason reason; /* REFUSED: of those that still come */
	struct key key;
	uint64_t born;
	uint32_t header_len; /* 0: the first fragment is missing */
	uint32_t total;	     /* of the data; 0: the last is missing */
	uint32_t have;
	uint32_t largest; /* fragment, with its headers */
	uint8_t ecns;	  /* codepoints seen, a bit each */
	uint8_t next;
	uint16_t next_at;
	uint16_t first_len;
	uint8_t first[NOTICE_BYTES]; /* of the first fragment, as it came */
	unsigned n;
	struct {
		uint32_t at, len;
	} fragments[REASSEMBLE_FRAGMENTS];
	/* The header ends where the data begin, so that the whole lies in one piece. */
	uint8_t header[HEADERS_MAX];
	uint8_t data[UINT16_MAX];
};

_Static_assert(REASSEMBLE_OF_OUTSIDE < REASSEMBLE_PACKETS, "a full table holds packets of clients");

struct reassembly {
	reassemble_drop *drop;
	reassemble_late *late;
	void *ctx;
	unsigned used;
	struct waiting waiting[REASSEMBLE_PACKETS];
	struct waiting alone; /* for fragments that are whole packets */
};

struct reassembly *reassembly_new(reassemble_drop *drop, reassemble_late *late, void *ctx)
{
	struct reassembly *r = calloc(1, sizeof(*r)); /* so large that untouched pages cost nothing */

	if (r) {
		r->drop = drop;
		r->late = late;
		r->ctx = ctx;
	}
	return r;
}

void reassembly_free(struct reassembly *r)
{
	free(r);
}

/* ---- what a fragment says of itself ------------------------------------------------ */

static bool reassemble_parse4(const uint8_t *packet, size_t len, struct piece *p)
{
	struct iphdr ip;
	size_t total;
	uint16_t off;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, packet, sizeof(ip));
	total = ntohs(ip.tot_len);
	off = ntohs(ip.frag_off);
	if (ip.ihl * 4u < sizeof(ip) || total < ip.ihl * 4u || total > len || !(off & (IP_MF | IP_OFFMASK)))
		return false;
	*p = (struct piece){
		.key = {addr_from_v4(ip.saddr), addr_from_v4(ip.daddr), ip.id, .proto = ip.protocol},
		.header = packet,
		.data = packet + ip.ihl * 4u,
		.header_len = ip.ihl * 4u,
		.at = (off & IP_OFFMASK) * UNIT,
		.len = (uint32_t)total - ip.ihl * 4u,
		.more = off & IP_MF,
		.ecn = ip.tos & 3,
	};
	return true;
}

static bool stands_before(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

/* Walks to the fragment header. Returns its offset, 0: there is none. *@next_at: of the field that names it. */
static size_t find_fragment(const uint8_t *packet, size_t len, uint16_t *next_at)
{
	size_t at = sizeof(struct ip6_hdr);
	uint8_t next = packet[offsetof(struct ip6_hdr, ip6_nxt)];

	*next_at = offsetof(struct ip6_hdr, ip6_nxt);
	while (stands_before(next) && at + UNIT <= len) {
		*next_at = (uint16_t)at;
		next = packet[at];
		at += (packet[at + 1] + 1u) * UNIT;
	}
	return next == IPPROTO_FRAGMENT && at + sizeof(struct ip6_frag) <= len ? at : 0;
}

static bool reassemble_parse6(const uint8_t *packet, size_t len, struct piece *p)
{
	struct ip6_frag frag;
	struct ip6_hdr ip;
	size_t total, at;
	uint16_t off, next_at;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, packet, sizeof(ip));
	total = sizeof(ip) + ntohs(ip.ip6_plen);
	if (total > len)
		return false;
	at = find_fragment(packet, total, &next_at);
	if (!at)
		return false;
	memcpy(&frag, packet + at, sizeof(frag));
	off = ntohs(frag.ip6f_offlg);
	*p = (struct piece){
		.key = {.id = frag.ip6f_ident, .v6 = 1},
		.header = packet,
		.data = packet + at + sizeof(frag),
		.header_len = (uint32_t)at,
		.at = off & ~7u,
		.len = (uint32_t)(total - at - sizeof(frag)),
		.more = off & 1,
		.next = frag.ip6f_nxt,
		.next_at = next_at,
		.ecn = packet[1] >> 4 & 3,
	};
	memcpy(&p->key.src, &ip.ip6_src, sizeof(p->key.src));
	memcpy(&p->key.dst, &ip.ip6_dst, sizeof(p->key.dst));
	return true;
}

static bool reassemble_parse(const uint8_t *packet, size_t len, struct piece *p)
{
	if (!len)
		return false;
	return packet[0] >> 4 == 4 ? reassemble_parse4(packet, len, p)
				   : packet[0] >> 4 == 6 && reassemble_parse6(packet, len, p);
}

bool reassemble_is_fragment(const uint8_t *packet, size_t len)
{
	struct piece p;

	return reassemble_parse(packet, len, &p);
}

/* Could be part of a packet; what could not is not kept, whatever came before it. */
static bool makes_sense(const struct piece *p)
{
	if (!p->len || p->header_len > HEADERS_MAX || (p->more && p->len % UNIT))
		return false;
	return p->header_len + p->at + p->len <= UINT16_MAX;
}

/* ---- packets that wait --------------------------------------------------------------- */

static void reassemble_release(struct reassembly *r, struct waiting *w)
{
	w->state = FREE;
	r->used--;
}

static void expel(struct reassembly *r, struct waiting *w, enum drop_reason reason)
{
	if (w->n)
		r->drop(r->ctx, reason, w->n);
	reassemble_release(r, w);
}

/* All of it dies, also what is still to come. */
static void reassemble_refuse(struct reassembly *r, struct waiting *w, enum drop_reason reason)
{
	r->drop(r->ctx, reason, w->n + 1);
	w->n = 0;
	w->state = REFUSED;
	w->reason = reason;
}

static bool reassemble_is_older(const struct waiting *w, const struct waiting *than)
{
	return !than || w->born < than->born;
}

static bool reassemble_is_outside(const struct key *k)
{
	return k->scope & REASSEMBLE_OUTSIDE;
}

static bool same_sender(const struct key *a, const struct key *b)
{
	return a->scope == b->scope && (!reassemble_is_outside(a) || !addr_cmp(&a->src, &b->src));
}

/* The oldest packet of the client who has most of them. Those outside are never all that there is. */
static struct waiting *of_greediest(struct reassembly *r)
{
	struct waiting *oldest = NULL;
	uint32_t scope[REASSEMBLE_PACKETS];
	unsigned most = 0;

	for (unsigned i = 0; i < REASSEMBLE_PACKETS; i++)
		scope[i] = r->waiting[i].key.scope;
	for (unsigned i = 0; i < REASSEMBLE_PACKETS; i++) {
		unsigned n = 0;

		for (unsigned k = 0; k < REASSEMBLE_PACKETS; k++)
			n += scope[k] == scope[i];
		if (scope[i] & REASSEMBLE_OUTSIDE || n < most)
			continue;
		if (n > most || reassemble_is_older(&r->waiting[i], oldest))
			oldest = &r->waiting[i];
		most = n;
	}
	return oldest;
}

/* Room for a new packet, by whoever has had more than others. */
static struct waiting *reassemble_make_room(struct reassembly *r, const struct key *key)
{
	struct waiting *unused = NULL, *own = NULL, *outside = NULL;
	unsigned n_own = 0, n_outside = 0;

	for (struct waiting *w = r->waiting; w < r->waiting + REASSEMBLE_PACKETS; w++) {
		if (w->state == FREE) {
			unused = w;
			continue;
		}
		if (reassemble_is_outside(&w->key)) {
			n_outside++;
			outside = reassemble_is_older(w, outside) ? w : outside;
		}
		if (same_sender(&w->key, key)) {
			n_own++;
			own = reassemble_is_older(w, own) ? w : own;
		}
	}
	if (n_own >= REASSEMBLE_OF_SENDER)
		unused = own;
	else if (reassemble_is_outside(key) && n_outside >= REASSEMBLE_OF_OUTSIDE)
		unused = outside;
	else if (!unused)
		unused = of_greediest(r);
	if (unused->state != FREE)
		expel(r, unused, DROP_FRAGMENT_FULL);
	return unused;
}

static void reassemble_begin(struct waiting *w, const struct key *key, uint64_t now)
{
	w->state = WAITING;
	w->key = *key;
	w->born = now;
	w->header_len = w->total = w->have = w->largest = 0;
	w->ecns = 0;
	w->n = 0;
}

static struct waiting *reassemble_find(struct reassembly *r, const struct key *key, uint64_t now)
{
	struct waiting *w;

	for (w = r->waiting; r->used && w < r->waiting + REASSEMBLE_PACKETS; w++)
		if (w->state != FREE && w->key.id == key->id && !memcmp(&w->key, key, sizeof(*key)))
			return w;
	w = reassemble_make_room(r, key);
	reassemble_begin(w, key, now);
	r->used++;
	return w;
}

/* ---- a fragment among the others --------------------------------------------------------- */

enum fit { FITS, REPEATED, CONTRADICTS };

static enum fit reassemble_compare(const struct waiting *w, const struct piece *p)
{
	uint32_t end = p->at + p->len;

	for (unsigned i = 0; i < w->n; i++) {
		uint32_t at = w->fragments[i].at, len = w->fragments[i].len;

		if (at == p->at && len == p->len && p->more == (w->total != end))
			return memcmp(w->data + at, p->data, len) ? CONTRADICTS : REPEATED;
		if (at < end && p->at < at + len)
			return CONTRADICTS;
		if (!p->more && at >= end)
			return CONTRADICTS;
	}
	if (w->total && (!p->more || end >= w->total))
		return CONTRADICTS;
	return FITS;
}

static void reassemble_keep(struct waiting *w, const struct piece *p)
{
	uint32_t size = (uint32_t)(p->data - p->header) + p->len;

	memcpy(w->data + p->at, p->data, p->len);
	w->fragments[w->n].at = p->at;
	w->fragments[w->n++].len = p->len;
	w->have += p->len;
	if (size > w->largest)
		w->largest = size;
	w->ecns |= (uint8_t)(1 << p->ecn);
	if (!p->more)
		w->total = p->at + p->len;
	if (p->at)
		return;
	w->header_len = p->header_len;
	w->next = p->next;
	w->next_at = p->next_at;
	memcpy(w->header + HEADERS_MAX - p->header_len, p->header, p->header_len);
	w->first_len = (uint16_t)(size < sizeof(w->first) ? size : sizeof(w->first));
	memcpy(w->first, p->header, w->first_len);
}

static bool is_complete(const struct waiting *w)
{
	return w->header_len && w->total && w->have == w->total;
}

/* The whole's congestion mark. False: a router marked one, another says that none may. */
static bool join_ecn(const struct waiting *w, uint8_t *tos, unsigned shift)
{
	enum { NOT_ECT = 0, CE = 3 };

	if (!(w->ecns & 1 << CE))
		return true;
	*tos |= (uint8_t)(CE << shift);
	return !(w->ecns & 1 << NOT_ECT);
}

/* Completes the header. NULL: the whole is no packet. */
static uint8_t *reassemble_finish(struct waiting *w, struct joined *whole)
{
	uint8_t *packet = w->header + HEADERS_MAX - w->header_len;
	uint32_t len = w->header_len + w->total;
	__be16 be;

	if (len > UINT16_MAX || !join_ecn(w, packet + 1, w->key.v6 ? 4 : 0))
		return NULL;
	if (w->key.v6) {
		be = htons((uint16_t)(len - sizeof(struct ip6_hdr)));
		memcpy(packet + offsetof(struct ip6_hdr, ip6_plen), &be, sizeof(be));
		packet[w->next_at] = w->next;
	} else {
		be = htons((uint16_t)len);
		memcpy(packet + offsetof(struct iphdr, tot_len), &be, sizeof(be));
		memset(packet + offsetof(struct iphdr, frag_off), 0, sizeof(be));
		memset(packet + offsetof(struct iphdr, check), 0, sizeof(be));
		be = csum_finish(csum_add(0, packet, w->header_len));
		memcpy(packet + offsetof(struct iphdr, check), &be, sizeof(be));
	}
	*whole = (struct joined){len, w->largest};
	return packet;
}

/* A fragment that is a whole packet meets no others (RFC 6946). */
static uint8_t *take_alone(struct waiting *w, const struct piece *p, struct joined *whole)
{
	reassemble_begin(w, &p->key, 0);
	reassemble_keep(w, p);
	return reassemble_finish(w, whole); /* within bounds, and of one mark: makes_sense() looked */
}

static uint8_t *reassemble_add(struct reassembly *r, struct waiting *w, const struct piece *p, struct joined *whole)
{
	enum fit fit = reassemble_compare(w, p);
	uint8_t *packet;

	if (fit == REPEATED)
		r->drop(r->ctx, DROP_FRAGMENT_REPEATED, 1);
	else if (fit == CONTRADICTS)
		reassemble_refuse(r, w, DROP_FRAGMENT_OVERLAP);
	else if (w->n == REASSEMBLE_FRAGMENTS)
		reassemble_refuse(r, w, DROP_FRAGMENT);
	else
		reassemble_keep(w, p);
	if (fit != FITS || w->state != WAITING || !is_complete(w))
		return NULL;
	packet = reassemble_finish(w, whole);
	if (packet)
		reassemble_release(r, w);
	else
		expel(r, w, DROP_FRAGMENT);
	return packet;
}

uint8_t *reassemble(struct reassembly *r, uint32_t scope, const uint8_t *packet, size_t len, uint64_t now,
		    struct joined *whole)
{
	struct waiting *w;
	struct piece p;

	if (!reassemble_parse(packet, len, &p) || !makes_sense(&p)) {
		r->drop(r->ctx, DROP_FRAGMENT, 1);
		return NULL;
	}
	p.key.scope = scope;
	reassemble_expire(r, now);
	if (!p.at && !p.more)
		return take_alone(&r->alone, &p, whole);
	w = reassemble_find(r, &p.key, now);
	if (w->state == WAITING)
		return reassemble_add(r, w, &p, whole);
	r->drop(r->ctx, w->reason, 1);
	return NULL;
}

static void reassemble_tell(struct reassembly *r, const struct waiting *w)
{
	struct unfinished u = {
		.scope = w->key.scope,
		.src = w->key.src,
		.dst = w->key.dst,
		.first = w->first,
		.len = w->first_len,
		.proto = w->key.v6 ? w->next : w->key.proto,
		.first_byte = w->data[0],
	};

	if (r->late && w->state == WAITING && w->header_len)
		r->late(r->ctx, &u);
}

uint64_t reassemble_expire(struct reassembly *r, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (!r->used)
		return next;
	for (struct waiting *w = r->waiting; w < r->waiting + REASSEMBLE_PACKETS; w++) {
		if (w->state == FREE)
			continue;
		if (w->born + REASSEMBLE_NS <= now) {
			reassemble_tell(r, w);
			expel(r, w, DROP_FRAGMENT_TIMEOUT);
		} else if (w->born + REASSEMBLE_NS < next) {
			next = w->born + REASSEMBLE_NS;
		}
	}
	return next;
}
