/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ATTACH_PRIVATE_H
#define SLUICE_ATTACH_PRIVATE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach.h"
#include "owner.h"

/* Of enum bpf_attach_type in Linux 6.6; Debian 12's headers are older. The system calls pass them on. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)

/* A clsact filter of ours is known by priority and handle: a program has its
 * own priority, a gateway its own handle. */
static inline uint32_t clsact_handle(const char *pins)
{
	return 0x51u << OWNER_MARK_BITS | owner_mark(pins);
}

static inline uint32_t clsact_priority(enum program p)
{
	return 0x5100u + p;
}

static inline enum bpf_attach_type tcx_type(enum attach_point point)
{
	return point == ATTACH_INGRESS ? TCX_INGRESS : TCX_EGRESS;
}

/* Name of the program with this id; false: it is gone. */
bool attach_program_name(uint32_t id, char *name);
bool attach_is_our_name(const char *name);

/*
 * The id of the program that the clsact filter of the gateway with these pins runs for @p at a point; 0: there is no
 * such filter. -errno: the kernel did not answer.
 */
int64_t attach_clsact_query(const char *pins, unsigned ifindex, enum attach_point point, enum program p);

#endif
