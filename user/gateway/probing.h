/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PROBING_H
#define SLUICE_PROBING_H

#include "site.h"
#include "user/datapath/probe.h"

/* One connection of the gateway's own through its programs (probe.h): `sluice probe`. One at a time. */
struct probing {
	uint32_t id;  /* 0: there was none yet */
	uint32_t seq; /* of the SYN */
	struct probe_ends ends;
	uint64_t started, sent_at, until; /* ns */
	unsigned sent;
	bool has_flow;
	uint32_t slot;
	struct flow flow; /* as it began */
	enum drop_reason reason;
	struct probe_answer answer;
	uint64_t rtt;
};

/* @timeout: seconds. 0, or -errno: the SYN could not be given to the TAP; -EAFNOSUPPORT: the tunnel has no address of
 * this family. */
int probing_begin(struct probing *p, const struct site *s, const struct addr *dst, uint16_t port, uint64_t timeout);
bool probing_waits(const struct probing *p);
/* Has an answer come? */
void probing_look(struct probing *p, const struct site *s);
void probing_refused(struct probing *p, const struct site *s, enum drop_reason reason); /* the programs refused it */
void probing_second(struct probing *p, const struct site *s);				/* once a second */

#endif
