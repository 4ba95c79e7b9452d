/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_RANDOM_FILTER_H
#define TESTS_RANDOM_FILTER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "policy/filter.h"
#include "tests/unit/random.h"

/*
 * Random rules, clients and packets in a small world: few addresses and ports, so
 * that prefixes nest, ranges meet and rules contradict each other all the time.
 */
static inline struct addr random_addr(struct rng *r, bool v4)
{
	struct addr a = {.b = {0x20, 0x01}};

	if (v4)
		a = addr_from_v4(htonl(0x0a000000 | rng_below(r, 4) << 22 | rng_below(r, 4) << 6 | rng_below(r, 4)));
	else if (rng_below(r, 4))
		a.b[rng_below(r, 2) ? 3 : 15] = (uint8_t)rng_below(r, 8);
	else
		memset(a.b, 0, 12); /* close to the mapped addresses, where ::/80 and ::/0 begin */
	if (!v4 && a.b[0] == 0)
		a.b[15] = (uint8_t)rng_below(r, 4);
	return a;
}

static inline struct prefix random_prefix(struct rng *r)
{
	static const uint8_t lens4[] = {96, 97, 104, 106, 116, 120, 122, 126, 128, 128, 128};
	static const uint8_t lens6[] = {0, 0, 3, 16, 32, 64, 80, 90, 125, 128, 128};
	bool v4 = rng_below(r, 2);
	struct prefix p = {.addr = random_addr(r, v4)};

	p.len = v4 ? lens4[rng_below(r, sizeof(lens4))] : lens6[rng_below(r, sizeof(lens6))];
	p.addr = prefix_first(&p);
	return p;
}

static inline uint16_t random_port(struct rng *r)
{
	static const uint16_t ports[] = {0, 1, 21, 22, 23, 80, 443, 444, 8080, 65534, 65535};

	return ports[rng_below(r, sizeof(ports) / sizeof(ports[0]))];
}

static inline uint8_t random_proto(struct rng *r)
{
	static const uint8_t protos[] = {IPPROTO_TCP,  IPPROTO_TCP,    IPPROTO_UDP, IPPROTO_ICMP,
					 IPPROTO_SCTP, IPPROTO_ICMPV6, IPPROTO_GRE, IPPROTO_ESP};

	return protos[rng_below(r, sizeof(protos))];
}

static inline void random_rule(struct rng *r, struct filter_rule *rule, uint32_t id)
{
	*rule = (struct filter_rule){.id = id, .verdict = rng_below(r, 4) ? FILTER_ACCEPT : FILTER_DENY};
	rule->n_src = 1 + rng_below(r, 3);
	rule->src = mem_alloc(rule->n_src, sizeof(*rule->src));
	for (size_t i = 0; i < rule->n_src; i++)
		rule->src[i] = random_prefix(r);
	rule->n_dst = 1 + rng_below(r, 4);
	rule->dst = mem_alloc(rule->n_dst, sizeof(*rule->dst));
	for (size_t i = 0; i < rule->n_dst; i++) {
		uint16_t a = random_port(r), b = random_port(r);
		bool all = !rng_below(r, 3);

		rule->dst[i].prefix = random_prefix(r);
		rule->dst[i].first = all ? 0 : a < b ? a : b;
		rule->dst[i].last = all ? 65535 : a < b ? b : a;
	}
	rule->n_proto = rng_below(r, 3);
	rule->proto = mem_alloc(rule->n_proto, 1);
	for (size_t i = 0; i < rule->n_proto; i++)
		rule->proto[i] = random_proto(r);
}

static inline struct filter *random_filter(struct rng *r, size_t n)
{
	struct filter *f = mem_alloc(1, sizeof(*f));

	f->rules = mem_alloc(n, sizeof(*f->rules));
	for (; f->n < n; f->n++)
		random_rule(r, &f->rules[f->n], (uint32_t)f->n + 1);
	return f;
}

static inline struct filter_packet random_packet(struct rng *r, const struct addr *src)
{
	struct filter_packet pkt = {.src = *src, .proto = random_proto(r), .port = random_port(r)};

	pkt.dst = random_addr(r, addr_is_v4(src));
	return pkt;
}

#endif
