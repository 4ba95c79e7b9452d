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

#endif
