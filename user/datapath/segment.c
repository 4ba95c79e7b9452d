/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "csum.h"
#include "segment.h"

#define HOPS	   64
#define WINDOW	   65535
#define OPTION_LEN 4 /* the MSS option */

static size_t put_header(const struct segment *s, size_t payload, uint8_t *out)
{
	if (addr_is_v4(&s->src)) {
		struct iphdr ip = {
			.version = 4,
			.ihl = 5,
			.tot_len = htons((uint16_t)(sizeof(ip) + payload)),
			.frag_off = htons(IP_DF),
			.ttl = HOPS,
			.protocol = IPPROTO_TCP,
			.saddr = s->src.w[3],
			.daddr = s->dst.w[3],
		};

		ip.check = csum_finish(csum_add(0, &ip, sizeof(ip)));
		memcpy(out, &ip, sizeof(ip));
		return sizeof(ip);
	}

	struct ip6_hdr ip = {.ip6_plen = htons((uint16_t)payload), .ip6_nxt = IPPROTO_TCP, .ip6_hlim = HOPS};

	ip.ip6_vfc = 0x60;
	memcpy(&ip.ip6_src, &s->src, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, &s->dst, sizeof(ip.ip6_dst));
	memcpy(out, &ip, sizeof(ip));
	return sizeof(ip);
}

static uint64_t segment_pseudo(const struct segment *s, size_t len)
{
	bool v4 = addr_is_v4(&s->src);

	return csum_pseudo(v4 ? &s->src.b[12] : s->src.b, v4 ? &s->dst.b[12] : s->dst.b, v4 ? 4 : 16, IPPROTO_TCP,
			   (uint32_t)len);
}

size_t segment_put(const struct segment *s, uint8_t out[SEGMENT_MAX])
{
	const uint8_t mss[OPTION_LEN] = {TCPOPT_MAXSEG, TCPOLEN_MAXSEG, (uint8_t)(s->mss >> 8), (uint8_t)s->mss};
	size_t len = sizeof(struct tcphdr) + (s->mss ? sizeof(mss) : 0), header = put_header(s, len, out);
	struct tcphdr tcp = {
		.source = htons(s->sport),
		.dest = htons(s->dport),
		.seq = htonl(s->seq),
		.ack_seq = htonl(s->ack),
		.doff = len / 4,
		.window = htons(s->flags & TH_RST ? 0 : WINDOW),
	};

	tcp.th_flags = s->flags;
	memcpy(out + header, &tcp, sizeof(tcp));
	if (s->mss)
		memcpy(out + header + sizeof(tcp), mss, sizeof(mss));
	tcp.check = csum_finish(csum_add(segment_pseudo(s, len), out + header, len));
	memcpy(out + header, &tcp, sizeof(tcp));
	return header + len;
}
