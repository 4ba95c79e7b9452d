/* SPDX-License-Identifier: BSD-2-Clause */
/* Why somebody reaches something or not (report_explain.h). */
#include "report_explain.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/kernel/drops.h"
#include "user/ruleset/decide.h"
#include "report.h"
#include "user/base/text.h"
#include "user/base/exit.h"

#define NO_CLIENT SIZE_MAX

/* ---- the question --------------------------------------------------------------------- */

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool explain_parse_port(const char *text, uint16_t *out)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < 1 || n > 65535)
		return false;
	*out = (uint16_t)n;
	return true;
}

bool explain_parse(const char *proto, const char *port, struct explain_question *q, char **error)
{
	q->proto = proto ? text_proto_parse(proto) : IPPROTO_TCP;
	q->port = 0;
	if (!q->proto)
		return exit_fail(error, 0, "\"%s\": expected a protocol (tcp, udp, icmp, ...) or its number", proto);
	if (port && !has_ports(q->proto))
		return exit_fail(error, 0, "\"%s\" has no ports", proto);
	if (has_ports(q->proto) && (!port || !explain_parse_port(port, &q->port)))
		return exit_fail(error, 0, "\"%s\": expected a port, 1-65535", port ? port : "");
	return true;
}

/* ---- the decision: decide.h, and the client's expiry --------------------------------------- */

static bool explain_is_out(const struct explain_source *s, size_t client)
{
	if (client != NO_CLIENT && s->is_out && s->is_out(s->ctx, client))
		return true;
	return s->config && client < s->config->n_clients && s->config->clients[client].expires &&
	       s->now >= s->config->clients[client].expires;
}

static struct decided explain_decide(const struct explain_source *s, size_t client, const struct explain_question *q,
				     const struct addr *dst)
{
	struct decide_place place = {s->rules, s->config, s->ctx, s->is_own};
	uint32_t class = client == NO_CLIENT ? 0 : s->rules->reach.t->class_of[client];

	if (explain_is_out(s, client))
		return (struct decided){.reason = DROP_WG_HANDSHAKE, .route = DECIDE_NO_ROUTE};
	return ruleset_decide(&place, &(struct decide_packet){class, q->proto, q->port, *dst});
}

/* ---- the answer --------------------------------------------------------------------------- */

struct asked {
	const struct explain_source *s;
	const struct explain_question *q;
	struct addr src, dst;
	const struct prefix *from, *to; /* what was asked for: src and dst are their first addresses */
	size_t client;
	struct decided d;
};

static size_t explain_client_of(const struct ruleset *r, const struct addr *a)
{
	for (size_t i = 0; i < r->inventory.n_nodes; i++)
		for (size_t k = 0; k < r->inventory.nodes[i].addrs.n; k++)
			if (!addr_cmp(&r->inventory.nodes[i].addrs.v[k].addr, a))
				return i;
	return NO_CLIENT;
}

/*
 * The tables decide for a client, whatever address of it sends; rules are about addresses. Where a client has two of
 * one family and a rule names one, they differ (classes.c), and the tables are right.
 */
static void as_decided(const struct asked *x, struct explanation *e)
{
	const struct filter_rule *by = x->d.rule ? ruleset_rule(x->s->rules, x->d.rule) : NULL;

	if (by == e->answer.rule || (by && e->answer.rule && by->id == e->answer.rule->id))
		return;
	if (by) {
		e->miss = EXPLAIN_OTHER_ADDRESS;
		e->nearest = NULL;
		e->answer = (struct filter_answer){by->verdict, by};
	} else if (x->d.reason) {
		e->miss = EXPLAIN_DIVIDED;
		e->nearest = e->answer.rule;
		e->answer = (struct filter_answer){FILTER_DENY, NULL};
	}
}

/* A sentence for people; from the policy where rules decided. */
static json_t *why_json(const struct asked *x)
{
	struct filter_packet p = {x->src, x->dst, x->q->proto, x->q->port};
	struct explanation e;
	json_t *j;
	char *text;

	if (x->d.reason == DROP_WG_HANDSHAKE)
		return json_string("the client has expired or was removed: it cannot connect, whatever the rules say");
	if (x->d.reason && x->d.reason != DROP_POLICY)
		return json_string(drop_meaning(x->d.reason));
	policy_explain(x->s->rules->reach.f, &p, &e);
	if (!x->d.reason && !e.answer.rule)
		return json_string("ICMP, where a rule allows something else");
	as_decided(x, &e);
	text = policy_explain_text(&e);
	j = json_string(text);
	free(text);
	return j ? j : json_null();
}

static json_t *rule_json(const struct asked *x)
{
	const struct filter_rule *r = x->d.rule ? ruleset_rule(x->s->rules, x->d.rule) : NULL;

	if (!r)
		return json_null();
	return json_pack("{s:I, s:s?, s:I, s:s}", "id", (json_int_t)r->id, "file", r->file, "line", (json_int_t)r->line,
			 "text", r->text ? r->text : "");
}

static json_t *explain_route_json(const struct asked *x)
{
	char buf[ADDR_STRLEN];

	if (x->d.route == DECIDE_NO_ROUTE)
		return json_null();
	return json_pack("{s:s, s:s}", "prefix", prefix_str(&x->s->config->routes[x->d.route].prefix, buf), "by",
			 x->s->rules->approved_by[x->d.route]);
}

static json_t *quota_json(const struct asked *x)
{
	const struct policy_quota *q = x->client == NO_CLIENT ? NULL : ruleset_quota(x->s->rules, x->client);

	if (!q || x->d.reason || x->d.host)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "file", q->at.file ? q->at.file : "", "line",
			 (json_int_t)q->at.line, "flows", (json_int_t)q->flows, "new_flows", (json_int_t)q->new_flows,
			 "packets", (json_int_t)q->packets, "bytes", (json_int_t)q->bytes);
}

static json_t *explain_addr_json(const struct addr *a, bool there)
{
	char buf[ADDR_STRLEN];

	return there ? json_string(addr_str(a, buf)) : json_null();
}

static json_t *explain_egress_json(const struct asked *x)
{
	const struct config *config = x->s->config;
	struct explain_egress e = {0};
	uint32_t pool;

	if (!config || x->d.host || x->d.reason || x->client >= config->n_clients)
		return json_null();
	pool = ruleset_pool(x->s->rules, config, x->client);
	if (x->s->egress)
		x->s->egress(x->s->ctx, pool, x->client, &x->dst, &e);
	else if (config->pools[pool].interface)
		snprintf(e.interface, sizeof(e.interface), "%s", config->pools[pool].interface);
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "pool", config->pools[pool].name, "interface",
			 e.interface[0] ? json_string(e.interface) : json_null(), "address",
			 explain_addr_json(&e.address, e.has_address), "public",
			 explain_addr_json(&e.public, e.has_address), "next_hop",
			 explain_addr_json(&e.next_hop, e.has_next_hop));
}

static json_t *counters_json(const struct asked *x)
{
	struct explain_use u;

	if (!x->s->use || !x->d.rule || !x->s->use(x->s->ctx, x->d.rule, &u))
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "flows", (json_int_t)u.flows, "live", (json_int_t)u.live,
			 "refused", (json_int_t)u.refused, "bytes_out", (json_int_t)u.bytes_out, "bytes_in",
			 (json_int_t)u.bytes_in);
}

static json_t *prefix_json(const struct prefix *p)
{
	char buf[ADDR_STRLEN];

	return p->len < 128 ? json_string(prefix_str(p, buf)) : json_null();
}

static json_t *explain_answer_json(const struct asked *x)
{
	const struct inventory_node *node = x->client == NO_CLIENT ? NULL : &x->s->rules->inventory.nodes[x->client];
	char buf[TEXT_SIZE];

	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:s, s:i, s:s?, s:I, s:s?, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "allowed", !x->d.reason, "source", explain_addr_json(&x->src, true), "source_of",
			 prefix_json(x->from), "destination", explain_addr_json(&x->dst, true), "destination_of",
			 prefix_json(x->to), "proto", text_proto(x->q->proto, buf), "port", x->q->port, "client",
			 node ? node->name : NULL, "class",
			 (json_int_t)(node ? x->s->rules->reach.t->class_of[x->client] : 0), "reason",
			 x->d.reason ? drop_name(x->d.reason) : NULL, "why", why_json(x), "rule", rule_json(x), "route",
			 explain_route_json(x), "quota", quota_json(x), "egress", explain_egress_json(x), "counters",
			 counters_json(x));
}

/* As people of a tailnet write it: "alice", a user without a domain; "laptop.tail.example.", a node. */
static char *other_name(const char *word)
{
	size_t label = strcspn(word, ".");

	if (strpbrk(word, "@:/"))
		return NULL;
	return word[label] ? mem_strndup(word, label) : mem_printf("%s@", word);
}

static bool look_up_other(const struct explain_source *s, const char *word, bool dst, struct prefixes *out)
{
	char *other = s->config && s->config->tailnet.node ? other_name(word) : NULL;
	struct diags d = {0};
	bool ok = other && reach_lookup(&s->rules->reach, other, dst, out, &d);

	diags_free(&d);
	free(other);
	return ok;
}

/* "alice" is the beginning of a client's or a user's name: which of them? */
static const char *longer_name(const struct inventory *inv, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; len && i < inv->n_nodes; i++) {
		const struct inventory_node *node = &inv->nodes[i];

		if (node->user && !strncmp(node->user, word, len) && node->user[len])
			return node->user;
		if (!strncmp(node->name, word, len) && node->name[len])
			return node->name;
	}
	return NULL;
}

static void explain_not_found(const struct explain_source *s, const char *word, const struct diags *d, char **error)
{
	const char *text = d->n ? d->list[0].text : "nothing has this name";
	const char *longer = strstr(text, "did you mean") ? NULL : longer_name(&s->rules->inventory, word);

	if (longer)
		exit_fail(error, 0, "%s; did you mean \"%s\"?", text, longer);
	else
		exit_fail(error, 0, "%s", text);
}

/* A name's addresses; of a prefix the first. */
static bool explain_look_up(const struct explain_source *s, const char *word, bool dst, struct prefixes *out,
			    char **error)
{
	struct diags d = {0};
	bool ok = reach_lookup(&s->rules->reach, word, dst, out, &d) || look_up_other(s, word, dst, out);

	if (!ok)
		explain_not_found(s, word, &d, error);
	diags_free(&d);
	return ok;
}

static json_t *answer_all(const struct explain_source *s, const struct explain_question *q, const struct prefixes *from,
			  const struct prefixes *to)
{
	json_t *list = json_array();
	size_t left_out = 0, live = 0;
	bool allowed = true;

	for (size_t i = 0; i < from->n; i++)
		for (size_t k = 0; k < to->n; k++) {
			const struct prefix *a = &from->v[i], *b = &to->v[k];
			struct asked x = {s, q, a->addr, b->addr, a, b, 0, {0}};

			if (addr_is_v4(&x.src) != addr_is_v4(&x.dst))
				continue;
			x.client = explain_client_of(s->rules, &x.src);
			x.d = explain_decide(s, x.client, q, &x.dst);
			if (x.d.reason != DROP_WG_HANDSHAKE) { /* a user's lost phone says nothing of the laptop */
				allowed &= !x.d.reason;
				live++;
			}
			if (json_array_size(list) < EXPLAIN_ANSWERS_MAX)
				json_array_append_new(list, explain_answer_json(&x));
			else
				left_out++;
		}
	return json_pack("{s:i, s:b, s:o, s:I}", "schema", REPORT_SCHEMA, "allowed", allowed && live, "answers", list,
			 "left_out", (json_int_t)left_out);
}

json_t *explain(const struct explain_source *s, const struct explain_question *q, char **error)
{
	struct explain_question own = *q;
	struct prefixes from = {0}, to = {0};
	json_t *result = NULL;

	if (explain_look_up(s, q->source, false, &from, error) &&
	    explain_look_up(s, q->destination, true, &to, error)) {
		if (own.proto == IPPROTO_ICMP && !addr_is_v4(&to.v[0].addr))
			own.proto = IPPROTO_ICMPV6;
		result = answer_all(s, &own, &from, &to);
		if (!json_array_size(json_object_get(result, "answers"))) {
			exit_fail(error, 0, "%s and %s have no address of the same family", q->source, q->destination);
			json_decref(result);
			result = NULL;
		}
	}
	prefixes_free(&from);
	prefixes_free(&to);
	return result;
}
