/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `policy test --maps` (policy_test_maps.h): each assertion becomes packets of the client
 * that it is about, each the first of a flow, given to the TAP's program by
 * BPF_PROG_TEST_RUN. The program redirects what may pass, and counts why not.
 */
#include "policy_test_maps.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/test.h"
#include "user/datapath/csum.h"
#include "user/kernel/drops.h"
#include "user/kernel/maps.h"
#include "user/datapath/tap.h"
#include "user/base/clock.h"

#define SCRATCH_FLOWS 65536
#define EGRESS_V4     1
#define EGRESS_V6     2
#define LOOPBACK      1 /* an interface that is always there: nothing leaves by it in a test run */
#define SPORT_FIRST   1024

struct prober {
	const struct config *config;
	const struct policy_test_maps_result *result;
	struct diags *d;
	struct maps *maps;
	uint16_t sport;		  /* a new flow each time */
	int64_t now;		  /* Unix seconds, for clients that expire */
	enum drop_reason refused; /* what the last refusal was for */
	int err;		  /* what the kernel said last; 0: nothing wrong */
};

/* ---- the scratch instance ---------------------------------------------------------------- */

static int set_egress(struct maps *m, uint32_t id, const char *address, struct pool *pool)
{
	struct egress e = {.state = EGRESS_HERE, .ifindex = LOOPBACK, .exclusive = 1, .range = {{1024, 64512}}};

	addr_parse(address, strlen(address), &e.addr);
	if (id == EGRESS_V4)
		pool->v4[pool->n4++] = (uint16_t)id;
	else
		pool->v6[pool->n6++] = (uint16_t)id;
	return maps_egress_set(m, id, &e);
}

/* Where packets leave is not the question here: every pool has the same two addresses. */
static int set_pools(struct maps *m, size_t n)
{
	struct pool pool = {0};
	int err = set_egress(m, EGRESS_V4, "198.18.0.1", &pool) ?: set_egress(m, EGRESS_V6, "2001:2::1", &pool);

	for (uint32_t i = 0; i < n && !err; i++)
		err = maps_pool_set(m, i, &pool);
	return err;
}

static int set_host(struct maps *m, const struct config *config)
{
	struct settings s = {
		.tap_ifindex = LOOPBACK,
		.mtu = 1420,
		.workers = 1,
		.udp_ns = 300 * NS_PER_SEC,
		.tcp_established_ns = 7440 * NS_PER_SEC,
		.tcp_transitory_ns = 240 * NS_PER_SEC,
		.icmp_ns = 60 * NS_PER_SEC,
		.other_ns = 60 * NS_PER_SEC,
	};
	int err = maps_settings_set(m, &s) ?: maps_reserved_defaults(m);

	for (size_t i = 0; i < config->tunnel.n_addresses && !err; i++)
		err = maps_reserved_set(m, &(struct prefix){config->tunnel.addresses[i].host, 128}, RESERVED_TUNNEL);
	return err;
}

static int set_clients(struct maps *m, const struct config *config)
{
	int err = 0;

	for (size_t i = 0; i < config->n_clients; i++)
		for (size_t k = 0; k < config->clients[i].addresses.n && !err; k++)
			err = maps_client_set(m, &(struct prefix){config->clients[i].addresses.v[k], 128},
					      (uint32_t)i + 1, 0);
	return err;
}

static struct maps *scratch(struct ruleset *r, const struct config *config, char **error)
{
	struct maps_options o = {.flows = SCRATCH_FLOWS, .no_sweep = true};
	uint32_t *ids = mem_alloc(config->n_clients, sizeof(*ids));
	struct maps *m = maps_open(&o, error);
	int err = 0;

	for (size_t i = 0; i < config->n_clients; i++)
		ids[i] = (uint32_t)i + 1;
	if (m)
		err = set_host(m, config) ?: set_pools(m, config->n_pools) ?: set_clients(m, config);
	if (err)
		*error = mem_printf("the maps of the test: %s", strerror(-err));
	else if (m)
		err = ruleset_apply(r, config, ids, true, m, NULL, error);
	free(ids);
	if (!err)
		return m;
	maps_close(m);
	return NULL;
}

/* ---- one packet --------------------------------------------------------------------------- */

struct packet_of {
	struct addr src, dst;
	uint16_t sport, dport;
	uint8_t proto;
};

static size_t put_transport(uint8_t *at, const struct packet_of *p)
{
	struct tcphdr tcp = {.th_sport = htons(p->sport),
			     .th_dport = htons(p->dport),
			     .th_off = 5,
			     .th_flags = TH_SYN,
			     .th_win = 0xffff};
	struct udphdr udp = {.uh_sport = htons(p->sport), .uh_dport = htons(p->dport), .uh_ulen = htons(sizeof(udp))};

	if (p->proto == IPPROTO_TCP) {
		memcpy(at, &tcp, sizeof(tcp));
		return sizeof(tcp);
	}
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		memcpy(at,
		       &(struct icmp6_hdr){.icmp6_type = p->proto == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
					   .icmp6_id = htons(p->sport)},
		       sizeof(struct icmp6_hdr)); /* an echo request looks alike in both */
		return sizeof(struct icmp6_hdr);
	}
	memcpy(at, &udp, sizeof(udp));
	return p->proto == IPPROTO_UDP ? sizeof(udp) : 12; /* SCTP's common header begins like UDP's */
}

/* UDP over IPv6 must have a checksum. SCTP's is another one, and nobody looks at it here. */
static void put_checksum(uint8_t *at, size_t len, const struct packet_of *p)
{
	bool v4 = addr_is_v4(&p->dst);
	size_t skip = v4 ? 12 : 0;
	bool pseudo = p->proto != IPPROTO_ICMP;
	uint64_t sum = pseudo ? csum_pseudo(p->src.b + skip, p->dst.b + skip, 16 - skip, p->proto, (uint32_t)len) : 0;
	uint16_t check = csum_finish(csum_add(sum, at, len));

	if (p->proto == IPPROTO_TCP)
		memcpy(at + offsetof(struct tcphdr, th_sum), &check, sizeof(check));
	else if (p->proto == IPPROTO_UDP)
		memcpy(at + offsetof(struct udphdr, uh_sum), &check, sizeof(check));
	else if (p->proto != IPPROTO_SCTP)
		memcpy(at + offsetof(struct icmp6_hdr, icmp6_cksum), &check, sizeof(check));
}

static size_t put_v4(uint8_t *at, const struct packet_of *p)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = p->proto};
	size_t len = put_transport(at + sizeof(ip), p);

	put_checksum(at + sizeof(ip), len, p);
	ip.tot_len = htons((uint16_t)(sizeof(ip) + len));
	memcpy(&ip.saddr, &p->src.b[12], 4);
	memcpy(&ip.daddr, &p->dst.b[12], 4);
	ip.check = csum_finish(csum_add(0, (uint8_t *)&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + len;
}

static size_t put_v6(uint8_t *at, const struct packet_of *p)
{
	struct ip6_hdr ip = {.ip6_nxt = p->proto, .ip6_hlim = 64};
	size_t len = put_transport(at + sizeof(ip), p);

	ip.ip6_vfc = 0x60; /* in a union with the others: an initializer of both keeps one */
	put_checksum(at + sizeof(ip), len, p);
	ip.ip6_plen = htons((uint16_t)len);
	memcpy(&ip.ip6_src, &p->src, sizeof(p->src));
	memcpy(&ip.ip6_dst, &p->dst, sizeof(p->dst));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + len;
}

/* As the daemon gives it to the TAP for the client. */
static size_t put_frame(uint8_t *frame, const struct packet_of *p, uint32_t client)
{
	bool v4 = addr_is_v4(&p->dst);
	struct ether_header eth = {.ether_type = htons(v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6)};

	tap_mac_put(eth.ether_shost, TAP_CLIENT, client);
	memcpy(frame, &eth, sizeof(eth));
	return sizeof(eth) + (v4 ? put_v4 : put_v6)(frame + sizeof(eth), p);
}

/* The program's word: what it dropped the packet for, DROP_NONE: it passes. */
static enum drop_reason push(struct prober *x, const struct packet_of *p, uint32_t client)
{
	uint64_t before[DROP_MAX], after[DROP_MAX];
	uint8_t frame[256] = {0}, out[512];
	struct __sk_buff ctx = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_out = out, .data_size_out = sizeof(out),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));

	opts.data_size_in = (uint32_t)put_frame(frame, p, client);
	x->err = maps_drops(x->maps, before) ?: bpf_prog_test_run_opts(maps_program(x->maps, PROGRAM_TAP_IN), &opts)
					     ?: maps_drops(x->maps, after);
	for (int i = 1; i < DROP_MAX && !x->err; i++)
		if (after[i] != before[i])
			return (enum drop_reason)i;
	return x->err || opts.retval == TC_ACT_SHOT ? DROP_MALFORMED : DROP_NONE;
}

/* ---- one assertion --------------------------------------------------------------------------- */

/* Of one pair of addresses. */
enum outcome {
	REFUSED,
	REACHES,
	ELSEWHERE, /* it is not about this gateway: not asked */
};

/* The client's id; 0: the address is no client's. */
static uint32_t policy_test_maps_client_of(const struct prober *x, const struct addr *a)
{
	for (size_t i = 0; i < x->config->n_clients; i++)
		for (size_t k = 0; k < x->config->clients[i].addresses.n; k++)
			if (!addr_cmp(&x->config->clients[i].addresses.v[k], a))
				return (uint32_t)i + 1;
	return 0;
}

/* A route that waits for its approval is this gateway's; where none is configured, another may have one. */
static bool policy_test_maps_is_ours(const struct prober *x, const struct addr *dst)
{
	for (size_t i = 0; i < x->config->n_routes; i++)
		if (prefix_contains(&x->config->routes[i].prefix, dst))
			return true;
	return false;
}

/* One source to one destination. */
static enum outcome try(struct prober *x, const struct policy_case *c, uint32_t client, const struct addr *src,
			const struct addr *dst)
{
	struct packet_of p = {.src = *src, .dst = *dst, .dport = c->port};

	for (size_t i = 0; i < c->n_proto; i++) {
		enum drop_reason reason;

		if (!policy_case_asks(c, i, addr_is_v4(dst)))
			continue;
		p.proto = c->proto[i];
		p.sport = x->sport = x->sport == UINT16_MAX ? SPORT_FIRST : x->sport + 1;
		reason = push(x, &p, client);
		if (reason == DROP_NO_ROUTE && !policy_test_maps_is_ours(x, dst))
			return ELSEWHERE;
		if (reason == DROP_NONE)
			return REACHES;
		x->refused = reason;
	}
	return REFUSED;
}

struct pairs { /* of a case */
	size_t asked, reached;
};

/* A client that has expired reaches nothing, whatever programs say about its packets. */
static void try_source(struct prober *x, const struct policy_case *c, const struct addr *src, struct pairs *pairs)
{
	uint32_t client = policy_test_maps_client_of(x, src);
	int64_t expires = client ? x->config->clients[client - 1].expires : 0;

	for (size_t i = 0; client && i < c->dst.n && !x->err; i++) {
		const struct addr *dst = &c->dst.v[i].addr;
		enum outcome one = addr_is_v4(src) == addr_is_v4(dst) ? try(x, c, client, src, dst) : ELSEWHERE;

		if (one == REACHES && c->accept && expires && x->now >= expires) {
			x->refused = DROP_WG_HANDSHAKE;
			one = REFUSED;
		}
		pairs->asked += one != ELSEWHERE;
		pairs->reached += one == REACHES;
	}
}

static void report_failure(struct prober *x, const struct policy_case *c, const struct pairs *pairs)
{
	const char *why = x->refused == DROP_WG_HANDSHAKE ? "the client has expired" : drop_meaning(x->refused);

	++*x->result->failed;
	if (c->accept)
		diag_error(x->d, c->to.at,
			   "tests: in the programs and maps %s does not reach %s%s, expected accept: %s", c->from,
			   pairs->reached ? "all of " : "", c->to.text, why);
	else
		diag_error(x->d, c->to.at, "tests: in the programs and maps %s reaches %s%s, expected deny", c->from,
			   pairs->reached < pairs->asked ? "a part of " : "", c->to.text);
}

static void policy_test_maps_run_case(const struct policy_case *c, void *arg)
{
	struct prober *x = arg;
	struct pairs pairs = {0};

	for (size_t i = 0; i < c->src.n && !x->err; i++)
		try_source(x, c, &c->src.v[i].addr, &pairs);
	if (x->err)
		return;
	if (!pairs.asked) {
		++*x->result->elsewhere;
		diag_warning(x->d, c->to.at, "tests: not asked: %s to %s is no question of this gateway's", c->from,
			     c->to.text);
	} else if (c->accept ? pairs.reached == pairs.asked : !pairs.reached) {
		++*x->result->passed;
	} else {
		report_failure(x, c, &pairs);
	}
}

bool policy_test_maps(struct ruleset *r, const struct config *config, const struct policy_test_maps_result *result,
		      struct diags *d, char **error)
{
	struct prober x = {.config = config, .result = result, .d = d, .sport = SPORT_FIRST, .now = time(NULL)};

	*error = NULL;
	x.maps = scratch(r, config, error);
	if (!x.maps)
		return false;
	policy_each_case(r->policy, r->reach.r, policy_test_maps_run_case, &x, d);
	maps_close(x.maps);
	if (x.err)
		*error = mem_printf("BPF_PROG_TEST_RUN: %s", strerror(-x.err));
	return !x.err;
}
