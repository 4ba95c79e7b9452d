/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe: one connection of the gateway's own through its programs (probe.h). The verb
 * begins it and returns; `probe result` tells how far it has come.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/kernel/drops.h"
#include "user/gateway/gateway.h"
#include "user/wireguard/messages.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/exit.h"
#include "user/base/text.h"

#define TIMEOUT_DEFAULT 5 /* seconds */
#define TIMEOUT_MOST	60
#define PORT_LEAST	32768

static struct probe_watch *verbs_probe_watch(struct gateway *g)
{
	return &g->device.shared.probe;
}

/* As a worker gives a client's packet to the TAP. */
static int inject(struct gateway *g, const uint8_t *packet, size_t len)
{
	uint8_t to[ETH_ALEN], from[ETH_ALEN];

	tap_mac_put(to, TAP_CLIENT, 0);
	tap_mac_put(from, TAP_CLIENT, CLIENT_GATEWAY);
	return tap_write(g->device.tap.fd[0], to, from, packet, len);
}

static int send_syn(struct gateway *g)
{
	struct probing *p = &g->probe;
	uint8_t packet[PROBE_PACKET_MAX];
	int err;

	p->sent_at = clock_now();
	err = inject(g, packet, probe_syn(&p->ends, p->seq, packet));
	p->sent += !err;
	return err;
}

/* The programs have made a flow of the SYN before the write returned, if they will. */
static void find_flow(struct gateway *g)
{
	struct probing *p = &g->probe;
	struct tuple t = {
		.src = p->ends.src,
		.dst = p->ends.dst,
		.sport = htons(p->ends.sport),
		.dport = htons(p->ends.dport),
		.proto = IPPROTO_TCP,
		.side = SIDE_CLIENT,
	};

	p->has_flow = maps_flow_find(g->maps, &t, &p->slot, &p->flow);
}

static void verbs_probe_end(struct gateway *g, enum probe_outcome outcome)
{
	struct probing *p = &g->probe;
	uint8_t packet[PROBE_PACKET_MAX];

	if (outcome == PROBE_CONNECTED)
		inject(g, packet, probe_reset(&p->ends, p->seq + 1, packet));
	if (p->has_flow)
		maps_flow_kill(g->maps, p->slot, LIFE_ID(p->flow.life));
	atomic_store(&verbs_probe_watch(g)->state, PROBE_IDLE);
	p->answer.outcome = outcome;
}

static bool waits(const struct probing *p)
{
	return p->id && p->answer.outcome == PROBE_WAITING;
}

static void verbs_probe_look(struct gateway *g)
{
	struct probe_watch *w = verbs_probe_watch(g);
	struct probing *p = &g->probe;

	if (!waits(p) || atomic_load_explicit(&w->state, memory_order_acquire) != PROBE_CAUGHT)
		return;
	probe_judge(&p->ends, w->packet, w->len, &p->answer);
	p->rtt = w->at > p->sent_at ? w->at - p->sent_at : 0;
	if (waits(p)) /* it said nothing: the next may */
		atomic_store_explicit(&w->state, PROBE_ARMED, memory_order_release);
	else
		verbs_probe_end(g, p->answer.outcome);
}

void probe_refused(struct gateway *g, enum drop_reason reason)
{
	if (!waits(&g->probe))
		return;
	g->probe.reason = reason;
	verbs_probe_end(g, PROBE_DROPPED);
}

void probe_tick(struct gateway *g)
{
	verbs_probe_look(g);
	if (!waits(&g->probe))
		return;
	if (clock_now() >= g->probe.until)
		verbs_probe_end(g, PROBE_SILENT);
	else
		send_syn(g);
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static json_t *verbs_probe_route_json(const struct gateway *g, const struct addr *dst)
{
	const struct prefix *best = NULL;
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < g->config->n_routes; i++) {
		const struct prefix *p = &g->config->routes[i].prefix;

		if (prefix_contains(p, dst) && (!best || p->len > best->len))
			best = p;
	}
	return best ? json_string(prefix_str(best, text)) : json_null();
}

static json_t *pool_json(struct gateway *g, size_t pool, const struct egress_address *a, const struct addr *dst)
{
	static const struct addr none;
	const struct egress_pool *p = &g->egress.pool[pool];
	char address[ADDR_STRLEN], public[ADDR_STRLEN], hop[ADDR_STRLEN];
	struct addr next;
	int ifindex;
	bool known =
		!netlink_route_get(&g->netlink, dst, &a->addr, p->ifindex, &ifindex, &next) && addr_cmp(&next, &none);

	return json_pack("{s:s, s:s, s:s, s:s, s:s?}", "pool", g->config->pools[pool].name, "interface", p->interface,
			 "address", addr_str(&a->addr, address), "public", addr_str(&a->public, public), "next_hop",
			 known ? addr_str(&next, hop) : NULL);
}

static json_t *verbs_probe_egress_json(struct gateway *g, const struct probing *p)
{
	for (size_t i = 0; p->has_flow && i < g->egress.n; i++)
		for (size_t k = 0; k < g->egress.pool[i].n; k++)
			if (g->egress.pool[i].address[k].id == p->flow.egress)
				return pool_json(g, i, &g->egress.pool[i].address[k], &p->ends.dst);
	return json_null();
}

static json_t *verbs_probe_answer_json(const struct probing *p)
{
	const struct probe_answer *a = &p->answer;
	bool v4 = addr_is_v4(&p->ends.dst);
	char from[ADDR_STRLEN];
	json_t *j;

	if (a->outcome != PROBE_CONNECTED && a->outcome != PROBE_RESET && a->outcome != PROBE_UNREACHABLE)
		return json_null();
	j = json_pack("{s:s, s:f}", "from", addr_str(&a->from, from), "ms", (double)p->rtt / NS_PER_MS);
	if (a->outcome == PROBE_UNREACHABLE)
		json_object_update_new(j, json_pack("{s:i, s:i, s:s}", "icmp_type", a->type, "icmp_code", a->code,
						    "icmp", probe_icmp_text(v4, a->type, a->code)));
	return j;
}

static int verbs_probe_give(struct gateway *g, json_t **result, char **error)
{
	const struct probing *p = &g->probe;
	const char *reason = p->answer.outcome == PROBE_DROPPED ? drop_name(p->reason) : NULL;
	char to[TEXT_ENDPOINT_SIZE], as[TEXT_ENDPOINT_SIZE];

	text_endpoint(&p->ends.dst, p->ends.dport, to);
	text_endpoint(&p->flow.back.dst, ntohs(p->flow.back.dport), as);
	*result = json_pack("{s:i, s:I, s:s, s:s, s:o, s:o, s:s?, s:i, s:I, s:o, s:s?, s:s?}", "schema", REPORT_SCHEMA,
			    "id", (json_int_t)p->id, "outcome", probe_outcome_name(p->answer.outcome), "service", to,
			    "route", verbs_probe_route_json(g, &p->ends.dst), "egress", verbs_probe_egress_json(g, p),
			    "as", p->has_flow ? as : NULL, "sent", (int)p->sent, "timeout",
			    (json_int_t)((p->until - p->started) / NS_PER_SEC), "answer", verbs_probe_answer_json(p),
			    "reason", reason, "meaning", reason ? drop_meaning(p->reason) : NULL);
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

/* ---- the verbs ------------------------------------------------------------------------------ */

static int verbs_probe_begin(struct gateway *g, const struct addr *dst, uint16_t port, uint64_t timeout, char **error)
{
	const struct addr *src = tunnel_address(g, addr_is_v4(dst));
	struct probing *p = &g->probe;
	int err;

	if (!src)
		return exit_fail(error, EXIT_NO, "the tunnel has no address of this family (tunnel.addresses)");
	*p = (struct probing){
		.id = p->id + 1 ?: 1,
		.seq = randombytes_random(),
		.ends = {*src, *dst, (uint16_t)(PORT_LEAST + randombytes_uniform(UINT16_MAX - PORT_LEAST)), port},
		.started = clock_now(),
	};
	p->until = p->started + timeout * NS_PER_SEC;
	verbs_probe_watch(g)->to = *src;
	atomic_store_explicit(&verbs_probe_watch(g)->state, PROBE_ARMED, memory_order_release);
	err = send_syn(g);
	if (err) {
		verbs_probe_end(g, PROBE_DROPPED);
		return exit_fail(error, EXIT_NO, "%s: %s", g->device.tap.name, strerror(-err));
	}
	find_flow(g);
	return 0;
}

int verb_probe(void *gateway, const json_t *args, json_t **result, char **error)
{
	const char *address = json_string_value(json_object_get(args, "address"));
	json_int_t port = json_integer_value(json_object_get(args, "port"));
	json_int_t timeout = json_integer_value(json_object_get(args, "timeout")) ?: TIMEOUT_DEFAULT;
	struct gateway *g = gateway;
	struct addr dst;
	int status;

	if (!address || !addr_parse(address, strlen(address), &dst) || port < 1 || port > UINT16_MAX)
		return exit_fail(error, EXIT_USAGE, "expected an address and a port");
	if (timeout < 1 || timeout > TIMEOUT_MOST)
		return exit_fail(error, EXIT_USAGE, "timeout: expected 1 to %d seconds", TIMEOUT_MOST);
	if (host_owns(g, &dst))
		return exit_fail(error, EXIT_USAGE, "%s is the gateway's own: nothing would leave", address);
	if (waits(&g->probe) && clock_now() < g->probe.until)
		return exit_fail(error, EXIT_NO, "another probe is on its way: try again in a few seconds");
	status = verbs_probe_begin(g, &dst, (uint16_t)port, (uint64_t)timeout, error);
	return status ? status : verbs_probe_give(g, result, error);
}

int verb_probe_result(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct gateway *g = gateway;

	if (!g->probe.id || json_integer_value(json_object_get(args, "id")) != g->probe.id)
		return exit_fail(error, EXIT_NO, "no such probe: another has begun since");
	verbs_probe_look(g);
	return verbs_probe_give(g, result, error);
}
