/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MAPS_LAYOUT6_H
#define SLUICE_MAPS_LAYOUT6_H

/*
 * What differed in layout 6, frozen: for maps_carry.c, which reads it, and the tests, which
 * make it. Keys, tuples and all other maps were as they are.
 */
#include "bpf/contract.h"

struct flow6 {
	struct tuple out, back;
	__u32 serial; /* of the slot */
	__u32 client;
	__u32 generation;
	__u32 rule;
	__u32 state; /* enum flow_state, without FLOW_KILLED; ended by hand was one that had expired */
	__u32 mapping;
	__u16 egress;
	__u16 pool;
	__u16 route;
	__u8 flags;
	__u8 traits;
	__u32 sharers;
	__u32 seen;
	__u64 created, expires;
	__u64 packets_out, bytes_out, packets_in, bytes_in;
	__u32 end_out, end_in;
	__u32 ack_out, ack_in;
};

struct egress6 {
	struct addr addr;
	__u32 ifindex; /* 0: the address is gone */
	__u32 ports;
	__u32 prime;
	__u16 mtu;
	__u8 exclusive;
	__u8 pad;
	struct port_range range[MAX_PORT_RANGES];
};

struct flow_table6 {
	__u32 high, used, refused;
};

_Static_assert(sizeof(struct flow6) == 184, "flow of layout 6");
_Static_assert(sizeof(struct egress6) == 64, "egress of layout 6");
_Static_assert(sizeof(struct flow_table6) == 12, "flow_table of layout 6");

#endif
