/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_ADDR_TYPE_H
#define SLUICE_ADDR_TYPE_H

/*
 * One address type for both families: IPv4 is carried as ::ffff:a.b.c.d, so
 * every map key, rule and comparison has a single code path. A prefix length
 * counts bits of the 128: an IPv4 /24 is 120 here.
 */
#ifndef __bpf__ /* there the types come from vmlinux.h */
#include <linux/types.h>
#endif

struct addr {
	union {
		__u8 b[16];
		__be32 w[4];
		__u64 d[2];
	};
};

struct prefix {
	struct addr addr; /* bits after len are zero */
	__u32 len;	  /* 0..128 */
};

#define ADDR_V4_BITS 96 /* the mapped prefix in front of an IPv4 address */

#endif
