/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/types.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

#include "csum.h"
#include "fragment.h"

#define UNIT 8 /* offsets count these */

static bool begin4(struct fragmenter *c)
{
	struct iphdr ip;

	if (c->len < sizeof(ip))
		return false;
	memcpy(&ip, c->packet, sizeof(ip));
	c->header = ip.ihl * 4u;
	return c->header >= sizeof(ip) && ntohs(ip.tot_len) == c->len && !(ip.frag_off & htons(IP_MF | IP_OFFMASK));
}

/* Only hop-by-hop options are of every fragment; routing headers, which would be too, are never forwarded. */
static bool begin6(struct fragmenter *c)
{
	struct ip6_hdr ip;

	c->v6 = true;
	c->next_at = offsetof(struct ip6_hdr, ip6_nxt);
	c->header = sizeof(ip);
	if (c->len < sizeof(ip))
		return false;
	memcpy(&ip, c->packet, sizeof(ip));
	if (ip.ip6_nxt == IPPROTO_HOPOPTS && c->header + UNIT <= c->len) {
		c->next_at = (uint16_t)c->header;
		c->header += (c->packet[c->header + 1] + 1u) * UNIT;
	}
	return sizeof(ip) + ntohs(ip.ip6_plen) == c->len && c->header <= c->len &&
	       c->packet[c->next_at] != IPPROTO_FRAGMENT;
}

bool fragment_begin(struct fragmenter *c, const uint8_t *packet, size_t len, size_t mtu, uint32_t id)
{
	struct fragmenter it = {.packet = packet, .len = len, .id = id};
	size_t repeated;

	*c = (struct fragmenter){0};
	if (!len || !(packet[0] >> 4 == 4 ? begin4(&it) : packet[0] >> 4 == 6 && begin6(&it)))
		return false;
	repeated = it.header + (it.v6 ? sizeof(struct ip6_frag) : 0);
	if (repeated + UNIT > mtu)
		return false;
	it.room = (mtu - repeated) / UNIT * UNIT;
	it.len -= it.header;
	*c = it;
	return true;
}

/* Options that are the first fragment's alone become padding. */
static void blank_options(uint8_t *header, size_t len)
{
	size_t at = sizeof(struct iphdr);

	while (at < len && header[at] != IPOPT_EOL) {
		size_t size = header[at] == IPOPT_NOP || at + 1 == len ? 1 : header[at + 1];

		if (!size || at + size > len)
			return;
		if (!IPOPT_COPIED(header[at]))
			memset(header + at, IPOPT_NOP, size);
		at += size;
	}
}

static void head4(const struct fragmenter *c, uint8_t *out, size_t len, bool more)
{
	struct iphdr ip;

	if (c->at)
		blank_options(out, c->header);
	memcpy(&ip, out, sizeof(ip));
	ip.tot_len = htons((uint16_t)(c->header + len));
	ip.id = (uint16_t)c->id;
	ip.frag_off = htons((uint16_t)(c->at / UNIT | (more ? IP_MF : 0)));
	ip.check = 0;
	memcpy(out, &ip, sizeof(ip));
	ip.check = csum_finish(csum_add(0, out, c->header));
	memcpy(out + offsetof(struct iphdr, check), &ip.check, sizeof(ip.check));
}

static void head6(const struct fragmenter *c, uint8_t *out, size_t len, bool more)
{
	struct ip6_frag frag = {
		.ip6f_nxt = out[c->next_at],
		.ip6f_offlg = htons((uint16_t)(c->at | more)),
		.ip6f_ident = c->id,
	};
	__be16 plen = htons((uint16_t)(c->header - sizeof(struct ip6_hdr) + sizeof(frag) + len));

	out[c->next_at] = IPPROTO_FRAGMENT;
	memcpy(out + offsetof(struct ip6_hdr, ip6_plen), &plen, sizeof(plen));
	memcpy(out + c->header, &frag, sizeof(frag));
}

size_t fragment_next(struct fragmenter *c, uint8_t *out)
{
	size_t left = c->len - c->at, len = left < c->room ? left : c->room;
	size_t data = c->header + (c->v6 ? sizeof(struct ip6_frag) : 0);

	if (!left)
		return 0;
	memcpy(out, c->packet, c->header);
	if (c->v6)
		head6(c, out, len, len < left);
	else
		head4(c, out, len, len < left);
	memcpy(out + data, c->packet + c->header + c->at, len);
	c->at += len;
	return data + len;
}
