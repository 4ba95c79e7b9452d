/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_FILTER_H
#define SLUICE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/*
 * Filter rules: the form between a policy and the maps. The policy compiler
 * makes them for one node from a policy file and an inventory; a coordination
 * server sends them ready. What follows them (classes, tables, BPF maps) does
 * not know where they came from. Rules add up; a deny wins over every accept.
 */
enum filter_verdict { FILTER_ACCEPT, FILTER_DENY };

struct filter_dst {
	struct prefix prefix;
	uint16_t first, last; /* ports, inclusive; 0..65535 is all, also for protocols without ports */
};

struct filter_rule {
	uint32_t id; /* stable within one policy: index of the source rule, from 1 */
	enum filter_verdict verdict;
	struct prefix *src;
	size_t n_src;
	bool shares_src; /* src belongs to an earlier rule of the filter: ten thousand rules may begin with "*" */
	struct filter_dst *dst;
	size_t n_dst;
	uint8_t *proto; /* IP protocol numbers; n_proto == 0: TCP, UDP, ICMP, ICMPv6 */
	size_t n_proto;
	const char *file; /* where the rule stands; NULL when it came from a server */
	unsigned line, column;
	char *text; /* one line for people: "group:eng -> billing-api:443" */
};

struct filter {
	struct filter_rule *rules;
	size_t n;
};

void filter_free(struct filter *f);

/*
 * What the rules say about a packet that opens a flow, by looking at every one of
 * them: the reference that the tables and the BPF programs must agree with.
 *
 * TCP, UDP and SCTP: a rule with the protocol, both addresses and the port. The
 * family's ICMP: an accept of any protocol between the two, or a deny that lists
 * ICMP with all ports. Other protocols: a rule that lists them with all ports.
 */
struct filter_answer {
	enum filter_verdict verdict;
	const struct filter_rule *rule; /* NULL: no rule matches, the default deny */
};

struct filter_packet {
	struct addr src, dst;
	uint8_t proto;
	uint16_t port; /* of the destination; ignored where the protocol has none */
};

struct filter_answer filter_verdict(const struct filter *f, const struct filter_packet *pkt);

/*
 * What a policy's tests ask: a rule that lists the protocol, both addresses and the
 * port, whatever the protocol and the families. (That an accept for port 80 lets a
 * ping through as well must not make a test for port 443 pass.)
 */
struct filter_answer filter_match(const struct filter *f, const struct filter_packet *pkt);

/*
 * Whether a gateway can carry the protocol at all: it translates TCP, UDP and ICMP. What else rules accept passes to
 * the gateway itself alone.
 */
bool filter_can_carry(uint8_t proto);

/* The parts of it: whether a rule's sources, one of its destinations, its protocols match. */
bool filter_rule_from(const struct filter_rule *r, const struct addr *src);
bool filter_rule_has_proto(const struct filter_rule *r, uint8_t proto);
/* Destination and ports, for a rule whose protocols have been looked at. */
bool filter_dst_matches(const struct filter_rule *r, const struct filter_dst *dst, const struct filter_packet *pkt);

#endif
