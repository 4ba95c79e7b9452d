/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BPF_ENDS_H
#define TESTS_BPF_ENDS_H

/* Destinations of every kind, in both families. */
#include "scratch.h"

static inline struct shape tcp_shape(const struct family *f)
{
	return (struct shape){
		.v6 = f->v6,
		.proto = IPPROTO_TCP,
		.src = f->client,
		.dst = f->remote,
		.sport = 40000,
		.dport = 443,
		.flags = TH_SYN,
		.payload = 32,
	};
}

enum where { SERVICE, DENIED, UNROUTED, TUNNEL, EXTERNAL, METADATA, LOOPBACK, MULTICAST, LINK_LOCAL, BROADCAST, ZERO };

static inline struct addr address(const struct family *f, enum where w)
{
	switch (w) {
	case SERVICE:
		return f->remote;
	case DENIED:
		return f->denied;
	case UNROUTED:
		return f->unrouted;
	case TUNNEL:
		return f->tunnel;
	case EXTERNAL:
		return f->external;
	case METADATA:
		return f->metadata;
	case LOOPBACK:
		return addr_of(f->v6 ? "::1" : "127.0.0.1");
	case MULTICAST:
		return addr_of(f->v6 ? "ff02::fb" : "224.0.0.251");
	case LINK_LOCAL:
		return addr_of(f->v6 ? "fe80::1" : "169.254.1.1");
	case BROADCAST:
		return addr_of(f->v6 ? "ff02::1" : "255.255.255.255");
	case ZERO:
		return addr_of(f->v6 ? "::" : "0.0.0.0");
	}
	return f->remote;
}

#endif
