/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection of the gateway's own: its SYN goes through the programs as a client's does, and the worker that reads
 * the answer from the TAP keeps it for us (probe.h). Its flow is ended when there is an outcome.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#include "probing.h"
#include "tunnel.h"
#include "user/wireguard/messages.h"
#include "user/base/clock.h"

#define PORT_LEAST 32768

static struct probe_watch *probing_watch(const struct site *s)
{
	return &s->device->shared.probe;
}

/* As a worker gives a client's packet to the TAP. */
static int probing_inject(const struct site *s, const uint8_t *packet, size_t len)
{
	uint8_t to[ETH_ALEN], from[ETH_ALEN];

	tap_mac_put(to, TAP_CLIENT, 0);
	tap_mac_put(from, TAP_CLIENT, CLIENT_GATEWAY);
	return tap_write(s->device->tap.fd[0], to, from, packet, len);
}

static int probing_send(struct probing *p, const struct site *s)
{
	uint8_t packet[SEGMENT_MAX];
	int err;

	p->sent_at = clock_now();
	err = probing_inject(s, packet, probe_syn(&p->ends, p->seq, packet));
	p->sent += !err;
	return err;
}

/* The programs have made a flow of the SYN before the write returned, if they will. */
static void probing_find(struct probing *p, const struct site *s)
{
	struct tuple t = {
		.src = p->ends.src,
		.dst = p->ends.dst,
		.sport = htons(p->ends.sport),
		.dport = htons(p->ends.dport),
		.proto = IPPROTO_TCP,
		.side = SIDE_CLIENT,
	};

	p->has_flow = maps_flow_find(s->maps, &t, &p->slot, &p->flow);
}

static void probing_end(struct probing *p, const struct site *s, enum probe_outcome outcome)
{
	uint8_t packet[SEGMENT_MAX];

	if (outcome == PROBE_CONNECTED)
		probing_inject(s, packet, probe_reset(&p->ends, p->seq + 1, packet));
	if (p->has_flow)
		maps_flow_kill(s->maps, p->slot, LIFE_ID(p->flow.life));
	atomic_store(&probing_watch(s)->state, PROBE_IDLE);
	p->answer.outcome = outcome;
}

bool probing_waits(const struct probing *p)
{
	return p->id && p->answer.outcome == PROBE_WAITING;
}

void probing_look(struct probing *p, const struct site *s)
{
	struct probe_watch *w = probing_watch(s);

	if (!probing_waits(p) || atomic_load_explicit(&w->state, memory_order_acquire) != PROBE_CAUGHT)
		return;
	probe_judge(&p->ends, w->packet, w->len, &p->answer);
	p->rtt = w->at > p->sent_at ? w->at - p->sent_at : 0;
	if (probing_waits(p)) /* it said nothing: the next may */
		atomic_store_explicit(&w->state, PROBE_ARMED, memory_order_release);
	else
		probing_end(p, s, p->answer.outcome);
}

void probing_refused(struct probing *p, const struct site *s, enum drop_reason reason)
{
	if (!probing_waits(p))
		return;
	p->reason = reason;
	probing_end(p, s, PROBE_DROPPED);
}

void probing_second(struct probing *p, const struct site *s)
{
	probing_look(p, s);
	if (!probing_waits(p))
		return;
	if (clock_now() >= p->until)
		probing_end(p, s, PROBE_SILENT);
	else
		probing_send(p, s);
}

int probing_begin(struct probing *p, const struct site *s, const struct addr *dst, uint16_t port, uint64_t timeout)
{
	const struct addr *src = tunnel_address(s, addr_is_v4(dst));
	int err;

	if (!src)
		return -EAFNOSUPPORT;
	*p = (struct probing){
		.id = p->id + 1 ?: 1,
		.seq = randombytes_random(),
		.ends = {*src, *dst, (uint16_t)(PORT_LEAST + randombytes_uniform(UINT16_MAX - PORT_LEAST)), port},
		.started = clock_now(),
	};
	p->until = p->started + timeout * NS_PER_SEC;
	probing_watch(s)->to = *src;
	atomic_store_explicit(&probing_watch(s)->state, PROBE_ARMED, memory_order_release);
	err = probing_send(p, s);
	if (err)
		probing_end(p, s, PROBE_DROPPED);
	else
		probing_find(p, s);
	return err;
}
