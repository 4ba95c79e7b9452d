/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment.h"

/*
 * `sluice probe`: does a service answer the gateway? The gateway opens a TCP
 * connection as if it were one of its clients: the SYN comes in by the TAP from the
 * gateway's own address in the tunnel and goes through the real programs, which no
 * rule keeps from it (CLIENT_GATEWAY); what comes back ends at a worker, where it is
 * of no peer, and is caught. Then the connection is reset.
 */

/* ---- packets, pure ---------------------------------------------------------------- */

struct probe_ends { /* in the tunnel's view; ports in host order */
	struct addr src, dst;
	uint16_t sport, dport;
};

/* Write an IP packet to @out and return its length. */
size_t probe_syn(const struct probe_ends *e, uint32_t seq, uint8_t out[SEGMENT_MAX]);
size_t probe_reset(const struct probe_ends *e, uint32_t seq, uint8_t out[SEGMENT_MAX]);

enum probe_outcome {
	PROBE_WAITING,
	PROBE_CONNECTED,   /* a SYN and an ACK came back */
	PROBE_RESET,	   /* nothing listens, or a firewall says so */
	PROBE_UNREACHABLE, /* an ICMP error came back */
	PROBE_SILENT,	   /* nothing did, in time */
	PROBE_DROPPED,	   /* the programs let nothing out */
};

const char *probe_outcome_name(enum probe_outcome o); /* "connected", ... */

struct probe_answer {
	enum probe_outcome outcome;
	struct addr from;
	uint8_t type, code; /* of the ICMP error */
};

/* What @packet, of @len bytes from anybody, says. PROBE_WAITING: it is none of ours. */
void probe_judge(const struct probe_ends *e, const uint8_t *packet, size_t len, struct probe_answer *out);

/* What an ICMP error means, for people; "error" where it has no name of its own. */
const char *probe_icmp_text(bool v4, uint8_t type, uint8_t code);

/* ---- between control and worker ------------------------------------------------------ */

#define PROBE_CAUGHT_MAX 128

enum probe_watch_state { PROBE_IDLE, PROBE_ARMED, PROBE_CAUGHT };

/* Control arms it and reads what was caught; the worker writes that in between. */
struct probe_watch {
	_Atomic int state;
	struct addr to; /* set before it is armed */
	uint64_t at;	/* monotonic ns */
	size_t len;
	uint8_t packet[PROBE_CAUGHT_MAX]; /* cut off there */
};

/* In the worker, for a packet that is of no peer. False: it is no probe's either. */
bool probe_catch(struct probe_watch *w, const struct addr *to, const uint8_t *packet, size_t len, uint64_t now);

#endif
