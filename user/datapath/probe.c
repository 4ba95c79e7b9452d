/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "probe.h"

#define MSS 1220 /* what any tunnel carries */

static size_t probe_segment(const struct probe_ends *e, uint32_t seq, uint8_t flags, uint16_t mss, uint8_t *out)
{
	struct segment s = {.src = e->src,
			    .dst = e->dst,
			    .sport = e->sport,
			    .dport = e->dport,
			    .seq = seq,
			    .flags = flags,
			    .mss = mss};

	return segment_put(&s, out);
}

size_t probe_syn(const struct probe_ends *e, uint32_t seq, uint8_t out[SEGMENT_MAX])
{
	return probe_segment(e, seq, TH_SYN, MSS, out);
}

size_t probe_reset(const struct probe_ends *e, uint32_t seq, uint8_t out[SEGMENT_MAX])
{
	return probe_segment(e, seq, TH_RST, 0, out);
}

/* ---- what came back ------------------------------------------------------------------- */

const char *probe_outcome_name(enum probe_outcome o)
{
	static const char *const names[] = {
		[PROBE_WAITING] = "waiting",	     [PROBE_CONNECTED] = "connected", [PROBE_RESET] = "reset",
		[PROBE_UNREACHABLE] = "unreachable", [PROBE_SILENT] = "silent",	      [PROBE_DROPPED] = "dropped",
	};

	return names[o];
}

static void judge_tcp(const struct probe_ends *e, const uint8_t *p, size_t len, struct probe_answer *out)
{
	struct tcphdr tcp;

	if (len < sizeof(tcp))
		return;
	memcpy(&tcp, p, sizeof(tcp));
	if (tcp.source != htons(e->dport) || tcp.dest != htons(e->sport) || addr_cmp(&out->from, &e->dst))
		return;
	if (tcp.rst)
		out->outcome = PROBE_RESET;
	else if (tcp.syn && tcp.ack)
		out->outcome = PROBE_CONNECTED;
}

/* The programs found the flow by what it quotes, and it is the only one of this address. */
static void judge_icmp(const uint8_t *p, size_t len, struct probe_answer *out)
{
	if (len < 2)
		return;
	out->type = p[0];
	out->code = p[1];
	out->outcome = PROBE_UNREACHABLE;
}

void probe_judge(const struct probe_ends *e, const uint8_t *packet, size_t len, struct probe_answer *out)
{
	bool v4 = addr_is_v4(&e->src);
	size_t header = v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	uint8_t proto;

	*out = (struct probe_answer){.outcome = PROBE_WAITING};
	if (len < header || packet[0] >> 4 != (v4 ? 4 : 6))
		return;
	if (v4) {
		struct iphdr ip;

		memcpy(&ip, packet, sizeof(ip));
		header = ip.ihl * 4u;
		proto = ip.protocol;
		out->from = addr_from_v4(ip.saddr);
	} else {
		proto = packet[offsetof(struct ip6_hdr, ip6_nxt)];
		memcpy(&out->from, packet + offsetof(struct ip6_hdr, ip6_src), sizeof(out->from));
	}
	if (header > len)
		return;
	if (proto == IPPROTO_TCP)
		judge_tcp(e, packet + header, len - header, out);
	else if (proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		judge_icmp(packet + header, len - header, out);
}

const char *probe_icmp_text(bool v4, uint8_t type, uint8_t code)
{
	static const struct {
		bool v4;
		uint8_t type, code;
		const char *text;
	} texts[] = {
		{true, 3, 0, "network unreachable"},
		{true, 3, 1, "host unreachable"},
		{true, 3, 3, "port unreachable"},
		{true, 3, 9, "network administratively prohibited"},
		{true, 3, 10, "host administratively prohibited"},
		{true, 3, 13, "administratively prohibited"},
		{true, 11, 0, "time exceeded"},
		{false, 1, 0, "no route"},
		{false, 1, 1, "administratively prohibited"},
		{false, 1, 3, "address unreachable"},
		{false, 1, 4, "port unreachable"},
		{false, 3, 0, "time exceeded"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (texts[i].v4 == v4 && texts[i].type == type && texts[i].code == code)
			return texts[i].text;
	return "error";
}

/* ---- between control and worker ----------------------------------------------------------- */

bool probe_catch(struct probe_watch *w, const struct addr *to, const uint8_t *packet, size_t len, uint64_t now)
{
	if (atomic_load_explicit(&w->state, memory_order_acquire) == PROBE_IDLE || addr_cmp(&w->to, to))
		return false;
	if (atomic_load_explicit(&w->state, memory_order_relaxed) == PROBE_CAUGHT)
		return true; /* and one more */
	w->at = now;
	w->len = len < PROBE_CAUGHT_MAX ? len : PROBE_CAUGHT_MAX;
	memcpy(w->packet, packet, w->len);
	atomic_store_explicit(&w->state, PROBE_CAUGHT, memory_order_release);
	return true;
}
