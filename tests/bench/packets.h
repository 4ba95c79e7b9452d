/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BENCH_PACKETS_H
#define SLUICE_BENCH_PACKETS_H

/*
 * What both ends of the blast share: IPv4 packets of fake flows, and the pace at
 * which they are sent. Addresses and ports are in network order.
 */
#include <endian.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "die.h"
#include "user/datapath/csum.h"

struct tuple {
	uint32_t src, dst;
	uint16_t sport, dport;
	uint8_t proto; /* TCP or UDP */
};

struct tcp_state {
	uint32_t seq, ack; /* host order */
	uint8_t flags;	   /* TH_SYN, ... */
};

/* Where the checksum of the transport header stands, and whether the kernel or a NIC is to finish it. */
enum checksum { CHECKSUM_WHOLE, CHECKSUM_PSEUDO };

static inline size_t packet_headers(uint8_t proto)
{
	return sizeof(struct iphdr) + (proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr));
}

static inline size_t packet_checksum_offset(uint8_t proto)
{
	return proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check);
}

/* Writes a packet of @size bytes in all; the payload is zeros. @tcp is NULL for UDP. */
static inline void packet_write(uint8_t *out, const struct tuple *t, const struct tcp_state *tcp, size_t size,
				enum checksum how)
{
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htobe16(size),
			   .frag_off = htobe16(IP_DF),
			   .ttl = 64,
			   .protocol = t->proto,
			   .saddr = t->src,
			   .daddr = t->dst};
	uint8_t *l4 = out + sizeof(ip);
	size_t l4_len = size - sizeof(ip);
	uint64_t sum = csum_pseudo(&t->src, &t->dst, 4, t->proto, l4_len);
	uint16_t check;

	memset(out, 0, size);
	ip.check = csum_finish(csum_add(0, &ip, sizeof(ip)));
	memcpy(out, &ip, sizeof(ip));
	if (tcp) {
		struct tcphdr header = {.source = t->sport,
					.dest = t->dport,
					.seq = htobe32(tcp->seq),
					.ack_seq = htobe32(tcp->ack),
					.doff = 5,
					.window = htobe16(65535)};
		header.th_flags = tcp->flags;
		memcpy(l4, &header, sizeof(header));
	} else {
		struct udphdr header = {.source = t->sport, .dest = t->dport, .len = htobe16(l4_len)};
		memcpy(l4, &header, sizeof(header));
	}
	check = how == CHECKSUM_PSEUDO ? csum_fold(sum) : csum_finish(csum_add(sum, l4, l4_len));
	memcpy(l4 + packet_checksum_offset(t->proto), &check, sizeof(check));
}

struct seen { /* what matters of a packet that came */
	struct tuple tuple;
	struct tcp_state tcp;
};

/* False: not a whole IPv4 TCP or UDP packet without options. */
static inline bool packet_read(const uint8_t *data, size_t len, struct seen *out)
{
	struct iphdr ip;
	struct tcphdr tcp = {0};
	struct udphdr udp;

	if (len < sizeof(ip) + sizeof(udp))
		return false;
	memcpy(&ip, data, sizeof(ip));
	memcpy(&udp, data + sizeof(ip), sizeof(udp));
	if (ip.version != 4 || ip.ihl != 5 || (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP))
		return false;
	if (ip.protocol == IPPROTO_TCP) {
		if (len < sizeof(ip) + sizeof(tcp))
			return false;
		memcpy(&tcp, data + sizeof(ip), sizeof(tcp));
	}
	out->tuple = (struct tuple){ip.saddr, ip.daddr, udp.source, udp.dest, ip.protocol};
	out->tcp = (struct tcp_state){be32toh(tcp.seq), be32toh(tcp.ack_seq), tcp.th_flags};
	return true;
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Sleeps where there is time for it, else lets others run: they share the core. */
static inline void wait_until(uint64_t due)
{
	struct timespec ts = {due / 1000000000, due % 1000000000};

	for (uint64_t now; (now = now_ns()) < due;) {
		if (due - now > 30000)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		else
			sched_yield();
	}
}

/* Everything is prepared: says so and stops until the bench, which reads its counters first, continues us. */
static inline void wait_for_go(void)
{
	prctl(PR_SET_TIMERSLACK, 1);
	puts("ready");
	fflush(stdout);
	raise(SIGSTOP);
}

static inline void report(unsigned long sent, uint64_t began)
{
	printf("{\"sent\": %lu, \"seconds\": %.6f}\n", sent, (now_ns() - began) / 1e9);
}

struct load { /* of both programs, in this order of arguments */
	uint8_t proto;
	size_t size; /* of the inner packet, IP header included */
	unsigned flows, burst;
	unsigned long rate;  /* packets a second */
	unsigned long count; /* 0: the other end sends */
};

/* "tcp|udp SIZE FLOWS BURST RATE COUNT", with at most @flows. */
static inline struct load load_parse(char **argv, unsigned flows)
{
	struct load l = {
		.proto = strcmp(argv[0], "tcp") ? IPPROTO_UDP : IPPROTO_TCP,
		.size = strtoul(argv[1], NULL, 10),
		.flows = strtoul(argv[2], NULL, 10),
		.burst = strtoul(argv[3], NULL, 10),
		.rate = strtoul(argv[4], NULL, 10),
		.count = strtoul(argv[5], NULL, 10),
	};

	if (l.size < packet_headers(l.proto) || l.size > 9000 || !l.flows || l.flows > flows || !l.burst ||
	    l.burst > 44 || !l.rate)
		die("load: (tcp|udp) SIZE FLOWS BURST RATE COUNT; at most %u flows and bursts of 44", flows);
	return l;
}

#endif
