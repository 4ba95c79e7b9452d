/* SPDX-License-Identifier: BSD-2-Clause */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

#include "packet.h"

static bool packet_parse4(uint8_t *data, size_t len, struct packet *out)
{
	struct iphdr ip;
	size_t hl, total;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, data, sizeof(ip));
	hl = ip.ihl * 4u;
	total = ntohs(ip.tot_len);
	if (hl < sizeof(ip) || total < hl || total > len)
		return false;
	*out = (struct packet){
		.data = data,
		.len = (uint16_t)total,
		.proto = ip.frag_off & htons(IP_MF | IP_OFFMASK) ? 0 : ip.protocol,
		.l4 = (uint8_t)hl,
		.src = addr_from_v4(ip.saddr),
		.dst = addr_from_v4(ip.daddr),
	};
	return true;
}

static bool packet_parse6(uint8_t *data, size_t len, struct packet *out)
{
	struct ip6_hdr ip;
	size_t total;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, data, sizeof(ip));
	total = sizeof(ip) + ntohs(ip.ip6_plen);
	if (total > len || total > UINT16_MAX)
		return false;
	*out = (struct packet){
		.data = data,
		.len = (uint16_t)total,
		.v6 = true,
		.proto = ip.ip6_nxt == IPPROTO_TCP || ip.ip6_nxt == IPPROTO_UDP ? ip.ip6_nxt : 0,
		.l4 = sizeof(ip),
	};
	memcpy(&out->src, &ip.ip6_src, sizeof(out->src));
	memcpy(&out->dst, &ip.ip6_dst, sizeof(out->dst));
	return true;
}

bool packet_parse(uint8_t *data, size_t len, struct packet *out)
{
	if (!len)
		return false;
	switch (data[0] >> 4) {
	case 4:
		return packet_parse4(data, len, out);
	case 6:
		return packet_parse6(data, len, out);
	default:
		return false;
	}
}
