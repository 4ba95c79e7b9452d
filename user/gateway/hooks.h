/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HOOKS_H
#define SLUICE_HOOKS_H

#include "egress.h"
#include "user/kernel/attach.h"
#include "xdp_choose.h"

/* Programs on interfaces. */
#define HOOKS_MAX 256

struct hook {
	enum program program;
	enum attach_point point;
	unsigned ifindex;
	enum attach_way way; /* ATTACH_NONE: could not be attached; tried again */
	int link;	     /* descriptor, ours; -1: a clsact filter, or not attached */
	bool refused;	     /* the last attempt failed, which is in the log: not once more */
};

struct hooks {
	struct hook list[HOOKS_MAX];
	size_t n;
	bool unsure; /* the kernel did not answer: asked again once a second */
	bool full;   /* not all that are wanted have room */
	struct xdp_choice front;
};

bool hooks_open(struct hooks *h, const struct site *s, const struct egress_state *egress, char *error, size_t size);
/* After any change of the host: the programs where its interfaces are now. */
void hooks_follow(struct hooks *h, const struct site *s, const struct egress_state *egress);
/* Puts back what somebody removed, which nobody tells us: for once a second. */
void hooks_verify(struct hooks *h, const struct site *s);
/* Which client gets in by the TAP, and to which worker: before it is up; 0 or -errno. */
int hooks_tap(const struct site *s);
/* Hands the programs the keys by which they check strangers' macs. Any thread. */
void hooks_gate(const struct site *s, const struct gate_keys *keys);
/* What came from there answered what was sent there: a peer, a STUN server. */
void hooks_know(const struct site *s, const struct addr *addr, uint16_t port);
void hooks_close(struct hooks *h);

#endif
