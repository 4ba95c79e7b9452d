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
#include "handlers.h"
#include "user/gateway/egress.h"
#include "user/gateway/host.h"
#include "user/gateway/parts.h"
#include "user/gateway/probing.h"
#include "user/wireguard/messages.h"
#include "user/answers/report.h"
#include "user/base/text.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define TIMEOUT_DEFAULT 5 /* seconds */
#define TIMEOUT_MOST	60

/* ---- as JSON ----------------------------------------------------------------------------- */

static json_t *verbs_probe_route_json(const struct config *config, const struct addr *dst)
{
	const struct prefix *best = NULL;
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < config->n_routes; i++) {
		const struct prefix *p = &config->routes[i].prefix;

		if (prefix_contains(p, dst) && (!best || p->len > best->len))
			best = p;
	}
	return best ? json_string(prefix_str(best, text)) : json_null();
}

static json_t *pool_json(const struct parts *parts, size_t pool, const struct egress_address *a, const struct addr *dst)
{
	const struct egress_pool *p = &parts->egress->pool[pool];
	char address[ADDR_STRLEN], public[ADDR_STRLEN], hop[ADDR_STRLEN];
	struct addr next;
	int ifindex;
	bool known = !netlink_route_get(parts->site->netlink, dst, &a->addr, p->ifindex, &ifindex, &next) &&
		     !addr_is_zero(&next);

	return json_pack("{s:s, s:s, s:s, s:s, s:s?}", "pool", parts->site->config->pools[pool].name, "interface",
			 p->interface, "address", addr_str(&a->addr, address), "public", addr_str(&a->public, public),
			 "next_hop", known ? addr_str(&next, hop) : NULL);
}

static json_t *verbs_probe_egress_json(const struct parts *parts, const struct probing *p)
{
	for (size_t i = 0; p->has_flow && i < parts->egress->n; i++)
		for (size_t k = 0; k < parts->egress->pool[i].n; k++)
			if (parts->egress->pool[i].address[k].id == p->flow.egress)
				return pool_json(parts, i, &parts->egress->pool[i].address[k], &p->ends.dst);
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

static int verbs_probe_give(const struct parts *parts, json_t **result, char **error)
{
	const struct probing *p = parts->probing;
	const char *reason = p->answer.outcome == PROBE_DROPPED ? drop_name(p->reason) : NULL;
	char to[TEXT_ENDPOINT_SIZE], as[TEXT_ENDPOINT_SIZE];

	text_endpoint(&p->ends.dst, p->ends.dport, to);
	text_endpoint(&p->flow.back.dst, ntohs(p->flow.back.dport), as);
	*result = json_pack("{s:i, s:I, s:s, s:s, s:o, s:o, s:s?, s:i, s:I, s:o, s:s?, s:s?}", "schema", REPORT_SCHEMA,
			    "id", (json_int_t)p->id, "outcome", probe_outcome_name(p->answer.outcome), "service", to,
			    "route", verbs_probe_route_json(parts->site->config, &p->ends.dst), "egress",
			    verbs_probe_egress_json(parts, p), "as", p->has_flow ? as : NULL, "sent", (int)p->sent,
			    "timeout", (json_int_t)((p->until - p->started) / NS_PER_SEC), "answer",
			    verbs_probe_answer_json(p), "reason", reason, "meaning",
			    reason ? drop_meaning(p->reason) : NULL);
	return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "out of memory");
}

/* ---- the verbs ------------------------------------------------------------------------------ */

int verb_probe(void *gateway, const json_t *args, json_t **result, char **error)
{
	const char *address = json_string_value(json_object_get(args, "address"));
	json_int_t port = json_integer_value(json_object_get(args, "port"));
	json_int_t timeout = json_integer_value(json_object_get(args, "timeout")) ?: TIMEOUT_DEFAULT;
	const struct parts *parts = gateway;
	struct addr dst;
	int err;

	if (!address || !addr_parse(address, strlen(address), &dst) || port < 1 || port > UINT16_MAX)
		return exit_fail(error, EXIT_USAGE, "expected an address and a port");
	if (timeout < 1 || timeout > TIMEOUT_MOST)
		return exit_fail(error, EXIT_USAGE, "timeout: expected 1 to %d seconds", TIMEOUT_MOST);
	if (host_owns(parts->host, &dst))
		return exit_fail(error, EXIT_USAGE, "%s is the gateway's own: nothing would leave", address);
	if (probing_waits(parts->probing) && clock_now() < parts->probing->until)
		return exit_fail(error, EXIT_NO, "another probe is on its way: try again in a few seconds");
	err = probing_begin(parts->probing, parts->site, &dst, (uint16_t)port, (uint64_t)timeout);
	if (err == -EAFNOSUPPORT)
		return exit_fail(error, EXIT_NO, "the tunnel has no address of this family (tunnel.addresses)");
	if (err)
		return exit_fail(error, EXIT_NO, "%s: %s", parts->site->device->tap.name, strerror(-err));
	return verbs_probe_give(parts, result, error);
}

int verb_probe_result(void *gateway, const json_t *args, json_t **result, char **error)
{
	const struct parts *parts = gateway;

	if (!parts->probing->id || json_integer_value(json_object_get(args, "id")) != parts->probing->id)
		return exit_fail(error, EXIT_NO, "no such probe: another has begun since");
	probing_look(parts->probing, parts->site);
	return verbs_probe_give(parts, result, error);
}
